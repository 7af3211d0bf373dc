/* A film whose faces are known, and a detector that knows them: each picture has its number in
 * black and white squares. What it says has noise and misses. */
#ifndef AN_CLIP_H
#define AN_CLIP_H

#include <math.h>

#include "an_ask.h"
#include "vd_make.h"
#include "vd_synth.h"

#define FACES 2
#define BITS 12
#define SQUARE 10

typedef struct {
    double x, y, w, h;
} face_t;

/* In pixels of the upright picture. */
static inline face_t face_at(int face, int picture, int width, int height)
{
    double s = picture / 25.0;

    return face == 0
               ? (face_t){width * (0.3 + 0.15 * sin(s / 2)), height * 0.4, 44, 54}
               : (face_t){width * (0.7 + 0.12 * cos(s)), height * (0.6 + 0.1 * sin(s)), 40, 50};
}

/* Where a pixel of the upright picture lies in the coded one. */
static inline void place(const AVFrame *f, int rotation, int x, int y, int *cx, int *cy)
{
    *cx = rotation == 90 ? y : x;
    *cy = rotation == 90 ? f->height - 1 - x : y;
}

static inline uint8_t ground(int n, int x, int y)
{
    static int8_t wave[256];

    for (int i = 0; wave[64] == 0 && i < 256; i++) {
        wave[i] = (int8_t)lrint(35 * sin(i * 2 * M_PI / 256));
    }
    return (uint8_t)(110 + wave[(x + n) * 3 & 255] + wave[(y * 4 - n) & 255]);
}

static inline uint8_t tone(int n, int x, int y, int width, int height)
{
    if (y < SQUARE && x < BITS * SQUARE) {
        return n >> (x / SQUARE) & 1 ? 220 : 30;
    }
    for (int k = 0; k < FACES; k++) {
        face_t f = face_at(k, n, width, height);
        double dx = (x - f.x) / (f.w / 2), dy = (y - f.y) / (f.h / 2);

        if (dx * dx + dy * dy <= 1) {
            return (uint8_t)(180 + 40 * sin(dx * 9) * cos(dy * 7));
        }
    }
    return ground(n, x, y);
}

static inline void draw(AVFrame *f, int n, const synth_t *t)
{
    (void)t;
    int width = synth_rotation == 90 ? f->height : f->width;
    int height = synth_rotation == 90 ? f->width : f->height;

    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int cx, cy;
            place(f, synth_rotation, x, y, &cx, &cy);
            f->data[0][cy * f->linesize[0] + cx] = tone(n, x, y, width, height);
        }
    }
    for (int plane = 1; plane < 3; plane++) {
        for (int y = 0; y < f->height / 2; y++) {
            memset(f->data[plane] + y * f->linesize[plane], 118 + 10 * plane, (size_t)f->width / 2);
        }
    }
}

/* ---- the detector ---- */

typedef struct {
    int asked;
    int none_from, none_to; /* pictures in which it finds nothing */
    int is_blind;           /* the clip is not one of these: never finds anything */
    int crowds;             /* finds as much as there is room for */
} fake_t;

static inline int number_of(const an_picture_t *p)
{
    int n = 0;

    must(p->width >= BITS * SQUARE, "the number in a picture");
    for (int i = 0; i < BITS; i++) {
        const uint8_t *bgr =
            p->bgr + SQUARE / 2 * p->stride + (size_t)(i * SQUARE + SQUARE / 2) * 3;
        n |= (bgr[0] + bgr[1] + bgr[2] > 3 * 128) << i;
    }
    return n;
}

static inline int fake_ask(void *ctx, enum an_kind kind, const an_picture_t *picture,
                           an_hit_t *hits, int max)
{
    fake_t *fake = ctx;
    int number = number_of(picture), n = 0;

    CHECK_INT(kind, AN_KIND_YUNET);
    fake->asked++;
    if (fake->is_blind) {
        return 0;
    }
    for (int i = 0; fake->crowds && i < max; i++) {
        hits[i] = (an_hit_t){(float)(i % 100), (float)(i / 100), 1, 1, 0.8f, AN_FACE};
    }
    if (fake->crowds) {
        return max;
    }
    for (int k = 0; k < FACES && k < max; k++) {
        face_t f = face_at(k, number, picture->width, picture->height);
        double jitter = ((number * 7 + k * 3) % 11 - 5) / 100.0;

        if ((number >= fake->none_from && number < fake->none_to) || (number + k) % 7 == 0) {
            continue;
        }
        hits[n++] = (an_hit_t){(float)(f.x - f.w / 2 + f.w * jitter),
                               (float)(f.y - f.h / 2 - f.h * jitter),
                               (float)f.w,
                               (float)f.h,
                               0.8f,
                               AN_FACE};
    }
    return n;
}

static const synth_t film = {.muxer = "mp4",
                             .encoder = "libx264",
                             .options = "preset=veryfast;crf=12",
                             .mux_options = "",
                             .width = 320,
                             .height = 240,
                             .frames = 600};

#endif
