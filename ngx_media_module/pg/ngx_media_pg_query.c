
/*
 * One query: made with a copy of its parameters, waiting in the pool's FIFO
 * or sent on a connection, ended exactly once by finish(). Its deadline covers
 * waiting and running.
 */

#include "ngx_media_pg_conn.h"


static ngx_int_t ngx_media_pg_copy(ngx_media_pg_query_t *q, u_char *p,
    ngx_str_t *params);
static void ngx_media_pg_deadline_handler(ngx_event_t *ev);


ngx_media_pg_query_t *
ngx_media_pg_query(enum media_stmt stmt, ngx_str_t *params,
    ngx_media_pg_done_pt done, void *data)
{
    int                    i;
    size_t                 size;
    const media_stmt_t    *st;
    ngx_media_pg_pool_t   *pool;
    ngx_media_pg_query_t  *q;

    pool = &ngx_media_pg;
    st = media_stmt_get(stmt);

    if (pool->conns == NULL || st == NULL
        || st->nparams > NGX_MEDIA_PG_MAX_PARAMS)
    {
        return NULL;
    }

    size = 0;

    for (i = 0; i < st->nparams; i++) {
        size += params[i].len + 1;
    }

    q = ngx_alloc(sizeof(ngx_media_pg_query_t) + size, pool->log);
    if (q == NULL) {
        return NULL;
    }

    ngx_memzero(q, sizeof(ngx_media_pg_query_t));

    q->ident = -1;
    q->stmt = st;
    q->index = stmt;
    q->result.statement = st->name;
    q->done = done;
    q->data = data;

    q->deadline.handler = ngx_media_pg_deadline_handler;
    q->deadline.data = q;
    q->deadline.log = pool->log;
    q->expires = ngx_current_msec + pool->conf->timeout;
    ngx_add_timer(&q->deadline, pool->conf->timeout);

    if (ngx_media_pg_copy(q, (u_char *) (q + 1), params) != NGX_OK) {
        ngx_memcpy(q->result.sqlstate, "22021", sizeof("22021"));
        ngx_media_pg_finish(q, NGX_ERROR, "a parameter has a zero byte");

    } else if (pool->nwaiting >= pool->conf->queue) {
        ngx_media_pg_finish(q, NGX_DECLINED, "too many statements wait");

    } else {
        q->waiting = 1;
        pool->nwaiting++;
        ngx_queue_insert_tail(&pool->waiting, &q->queue);
        ngx_media_pg_post();
    }

    return q;
}


/* Text parameters end in NUL: one inside would cut the value silently. */

static ngx_int_t
ngx_media_pg_copy(ngx_media_pg_query_t *q, u_char *p, ngx_str_t *params)
{
    int  i;

    for (i = 0; i < q->stmt->nparams; i++) {

        if (params[i].data == NULL) {
            continue;
        }

        if (memchr(params[i].data, '\0', params[i].len)) {
            return NGX_ERROR;
        }

        q->params[i] = (char *) p;
        p = ngx_cpymem(p, params[i].data, params[i].len);
        *p++ = '\0';
    }

    return NGX_OK;
}


void
ngx_media_pg_detach(ngx_media_pg_query_t *q)
{
    if (q->delivering) {
        return;
    }

    if (q->conn) {
        q->detached = 1;
        return;
    }

    ngx_queue_remove(&q->queue);

    if (q->waiting) {
        ngx_media_pg.nwaiting--;
    }

    ngx_media_pg_free(q);
}


ngx_str_t
ngx_media_pg_value(ngx_media_pg_result_t *res, ngx_uint_t row, ngx_uint_t col)
{
    ngx_str_t  value;

    ngx_str_null(&value);

    if (res->rc != NGX_OK || row >= res->nrows
        || col >= (ngx_uint_t) PQnfields(res->res)
        || PQgetisnull(res->res, row, col))
    {
        return value;
    }

    value.data = (u_char *) PQgetvalue(res->res, row, col);
    value.len = PQgetlength(res->res, row, col);

    return value;
}


ngx_media_pg_query_t *
ngx_media_pg_shift(void)
{
    ngx_queue_t           *link;
    ngx_media_pg_query_t  *q;

    link = ngx_queue_head(&ngx_media_pg.waiting);
    ngx_queue_remove(link);
    ngx_media_pg.nwaiting--;

    q = ngx_queue_data(link, ngx_media_pg_query_t, queue);
    q->waiting = 0;

    return q;
}


static void
ngx_media_pg_deadline_handler(ngx_event_t *ev)
{
    ngx_media_pg_query_t  *q;

    q = ev->data;

    if (q->waiting) {
        ngx_queue_remove(&q->queue);
        ngx_media_pg.nwaiting--;
        q->waiting = 0;

        ngx_media_pg_finish(q, NGX_DECLINED, "deadline while waiting");

    } else if (q->conn) {
        ngx_media_pg_lost(q->conn, "deadline of a statement");
    }
}


void
ngx_media_pg_again(ngx_media_pg_query_t *q)
{
    if (q->detached) {
        ngx_media_pg_free(q);
        return;
    }

    if (q->deadline.timedout) {
        ngx_media_pg_finish(q, NGX_DECLINED, "deadline before it ran");
        return;
    }

    /* what the lost connection said is not held against the next one */

    q->failed = 0;
    q->broken = 0;
    q->message[0] = '\0';
    ngx_memzero(q->result.sqlstate, sizeof(q->result.sqlstate));

    q->waiting = 1;
    ngx_media_pg.nwaiting++;
    ngx_queue_insert_head(&ngx_media_pg.waiting, &q->queue);
    ngx_media_pg_post();
}


void
ngx_media_pg_finish(ngx_media_pg_query_t *q, ngx_int_t rc, const char *text)
{
    ngx_media_pg_result_t  *res;

    res = &q->result;
    res->rc = rc;

    if (rc == NGX_OK) {
        res->nrows = PQntuples(res->res);

    } else {

        if (text) {
            ngx_media_pg_text(q->message, NGX_MEDIA_PG_MESSAGE, text);
        }

        res->message.data = q->message;
        res->message.len = ngx_strlen(q->message);

        ngx_media_count(NGX_MEDIA_C_PG_ERRORS, 1);

        /* the owner decides what its failure means; without one, we do */

        if (q->detached || q->done == NULL) {
            ngx_log_error(NGX_LOG_ERR, ngx_media_pg.log, 0,
                          "media pg: statement=%s rc=%i sqlstate=%s: %V",
                          res->statement, rc, res->sqlstate, &res->message);
        }
    }

    if (q->detached) {
        ngx_media_pg_free(q);
        return;
    }

    ngx_queue_insert_tail(&ngx_media_pg.finished, &q->queue);
    ngx_media_pg_post();
}


void
ngx_media_pg_free(ngx_media_pg_query_t *q)
{
    if (q->deadline.timer_set) {
        ngx_del_timer(&q->deadline);
    }

    PQclear(q->result.res);
    ngx_free(q);
}


void
ngx_media_pg_text(u_char *dst, size_t size, const char *src)
{
    u_char  *last;

    last = dst + size - 1;

    while (dst < last && *src && *src != '\n') {
        *dst++ = iscntrl((u_char) *src) ? ' ' : (u_char) *src;
        src++;
    }

    *dst = '\0';
}
