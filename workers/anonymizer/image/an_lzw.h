/* GIF's LZW (GIF89a, appendix F). */
#ifndef AN_LZW_H
#define AN_LZW_H

#include "media/buf.h"

/* Unpacks sub-blocks (from *at on, to behind the terminator) into exactly n indices. 0; -1: the
 * data ends early, holds less, or makes no sense. */
int an_lzw_unpack(const uint8_t *p, size_t size, size_t *at, int bits, uint8_t *dst, size_t n);
/* Packs indices below 1 << bits as sub-blocks with their terminator. */
void an_lzw_pack(media_buf_t *out, const uint8_t *src, size_t n, int bits);

#endif
