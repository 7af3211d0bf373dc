/* The segments of one rung over one range, out of packets that an encoder or the source itself
 * gives; their bytes depend on these and on the plan alone. */
#ifndef VD_SEGMENTS_H
#define VD_SEGMENTS_H

#include "vd_cmaf.h"
#include "vd_plan.h"
#include "vd_sink.h"

typedef struct {
    const vd_range_plan_t *plan;
    const media_rendition_t *rendition;
    const vd_sink_t *sink;
    int64_t tb_num, timescale;
    vd_cmaf_t *cmaf;
    uint32_t out;    /* the span being written */
    int64_t packets; /* in it */
} vd_segments_t;

/* Rung i of the plan, whose packets are `par`'s; plan, index and sink must outlive it. `edit`: no
 * picture of the whole film is decoded so many ticks behind the time it is shown at. The range with
 * the first segment hands over the init segment. 0; -1 with a cause, to be closed in any case. */
int vd_segments_open(vd_segments_t *s, const vd_range_plan_t *plan, int i, const media_vindex_t *v,
                     const AVCodecParameters *par, int64_t edit, const vd_sink_t *sink,
                     tc_fail_t *f);
/* The next packet in decoding order, its pts in 1/timescale from the first picture of the film on;
 * one from before the range is left out, and so is what comes when it is done. */
int vd_segments_add(vd_segments_t *s, const AVPacket *packet, tc_fail_t *f);
int vd_segments_done(const vd_segments_t *s);
/* {"name","segments","info"} as stmt.h has it; owned, NULL when out of memory. */
json_t *vd_segments_track(const vd_segments_t *s);
void vd_segments_close(vd_segments_t *s);

#endif
