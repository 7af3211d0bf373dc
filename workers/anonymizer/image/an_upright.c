#include "an_upright.h"

#include <string.h>

#include "an_reader.h"

/* Where pixel x, y of the upright picture lies in the stored one of w x h. */
static void stored_at(int orientation, int x, int y, int w, int h, int *sx, int *sy)
{
    int turned = orientation >= 5;
    int a = turned ? y : x, b = turned ? x : y; /* along the stored width, height */

    switch (orientation) {
    case 2:
    case 8: /* turned a quarter to the left */
        a = w - 1 - a;
        break;
    case 3:
    case 7:
        a = w - 1 - a;
        b = h - 1 - b;
        break;
    case 4:
    case 6: /* turned a quarter to the right */
        b = h - 1 - b;
        break;
    default:
        break;
    }
    *sx = a;
    *sy = b;
}

int an_upright(AVFrame **frame, int orientation)
{
    const AVFrame *from = *frame;
    int w = from->width, h = from->height, turned = orientation >= 5;
    size_t bytes = from->format == AV_PIX_FMT_RGBA ? 4 : 8;
    AVFrame *to;

    if (orientation <= 1 || orientation > 8) {
        return 0;
    }
    to = an_frame_new(turned ? h : w, turned ? w : h, bytes == 8);
    if (to == NULL) {
        return -1;
    }
    for (int y = 0; y < to->height; y++) {
        uint8_t *row = to->data[0] + y * to->linesize[0];

        for (int x = 0; x < to->width; x++) {
            int sx, sy;
            stored_at(orientation, x, y, w, h, &sx, &sy);
            memcpy(row + (size_t)x * bytes,
                   from->data[0] + sy * from->linesize[0] + (size_t)sx * bytes, bytes);
        }
    }
    av_frame_free(frame);
    *frame = to;
    return 0;
}

enum an_alpha an_alpha_clear(AVFrame *frame)
{
    int bytes = frame->format == AV_PIX_FMT_RGBA ? 4 : 8, part = bytes / 4;
    int holes = 0, sheer = 0;

    for (int y = 0; y < frame->height; y++) {
        uint8_t *p = frame->data[0] + y * frame->linesize[0];

        for (int x = 0; x < frame->width; x++, p += bytes) {
            unsigned alpha = part == 1 ? p[3] : (unsigned)p[6] | (unsigned)p[7] << 8;

            if (alpha == 0) {
                memset(p, 0, (size_t)bytes);
                holes = 1;
            } else if (alpha != (part == 1 ? 0xFFU : 0xFFFFU)) {
                sheer = 1;
            }
        }
    }
    return sheer ? AN_SHEER : holes ? AN_HOLES : AN_OPAQUE;
}
