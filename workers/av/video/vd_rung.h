/* One rung over one range: pictures -> scaled -> H.264 -> CMAF segments. Its bytes depend on the
 * pictures and the plan alone. Not for two threads at once; rungs know nothing of each other. */
#ifndef VD_RUNG_H
#define VD_RUNG_H

#include "vd_plan.h"
#include "vd_sink.h"

typedef struct vd_rung_s vd_rung_t;

/* Rung i of the plan; plan, index and sink must outlive it. NULL with a cause. */
vd_rung_t *vd_rung_open(const vd_range_plan_t *plan, int i, const media_vindex_t *v,
                        const vd_sink_t *sink, tc_fail_t *f);
/* The next picture that is kept, by its number, with its pts in the index's time base. */
int vd_rung_frame(vd_rung_t *r, const AVFrame *frame, uint32_t number, tc_fail_t *f);
/* After the last picture: every segment is out then. */
int vd_rung_finish(vd_rung_t *r, tc_fail_t *f);
/* {"name","segments","info"} as stmt.h has it; owned, NULL when out of memory. */
json_t *vd_rung_track(const vd_rung_t *r);
void vd_rung_close(vd_rung_t *r);

#endif
