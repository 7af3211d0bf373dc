/* Where the bytes of an input come from: the parent of the decoder child, or a file in a test. */
#ifndef VD_SOURCE_H
#define VD_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    void *ctx;
    int64_t size;
    /* Up to len bytes from off: their count, fewer only at the end; negative: they cannot be had.
     */
    ssize_t (*read)(void *ctx, int64_t off, void *dst, size_t len);
} vd_source_t;

#endif
