/* A sound track as it is: its packets in CMAF segments, nothing decoded. What an encoder or
 * somebody has written into them stays there. */
#ifndef VD_SOUND_COPY_H
#define VD_SOUND_COPY_H

#include "vd_plan.h"
#include "vd_sink.h"

/* As vd_sound, for AAC-LC out of a container that tells its configuration. 0: done; 1: it is none;
 * -1 with a cause. */
int vd_sound_copy(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
                  json_t *tracks, tc_fail_t *f);

#endif
