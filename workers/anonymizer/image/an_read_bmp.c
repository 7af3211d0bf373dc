/* BMP (BITMAPINFOHEADER and its successors, and the core header of OS/2) without compression. */
#include <stdlib.h>
#include <string.h>

#include "an_reader.h"

#define FILE_HEADER 14
#define CORE 12 /* sizes of headers, which tell them apart */
#define INFO 40
#define PLAIN 0
#define BIT_FIELDS 3
#define ALPHA_BIT_FIELDS 6
#define COLORS 256

typedef struct {
    int is_core;
    int64_t width, height; /* height < 0: rows from the top */
    uint32_t bits, coding, colors;
    size_t header, pixels; /* where its colours or masks, and its rows begin */
} head_t;

/* Where a part of a pixel lies in its word. */
typedef struct {
    uint32_t mask;
    int shift;
    uint32_t most; /* 0: there is none */
} part_t;

typedef struct {
    head_t head;
    size_t row; /* bytes */
    part_t parts[4];
    uint8_t colors[COLORS][4]; /* RGBA */
} bmp_t;

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static int read_head(const an_reader_t *r, head_t *h)
{
    const uint8_t *p = r->p + FILE_HEADER;

    if (r->size < FILE_HEADER + CORE) {
        return -1;
    }
    h->is_core = u32(p) == CORE;
    if (!h->is_core && (u32(p) < INFO || r->size < FILE_HEADER + INFO)) {
        return -1;
    }
    h->header = FILE_HEADER + u32(p);
    h->pixels = u32(r->p + 10);
    h->width = h->is_core ? (int64_t)u16(p + 4) : (int32_t)u32(p + 4);
    h->height = h->is_core ? (int64_t)u16(p + 6) : (int32_t)u32(p + 8);
    h->bits = h->is_core ? u16(p + 10) : u16(p + 14);
    h->coding = h->is_core ? PLAIN : u32(p + 16);
    h->colors = h->is_core ? 0 : u32(p + 32);
    return 0;
}

static int is_coding_known(const head_t *h)
{
    switch (h->bits) {
    case 1:
    case 2:
    case 4:
    case 8:
    case 24:
        return h->coding == PLAIN;
    case 16:
    case 32:
        return h->coding == PLAIN || h->coding == BIT_FIELDS || h->coding == ALPHA_BIT_FIELDS;
    default:
        return 0;
    }
}

static int open_bmp(an_reader_t *r, tc_fail_t *f)
{
    head_t h;
    int64_t rows, row;

    if (read_head(r, &h) != 0) {
        return an_reader_damaged(r, f);
    }
    if (!is_coding_known(&h)) {
        return tc_fail(f, "unsupported_media",
                       "The BMP file is compressed in a way that is not read here.");
    }
    rows = h.height < 0 ? -h.height : h.height;
    row = (h.width * h.bits + 31) / 32 * 4;
    if (h.width <= 0 || rows <= 0 || rows > INT32_MAX || h.pixels < h.header ||
        h.header > r->size) {
        return an_reader_damaged(r, f);
    }
    r->width = (int)h.width;
    r->height = (int)rows;
    r->is_lossless = 1;
    /* what is too large is told by the caller */
    return h.width * rows <= r->limits.pixels && (int64_t)h.pixels + row * rows > (int64_t)r->size
               ? an_reader_damaged(r, f)
               : 0;
}

static part_t part_of(uint32_t mask)
{
    part_t part = {.mask = mask};

    if (mask != 0) {
        part.shift = __builtin_ctz(mask);
        part.most = mask >> part.shift;
    }
    return part;
}

/* Masks stand in the newer headers, or behind the older one. */
static int read_parts(const an_reader_t *r, bmp_t *b)
{
    static const uint32_t of_16[4] = {0x7C00, 0x03E0, 0x001F, 0};
    static const uint32_t of_32[4] = {0xFF0000, 0x00FF00, 0x0000FF, 0};
    const uint32_t *plain = b->head.bits == 16 ? of_16 : of_32;
    int is_told = b->head.coding != PLAIN;
    int n = b->head.coding == ALPHA_BIT_FIELDS || b->head.header >= FILE_HEADER + 56 ? 4 : 3;

    if (is_told && r->size < FILE_HEADER + INFO + 4 * (size_t)n) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        uint32_t told = is_told && i < n ? u32(r->p + FILE_HEADER + INFO + 4 * i) : 0;

        b->parts[i] = part_of(is_told ? told : plain[i]);
    }
    return 0;
}

/* A pixel beyond the colours of a palette is black. */
static void read_colors(const an_reader_t *r, bmp_t *b)
{
    size_t each = b->head.is_core ? 3 : 4;
    uint32_t most = b->head.bits <= 8 ? 1u << b->head.bits : 0;
    uint32_t n = b->head.colors == 0 || b->head.colors > most ? most : b->head.colors;

    for (int i = 0; i < COLORS; i++) {
        memcpy(b->colors[i], (uint8_t[]){0, 0, 0, 255}, 4);
    }
    for (uint32_t i = 0; i < n && b->head.header + (i + 1) * each <= b->head.pixels; i++) {
        const uint8_t *p = r->p + b->head.header + i * each;

        memcpy(b->colors[i], (uint8_t[]){p[2], p[1], p[0], 255}, 4);
    }
}

static uint8_t part_at(uint32_t word, const part_t *part, uint8_t without)
{
    return part->most == 0
               ? without
               : (uint8_t)(((uint64_t)((word & part->mask) >> part->shift) * 255 + part->most / 2) /
                           part->most);
}

static void read_words(const bmp_t *b, const uint8_t *from, uint8_t *to, int width)
{
    for (int x = 0; x < width; x++) {
        uint32_t word = b->head.bits == 16 ? u16(from + 2 * x) : u32(from + 4 * x);

        for (int i = 0; i < 4; i++) {
            to[4 * x + i] = part_at(word, &b->parts[i], i == 3 ? 255 : 0);
        }
    }
}

static void read_row(const bmp_t *b, const uint8_t *from, uint8_t *to, int width)
{
    int bits = (int)b->head.bits;

    if (bits > 24 || bits == 16) {
        read_words(b, from, to, width);
        return;
    }
    for (int x = 0; x < width; x++) {
        if (bits == 24) {
            memcpy(to + 4 * x, (uint8_t[]){from[3 * x + 2], from[3 * x + 1], from[3 * x], 255}, 4);
        } else {
            int at = x * bits;
            int index = from[at / 8] >> (8 - bits - at % 8) & ((1 << bits) - 1);

            memcpy(to + 4 * x, b->colors[index], 4);
        }
    }
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    bmp_t b = {.row = 0};

    (void)delay;
    /* it has been opened, so the head is right and all rows are there */
    if (read_head(r, &b.head) != 0 || read_parts(r, &b) != 0) {
        return an_reader_damaged(r, f);
    }
    read_colors(r, &b);
    *out = an_frame_new(r->width, r->height, 0);
    if (*out == NULL) {
        return an_reader_no_memory(r, f);
    }
    b.row = (size_t)((b.head.width * b.head.bits + 31) / 32 * 4);
    for (int y = 0; y < r->height; y++) {
        int from = b.head.height < 0 ? y : r->height - 1 - y;

        read_row(&b, r->p + b.head.pixels + (size_t)from * b.row,
                 (*out)->data[0] + (ptrdiff_t)y * (*out)->linesize[0], r->width);
    }
    return 0;
}

static void nothing_to_close(an_reader_t *r)
{
    (void)r;
}

const an_coder_t an_coder_bmp = {AN_BMP, "BMP", open_bmp, next, nothing_to_close};
