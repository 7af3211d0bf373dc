/* The `encode` step of a rung that needs no encoder: the source's pictures as they are. */
#ifndef VD_COPY_H
#define VD_COPY_H

#include "vd_plan.h"
#include "vd_sink.h"
#include "vd_source.h"

/* As vd_encode, of a plan with is_copy, which has one rung. */
int vd_copy(const vd_source_t *source, const media_vindex_t *index, const vd_range_plan_t *plan,
            const vd_sink_t *sink, json_t *tracks, tc_fail_t *f);

#endif
