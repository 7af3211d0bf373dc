/* GIF, still or animated. A frame is written as what differs from what is shown, with a palette of
 * its own: those pixels come from one frame of the source and the masks, so that most often all of
 * their colours fit. What becomes transparent again has to be cleared by the frame before, so a
 * frame is written when the next one is known. */
#include <stdlib.h>
#include <string.h>

#include "an_lzw.h"
#include "an_palette.h"
#include "an_writer.h"

#define OPAQUE 128 /* alpha from here on */
#define DELAY_MAX 0xFFFF

typedef struct {
    AVFrame *shown;   /* by now */
    AVFrame *pending; /* to be written */
    int delay_cs;
    int64_t late; /* what rounding of delays has left, 1/1000 of 1/100 s */
    int clears;   /* the frame written last */
} state_t;

typedef struct {
    int x, y, w, h;
} rect_t;

static void put16(media_buf_t *b, int v)
{
    uint8_t p[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

    (void)media_buf_add(b, p, 2);
}

static void put8(media_buf_t *b, int v)
{
    uint8_t p = (uint8_t)v;

    (void)media_buf_add(b, &p, 1);
}

static const uint8_t *pixel(const AVFrame *f, int x, int y)
{
    return f->data[0] + y * f->linesize[0] + (ptrdiff_t)4 * x;
}

static int is_same(const uint8_t *a, const uint8_t *b)
{
    return (a[3] < OPAQUE && b[3] < OPAQUE) ||
           (a[3] >= OPAQUE && b[3] >= OPAQUE && memcmp(a, b, 3) == 0);
}

static void put_head(an_writer_t *w)
{
    (void)media_buf_add(&w->out, "GIF89a", 6);
    put16(&w->out, w->width);
    put16(&w->out, w->height);
    (void)media_buf_add(&w->out, "\0\0\0", 3);
    if (w->nframes > 1 && w->loops != 1) {
        (void)media_buf_add(&w->out, "\x21\xFF\x0BNETSCAPE2.0\x03\x01", 16);
        put16(&w->out, w->loops > 0xFFFF ? 0xFFFF : w->loops > 0 ? w->loops - 1 : 0);
        put8(&w->out, 0);
    }
}

static int must_clear(const AVFrame *now, const AVFrame *next)
{
    for (int y = 0; next != NULL && y < now->height; y++) {
        for (int x = 0; x < now->width; x++) {
            if (pixel(now, x, y)[3] >= OPAQUE && pixel(next, x, y)[3] < OPAQUE) {
                return 1;
            }
        }
    }
    return 0;
}

/* What of `now` is not shown yet; one pixel where that is nothing. */
static rect_t changed(const AVFrame *now, const AVFrame *shown)
{
    int x0 = now->width, y0 = now->height, x1 = 0, y1 = 0;

    for (int y = 0; y < now->height; y++) {
        for (int x = 0; x < now->width; x++) {
            if (!is_same(pixel(now, x, y), pixel(shown, x, y))) {
                x0 = x < x0 ? x : x0;
                x1 = x + 1 > x1 ? x + 1 : x1;
                y0 = y < y0 ? y : y0;
                y1 = y + 1;
            }
        }
    }
    return x0 < x1 ? (rect_t){x0, y0, x1 - x0, y1 - y0} : (rect_t){0, 0, 1, 1};
}

/* Counts the colours of what is drawn; how many pixels are not. */
static size_t count_colors(const AVFrame *now, const AVFrame *shown, rect_t r, an_palette_t *p)
{
    size_t left = 0;

    for (int y = r.y; y < r.y + r.h; y++) {
        for (int x = r.x; x < r.x + r.w; x++) {
            const uint8_t *c = pixel(now, x, y);

            if (c[3] < OPAQUE || is_same(c, pixel(shown, x, y))) {
                left++;
            } else {
                an_palette_count(p, c);
            }
        }
    }
    return left;
}

/* Indices of the rectangle; what is drawn is shown from now on as the palette has it. */
static void draw(const AVFrame *now, AVFrame *shown, rect_t r, const an_palette_t *p, int nothing,
                 uint8_t *indices)
{
    for (int y = r.y; y < r.y + r.h; y++) {
        for (int x = r.x; x < r.x + r.w; x++) {
            const uint8_t *c = pixel(now, x, y);
            uint8_t *s = shown->data[0] + y * shown->linesize[0] + (ptrdiff_t)4 * x;

            if (c[3] < OPAQUE || is_same(c, s)) {
                *indices++ = (uint8_t)nothing;
                continue;
            }
            *indices = (uint8_t)an_palette_index(p, c);
            memcpy(s, p->rgb[*indices++], 3);
            s[3] = 255;
        }
    }
}

static void put_image(an_writer_t *w, rect_t r, const an_palette_t *p, int nothing,
                      const uint8_t *indices)
{
    const state_t *s = w->state;
    int bits = 1, colors = nothing >= 0 ? nothing + 1 : p->size;

    while (1 << bits < colors) {
        bits++;
    }
    (void)media_buf_add(&w->out, "\x21\xF9\x04", 3);
    put8(&w->out, (s->clears ? 2 : 1) << 2 | (nothing >= 0));
    put16(&w->out, s->delay_cs);
    put8(&w->out, nothing >= 0 ? nothing : 0);
    (void)media_buf_add(&w->out, "\0\x2C", 2);
    put16(&w->out, r.x);
    put16(&w->out, r.y);
    put16(&w->out, r.w);
    put16(&w->out, r.h);
    put8(&w->out, 0x80 | (bits - 1));
    for (int i = 0; i < 1 << bits; i++) {
        (void)media_buf_add(&w->out, i < p->size ? p->rgb[i] : (const uint8_t *)"\0\0\0", 3);
    }
    bits = bits < 2 ? 2 : bits;
    put8(&w->out, bits);
    an_lzw_pack(&w->out, indices, (size_t)r.w * (size_t)r.h, bits);
}

/* Writes what is pending. */
static int emit(an_writer_t *w, const AVFrame *next)
{
    state_t *s = w->state;
    an_palette_t palette;
    uint8_t *indices = NULL;
    int rc = -1, nothing;
    size_t left;
    rect_t r;

    if (s->clears) {
        for (int y = 0; y < w->height; y++) {
            memset(s->shown->data[0] + y * s->shown->linesize[0], 0, (size_t)w->width * 4);
        }
    }
    s->clears = must_clear(s->pending, next);
    r = s->clears ? (rect_t){0, 0, w->width, w->height} : changed(s->pending, s->shown);
    if (an_palette_open(&palette) != 0) {
        goto done;
    }
    left = count_colors(s->pending, s->shown, r, &palette);
    indices = malloc((size_t)r.w * (size_t)r.h);
    if (indices == NULL || an_palette_make(&palette, left > 0 ? 255 : 256) != 0) {
        goto done;
    }
    nothing = left > 0 ? palette.size : -1;
    draw(s->pending, s->shown, r, &palette, nothing, indices);
    put_image(w, r, &palette, nothing, indices);
    rc = 0;

done:
    free(indices);
    an_palette_close(&palette);
    return rc;
}

static int start(an_writer_t *w)
{
    state_t *s = calloc(1, sizeof(*s));

    w->state = s;
    if (s == NULL) {
        return -1;
    }
    s->shown = an_frame_new(w->width, w->height, 0);
    s->clears = 1; /* nothing is shown yet */
    put_head(w);
    return s->shown != NULL ? 0 : -1;
}

static void take_delay(state_t *s, AVRational delay)
{
    int64_t exact = av_rescale(100000, delay.num, delay.den) + s->late;
    int64_t cs = (exact + 500) / 1000;

    s->late = exact - cs * 1000;
    s->delay_cs = cs > DELAY_MAX ? DELAY_MAX : (int)cs;
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    state_t *s;

    if ((w->state == NULL && start(w) != 0) ||
        (((state_t *)w->state)->pending != NULL && emit(w, frame) != 0)) {
        return an_writer_failed(w, f);
    }
    s = w->state;
    av_frame_free(&s->pending);
    s->pending = an_frame_new(w->width, w->height, 0);
    if (s->pending == NULL || av_frame_copy(s->pending, frame) < 0) {
        return an_writer_failed(w, f);
    }
    take_delay(s, delay);
    return 0;
}

static int end(an_writer_t *w, tc_fail_t *f)
{
    if (emit(w, NULL) != 0) {
        return an_writer_failed(w, f);
    }
    put8(&w->out, 0x3B);
    return 0;
}

static void close_gif(an_writer_t *w)
{
    state_t *s = w->state;

    if (s != NULL) {
        av_frame_free(&s->shown);
        av_frame_free(&s->pending);
        free(s);
        w->state = NULL;
    }
}

const an_format_t an_format_gif = {"masked.gif", "image/gif", add, end, close_gif};
