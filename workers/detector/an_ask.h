/* A picture that something is looked for in, and who is asked about small ones. */
#ifndef AN_ASK_H
#define AN_ASK_H

#include "an_hit.h"

/* 8-bit BGR, upright. */
typedef struct {
    const uint8_t *bgr;
    int width, height;
    size_t stride; /* bytes per row */
} an_picture_t;

/* Asks a detector of the kind: at most `max` hits, best first, how many (when it is `max`, more may
 * have been left out); negative: it cannot be asked. The picture is packed (stride == 3 * width),
 * of at most AN_PICTURE_MAX bytes. */
typedef struct {
    void *ctx;
    int (*ask)(void *ctx, enum an_kind kind, const an_picture_t *picture, an_hit_t *hits, int max);
} an_ask_t;

#endif
