#include "an_damage.h"

#define BEHIND 40 /* packets that a decoder may hold back */

int an_damage_see(an_damage_t *d, const media_vindex_t *v, const AVFrame *frame, uint32_t number,
                  int64_t errors)
{
    uint32_t packet = v->frames[number].packet;

    if (errors > d->errors || (frame->flags & AV_FRAME_FLAG_CORRUPT) ||
        frame->decode_error_flags != 0) {
        d->is_on = 1;
        d->errors = errors;
        d->until = packet + BEHIND;
    } else if (d->is_on && packet > d->until && (v->packets[packet].flags & MEDIA_VINDEX_KEY)) {
        d->is_on = 0;
    }
    return d->is_on;
}
