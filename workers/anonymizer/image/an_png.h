/* PNG's chunks. */
#ifndef AN_PNG_H
#define AN_PNG_H

#include <stddef.h>
#include <stdint.h>

#define AN_PNG_SIGNATURE "\x89PNG\r\n\x1A\n"
#define AN_PNG_SIGNATURE_LEN 8
#define AN_PNG_CHUNK_MIN 12 /* length, type, CRC */

static inline uint32_t an_png_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void an_png_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

#endif
