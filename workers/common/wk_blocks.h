/* The input of a job as aligned blocks: a small cache filled by one thread, which also fetches the
 * next block ahead, so that the network and the decoder work at the same time and the parent's
 * event loop never waits for the object store. Memory is bounded by WK_BLOCKS * WK_BLOCK_SIZE.
 *
 * A job on a part of a file says which bytes it will ask for. There, blocks are large and fetched
 * ahead; elsewhere (a container's header, the pictures before an open group) they are as small as a
 * request is worth and nothing is fetched ahead, so that ranges do not read each other's bytes. */
#ifndef WK_BLOCKS_H
#define WK_BLOCKS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "media/err.h"

#define WK_BLOCK_SIZE (4 << 20)
#define WK_BLOCK_SMALL (1 << 20)
#define WK_BLOCKS 6

/* Where the bytes come from. `read` runs in the cache's thread: exactly len bytes or a negative
 * code; it gives up soon after *stop became non-zero. */
typedef struct {
    int (*read)(void *data, atomic_int *stop, int64_t off, size_t len, void *dst, media_err_t *ei);
    void *data;
    int64_t size;
    int64_t from, to; /* what will be read: from <= byte < to */
} wk_source_t;

typedef struct wk_blocks_s wk_blocks_t;

/* Starts the thread. NULL when it cannot. */
wk_blocks_t *wk_blocks_new(const wk_source_t *source);
/* Stops the thread and frees everything. */
void wk_blocks_free(wk_blocks_t *b);
/* Readable once a wanted block has arrived or failed. */
int wk_blocks_fd(const wk_blocks_t *b);

/* The bytes from `off` (0 <= off < size) up to the end of their block. Returns their count and a
 * view that stays valid until the next call; MEDIA_E_AGAIN: being fetched, wait for the descriptor;
 * another negative code: it cannot be had (cause in ei). */
ssize_t wk_blocks_get(wk_blocks_t *b, int64_t off, const char **p, media_err_t *ei);
/* Bytes fetched so far. */
int64_t wk_blocks_fetched(wk_blocks_t *b);

#endif
