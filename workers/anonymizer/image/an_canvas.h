/* Where the frames of an animation (GIF, APNG), each a rectangle, become whole pictures. */
#ifndef AN_CANVAS_H
#define AN_CANVAS_H

#include <libavutil/frame.h>

enum an_dispose { AN_STAYS, AN_CLEARED, AN_RESTORED }; /* what becomes of it before the next */

typedef struct {
    int x, y, w, h;
    enum an_dispose dispose;
    int is_over; /* blended over what is there, else in its place */
} an_patch_t;

typedef struct {
    AVFrame *now, *before; /* before: what an_dispose AN_RESTORED brings back */
    an_patch_t last;
    int n;
} an_canvas_t;

/* Empty (transparent). 0 or -1: no memory; to be closed in any case. */
int an_canvas_open(an_canvas_t *c, int width, int height);
/* Puts a patch (RGBA, packed, within the canvas) onto it. 0 or -1: no memory. */
int an_canvas_put(an_canvas_t *c, const an_patch_t *patch, const uint8_t *rgba);
void an_canvas_close(an_canvas_t *c);

#endif
