/* The `encode` step: the pictures of a range are decoded once, every rung of its group is scaled
 * and encoded beside the others, each in a thread of its own: encoders have the number of threads
 * that the plan gives them, so it is rungs and ranges that share out a machine. */
#ifndef VD_ENCODE_H
#define VD_ENCODE_H

#include "vd_rung.h"
#include "vd_source.h"

/* `tracks` (owned by the caller): the range with the first segment adds a description per rung.
 * Calls of source and sink never overlap. 0, or -1 with a cause. */
int vd_encode(const vd_source_t *source, const media_vindex_t *index, const vd_range_plan_t *plan,
              const vd_sink_t *sink, json_t *tracks, tc_fail_t *f);

#endif
