
/*
 * See ngx_media_mem.h. Freed blocks of full size are kept for the next upload,
 * up to NGX_MEDIA_BLOCKS_KEPT, so that a busy gateway does not page-fault for
 * every part anew.
 */

#include "ngx_media.h"
#include "ngx_media_mem.h"


#define NGX_MEDIA_BLOCKS_KEPT   512
#define NGX_MEDIA_MEM_PRESSURE  250     /* ms between calls of pressed() */

#define ngx_media_mem_waiter(q)                                               \
    (ngx_queue_data(q, ngx_media_mem_waiter_t, queue))
#define ngx_media_mem_first(queue)                                            \
    (ngx_queue_empty(queue) ? NULL                                            \
                            : ngx_media_mem_waiter(ngx_queue_head(queue)))


static size_t                   ngx_media_mem_limit;    /* for all */
static size_t                   ngx_media_mem_reserve;  /* behind it, lent */
static size_t                   ngx_media_mem_used;
static size_t                   ngx_media_mem_lent;
static ngx_queue_t              ngx_media_mem_holders;  /* these wait */
static ngx_queue_t              ngx_media_mem_newcomers;
static uint64_t                 ngx_media_mem_now;      /* virtual time: taken
                                                           of the last turn */
static ngx_media_mem_waiter_t  *ngx_media_mem_turn;     /* being resumed */
static ngx_event_t              ngx_media_mem_event;
static ngx_event_t              ngx_media_mem_timer;
static void                   (*ngx_media_mem_pressed)(void);
static ngx_media_block_t       *ngx_media_mem_kept;
static ngx_uint_t               ngx_media_mem_nkept;


static ngx_uint_t ngx_media_mem_go(ngx_media_mem_waiter_t *w);
static void ngx_media_mem_wait(ngx_media_mem_waiter_t *w, ngx_queue_t *queue);
static ngx_media_mem_waiter_t *ngx_media_mem_next(void);
static void ngx_media_mem_post(void);
static void ngx_media_mem_wake(ngx_event_t *ev);
static void ngx_media_mem_press(ngx_event_t *ev);


void
ngx_media_mem_init(size_t budget, size_t reserve, void (*pressed)(void))
{
    ngx_media_mem_limit = budget - reserve;
    ngx_media_mem_reserve = reserve;
    ngx_media_mem_pressed = pressed;

    ngx_queue_init(&ngx_media_mem_holders);
    ngx_queue_init(&ngx_media_mem_newcomers);

    ngx_media_mem_event.handler = ngx_media_mem_wake;
    ngx_media_mem_event.log = ngx_cycle->log;

    ngx_media_mem_timer.handler = ngx_media_mem_press;
    ngx_media_mem_timer.log = ngx_cycle->log;
    ngx_media_mem_timer.data = &ngx_media_mem_timer;
}


void
ngx_media_mem_done(void)
{
    ngx_media_block_t  *b;

    while ((b = ngx_media_mem_kept) != NULL) {
        ngx_media_mem_kept = b->next;
        ngx_free(b);
    }

    ngx_media_mem_nkept = NGX_MEDIA_BLOCKS_KEPT;    /* no more are kept */
}


/* Could this one go on now, had it the turn? */

static ngx_uint_t
ngx_media_mem_fits(size_t need)
{
    return ngx_media_mem_used < ngx_media_mem_limit
           || ngx_media_mem_lent + need <= ngx_media_mem_reserve;
}


ngx_uint_t
ngx_media_mem_ask(ngx_media_mem_waiter_t *w, size_t *loan, size_t need)
{
    if (*loan != 0) {
        return 1;
    }

    w->loan = loan;
    w->need = need;

    if (ngx_media_mem_go(w) && ngx_media_mem_fits(need)) {

        if (ngx_media_mem_used >= ngx_media_mem_limit) {
            *loan = need;
            ngx_media_mem_lent += need;
        }

        return 1;
    }

    ngx_media_mem_wait(w, &ngx_media_mem_holders);

    return 0;
}


ngx_uint_t
ngx_media_mem_admit(ngx_media_mem_waiter_t *w)
{
    w->loan = NULL;

    if (ngx_media_mem_go(w) && ngx_media_mem_used < ngx_media_mem_limit) {
        return 1;
    }

    ngx_media_mem_wait(w, &ngx_media_mem_newcomers);

    return 0;
}


/* Nobody waits, or it is its turn. What was taken while nobody had to wait for
 * it does not count. */

static ngx_uint_t
ngx_media_mem_go(ngx_media_mem_waiter_t *w)
{
    if (ngx_media_mem_turn == w) {
        return 1;
    }

    if (w->waiting
        || !ngx_queue_empty(&ngx_media_mem_holders)
        || !ngx_queue_empty(&ngx_media_mem_newcomers))
    {
        return 0;
    }

    w->taken = ngx_media_mem_now;

    return 1;
}


/* Into its place by what it took; behind its equals. */

static void
ngx_media_mem_wait(ngx_media_mem_waiter_t *w, ngx_queue_t *queue)
{
    ngx_queue_t  *q;

    if (w->waiting) {
        return;
    }

    w->waiting = 1;
    w->taken = ngx_max(w->taken, ngx_media_mem_now);

    for (q = ngx_queue_last(queue);
         q != ngx_queue_sentinel(queue)
         && ngx_media_mem_waiter(q)->taken > w->taken;
         q = ngx_queue_prev(q))
    {
        /* void */
    }

    ngx_queue_insert_after(q, &w->queue);
    ngx_media_gauge(NGX_MEDIA_G_MEMORY_WAITING, 1);

    if (!ngx_media_mem_timer.timer_set) {
        ngx_add_timer(&ngx_media_mem_timer, NGX_MEDIA_MEM_PRESSURE);
    }

    ngx_media_mem_post();       /* it may be its turn at once */
}


void
ngx_media_mem_took(ngx_media_mem_waiter_t *w, size_t n)
{
    w->taken += n;
}


void
ngx_media_mem_forget(ngx_media_mem_waiter_t *w)
{
    if (!w->waiting) {
        return;
    }

    w->waiting = 0;
    ngx_queue_remove(&w->queue);
    ngx_media_gauge(NGX_MEDIA_G_MEMORY_WAITING, -1);

    ngx_media_mem_post();       /* the next one may want less */
}


void
ngx_media_mem_repay(size_t *loan)
{
    if (*loan != 0) {
        ngx_media_mem_lent -= *loan;
        *loan = 0;
        ngx_media_mem_post();
    }
}


ngx_media_block_t *
ngx_media_block_alloc(size_t size)
{
    ngx_media_block_t  *b;

    b = size == NGX_MEDIA_BLOCK_MAX ? ngx_media_mem_kept : NULL;

    if (b != NULL) {
        ngx_media_mem_kept = b->next;
        ngx_media_mem_nkept--;

    } else {
        b = ngx_alloc(offsetof(ngx_media_block_t, data) + size,
                      ngx_cycle->log);
        if (b == NULL) {
            return NULL;
        }

        b->size = size;
    }

    b->next = NULL;
    b->used = 0;

    ngx_media_mem_used += size;
    ngx_media_gauge(NGX_MEDIA_G_MEMORY, size);

    return b;
}


void
ngx_media_blocks_free(ngx_media_block_t *b)
{
    ngx_media_block_t  *next;

    if (b == NULL) {
        return;
    }

    for ( /* void */ ; b != NULL; b = next) {
        next = b->next;

        ngx_media_mem_used -= b->size;
        ngx_media_gauge(NGX_MEDIA_G_MEMORY, -(ngx_int_t) b->size);

        if (b->size == NGX_MEDIA_BLOCK_MAX
            && ngx_media_mem_nkept < NGX_MEDIA_BLOCKS_KEPT)
        {
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
    if (!ngx_media_mem_event.posted && ngx_media_mem_next() != NULL) {
        ngx_post_event(&ngx_media_mem_event, &ngx_posted_events);
    }
}


/* The waiter whose turn it is, if there is what it wants. */

static ngx_media_mem_waiter_t *
ngx_media_mem_next(void)
{
    ngx_media_mem_waiter_t  *holder, *newcomer;

    holder = ngx_media_mem_first(&ngx_media_mem_holders);
    newcomer = ngx_media_mem_first(&ngx_media_mem_newcomers);

    if (newcomer != NULL
        && ngx_media_mem_used < ngx_media_mem_limit
        && (holder == NULL || newcomer->taken < holder->taken))
    {
        return newcomer;
    }

    return holder != NULL && ngx_media_mem_fits(holder->need) ? holder : NULL;
}


static void
ngx_media_mem_wake(ngx_event_t *ev)
{
    ngx_media_mem_waiter_t  *w;

    while ((w = ngx_media_mem_next()) != NULL) {

        w->waiting = 0;
        ngx_queue_remove(&w->queue);
        ngx_media_gauge(NGX_MEDIA_G_MEMORY_WAITING, -1);

        ngx_media_mem_now = ngx_max(ngx_media_mem_now, w->taken);
        ngx_media_mem_turn = w;
        w->resume(w->data);
        ngx_media_mem_turn = NULL;
    }
}


static void
ngx_media_mem_press(ngx_event_t *ev)
{
    if (ngx_queue_empty(&ngx_media_mem_holders)
        && ngx_queue_empty(&ngx_media_mem_newcomers))
    {
        return;
    }

    ngx_add_timer(ev, NGX_MEDIA_MEM_PRESSURE);

    ngx_media_mem_pressed();
}
