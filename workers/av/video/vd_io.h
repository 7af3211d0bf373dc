/* An input as libavformat wants it: aligned blocks of a source behind a small cache, so that the
 * many little reads of a demuxer become few large ones. Memory is VD_IO_BLOCK * (VD_IO_BLOCKS + 1)
 * at most. */
#ifndef VD_IO_H
#define VD_IO_H

#include "tc.h"
#include "vd_source.h"

#define VD_IO_BLOCK (1 << 20)
#define VD_IO_BLOCKS 8

typedef struct {
    int64_t index; /* off / VD_IO_BLOCK, -1: empty */
    int64_t used;  /* of the clock */
    size_t len;
    uint8_t *p;
} vd_io_block_t;

typedef struct {
    vd_source_t source;
    AVIOContext *pb;
    int64_t pos;     /* of pb */
    int64_t fetched; /* bytes read from the source so far */
    int lost;        /* the source failed: our side's fault, not the file's */
    /* Bytes are not fetched, pb reads zeros: for walking a sample table that is in memory already
     * through the demuxer, which would read the samples too. */
    int hollow;
    int64_t clock;
    vd_io_block_t blocks[VD_IO_BLOCKS];
} vd_io_t;

/* `io` must not move while it is open. 0, or -1 with a cause; to be closed in any case. */
int vd_io_open(vd_io_t *io, const vd_source_t *source, tc_fail_t *f);
void vd_io_close(vd_io_t *io);

/* A new pb at the start, with nothing buffered; the cache and `fetched` stay. 0, or -1 with a
 * cause. */
int vd_io_restart(vd_io_t *io, int hollow, tc_fail_t *f);
/* As vd_source_t.read, by the cache: len bytes unless the input ends. */
ssize_t vd_io_read(vd_io_t *io, int64_t off, void *dst, size_t len);

#endif
