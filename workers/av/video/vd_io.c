/* Block cache and AVIO callbacks over a source. */
#include "vd_io.h"

#include <string.h>

static vd_io_block_t *oldest(vd_io_t *io)
{
    vd_io_block_t *b = &io->blocks[0];

    for (int i = 1; i < VD_IO_BLOCKS; i++) {
        if (io->blocks[i].used < b->used) {
            b = &io->blocks[i];
        }
    }
    return b;
}

/* The block from the cache or the source, NULL: it cannot be had. */
static const vd_io_block_t *block(vd_io_t *io, int64_t index)
{
    int64_t left = io->source.size - index * VD_IO_BLOCK;
    size_t len = left < VD_IO_BLOCK ? (size_t)left : VD_IO_BLOCK;
    vd_io_block_t *b;
    ssize_t n;

    for (int i = 0; i < VD_IO_BLOCKS; i++) {
        if (io->blocks[i].index == index) {
            io->blocks[i].used = ++io->clock;
            return &io->blocks[i];
        }
    }
    b = oldest(io);
    b->index = -1;
    if (b->p == NULL) {
        b->p = av_malloc(VD_IO_BLOCK);
    }
    if (b->p == NULL) {
        return NULL;
    }
    n = io->source.read(io->source.ctx, index * VD_IO_BLOCK, b->p, len);
    if (n != (ssize_t)len) {
        io->lost = 1;
        return NULL;
    }
    b->index = index;
    b->len = len;
    b->used = ++io->clock;
    io->fetched += n;
    return b;
}

ssize_t vd_io_read(vd_io_t *io, int64_t off, void *dst, size_t len)
{
    uint8_t *to = dst;
    size_t got = 0;

    if (off < 0) {
        return -1;
    }
    while (got < len && off < io->source.size) {
        const vd_io_block_t *b = block(io, off / VD_IO_BLOCK);
        size_t at = (size_t)(off % VD_IO_BLOCK), n;

        if (b == NULL) {
            return -1;
        }
        n = b->len - at < len - got ? b->len - at : len - got;
        memcpy(to + got, b->p + at, n);
        got += n;
        off += (int64_t)n;
    }
    return (ssize_t)got;
}

static int on_read(void *data, uint8_t *buf, int len)
{
    vd_io_t *io = data;
    int64_t left = io->source.size - io->pos;
    ssize_t n = len;

    if (left <= 0) {
        return AVERROR_EOF;
    }
    if (io->hollow) {
        n = left < n ? (ssize_t)left : n;
        memset(buf, 0, (size_t)n);
    } else {
        n = vd_io_read(io, io->pos, buf, (size_t)len);
    }
    if (n < 0) {
        return io->lost ? AVERROR(EIO) : AVERROR(ENOMEM);
    }
    io->pos += n;
    return n == 0 ? AVERROR_EOF : (int)n;
}

static int64_t on_seek(void *data, int64_t offset, int whence)
{
    vd_io_t *io = data;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return io->source.size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        offset += io->pos;
        break;
    case SEEK_END:
        offset += io->source.size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) {
        return AVERROR(EINVAL);
    }
    io->pos = offset;
    return offset;
}

static void free_pb(vd_io_t *io)
{
    if (io->pb != NULL) {
        av_freep(&io->pb->buffer);
        avio_context_free(&io->pb);
    }
}

int vd_io_restart(vd_io_t *io, int hollow, tc_fail_t *f)
{
    uint8_t *buffer = av_malloc(TC_IO_BUFFER);

    free_pb(io);
    io->pos = 0;
    io->hollow = hollow;
    io->pb = buffer != NULL
                 ? avio_alloc_context(buffer, TC_IO_BUFFER, 0, io, on_read, NULL, on_seek)
                 : NULL;
    if (io->pb == NULL) {
        av_free(buffer);
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return 0;
}

int vd_io_open(vd_io_t *io, const vd_source_t *source, tc_fail_t *f)
{
    memset(io, 0, sizeof(*io));
    io->source = *source;
    for (int i = 0; i < VD_IO_BLOCKS; i++) {
        io->blocks[i].index = -1;
    }
    if (source->size <= 0) {
        return tc_fail(f, "unreadable_media", "The file is empty.");
    }
    return vd_io_restart(io, 0, f);
}

void vd_io_close(vd_io_t *io)
{
    free_pb(io);
    for (int i = 0; i < VD_IO_BLOCKS; i++) {
        av_freep(&io->blocks[i].p);
    }
}
