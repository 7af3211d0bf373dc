/* A decoded frame made what everything after it works on: upright, sRGB, nothing hidden. */
#ifndef AN_UPRIGHT_H
#define AN_UPRIGHT_H

#include <libavutil/frame.h>

/* As EXIF's orientation says (1..8). Replaces *frame where pixels move; 0, or -1: no memory. */
int an_upright(AVFrame **frame, int orientation);
/* Clears the colour where nothing of it is seen (alpha 0). What the frame's alpha is: */
enum an_alpha { AN_OPAQUE, AN_HOLES /* 0 or all */, AN_SHEER /* between */ };
enum an_alpha an_alpha_clear(AVFrame *frame);

#endif
