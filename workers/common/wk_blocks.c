/* Block cache with one fetching thread.
 *
 * One lock guards everything but the bytes of the block being filled, which only the thread
 * touches. The reader names the block it wants now and perhaps one it will want next; the thread
 * takes the first of them that is missing, fills the least recently used slot and signals an
 * eventfd. The slot the reader looks at is never chosen. */
#define _GNU_SOURCE
#include "wk_blocks.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NO_BLOCK (-1)

/* A block is named by its first byte; where it ends follows from that. */
typedef struct {
    int64_t from; /* NO_BLOCK: empty or being filled */
    int64_t used; /* of the clock */
    char *p;
} slot_t;

struct wk_blocks_s {
    wk_source_t source; /* from and to on borders of small blocks */
    slot_t slots[WK_BLOCKS];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int stop;
    int event_fd;
    int64_t clock;
    int64_t want;  /* the block the reader waits for */
    int64_t ahead; /* the block it will probably want then */
    int64_t last;  /* the block it got last, and its end */
    int64_t last_to;
    int held; /* the slot it looks at, -1: none */
    int64_t fetched;
    int failed; /* sticky code */
    media_err_t cause;
};

/* The block that holds the byte at off: its start; its end in *to. */
static int64_t block_at(const wk_blocks_t *b, int64_t off, int64_t *to)
{
    const wk_source_t *s = &b->source;
    int is_planned = off >= s->from && off < s->to;
    int64_t size = is_planned ? WK_BLOCK_SIZE : WK_BLOCK_SMALL;
    int64_t from = off - off % size, end = from + size;

    if (is_planned) {
        from = from > s->from ? from : s->from;
        end = end < s->to ? end : s->to;
    }
    *to = end < s->size ? end : s->size;
    return from;
}

static slot_t *find(wk_blocks_t *b, int64_t from)
{
    for (int i = 0; i < WK_BLOCKS; i++) {
        if (b->slots[i].from == from) {
            return &b->slots[i];
        }
    }
    return NULL;
}

/* The next block to fetch, NO_BLOCK: nothing to do. */
static int64_t next_block(wk_blocks_t *b)
{
    if (b->failed != 0) {
        return NO_BLOCK;
    }
    if (b->want != NO_BLOCK && find(b, b->want) == NULL) {
        return b->want;
    }
    if (b->ahead != NO_BLOCK && find(b, b->ahead) == NULL) {
        return b->ahead;
    }
    return NO_BLOCK;
}

static slot_t *victim(wk_blocks_t *b)
{
    slot_t *oldest = NULL;

    for (int i = 0; i < WK_BLOCKS; i++) {
        if (i != b->held && (oldest == NULL || b->slots[i].used < oldest->used)) {
            oldest = &b->slots[i];
        }
    }
    return oldest;
}

/* Called and left with the lock held. */
static void fetch(wk_blocks_t *b, int64_t from)
{
    slot_t *slot = victim(b);
    media_err_t ei = {""};
    int rc = MEDIA_E_NOMEM;
    int64_t to;

    (void)block_at(b, from, &to);
    slot->from = NO_BLOCK;
    if (slot->p == NULL) {
        slot->p = malloc(WK_BLOCK_SIZE);
    }
    if (slot->p != NULL) {
        (void)pthread_mutex_unlock(&b->lock);
        rc = b->source.read(b->source.data, &b->stop, from, (size_t)(to - from), slot->p, &ei);
        (void)pthread_mutex_lock(&b->lock);
    }
    if (rc == 0) {
        slot->from = from;
        slot->used = ++b->clock;
        b->fetched += to - from;
    } else if (from == b->want) {
        b->failed = rc;
        b->cause = ei;
    } else {
        b->ahead = NO_BLOCK; /* if it is really wanted, it fails then */
    }
    (void)eventfd_write(b->event_fd, 1);
}

static void *fetcher(void *data)
{
    wk_blocks_t *b = data;
    int64_t from;

    (void)pthread_mutex_lock(&b->lock);
    while (!atomic_load(&b->stop)) {
        from = next_block(b);
        if (from == NO_BLOCK) {
            (void)pthread_cond_wait(&b->wake, &b->lock);
        } else {
            fetch(b, from);
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
    return NULL;
}

wk_blocks_t *wk_blocks_new(const wk_source_t *source)
{
    wk_blocks_t *b = calloc(1, sizeof(*b));
    sigset_t all, old;
    int rc;

    if (b == NULL) {
        return NULL;
    }
    b->source = *source;
    b->source.from -= source->from % WK_BLOCK_SMALL;
    b->source.to += (WK_BLOCK_SMALL - source->to % WK_BLOCK_SMALL) % WK_BLOCK_SMALL;
    b->want = b->ahead = b->last = b->last_to = NO_BLOCK;
    b->held = -1;
    for (int i = 0; i < WK_BLOCKS; i++) {
        b->slots[i].from = NO_BLOCK;
    }
    b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->event_fd < 0) {
        free(b);
        return NULL;
    }
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->wake, NULL);
    /* signals are the main thread's */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&b->thread, NULL, fetcher, b);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        (void)close(b->event_fd);
        free(b);
        return NULL;
    }
    return b;
}

void wk_blocks_free(wk_blocks_t *b)
{
    if (b == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&b->lock);
    atomic_store(&b->stop, 1);
    (void)pthread_cond_signal(&b->wake);
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    for (int i = 0; i < WK_BLOCKS; i++) {
        free(b->slots[i].p);
    }
    (void)pthread_cond_destroy(&b->wake);
    (void)pthread_mutex_destroy(&b->lock);
    (void)close(b->event_fd);
    free(b);
}

int wk_blocks_fd(const wk_blocks_t *b)
{
    return b->event_fd;
}

/* Reading on, or at the start of what is planned: then the next block will be wanted too. */
static void plan_ahead(wk_blocks_t *b, int64_t from, int64_t to)
{
    int sequential = from == b->source.from || from == b->last || from == b->last_to;
    int is_planned = to >= b->source.from && to < b->source.to && to < b->source.size;

    b->ahead = sequential && is_planned ? to : NO_BLOCK;
}

ssize_t wk_blocks_get(wk_blocks_t *b, int64_t off, const char **p, media_err_t *ei)
{
    ssize_t rc = MEDIA_E_AGAIN;
    eventfd_t ignored;
    int64_t from, to;
    slot_t *slot;

    if (off < 0 || off >= b->source.size) {
        return media_err_set(ei, MEDIA_E_BUG, "read outside of the input");
    }
    from = block_at(b, off, &to);
    (void)eventfd_read(b->event_fd, &ignored);
    (void)pthread_mutex_lock(&b->lock);
    b->held = -1;
    slot = find(b, from);
    if (slot != NULL) {
        b->want = NO_BLOCK;
        b->held = (int)(slot - b->slots);
        slot->used = ++b->clock;
        *p = slot->p + (off - from);
        rc = (ssize_t)(to - off);
        plan_ahead(b, from, to);
        b->last = from;
        b->last_to = to;
    } else if (b->failed != 0) {
        rc = media_err_set(ei, b->failed, "%s", b->cause.text);
    } else {
        b->want = from;
    }
    if (next_block(b) != NO_BLOCK) {
        (void)pthread_cond_signal(&b->wake);
    }
    (void)pthread_mutex_unlock(&b->lock);
    return rc;
}

int64_t wk_blocks_fetched(wk_blocks_t *b)
{
    int64_t n;

    (void)pthread_mutex_lock(&b->lock);
    n = b->fetched;
    (void)pthread_mutex_unlock(&b->lock);
    return n;
}
