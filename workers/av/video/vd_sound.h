/* The `sound` step: one sound track of the file as AAC in CMAF segments. Its time line is the
 * video's: sound before the first picture is left out, silence stands where it begins later. */
#ifndef VD_SOUND_H
#define VD_SOUND_H

#include "vd_cmaf.h"
#include "vd_plan.h"
#include "vd_sink.h"

/* Adds the track's description to `tracks`; a track that holds no sound at all makes none. 0, or -1
 * with a cause. */
int vd_sound(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
             json_t *tracks, tc_fail_t *f);

/* Adds {"name","segments","info"} as stmt.h has it to tracks. 0, or -1: no memory. */
int vd_sound_describe(const vd_track_plan_t *plan, const vd_cmaf_t *cmaf, int rate, int channels,
                      int64_t segments, json_t *tracks);

#endif
