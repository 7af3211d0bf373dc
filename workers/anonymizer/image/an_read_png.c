/* PNG and APNG. The chunks are walked here; each picture (the still one, or a frame) is handed to
 * libpng as a PNG of its own, which consists of the chunks that matter to pixels. An animation's
 * fallback picture that is no frame is not read: nobody who sees the animation sees it. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "an_canvas.h"
#include "an_color.h"
#include "an_png.h"
#include "an_reader.h"
#include "media/buf.h"

#define FRAMES_ABOVE_LIMIT (1 << 20)
#define CHUNK_MEMORY (16u << 20) /* that a compressed ancillary chunk may become */

typedef struct {
    an_patch_t patch;
    AVRational delay;
    size_t from, to; /* its data chunks lie there */
} frame_t;

typedef struct {
    size_t header_end; /* of the chunks before the first data */
    uint8_t ihdr[13];
    int n, cap;
    int declared; /* frames by acTL, 0: a still picture */
    frame_t frames[];
} table_t;

typedef struct {
    const uint8_t *p;
    size_t at, len, next; /* of the data; where the next chunk begins */
    char type[5];
} chunk_t;

/* ---- chunks ---- */

static int is_checked(const char *type)
{
    return (type[0] & 0x20) == 0 || memcmp(type, "acTL", 4) == 0 || memcmp(type, "fcTL", 4) == 0 ||
           memcmp(type, "fdAT", 4) == 0;
}

/* The chunk at c->next: 0, or -1: the file ends in it, or it is damaged. */
static int chunk_next(const an_reader_t *r, chunk_t *c)
{
    size_t at = c->next;

    if (at > r->size || r->size - at < AN_PNG_CHUNK_MIN) {
        return -1;
    }
    c->len = an_png_u32(r->p + at);
    memcpy(c->type, r->p + at + 4, 4);
    c->at = at + 8;
    if (c->len > r->size - at - AN_PNG_CHUNK_MIN) {
        return -1;
    }
    c->p = r->p + c->at;
    c->next = c->at + c->len + 4;
    return is_checked(c->type) && crc32(crc32(0, NULL, 0), r->p + at + 4, (uInt)c->len + 4) !=
                                      an_png_u32(c->p + c->len)
               ? -1
               : 0;
}

static int take_frame(an_reader_t *r, table_t *t, const chunk_t *c)
{
    frame_t *fr = &t->frames[t->n];
    uint32_t w, h, x, y;

    if (c->len != 26 || t->n >= t->cap) {
        return -1;
    }
    w = an_png_u32(c->p + 4);
    h = an_png_u32(c->p + 8);
    x = an_png_u32(c->p + 12);
    y = an_png_u32(c->p + 16);
    if (w == 0 || h == 0 || w > (uint32_t)r->width || h > (uint32_t)r->height ||
        x > (uint32_t)r->width - w || y > (uint32_t)r->height - h || c->p[24] > 2 || c->p[25] > 1) {
        return -1;
    }
    fr->patch = (an_patch_t){
        (int)x, (int)y, (int)w, (int)h, (enum an_dispose)c->p[24], c->p[25] != 0 && t->n > 0};
    fr->delay = (AVRational){c->p[20] << 8 | c->p[21], c->p[22] << 8 | c->p[23]};
    if (fr->delay.den == 0) {
        fr->delay.den = 100;
    }
    fr->from = fr->to = c->next;
    t->n++;
    return 0;
}

/* One chunk of the walk. */
static int take_chunk(an_reader_t *r, table_t *t, const chunk_t *c)
{
    int is_data = memcmp(c->type, "IDAT", 4) == 0 || memcmp(c->type, "fdAT", 4) == 0;

    if (memcmp(c->type, "acTL", 4) == 0 && c->len == 8 && t->header_end == 0) {
        t->declared = (int)(an_png_u32(c->p) & 0x7FFFFFFF);
        r->loops = (int)(an_png_u32(c->p + 4) & 0x7FFFFFFF);
    } else if (memcmp(c->type, "fcTL", 4) == 0 && t->declared > 0) {
        return take_frame(r, t, c);
    } else if (memcmp(c->type, "eXIf", 4) == 0) {
        an_exif_read(c->p, c->len, &r->exif);
    }
    if (is_data && t->header_end == 0) {
        t->header_end = c->at - 8;
    }
    if (is_data && t->declared > 0 && t->n > 0) {
        t->frames[t->n - 1].to = c->next;
    } else if (is_data && t->declared == 0 && c->type[0] == 'I') {
        t->frames[0].to = c->next;
        t->frames[0].from = t->header_end;
    }
    return 0;
}

static int walk(an_reader_t *r, table_t *t)
{
    chunk_t c = {.next = AN_PNG_SIGNATURE_LEN};

    do {
        if (chunk_next(r, &c) != 0 || take_chunk(r, t, &c) != 0) {
            return -1;
        }
    } while (memcmp(c.type, "IEND", 4) != 0);
    return t->header_end == 0 || (t->declared > 0 && t->n != t->declared) ? -1 : 0;
}

/* ---- one PNG of a frame's chunks ---- */

static void put_chunk(media_buf_t *b, const char *type, const uint8_t *p, size_t len)
{
    uint8_t word[4];
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)type, 4);

    crc = len > 0 ? crc32(crc, p, (uInt)len) : crc;
    an_png_put32(word, (uint32_t)len);
    (void)media_buf_add(b, word, 4);
    (void)media_buf_add(b, type, 4);
    (void)media_buf_add(b, p, len);
    an_png_put32(word, (uint32_t)crc);
    (void)media_buf_add(b, word, 4);
}

static void put_header(const an_reader_t *r, const table_t *t, media_buf_t *b)
{
    static const char *const wanted[] = {"PLTE", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", NULL};
    chunk_t c = {.next = AN_PNG_SIGNATURE_LEN};

    while (c.next < t->header_end && chunk_next(r, &c) == 0) {
        for (int i = 0; wanted[i] != NULL; i++) {
            if (memcmp(c.type, wanted[i], 4) == 0) {
                put_chunk(b, c.type, c.p, c.len);
            }
        }
    }
}

static int put_png(const an_reader_t *r, const frame_t *fr, media_buf_t *b)
{
    const table_t *t = r->table;
    chunk_t c = {.next = fr->from};
    uint8_t ihdr[13];

    memcpy(ihdr, t->ihdr, sizeof(ihdr));
    an_png_put32(ihdr, (uint32_t)fr->patch.w);
    an_png_put32(ihdr + 4, (uint32_t)fr->patch.h);
    (void)media_buf_add(b, AN_PNG_SIGNATURE, AN_PNG_SIGNATURE_LEN);
    put_chunk(b, "IHDR", ihdr, sizeof(ihdr));
    put_header(r, t, b);
    while (c.next < fr->to && chunk_next(r, &c) == 0) {
        if (memcmp(c.type, "IDAT", 4) == 0) {
            put_chunk(b, "IDAT", c.p, c.len);
        } else if (memcmp(c.type, "fdAT", 4) == 0 && c.len > 4) {
            put_chunk(b, "IDAT", c.p + 4, c.len - 4);
        }
    }
    put_chunk(b, "IEND", NULL, 0);
    return b->failed;
}

/* ---- libpng ---- */

typedef struct {
    png_structp png;
    png_infop info;
    media_buf_t file;
    size_t at;
    int no_memory;
} libpng_t;

static void on_error(png_structp png, png_const_charp text)
{
    (void)text;
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep dst, size_t n)
{
    libpng_t *l = png_get_io_ptr(png);

    if (n > l->file.len - l->at) {
        png_longjmp(png, 1);
    }
    memcpy(dst, l->file.p + l->at, n);
    l->at += n;
}

static int libpng_open(libpng_t *l, const an_reader_t *r, const frame_t *fr)
{
    memset(l, 0, sizeof(*l));
    media_buf_init(&l->file, r->size + 4096);
    if (put_png(r, fr, &l->file) != 0) {
        return -1;
    }
    l->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    l->info = l->png != NULL ? png_create_info_struct(l->png) : NULL;
    if (l->info == NULL) {
        return -1;
    }
    png_set_read_fn(l->png, l, on_read);
    png_set_user_limits(l->png, 0x7FFFFFFF, 0x7FFFFFFF); /* ours are known already */
    png_set_chunk_malloc_max(l->png, CHUNK_MEMORY);
    return 0;
}

static void libpng_close(libpng_t *l)
{
    png_destroy_read_struct(&l->png, &l->info, NULL);
    media_buf_free(&l->file);
}

/* The colours' meaning: a profile, or a gamma that is not sRGB's. */
static void take_color(an_reader_t *r, libpng_t *l)
{
    double xy[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06}, gamma = 0;
    png_charp name;
    png_bytep icc;
    png_uint_32 len;
    int method, intent;
    uint8_t *made;
    size_t n;

    if (png_get_iCCP(l->png, l->info, &name, &method, &icc, &len) != 0) {
        an_reader_icc(r, icc, len);
    } else if (png_get_sRGB(l->png, l->info, &intent) == 0 &&
               png_get_gAMA(l->png, l->info, &gamma) != 0 && gamma > 0.01 && gamma < 10) {
        (void)png_get_cHRM(l->png, l->info, &xy[0], &xy[1], &xy[2], &xy[3], &xy[4], &xy[5], &xy[6],
                           &xy[7]);
        made = an_color_profile(xy, gamma > 0.44 && gamma < 0.47 ? 0 : 1 / gamma, &n);
        an_reader_icc(r, made, n);
        free(made);
    }
}

static int read_color(an_reader_t *r, libpng_t *l)
{
    if (setjmp(png_jmpbuf(l->png)) != 0) {
        return -1;
    }
    png_read_info(l->png, l->info);
    take_color(r, l);
    return 0;
}

static int decode(libpng_t *l, int is_deep, uint8_t *rows, size_t stride)
{
    int passes, w_matches;

    if (setjmp(png_jmpbuf(l->png)) != 0) {
        return -1;
    }
    png_read_info(l->png, l->info);
    png_set_expand(l->png);
    png_set_gray_to_rgb(l->png);
    if (is_deep) {
        png_set_swap(l->png);
    } else {
        png_set_scale_16(l->png);
    }
    png_set_add_alpha(l->png, is_deep ? 0xFFFF : 0xFF, PNG_FILLER_AFTER);
    passes = png_set_interlace_handling(l->png);
    png_read_update_info(l->png, l->info);
    w_matches = png_get_rowbytes(l->png, l->info) <= stride;
    for (int pass = 0; w_matches && pass < passes; pass++) {
        for (png_uint_32 y = 0; y < png_get_image_height(l->png, l->info); y++) {
            png_read_row(l->png, rows + y * stride, NULL);
        }
    }
    png_read_end(l->png, NULL);
    return w_matches ? 0 : -1;
}

/* ---- the coder ---- */

static int read_table(an_reader_t *r)
{
    chunk_t c = {.next = AN_PNG_SIGNATURE_LEN};
    size_t n = 1;
    table_t *t;

    if (chunk_next(r, &c) != 0 || memcmp(c.type, "IHDR", 4) != 0 || c.len != 13) {
        return -1;
    }
    r->width = (int)(an_png_u32(c.p) & 0x7FFFFFFF);
    r->height = (int)(an_png_u32(c.p + 4) & 0x7FFFFFFF);
    /* as many frames as chunks of their size can be there */
    n += r->size / (26 + AN_PNG_CHUNK_MIN);
    n = n < FRAMES_ABOVE_LIMIT ? n : FRAMES_ABOVE_LIMIT;
    t = calloc(1, sizeof(*t) + n * sizeof(frame_t));
    r->table = t;
    if (t == NULL) {
        return -1;
    }
    memcpy(t->ihdr, c.p, sizeof(t->ihdr));
    t->cap = (int)n;
    t->frames[0].patch = (an_patch_t){.w = r->width, .h = r->height};
    if (walk(r, t) != 0) {
        return -1;
    }
    r->nframes = t->declared > 0 ? t->n : 1;
    r->is_deep = t->ihdr[8] == 16 && r->nframes == 1;
    r->is_lossless = 1;
    return 0;
}

static int open_png(an_reader_t *r, tc_fail_t *f)
{
    libpng_t l;
    int rc;

    /* a header alone tells a picture that is too large, however little of it is there */
    if (r->size >= 33 && memcmp(r->p + 12, "IHDR", 4) == 0) {
        int64_t w = an_png_u32(r->p + 16), h = an_png_u32(r->p + 20);

        if (w > 0 && h > r->limits.pixels / w) {
            return tc_fail(f, "limits",
                           "The picture has %lld x %lld pixels; the limit is %lld pixels.",
                           (long long)w, (long long)h, (long long)r->limits.pixels);
        }
    }
    if (read_table(r) != 0) {
        return r->width > 0 && r->table == NULL ? an_reader_no_memory(r, f)
                                                : an_reader_damaged(r, f);
    }
    rc = libpng_open(&l, r, ((table_t *)r->table)->frames);
    rc = rc != 0 ? an_reader_no_memory(r, f) : read_color(r, &l) != 0 ? an_reader_damaged(r, f) : 0;
    libpng_close(&l);
    return rc;
}

static int read_frame(an_reader_t *r, const frame_t *fr, uint8_t *rows, size_t stride, tc_fail_t *f)
{
    libpng_t l;
    int rc = libpng_open(&l, r, fr);

    rc = rc != 0                                     ? an_reader_no_memory(r, f)
         : decode(&l, r->is_deep, rows, stride) != 0 ? an_reader_damaged(r, f)
                                                     : 0;
    libpng_close(&l);
    return rc;
}

static int next_composed(an_reader_t *r, const frame_t *fr, AVFrame **out, tc_fail_t *f)
{
    size_t stride = (size_t)fr->patch.w * 4;
    uint8_t *rows = malloc(stride * (size_t)fr->patch.h);
    an_canvas_t *c = r->state;
    int rc = 0;

    if (c == NULL) {
        r->state = c = calloc(1, sizeof(*c));
        rc = c == NULL || an_canvas_open(c, r->width, r->height) != 0 ? -1 : 0;
    }
    if (rc != 0 || rows == NULL) {
        free(rows);
        return an_reader_no_memory(r, f);
    }
    rc = read_frame(r, fr, rows, stride, f);
    if (rc == 0) {
        *out = an_canvas_put(c, &fr->patch, rows) == 0 ? av_frame_clone(c->now) : NULL;
        rc = *out == NULL || av_frame_make_writable(*out) < 0 ? an_reader_no_memory(r, f) : 0;
    }
    free(rows);
    return rc;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    const table_t *t = r->table;
    const frame_t *fr = &t->frames[r->read];

    *delay = fr->delay.den != 0 ? fr->delay : (AVRational){0, 1};
    if (t->declared > 0) {
        return next_composed(r, fr, out, f);
    }
    *out = an_frame_new(r->width, r->height, r->is_deep);
    return *out == NULL ? an_reader_no_memory(r, f)
                        : read_frame(r, fr, (*out)->data[0], (size_t)(*out)->linesize[0], f);
}

static void close_png(an_reader_t *r)
{
    if (r->state != NULL) {
        an_canvas_close(r->state);
        free(r->state);
        r->state = NULL;
    }
}

const an_coder_t an_coder_png = {AN_PNG, "PNG", open_png, next, close_png};
