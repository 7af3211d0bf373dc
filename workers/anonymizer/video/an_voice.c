/* The step `voice`: the sound, encoded anew, disguised, or as it is. */
#include "an_video.h"

#include <stdlib.h>

#include "an_disguise.h"
#include "vd_sound.h"
#include "vd_sound_copy.h"

int an_video_voice(const vd_source_t *source, const json_t *range, const an_params_t *params,
                   const vd_sink_t *sink, json_t *tracks, tc_fail_t *f)
{
    an_disguise_t *disguise = NULL;
    vd_track_plan_t plan;
    int rc = vd_track_plan_read(range, &plan, f);

    if (rc == 0 && params->voice == AN_VOICE_DISGUISE) {
        disguise = an_disguise_open();
        plan.alter = (vd_alter_t){disguise, an_disguise_alter};
        rc = disguise != NULL ? 0 : tc_fail(f, "internal", "The voice cannot be disguised.");
    }
    if (rc == 0) {
        /* what cannot be copied is encoded anew */
        rc = params->voice == AN_VOICE_COPY ? vd_sound_copy(source, &plan, sink, tracks, f) : 1;
        rc = rc > 0 ? vd_sound(source, &plan, sink, tracks, f) : rc;
    }
    an_disguise_close(disguise);
    return rc;
}
