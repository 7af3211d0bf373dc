/* One colour component of a frame, wherever its samples lie (packed or planar, 8 to 16 bits,
 * subsampled or not). */
#ifndef AN_CHANNEL_H
#define AN_CHANNEL_H

#include <string.h>

#include <libavutil/frame.h>

#define AN_CHANNELS_MAX 4

typedef struct {
    uint8_t *p;
    ptrdiff_t stride;
    int step; /* bytes from sample to sample */
    int is_wide;
    int sx, sy; /* log2 of the subsampling */
    int w, h;   /* in samples */
    int max;    /* greatest value */
} an_channel_t;

typedef struct {
    an_channel_t c[AN_CHANNELS_MAX]; /* colours, then alpha */
    int ncolors;
    int n;
    int is_rgb;
} an_channels_t;

/* 0, or -1: a format whose samples cannot be reached so. */
int an_channels(const AVFrame *frame, an_channels_t *out);
/* An 8-bit colour as the frame's components. */
void an_channels_color(const AVFrame *frame, const an_channels_t *ch, const float rgb[3],
                       int out[3]);

static inline int an_channel_get(const an_channel_t *c, int x, int y)
{
    const uint8_t *p = c->p + y * c->stride + x * c->step;
    uint16_t wide;

    if (!c->is_wide) {
        return *p;
    }
    memcpy(&wide, p, sizeof(wide));
    return wide;
}

static inline void an_channel_set(const an_channel_t *c, int x, int y, int value)
{
    uint8_t *p = c->p + y * c->stride + x * c->step;
    uint16_t wide = (uint16_t)value;

    if (c->is_wide) {
        memcpy(p, &wide, sizeof(wide));
    } else {
        *p = (uint8_t)value;
    }
}

#endif
