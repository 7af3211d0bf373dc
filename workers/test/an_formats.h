/* Every still format as libav makes it, with a "face" in a box, and how its output is judged. */
#ifndef AN_FORMATS_H
#define AN_FORMATS_H

#include <math.h>

#include "an_pictures.h"
#include "test.h"

#define W 161
#define H 123

static const int box[4] = {40, 30, 40, 50};
static const finder_t here = {{40.0F / W, 30.0F / H, 40.0F / W, 50.0F / H}, -1, 0, 0, 0};

typedef struct {
    make_t make;
    const char *name, *type;
    int psnr; /* outside of masks at least; 0: equal */
} format_t;

static const format_t formats[] = {
    {{"image2pipe", "mjpeg", AV_PIX_FMT_YUVJ444P, "", 0, NULL, {1, 25}},
     "masked.jpg",
     "image/jpeg",
     40},
    {{"image2pipe", "mjpeg", AV_PIX_FMT_YUVJ420P, "", 0, NULL, {1, 25}},
     "masked.jpg",
     "image/jpeg",
     38},
    {{"image2pipe", "png", AV_PIX_FMT_RGB24, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_RGBA, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_RGB48BE, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_GRAY8, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "bmp", AV_PIX_FMT_BGR24, "", 0, NULL, {1, 25}}, "masked.bmp", "image/bmp", 0},
    {{"image2pipe", "bmp", AV_PIX_FMT_RGB565LE, "", 0, NULL, {1, 25}},
     "masked.bmp",
     "image/bmp",
     55},
    {{"image2pipe", "tiff", AV_PIX_FMT_RGB24, "compression_algo=deflate", 0, NULL, {1, 25}},
     "masked.tiff",
     "image/tiff",
     0},
    {{"image2pipe", "tiff", AV_PIX_FMT_GRAY8, "compression_algo=lzw", 0, NULL, {1, 25}},
     "masked.tiff",
     "image/tiff",
     0},
    {{"webp", "libwebp", AV_PIX_FMT_BGRA, "lossless=1", 0, NULL, {1, 25}},
     "masked.webp",
     "image/webp",
     0},
    {{"webp", "libwebp", AV_PIX_FMT_YUV420P, "quality=90", 0, NULL, {1, 25}},
     "masked.webp",
     "image/webp",
     38},
    {{"gif", "gif", AV_PIX_FMT_RGB8, "", 0, NULL, {1, 25}}, "masked.gif", "image/gif", 0},
};
#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

/* Whether a pixel is away from the mask of the box, by more than 2 pixels (chroma) or 8 (blocks).
 */
static inline int is_outside(int x, int y, const int b[4], int far)
{
    double cx = b[0] + b[2] / 2.0, cy = b[1] + b[3] / 2.0;
    double u = (x + 0.5 - cx) / (b[2] * 0.7072 + far), v = (y + 0.5 - cy) / (b[3] * 0.7072 + far);

    return u * u + v * v > 1;
}

static inline double psnr_outside(const AVFrame *a, const AVFrame *b, int far)
{
    double sum = 0, n = 0;

    for (int y = 0; y < a->height; y++) {
        for (int x = 0; x < a->width; x++) {
            for (int i = 0; is_outside(x, y, box, far) && i < 4; i++) {
                double d = px(a, x, y)[i] - px(b, x, y)[i];
                sum += d * d;
                n++;
            }
        }
    }
    return sum > 0 ? 10 * log10(255 * 255 * n / sum) : 200;
}

/* How far the box's pixels are from a colour, at most. */
static inline int inside_off(const AVFrame *f, const int b[4], int r, int g, int bl)
{
    int most = 0, want[3] = {r, g, bl};

    for (int y = b[1]; y < b[1] + b[3]; y++) {
        for (int x = b[0]; x < b[0] + b[2]; x++) {
            for (int i = 0; i < 3; i++) {
                int d = abs(px(f, x, y)[i] - want[i]);
                most = d > most ? d : most;
            }
        }
    }
    return most;
}

#endif
