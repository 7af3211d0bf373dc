/* Colours of another meaning (ICC profiles, CMYK) made sRGB, by Little CMS. */
#ifndef AN_COLOR_H
#define AN_COLOR_H

#include <libavutil/frame.h>

/* Converts a frame (RGBA, RGBA64LE) in place. 1: converted; 0: nothing to do (no profile, sRGB, one
 * for other data or none at all); -1: no memory. */
int an_color_to_srgb(AVFrame *frame, const uint8_t *icc, size_t len);

typedef struct an_cmyk_s an_cmyk_t;
/* Rows of CMYK to RGBA, by the profile or, where it is none of CMYK, by the plain rule. inverted:
 * 255 is no ink (Adobe). NULL: no memory. */
an_cmyk_t *an_cmyk_new(const uint8_t *icc, size_t len, int inverted);
void an_cmyk_row(const an_cmyk_t *c, const uint8_t *cmyk, uint8_t *rgba, int width);
void an_cmyk_free(an_cmyk_t *c);

/* The profile of primaries and white (x, y of white, red, green, blue) and a gamma, 0: sRGB's
 * curve. Owned (free), NULL: none can be made. */
uint8_t *an_color_profile(const double xy[8], double gamma, size_t *len);

#endif
