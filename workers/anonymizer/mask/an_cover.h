/* How much of each pixel a mask takes: all of it wherever its shape touches the pixel, less and
 * less over the feather, which lies outside. */
#ifndef AN_COVER_H
#define AN_COVER_H

#include "an_mask.h"

typedef struct {
    int x0, y0, x1, y1; /* the pixels that are touched; empty: x0 == x1 */
    uint8_t *alpha;     /* of these, row by row; owned */
} an_cover_t;

/* 0, or -1: no memory. */
int an_cover_make(const an_mask_t *mask, int feather, int width, int height, an_cover_t *out);
void an_cover_free(an_cover_t *c);

/* The most that is taken of any pixel that a sample of this subsampling stands for. */
static inline int an_cover_sample(const an_cover_t *c, int x, int y, int sx, int sy)
{
    int most = 0;

    if (sx == 0 && sy == 0) {
        return c->alpha[(size_t)(y - c->y0) * (size_t)(c->x1 - c->x0) + (size_t)(x - c->x0)];
    }
    for (int py = y << sy; py < (y + 1) << sy; py++) {
        for (int px = x << sx; px < (x + 1) << sx; px++) {
            if (px >= c->x0 && px < c->x1 && py >= c->y0 && py < c->y1) {
                int a =
                    c->alpha[(size_t)(py - c->y0) * (size_t)(c->x1 - c->x0) + (size_t)(px - c->x0)];
                most = a > most ? a : most;
            }
        }
    }
    return most;
}

#endif
