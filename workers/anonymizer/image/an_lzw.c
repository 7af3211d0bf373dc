#include "an_lzw.h"

#include <string.h>

#define CODES 4096
#define NONE 0xFFFF
#define HASH 5003 /* a prime above CODES */

/* ---- unpacking ---- */

typedef struct {
    const uint8_t *p;
    size_t size, at;
    unsigned left; /* of the sub-block */
    uint32_t bits;
    int nbits;
} source_t;

/* -1: there is no byte any more. */
static int next_byte(source_t *s)
{
    if (s->left == 0) {
        if (s->at >= s->size || s->p[s->at] == 0) {
            return -1;
        }
        s->left = s->p[s->at++];
    }
    if (s->at >= s->size) {
        return -1;
    }
    s->left--;
    return s->p[s->at++];
}

static int next_code(source_t *s, int width)
{
    int code;

    while (s->nbits < width) {
        int b = next_byte(s);
        if (b < 0) {
            return -1;
        }
        s->bits |= (uint32_t)b << s->nbits;
        s->nbits += 8;
    }
    code = (int)(s->bits & ((1u << width) - 1));
    s->bits >>= width;
    s->nbits -= width;
    return code;
}

/* Past what is left of the data, to behind its terminator. */
static int skip_blocks(source_t *s)
{
    s->at += s->left;
    while (s->at < s->size && s->p[s->at] != 0) {
        s->at += (size_t)s->p[s->at] + 1;
    }
    return s->at++ < s->size ? 0 : -1;
}

typedef struct {
    uint16_t prefix[CODES];
    uint8_t suffix[CODES];
    uint8_t stack[CODES];
    int clear, count, width, last;
    uint8_t first; /* index that the last code began with */
} unpacker_t;

static void start_over(unpacker_t *u, int bits)
{
    u->count = u->clear + 2;
    u->width = bits + 1;
    u->last = -1;
}

/* One code into indices; how many, 0: it cannot be. */
static size_t unpack_code(unpacker_t *u, int code, uint8_t *dst, size_t room)
{
    size_t n = 0, put;
    int at = code;

    if (code > u->count || (code == u->count && u->last < 0) || code == u->clear + 1) {
        return 0;
    }
    if (code == u->count) {
        u->stack[n++] = u->first;
        at = u->last;
    }
    while (at >= u->clear && n < CODES - 1) {
        u->stack[n++] = u->suffix[at];
        at = u->prefix[at];
    }
    u->first = (uint8_t)at;
    u->stack[n++] = u->first;
    if (u->last >= 0 && u->count < CODES) {
        u->prefix[u->count] = (uint16_t)u->last;
        u->suffix[u->count++] = u->first;
        u->width += u->count == 1 << u->width && u->width < 12;
    }
    u->last = code;
    put = n < room ? n : room;
    for (size_t i = 0; i < put; i++) {
        dst[i] = u->stack[n - 1 - i];
    }
    return put;
}

int an_lzw_unpack(const uint8_t *p, size_t size, size_t *at, int bits, uint8_t *dst, size_t n)
{
    source_t s = {.p = p, .size = size, .at = *at};
    unpacker_t u = {.clear = 1 << bits};
    size_t have = 0;

    start_over(&u, bits);
    while (have < n) {
        int code = next_code(&s, u.width);
        size_t more;

        if (code == u.clear) {
            start_over(&u, bits);
            continue;
        }
        more = code < 0 ? 0 : unpack_code(&u, code, dst + have, n - have);
        if (more == 0) {
            return -1;
        }
        have += more;
    }
    if (skip_blocks(&s) != 0) {
        return -1;
    }
    *at = s.at;
    return 0;
}

/* ---- packing ---- */

typedef struct {
    media_buf_t *out;
    uint8_t block[255];
    unsigned len;
    uint32_t bits;
    int nbits;
} sink_t;

static void flush(sink_t *s)
{
    uint8_t len = (uint8_t)s->len;

    if (len > 0) {
        (void)media_buf_add(s->out, &len, 1);
        (void)media_buf_add(s->out, s->block, len);
        s->len = 0;
    }
}

static void put_code(sink_t *s, int code, int width)
{
    s->bits |= (uint32_t)code << s->nbits;
    s->nbits += width;
    while (s->nbits >= 8) {
        s->block[s->len++] = (uint8_t)s->bits;
        s->bits >>= 8;
        s->nbits -= 8;
        if (s->len == sizeof(s->block)) {
            flush(s);
        }
    }
}

typedef struct {
    uint32_t key[HASH]; /* prefix << 8 | suffix, +1; 0: free */
    uint16_t code[HASH];
} dictionary_t;

/* Where the pair is, or where it would be. */
static size_t find(const dictionary_t *d, uint32_t key)
{
    size_t i = (key * 2654435761U) % HASH;

    while (d->key[i] != 0 && d->key[i] != key) {
        i = (i + 1) % HASH;
    }
    return i;
}

void an_lzw_pack(media_buf_t *out, const uint8_t *src, size_t n, int bits)
{
    static const uint8_t end = 0;
    sink_t s = {.out = out};
    dictionary_t d;
    int clear = 1 << bits, count = clear + 2, width = bits + 1, prefix = n > 0 ? src[0] : 0;

    memset(&d, 0, sizeof(d));
    put_code(&s, clear, width);
    for (size_t i = 1; i < n; i++) {
        uint32_t key = ((uint32_t)prefix << 8 | src[i]) + 1;
        size_t at = find(&d, key);

        if (d.key[at] != 0) {
            prefix = d.code[at];
            continue;
        }
        put_code(&s, prefix, width);
        prefix = src[i];
        if (count == CODES) {
            put_code(&s, clear, width);
            memset(&d, 0, sizeof(d));
            count = clear + 2;
            width = bits + 1;
            continue;
        }
        d.key[at] = key;
        d.code[at] = (uint16_t)count;
        width += count == 1 << width;
        count++;
    }
    if (n > 0) {
        put_code(&s, prefix, width);
    }
    /* the reader has added an entry for the code before: its width may have grown */
    width += count == 1 << width && width < 12;
    put_code(&s, clear + 1, width);
    put_code(&s, 0, 7);
    flush(&s);
    (void)media_buf_add(out, &end, 1);
}
