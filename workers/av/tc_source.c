/* The bytes of a job. */
#include "tc_input.h"

static ssize_t from_peer(void *ctx, int64_t off, void *dst, size_t len)
{
    return wk_peer_read(ctx, off, dst, len);
}

vd_source_t tc_input_source(wk_peer_t *peer, int64_t size)
{
    return (vd_source_t){.ctx = peer, .size = size, .read = from_peer};
}
