/* Which pictures of a range are not what the film showed: the decoder says so, or had to give up on
 * a packet shortly before. */
#ifndef AN_DAMAGE_H
#define AN_DAMAGE_H

#include "media/vindex.h"
#include "tc.h"

typedef struct {
    int is_on;
    int64_t errors; /* of the decoder so far */
    uint32_t until; /* packet: a key picture behind it is whole again */
} an_damage_t;

/* 1 if the picture is damaged; pictures come in order. */
int an_damage_see(an_damage_t *d, const media_vindex_t *v, const AVFrame *frame, uint32_t number,
                  int64_t errors);

#endif
