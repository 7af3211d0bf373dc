#include "vd_box.h"

#include <string.h>

#include "media/err.h"

void vd_put8(media_buf_t *b, unsigned v)
{
    uint8_t c = (uint8_t)v;

    (void)media_buf_add(b, &c, 1);
}

void vd_put16(media_buf_t *b, unsigned v)
{
    vd_put8(b, v >> 8);
    vd_put8(b, v & 0xff);
}

void vd_put24(media_buf_t *b, uint32_t v)
{
    vd_put8(b, v >> 16 & 0xff);
    vd_put16(b, v & 0xffff);
}

void vd_put32(media_buf_t *b, uint32_t v)
{
    uint8_t c[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    (void)media_buf_add(b, c, sizeof(c));
}

void vd_put64(media_buf_t *b, uint64_t v)
{
    vd_put32(b, (uint32_t)(v >> 32));
    vd_put32(b, (uint32_t)v);
}

void vd_put_zeros(media_buf_t *b, size_t n)
{
    static const uint8_t zeros[64];

    while (n > 0) {
        size_t part = n < sizeof(zeros) ? n : sizeof(zeros);

        (void)media_buf_add(b, zeros, part);
        n -= part;
    }
}

void vd_put_tag(media_buf_t *b, const char *four)
{
    (void)media_buf_add(b, four, 4);
}

size_t vd_box_open(media_buf_t *b, const char *type)
{
    size_t at = b->len;

    vd_put32(b, 0);
    vd_put_tag(b, type);
    return at;
}

size_t vd_box_open_full(media_buf_t *b, const char *type, int version, uint32_t flags)
{
    size_t at = vd_box_open(b, type);

    vd_put8(b, (unsigned)version);
    vd_put24(b, flags);
    return at;
}

void vd_patch32(media_buf_t *b, size_t at, uint32_t v)
{
    if (b->failed == 0) {
        for (int i = 0; i < 4; i++) {
            b->p[at + (size_t)i] = (char)(v >> (24 - 8 * i) & 0xff);
        }
    }
}

void vd_box_close(media_buf_t *b, size_t box)
{
    if (b->len - box > UINT32_MAX) {
        b->failed = MEDIA_E_TOOBIG;
    }
    vd_patch32(b, box, (uint32_t)(b->len - box));
}

uint32_t vd_get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

uint32_t vd_get32(const uint8_t *p)
{
    return vd_get16(p) << 16 | vd_get16(p + 2);
}

uint64_t vd_get64(const uint8_t *p)
{
    return (uint64_t)vd_get32(p) << 32 | vd_get32(p + 4);
}

vd_bytes_t vd_box_find(vd_bytes_t in, const char *type)
{
    while (in.len >= 8) {
        uint32_t size = vd_get32(in.p);

        if (size < 8 || size > in.len) {
            break;
        }
        if (memcmp(in.p + 4, type, 4) == 0) {
            return (vd_bytes_t){in.p + 8, size - 8};
        }
        in.p += size;
        in.len -= size;
    }
    return (vd_bytes_t){NULL, 0};
}

vd_bytes_t vd_box_path(vd_bytes_t in, const char *path)
{
    for (;;) {
        in = vd_box_find(in, path);
        if (in.p == NULL || path[4] == '\0') {
            return in;
        }
        path += 5;
    }
}
