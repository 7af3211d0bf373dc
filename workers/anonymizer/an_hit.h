/* What a detector has found, and who is asked. Pixels of the picture that was looked at. */
#ifndef AN_HIT_H
#define AN_HIT_H

#include <stddef.h>
#include <stdint.h>

enum an_class { AN_FACE, AN_PERSON, AN_VEHICLE, AN_PLATE, AN_CLASSES };

typedef struct {
    float x, y, w, h; /* may reach over the picture's edges */
    float score;      /* 0..1 */
    int32_t label;    /* enum an_class */
} an_hit_t;

#define AN_HITS_MAX 2048 /* of one question */

/* Packed 8-bit BGR, upright. */
typedef struct {
    const uint8_t *bgr;
    int width, height;
    size_t stride; /* bytes per row */
} an_picture_t;

/* Asks the detector of `what`: at most `max` hits into hits, how many; negative: it cannot be
 * asked. The picture is packed (stride == 3 * width) and of at most 4 MiB - 16. */
typedef struct {
    void *ctx;
    int (*ask)(void *ctx, enum an_class what, const an_picture_t *picture, an_hit_t *hits, int max);
} an_ask_t;

#endif
