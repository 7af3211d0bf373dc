/* What is painted over a picture, in place. No pixel under a mask has any influence on what is
 * painted there, but with the styles blur and pixelate, which are a choice with a warning.
 *
 * A mask covers all of its shape: an ellipse's edge and a feather lie outside of it. */
#ifndef AN_MASK_H
#define AN_MASK_H

#include <libavutil/frame.h>

#include "an_params.h"

/* Pixels of the picture; the ellipse that fills the box, or the box. */
typedef struct {
    float x, y, w, h;
    enum an_shape shape;
    uint64_t seed; /* of the mosaic's pattern: one per track, thrown away with the job */
} an_mask_t;

typedef struct {
    enum an_style style;
    uint8_t color[3];
    int feather;
    const AVFrame *image; /* AN_IMAGE: RGBA, scaled to each mask; borrowed */
} an_paint_t;

/* Paints masks over a writable frame: RGB24, RGBA, GRAY8 or planar YUV 4:2:0 / 4:2:2 / 4:4:4 of 8
 * or 10 bits (colour by the frame's colorspace and range). 0; -1 with nothing painted
 * (another format, a mask without an area or not finite) or, without memory, in part: not for use.
 */
int an_mask_paint(AVFrame *frame, const an_mask_t *masks, int n, const an_paint_t *paint);

#endif
