/* GIF: its blocks, walked once for what there is, then frame by frame onto a canvas. A file that
 * ends before its trailer is cut off, a frame whose data does not fill it is damage. */
#include <stdlib.h>
#include <string.h>

#include "an_canvas.h"
#include "an_lzw.h"
#include "an_reader.h"

#define HEADER 13
#define TRAILER 0x3B
#define EXTENSION 0x21
#define IMAGE 0x2C
#define CONTROL 0xF9
#define APPLICATION 0xFF

typedef struct {
    an_patch_t patch;
    int delay_cs, transparent; /* -1: no index is */
    int is_interlaced, bits;
    size_t palette, ncolors, data;
} frame_t;

typedef struct {
    size_t palette, ncolors; /* the global one */
    frame_t control;         /* of the frame to come */
    int n, cap;
    frame_t frames[];
} table_t;

static int u16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

/* Behind sub-blocks and their terminator; 0: the file ends in them. */
static size_t skip(const an_reader_t *r, size_t at)
{
    while (at < r->size && r->p[at] != 0) {
        at += (size_t)r->p[at] + 1;
    }
    return at < r->size ? at + 1 : 0;
}

static size_t take_extension(an_reader_t *r, table_t *t, size_t at)
{
    const uint8_t *p = r->p + at;
    size_t left = r->size - at;

    if (left < 3) {
        return 0;
    }
    if (p[1] == CONTROL && left >= 8 && p[2] >= 4) {
        int dispose = p[3] >> 2 & 7;

        t->control.patch.dispose = dispose == 2   ? AN_CLEARED
                                   : dispose == 3 ? AN_RESTORED
                                                  : AN_STAYS;
        t->control.delay_cs = u16(p + 4);
        t->control.transparent = (p[3] & 1) != 0 ? p[6] : -1;
    }
    if (p[1] == APPLICATION && left >= 19 && p[2] == 11 && p[14] == 3 && p[15] == 1 &&
        (memcmp(p + 3, "NETSCAPE2.0", 11) == 0 || memcmp(p + 3, "ANIMEXTS1.0", 11) == 0)) {
        int again = u16(p + 16);
        r->loops = again == 0 ? 0 : again + 1;
    }
    return skip(r, at + 2);
}

static size_t take_image(an_reader_t *r, table_t *t, size_t at)
{
    const uint8_t *p = r->p + at;
    frame_t *fr = &t->frames[t->n];

    if (r->size - at < 11 || t->n >= t->cap) {
        return 0;
    }
    *fr = t->control;
    t->control = (frame_t){.transparent = -1};
    fr->patch.x = u16(p + 1);
    fr->patch.y = u16(p + 3);
    fr->patch.w = u16(p + 5);
    fr->patch.h = u16(p + 7);
    fr->patch.is_over = 1;
    fr->is_interlaced = (p[9] & 0x40) != 0;
    fr->palette = t->palette;
    fr->ncolors = t->ncolors;
    at += 10;
    if ((p[9] & 0x80) != 0) {
        fr->palette = at;
        fr->ncolors = (size_t)2 << (p[9] & 7);
        at += 3 * fr->ncolors;
    }
    if (at >= r->size || fr->ncolors == 0 || r->p[at] < 1 || r->p[at] > 8 || fr->patch.w == 0 ||
        fr->patch.h == 0 || fr->patch.x + fr->patch.w > r->width ||
        fr->patch.y + fr->patch.h > r->height) {
        return 0;
    }
    fr->bits = r->p[at];
    fr->data = at + 1;
    t->n++;
    return skip(r, at + 1);
}

static int walk(an_reader_t *r, table_t *t)
{
    size_t at = HEADER + 3 * t->ncolors;

    while (at != 0 && at < r->size && r->p[at] != TRAILER) {
        at = r->p[at] == EXTENSION ? take_extension(r, t, at)
             : r->p[at] == IMAGE   ? take_image(r, t, at)
                                   : 0;
    }
    return at != 0 && at < r->size && t->n > 0 ? 0 : -1;
}

static int open_gif(an_reader_t *r, tc_fail_t *f)
{
    size_t n = r->size / 12 + 1; /* an image takes more bytes */
    table_t *t;

    if (r->size < HEADER) {
        return an_reader_damaged(r, f);
    }
    n = n < (size_t)r->limits.frames + 1 ? n : (size_t)r->limits.frames + 1;
    t = calloc(1, sizeof(*t) + n * sizeof(frame_t));
    r->table = t;
    if (t == NULL) {
        return an_reader_no_memory(r, f);
    }
    t->cap = (int)n;
    t->control.transparent = -1;
    r->width = u16(r->p + 6);
    r->height = u16(r->p + 8);
    r->loops = 1;
    r->is_lossless = 1;
    if ((r->p[10] & 0x80) != 0) {
        t->palette = HEADER;
        t->ncolors = (size_t)2 << (r->p[10] & 7);
    }
    if (walk(r, t) != 0) {
        return an_reader_damaged(r, f);
    }
    r->nframes = t->n;
    return 0;
}

/* The row that the y-th one in the data is. */
static int row_of(int y, int h)
{
    static const struct {
        int from, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};

    for (int i = 0; i < 4; i++) {
        int rows = h > passes[i].from ? (h - passes[i].from - 1) / passes[i].step + 1 : 0;
        if (y < rows) {
            return passes[i].from + y * passes[i].step;
        }
        y -= rows;
    }
    return 0;
}

static void to_rgba(const an_reader_t *r, const frame_t *fr, const uint8_t *indices, uint8_t *rgba)
{
    for (int y = 0; y < fr->patch.h; y++) {
        int row = fr->is_interlaced ? row_of(y, fr->patch.h) : y;
        const uint8_t *from = indices + (size_t)y * (size_t)fr->patch.w;
        uint8_t *to = rgba + (size_t)row * (size_t)fr->patch.w * 4;

        for (int x = 0; x < fr->patch.w; x++, to += 4) {
            size_t c = from[x];

            memset(to, 0, 4);
            if ((int)c != fr->transparent && c < fr->ncolors) {
                memcpy(to, r->p + fr->palette + 3 * c, 3);
                to[3] = 255;
            }
        }
    }
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    const table_t *t = r->table;
    const frame_t *fr = &t->frames[r->read];
    size_t n = (size_t)fr->patch.w * (size_t)fr->patch.h, at = fr->data;
    uint8_t *indices = malloc(n), *rgba = malloc(4 * n);
    an_canvas_t *c = r->state;
    int rc = 0;

    if (c == NULL) {
        r->state = c = calloc(1, sizeof(*c));
        rc = c == NULL ? -1 : an_canvas_open(c, r->width, r->height);
    }
    if (rc != 0 || indices == NULL || rgba == NULL) {
        rc = an_reader_no_memory(r, f);
        goto done;
    }
    if (an_lzw_unpack(r->p, r->size, &at, fr->bits, indices, n) != 0) {
        rc = an_reader_damaged(r, f);
        goto done;
    }
    to_rgba(r, fr, indices, rgba);
    *delay = (AVRational){fr->delay_cs, 100};
    *out = an_canvas_put(c, &fr->patch, rgba) == 0 ? av_frame_clone(c->now) : NULL;
    rc = *out == NULL || av_frame_make_writable(*out) < 0 ? an_reader_no_memory(r, f) : 0;

done:
    free(indices);
    free(rgba);
    return rc;
}

static void close_gif(an_reader_t *r)
{
    if (r->state != NULL) {
        an_canvas_close(r->state);
        free(r->state);
        r->state = NULL;
    }
}

const an_coder_t an_coder_gif = {AN_GIF, "GIF", open_gif, next, close_gif};
