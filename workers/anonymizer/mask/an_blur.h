/* A real blur: three passes of a mean over a window, which is a Gaussian to the eye. */
#ifndef AN_BLUR_H
#define AN_BLUR_H

#include "an_channel.h"

/* Samples of a channel. */
typedef struct {
    int x0, y0, x1, y1;
} an_area_t;

/* The samples of `area`, row by row, blurred with what is around them (radius: of one pass); owned,
 * NULL: no memory. */
uint16_t *an_blur(const an_channel_t *c, an_area_t area, int radius);

#endif
