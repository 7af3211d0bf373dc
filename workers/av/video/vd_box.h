/* Boxes of ISO/IEC 14496-12, written into and read from memory. Errors stick to the buffer, so a
 * writer looks once, at its end. */
#ifndef VD_BOX_H
#define VD_BOX_H

#include "media/buf.h"

void vd_put8(media_buf_t *b, unsigned v);
void vd_put16(media_buf_t *b, unsigned v);
void vd_put24(media_buf_t *b, uint32_t v);
void vd_put32(media_buf_t *b, uint32_t v);
void vd_put64(media_buf_t *b, uint64_t v);
void vd_put_zeros(media_buf_t *b, size_t n);
void vd_put_tag(media_buf_t *b, const char *four);

/* Opens a box, a full box; the result closes it: its size is written then. */
size_t vd_box_open(media_buf_t *b, const char *type);
size_t vd_box_open_full(media_buf_t *b, const char *type, int version, uint32_t flags);
void vd_box_close(media_buf_t *b, size_t box);
/* Overwrites four bytes at `at`, which were written before. */
void vd_patch32(media_buf_t *b, size_t at, uint32_t v);

uint32_t vd_get16(const uint8_t *p);
uint32_t vd_get32(const uint8_t *p);
uint64_t vd_get64(const uint8_t *p);

/* A view of bytes that are read box by box. */
typedef struct {
    const uint8_t *p;
    size_t len;
} vd_bytes_t;

/* Payload of the first box `type` among the boxes that `in` consists of; p == NULL: none, or they
 * are broken before it. */
vd_bytes_t vd_box_find(vd_bytes_t in, const char *type);
/* The same along a path of nested boxes: "moov/trak/mdia". */
vd_bytes_t vd_box_path(vd_bytes_t in, const char *path);

#endif
