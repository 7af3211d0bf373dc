
/*
 * The libpq pool of a worker process. Queries wait in pool.waiting, run one at
 * a time per connection, and end in pool.finished. Socket and timer handlers
 * only read and move queries, then post pool.run: every send, every connect
 * and every callback happens in ngx_media_pg_run(), so that nothing here is
 * re-entered by what a callback does.
 *
 * Connections are opened while more queries wait than are connecting; one is
 * kept when none waits. After a failure the next attempt waits (exponential,
 * with jitter) and goes alone. While no connection is usable queries wait, but
 * once that has lasted for connect_timeout, or for a schema that does not fit,
 * they are declined at once.
 *
 * All timers but the queries' are cancelable.
 */

#include "ngx_media_pg_conn.h"


#define NGX_MEDIA_PG_CONNECTIONS  64
#define NGX_MEDIA_PG_BACKOFF      100       /* first pause, ms */
#define NGX_MEDIA_PG_BACKOFF_MAX  5000


static void ngx_media_pg_run(ngx_event_t *ev);
static void ngx_media_pg_deliver(void);
static void ngx_media_pg_dispatch(void);
static void ngx_media_pg_grow(void);
static ngx_media_pg_conn_t *ngx_media_pg_find(ngx_media_pg_state_e state);
static ngx_uint_t ngx_media_pg_count(ngx_media_pg_state_e from,
    ngx_media_pg_state_e to);
static void ngx_media_pg_retry_handler(ngx_event_t *ev);


ngx_media_pg_pool_t  ngx_media_pg;


ngx_int_t
ngx_media_pg_init(ngx_cycle_t *cycle, ngx_media_pg_conf_t *conf)
{
    ngx_uint_t            i;
    ngx_media_pg_conn_t  *pc;
    ngx_media_pg_pool_t  *pool;

    pool = &ngx_media_pg;

    ngx_memzero(pool, sizeof(ngx_media_pg_pool_t));

    pool->log = cycle->log;
    pool->conf = conf;
    pool->ident = -1;
    pool->n = ngx_min(ngx_max(conf->connections, 1), NGX_MEDIA_PG_CONNECTIONS);

    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->finished);

    if (ngx_media_pg_conninfo_init(&pool->info, conf, cycle->log) != NGX_OK) {
        ngx_media_pg_conninfo_done(&pool->info);
        return NGX_ERROR;
    }

    pool->conns = ngx_calloc(pool->n * sizeof(ngx_media_pg_conn_t),
                             cycle->log);
    if (pool->conns == NULL) {
        ngx_media_pg_conninfo_done(&pool->info);
        return NGX_ERROR;
    }

    for (i = 0; i < pool->n; i++) {
        pc = &pool->conns[i];
        pc->ident = -1;
        pc->timer.handler = ngx_media_pg_conn_timer_handler;
        pc->timer.data = pc;
        pc->timer.log = cycle->log;
        pc->timer.cancelable = 1;
    }

    pool->run.handler = ngx_media_pg_run;
    pool->run.data = pool;
    pool->run.log = cycle->log;

    pool->retry.handler = ngx_media_pg_retry_handler;
    pool->retry.data = pool;
    pool->retry.log = cycle->log;
    pool->retry.cancelable = 1;

    ngx_media_pg_post();

    return NGX_OK;
}


void
ngx_media_pg_done(ngx_cycle_t *cycle)
{
    ngx_uint_t             i;
    ngx_queue_t           *link;
    ngx_media_pg_conn_t   *pc;
    ngx_media_pg_query_t  *q;
    ngx_media_pg_pool_t   *pool;

    pool = &ngx_media_pg;

    if (pool->conns == NULL) {
        return;
    }

    /* no callbacks: requests and their pools may be gone */

    for (i = 0; i < pool->n; i++) {
        pc = &pool->conns[i];
        q = pc->query;

        ngx_media_pg_close(pc);

        if (q) {
            ngx_media_pg_free(q);
        }
    }

    ngx_queue_add(&pool->finished, &pool->waiting);

    while (!ngx_queue_empty(&pool->finished)) {
        link = ngx_queue_head(&pool->finished);
        ngx_queue_remove(link);
        ngx_media_pg_free(ngx_queue_data(link, ngx_media_pg_query_t, queue));
    }

    if (pool->retry.timer_set) {
        ngx_del_timer(&pool->retry);
    }

    if (pool->run.posted) {
        ngx_delete_posted_event(&pool->run);
    }

    ngx_media_pg_conninfo_done(&pool->info);
    ngx_free(pool->conns);
    pool->conns = NULL;
}


const char *
ngx_media_pg_unfit(void)
{
    return ngx_media_pg.unfit[0] ? ngx_media_pg.unfit : NULL;
}


ngx_uint_t
ngx_media_pg_usable(void)
{
    return ngx_media_pg_count(NGX_MEDIA_PG_IDLE, NGX_MEDIA_PG_RUNNING);
}


void
ngx_media_pg_post(void)
{
    if (!ngx_media_pg.running && !ngx_media_pg.run.posted) {
        ngx_post_event(&ngx_media_pg.run, &ngx_posted_events);
    }
}


static void
ngx_media_pg_run(ngx_event_t *ev)
{
    ngx_media_pg_pool_t  *pool;

    pool = ev->data;

    pool->running = 1;

    ngx_media_pg_deliver();
    ngx_media_pg_dispatch();

    pool->running = 0;

    /* in the next iteration of the loop: an owner that asks again whenever
     * it is refused must not stop it */

    if (!ngx_queue_empty(&pool->finished)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_media_pg_deliver(void)
{
    ngx_queue_t            batch, *link;
    ngx_media_pg_query_t  *q;

    if (ngx_queue_empty(&ngx_media_pg.finished)) {
        return;
    }

    ngx_queue_init(&batch);
    ngx_queue_add(&batch, &ngx_media_pg.finished);
    ngx_queue_init(&ngx_media_pg.finished);

    /* a callback may detach others of the batch: take the head each time */

    while (!ngx_queue_empty(&batch)) {
        link = ngx_queue_head(&batch);
        ngx_queue_remove(link);

        q = ngx_queue_data(link, ngx_media_pg_query_t, queue);
        q->delivering = 1;

        if (q->done) {
            q->done(q->data, &q->result);
        }

        ngx_media_pg_free(q);
    }
}


static void
ngx_media_pg_dispatch(void)
{
    ngx_msec_int_t         left;
    ngx_media_pg_conn_t   *pc;
    ngx_media_pg_pool_t   *pool;
    ngx_media_pg_query_t  *q;

    pool = &ngx_media_pg;

    while (pool->nwaiting) {
        pc = ngx_media_pg_find(NGX_MEDIA_PG_IDLE);
        if (pc == NULL) {
            break;
        }

        if (ngx_media_pg_schema_old(pc)) {
            ngx_media_pg_schema_ask(pc);
            continue;
        }

        q = ngx_media_pg_shift();

        /* a statement cut off by its deadline costs the connection: one that
         * has waited for almost all its time is not worth starting */

        left = (ngx_msec_int_t) (q->expires - ngx_current_msec);

        if (left < (ngx_msec_int_t) (pool->conf->timeout / 10)) {
            ngx_media_pg_finish(q, NGX_DECLINED, "it has waited too long");
            continue;
        }

        ngx_media_pg_send(pc, q);
    }

    ngx_media_pg_grow();

    if (pool->down
        && (pool->unfit[0]
            || ngx_current_msec - pool->down_since
               >= pool->conf->connect_timeout))
    {
        while (pool->nwaiting) {
            q = ngx_media_pg_shift();
            ngx_media_pg_finish(q, NGX_DECLINED,
                                pool->unfit[0] ? pool->unfit
                                               : "no connection");
        }
    }
}


static void
ngx_media_pg_grow(void)
{
    ngx_uint_t            open, connecting;
    ngx_msec_int_t        left;
    ngx_media_pg_pool_t  *pool;

    pool = &ngx_media_pg;

    for ( ;; ) {
        open = ngx_media_pg_count(NGX_MEDIA_PG_CONNECTING,
                                  NGX_MEDIA_PG_RUNNING);
        connecting = ngx_media_pg_count(NGX_MEDIA_PG_CONNECTING,
                                        NGX_MEDIA_PG_ASKING);

        if (open == pool->n || (connecting && connecting >= pool->nwaiting)) {
            return;
        }

        if (pool->nwaiting == 0 && (open || ngx_exiting)) {
            return;
        }

        if (pool->failures) {

            if (connecting) {
                return;
            }

            left = (ngx_msec_int_t) (pool->retry_at - ngx_current_msec);

            if (left > 0) {
                if (!pool->retry.timer_set) {
                    ngx_add_timer(&pool->retry, left);
                }

                return;
            }
        }

        ngx_media_pg_connect(ngx_media_pg_find(NGX_MEDIA_PG_CLOSED));
    }
}


/* The first one: when little is to do, the others grow old and are closed. */

static ngx_media_pg_conn_t *
ngx_media_pg_find(ngx_media_pg_state_e state)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_media_pg.n; i++) {
        if (ngx_media_pg.conns[i].state == state) {
            return &ngx_media_pg.conns[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_media_pg_count(ngx_media_pg_state_e from, ngx_media_pg_state_e to)
{
    ngx_uint_t            i, n;
    ngx_media_pg_state_e  state;

    n = 0;

    for (i = 0; i < ngx_media_pg.n; i++) {
        state = ngx_media_pg.conns[i].state;
        n += (state >= from && state <= to);
    }

    return n;
}


void
ngx_media_pg_failure(void)
{
    ngx_uint_t            i;
    ngx_msec_t            delay;
    ngx_media_pg_pool_t  *pool;

    pool = &ngx_media_pg;

    pool->unfit[0] = '\0';

    for (i = 0; i < pool->n; i++) {
        pool->conns[i].fresh = 0;
    }

    if (!pool->down && ngx_media_pg_usable() == 0) {
        pool->down = 1;
        pool->down_since = ngx_current_msec;
    }

    /* connections that are lost together count once */

    if (pool->failures
        && (ngx_msec_int_t) (pool->retry_at - ngx_current_msec) > 0)
    {
        return;
    }

    delay = NGX_MEDIA_PG_BACKOFF << ngx_min(pool->failures, 6);
    delay = ngx_min(delay, NGX_MEDIA_PG_BACKOFF_MAX);
    delay = delay / 2 + (ngx_msec_t) ngx_random() % (delay / 2 + 1);

    pool->failures++;
    pool->retry_at = ngx_current_msec + delay;
}


void
ngx_media_pg_up(ngx_media_pg_conn_t *pc)
{
    pc->fresh = 1;
    ngx_media_pg.down = 0;
}


/* Only an answer ends the back-off, and only one on a connection made after
 * the last failure: a server that accepts and drops, or that has no slot left
 * beside the ones we hold, is not asked at full speed. */

void
ngx_media_pg_proved(ngx_media_pg_conn_t *pc)
{
    if (pc->fresh) {
        ngx_media_pg.failures = 0;
    }
}


static void
ngx_media_pg_retry_handler(ngx_event_t *ev)
{
    ngx_media_pg_post();
}
