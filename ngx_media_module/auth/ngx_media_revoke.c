
/*
 * Revocation, see ngx_media_revoke.h: the timer that asks the database, and
 * requests that wait for its first answer.
 */

#include "ngx_media_revoke.h"
#include "ngx_media_auth.h"
#include "ngx_media_revoked.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_REVOKE_TICK      250      /* ms, of each process */
#define NGX_MEDIA_REVOKE_INTERVAL  1000     /* ms, of all together */
#define NGX_MEDIA_REVOKE_HURRY     20       /* ms, until the list is known */
#define NGX_MEDIA_REVOKE_AGAIN     200      /* ms, of all, until then */
#define NGX_MEDIA_REVOKE_PATIENCE  2000     /* ms, of a request */

/* columns of REVOCATIONS */
enum {
    NGX_MEDIA_REVOKE_MARK = 0,
    NGX_MEDIA_REVOKE_LIFE,
    NGX_MEDIA_REVOKE_KIND,
    NGX_MEDIA_REVOKE_SUBJECT,
    NGX_MEDIA_REVOKE_ENDED
};

typedef struct {
    ngx_http_request_t         *r;
    ngx_event_t                 timer;
    ngx_queue_t                 queue;
    ngx_http_cleanup_t         *cln;
} ngx_media_revoke_wait_t;


static void ngx_media_revoke_tick(ngx_event_t *ev);
static void ngx_media_revoke_ask(void);
static void ngx_media_revoke_told(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_revoke_take(ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_revoke_row(ngx_media_pg_result_t *res,
    ngx_uint_t row, ngx_media_revoked_t *e);
static ngx_int_t ngx_media_revoke_wait(ngx_http_request_t *r);
static void ngx_media_revoke_timeout(ngx_event_t *ev);
static void ngx_media_revoke_gone(void *data);
static void ngx_media_revoke_resume(ngx_media_revoke_wait_t *w);
static void ngx_media_revoke_resume_all(void);
static uint64_t ngx_media_revoke_began(ngx_media_ctx_t *ctx,
    const u_char *sid);


/* of this process, by the loop alone */
static ngx_event_t            ngx_media_revoke_timer;
static ngx_media_pg_query_t  *ngx_media_revoke_query;
static ngx_uint_t             ngx_media_revoke_failing;
static ngx_queue_t            ngx_media_revoke_waiting;


ngx_int_t
ngx_media_revoke_init_process(ngx_cycle_t *cycle, ngx_media_main_conf_t *mcf)
{
    ngx_media_revoked_use(mcf->revoked_zone);

    ngx_queue_init(&ngx_media_revoke_waiting);
    ngx_media_revoke_query = NULL;
    ngx_media_revoke_failing = 0;

    ngx_media_revoke_timer.handler = ngx_media_revoke_tick;
    ngx_media_revoke_timer.data = &ngx_media_revoke_timer;
    ngx_media_revoke_timer.log = cycle->log;
    ngx_media_revoke_timer.cancelable = 1;

    ngx_add_timer(&ngx_media_revoke_timer, 1);

    return NGX_OK;
}


static void
ngx_media_revoke_tick(ngx_event_t *ev)
{
    ngx_uint_t  known;

    known = ngx_media_revoked_known();

    if (ngx_media_revoke_query == NULL
        && ngx_media_revoked_turn(known ? NGX_MEDIA_REVOKE_INTERVAL
                                        : NGX_MEDIA_REVOKE_AGAIN))
    {
        ngx_media_revoke_ask();
    }

    if (known) {
        ngx_media_revoke_resume_all();
    }

    ngx_add_timer(ev, known ? NGX_MEDIA_REVOKE_TICK
                            : NGX_MEDIA_REVOKE_HURRY);
}


static void
ngx_media_revoke_ask(void)
{
    u_char     mark[NGX_MEDIA_REVOKED_MARK], limit[NGX_INT_T_LEN];
    ngx_str_t  params[2];

    ngx_media_revoked_mark(mark);

    params[0].len = ngx_strlen(mark);
    params[0].data = params[0].len ? mark : NULL;
    params[1].data = limit;
    params[1].len = ngx_sprintf(limit, "%ui", ngx_media_revoked_capacity())
                    - limit;

    ngx_media_revoke_query = ngx_media_pg_query(MEDIA_STMT_REVOCATIONS,
                                               params, ngx_media_revoke_told,
                                               NULL);
}


static void
ngx_media_revoke_told(void *data, ngx_media_pg_result_t *res)
{
    ngx_int_t  rc;
    ngx_str_t  none = ngx_null_string;

    ngx_media_revoke_query = NULL;

    rc = res->rc;

    if (rc == NGX_OK) {
        rc = ngx_media_revoke_take(res);
    }

    /* an outage says so once */

    if (rc != NGX_OK && !ngx_media_revoke_failing) {
        ngx_media_query_log(ngx_cycle->log, res, &none);
    }

    ngx_media_revoke_failing = (rc != NGX_OK);

    /* known now, or answered without it */

    ngx_media_revoke_resume_all();
}


static ngx_int_t
ngx_media_revoke_take(ngx_media_pg_result_t *res)
{
    int64_t                    life;
    ngx_int_t                  rc;
    ngx_str_t                  mark, v;
    ngx_uint_t                 i, n;
    ngx_media_revoked_t       *entries;
    ngx_media_revoked_list_t   list;

    ngx_memzero(&list, sizeof(list));

    mark = ngx_media_pg_value(res, 0, NGX_MEDIA_REVOKE_MARK);
    v = ngx_media_pg_value(res, 0, NGX_MEDIA_REVOKE_LIFE);

    if (mark.len == 0 || mark.len >= sizeof(list.mark)
        || media_str_to_i64(ngx_media_view(&v), &life) != 0)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(list.mark, mark.data, mark.len);
    list.life_ms = (uint64_t) life * 1000;
    list.cut = (res->nrows == ngx_media_revoked_capacity());

    entries = ngx_alloc(res->nrows * sizeof(ngx_media_revoked_t),
                        ngx_cycle->log);
    if (entries == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    n = 0;

    for (i = 0; i < res->nrows && rc == NGX_OK; i++) {
        rc = ngx_media_revoke_row(res, i, &entries[n]);

        if (rc == NGX_OK) {
            n++;

        } else if (rc == NGX_DECLINED) {
            rc = NGX_OK;
        }
    }

    if (rc == NGX_OK) {
        ngx_media_revoked_add(entries, n, &list);
    }

    ngx_free(entries);

    return rc;
}


/* NGX_DECLINED: the row that says that there is none */

static ngx_int_t
ngx_media_revoke_row(ngx_media_pg_result_t *res, ngx_uint_t row,
    ngx_media_revoked_t *e)
{
    int64_t    ended;
    ngx_str_t  kind, subject, v;

    kind = ngx_media_pg_value(res, row, NGX_MEDIA_REVOKE_KIND);
    subject = ngx_media_pg_value(res, row, NGX_MEDIA_REVOKE_SUBJECT);
    v = ngx_media_pg_value(res, row, NGX_MEDIA_REVOKE_ENDED);

    if (subject.data == NULL) {
        return NGX_DECLINED;
    }

    if (media_uuid_parse(ngx_media_view(&subject), e->id) != 0
        || media_str_to_i64(ngx_media_view(&v), &ended) != 0)
    {
        return NGX_ERROR;
    }

    e->ended_ms = ended;
    e->kind = media_str_eq(ngx_media_view(&kind), MEDIA_STR("user"))
              ? NGX_MEDIA_REVOKED_USER : NGX_MEDIA_REVOKED_SESSION;

    return NGX_OK;
}


ngx_int_t
ngx_media_revoke_check(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    u_char        user[16], sid[16], *session;
    media_str_t   claim;

    if (!ngx_media_main_conf(r)->enabled) {
        /* no login of ours, no database that would know */
        return NGX_OK;
    }

    if (!ngx_media_revoked_known()) {
        return ctx->waited ? NGX_ABORT : ngx_media_revoke_wait(r);
    }

    claim = media_jwt_claim(&ctx->token->claims, "sid");
    session = media_uuid_parse(claim, sid) == 0 ? sid : NULL;

    /* a sub of another kind is no account of ours */

    if (media_uuid_parse(ngx_media_view(&ctx->sub), user) != 0
        || !ngx_media_revoked_find(user, session,
                                   ngx_media_revoke_began(ctx, session)))
    {
        return NGX_OK;
    }

    ngx_media_token_release(ctx->token);
    ctx->token = NULL;
    ngx_str_null(&ctx->sub);
    ngx_str_null(&ctx->roles);

    ngx_media_count(NGX_MEDIA_C_TOKENS_REVOKED, 1);

    return NGX_DECLINED;
}


/* A login of ours has its time in its id, by the clock that dates revocations,
 * too. Other issuers' tokens have theirs in seconds. */

static uint64_t
ngx_media_revoke_began(ngx_media_ctx_t *ctx, const u_char *sid)
{
    int64_t  ms;

    ms = sid ? media_uuid7_ms(sid) : -1;

    return ms < 0 ? ctx->token->claims.iat_s * 1000 : ms;
}


void
ngx_media_revoke_login(media_str_t sid)
{
    ngx_media_revoked_t  e;

    if (media_uuid_parse(sid, e.id) != 0) {
        return;
    }

    e.ended_ms = (uint64_t) ngx_time() * 1000;
    e.kind = NGX_MEDIA_REVOKED_SESSION;

    ngx_media_revoked_add(&e, 1, NULL);
}


/*
 * The access phase stops; nothing is taken from r->main->count, as for core's
 * own delays. The client leaving runs the cleanup.
 */

static ngx_int_t
ngx_media_revoke_wait(ngx_http_request_t *r)
{
    ngx_http_cleanup_t       *cln;
    ngx_media_revoke_wait_t  *w;

    w = ngx_pcalloc(r->pool, sizeof(ngx_media_revoke_wait_t));
    if (w == NULL) {
        return NGX_ABORT;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ABORT;
    }

    cln->handler = ngx_media_revoke_gone;
    cln->data = w;

    w->r = r;
    w->cln = cln;

    w->timer.handler = ngx_media_revoke_timeout;
    w->timer.data = w;
    w->timer.log = r->connection->log;
    ngx_add_timer(&w->timer, NGX_MEDIA_REVOKE_PATIENCE);

    ngx_queue_insert_tail(&ngx_media_revoke_waiting, &w->queue);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
ngx_media_revoke_timeout(ngx_event_t *ev)
{
    ngx_media_revoke_resume(ev->data);
}


static void
ngx_media_revoke_gone(void *data)
{
    ngx_media_revoke_wait_t  *w = data;

    ngx_queue_remove(&w->queue);

    if (w->timer.timer_set) {
        ngx_del_timer(&w->timer);
    }
}


static void
ngx_media_revoke_resume(ngx_media_revoke_wait_t *w)
{
    ngx_connection_t    *c;
    ngx_media_ctx_t     *ctx;
    ngx_http_request_t  *r;

    ngx_media_revoke_gone(w);
    w->cln->handler = NULL;

    r = w->r;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx = ngx_media_ctx(r);
    ctx->waited = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* One that comes back may end others: each time the head. Nobody queues up
 * again, having waited once. */

static void
ngx_media_revoke_resume_all(void)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ngx_media_revoke_waiting)) {
        q = ngx_queue_head(&ngx_media_revoke_waiting);
        ngx_media_revoke_resume(ngx_queue_data(q, ngx_media_revoke_wait_t,
                                               queue));
    }
}
