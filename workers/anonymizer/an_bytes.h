/* Numbers in the documents that one job keeps for another: little endian, read with a bound. */
#ifndef AN_BYTES_H
#define AN_BYTES_H

#include <string.h>

#include "media/buf.h"

typedef struct {
    const uint8_t *p;
    size_t left;
    int bad; /* sticky: there was less than asked for */
} an_bytes_t;

static inline void an_put(media_buf_t *b, uint64_t v, unsigned bytes)
{
    uint8_t le[8];

    for (unsigned i = 0; i < bytes; i++) {
        le[i] = (uint8_t)(v >> (8 * i));
    }
    (void)media_buf_add(b, le, bytes);
}

static inline void an_put_float(media_buf_t *b, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof(bits));
    an_put(b, bits, sizeof(bits));
}

static inline uint64_t an_get(an_bytes_t *r, unsigned bytes)
{
    uint64_t v = 0;

    if (r->left < bytes) {
        r->bad = 1;
        r->left = 0;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint64_t)r->p[i] << (8 * i);
    }
    r->p += bytes;
    r->left -= bytes;
    return v;
}

static inline float an_get_float(an_bytes_t *r)
{
    uint32_t bits = (uint32_t)an_get(r, sizeof(bits));
    float v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

#endif
