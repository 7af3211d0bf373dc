
/*
 * See ngx_media_mem.h. Freed blocks are kept for the next upload, up to
 * NGX_MEDIA_BLOCKS_KEPT, so that a busy gateway does not page-fault for every
 * part anew.
 */

#include "ngx_media.h"
#include "ngx_media_mem.h"


#define NGX_MEDIA_BLOCKS_KEPT  512


static size_t              ngx_media_mem_budget;
static size_t              ngx_media_mem_used;
static ngx_media_block_t  *ngx_media_mem_kept;
static ngx_uint_t          ngx_media_mem_nkept;
static ngx_queue_t         ngx_media_mem_waiters;
static ngx_media_mem_waiter_t  *ngx_media_mem_ahead;  /* beyond the budget */
static ngx_event_t         ngx_media_mem_event;


static void ngx_media_mem_post(void);
static void ngx_media_mem_wake(ngx_event_t *ev);


void
ngx_media_mem_init(size_t budget)
{
    ngx_media_mem_budget = budget;
    ngx_queue_init(&ngx_media_mem_waiters);

    ngx_media_mem_event.handler = ngx_media_mem_wake;
    ngx_media_mem_event.log = ngx_cycle->log;
}


static void
ngx_media_mem_account(ngx_atomic_int_t delta)
{
    ngx_media_shm_t  *shm;

    ngx_media_mem_used += delta;

    shm = ngx_media_shm();

    if (shm != NULL) {
        (void) ngx_atomic_fetch_add(&shm->memory_used, delta);
    }
}


ngx_uint_t
ngx_media_mem_ask(ngx_media_mem_waiter_t *w)
{
    if (ngx_media_mem_used < ngx_media_mem_budget) {
        return 1;
    }

    if (ngx_media_mem_ahead == NULL) {
        ngx_media_mem_ahead = w;
    }

    if (ngx_media_mem_ahead == w) {
        return 1;
    }

    if (!w->waiting) {
        w->waiting = 1;
        ngx_queue_insert_tail(&ngx_media_mem_waiters, &w->queue);
    }

    return 0;
}


ngx_media_block_t *
ngx_media_block_alloc(void)
{
    ngx_media_block_t  *b;

    b = ngx_media_mem_kept;

    if (b != NULL) {
        ngx_media_mem_kept = b->next;
        ngx_media_mem_nkept--;

    } else {
        b = ngx_alloc(sizeof(ngx_media_block_t), ngx_cycle->log);
        if (b == NULL) {
            return NULL;
        }
    }

    b->next = NULL;
    b->used = 0;

    ngx_media_mem_account(NGX_MEDIA_BLOCK);

    return b;
}


void
ngx_media_blocks_free(ngx_media_block_t *b)
{
    ngx_media_block_t  *next;

    for ( /* void */ ; b != NULL; b = next) {
        next = b->next;

        ngx_media_mem_account(-NGX_MEDIA_BLOCK);

        if (ngx_media_mem_nkept < NGX_MEDIA_BLOCKS_KEPT) {
            b->next = ngx_media_mem_kept;
            ngx_media_mem_kept = b;
            ngx_media_mem_nkept++;

        } else {
            ngx_free(b);
        }
    }

    ngx_media_mem_post();
}


static void
ngx_media_mem_post(void)
{
    if (!ngx_queue_empty(&ngx_media_mem_waiters)
        && !ngx_media_mem_event.posted)
    {
        ngx_post_event(&ngx_media_mem_event, &ngx_posted_events);
    }
}


void
ngx_media_mem_forget(ngx_media_mem_waiter_t *w)
{
    if (w->waiting) {
        w->waiting = 0;
        ngx_queue_remove(&w->queue);
    }

    if (ngx_media_mem_ahead == w) {
        ngx_media_mem_ahead = NULL;
        ngx_media_mem_post();
    }
}


static void
ngx_media_mem_wake(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_media_mem_waiter_t  *w;

    while (!ngx_queue_empty(&ngx_media_mem_waiters)
           && (ngx_media_mem_used < ngx_media_mem_budget
               || ngx_media_mem_ahead == NULL))
    {
        q = ngx_queue_head(&ngx_media_mem_waiters);
        w = ngx_queue_data(q, ngx_media_mem_waiter_t, queue);

        w->waiting = 0;
        ngx_queue_remove(q);

        w->resume(w->data);
    }
}
