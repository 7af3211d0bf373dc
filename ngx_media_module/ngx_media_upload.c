
/*
 * The upload state machine, see ngx_media_upload.h: admission and the pump that
 * moves bytes from the client to S3.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_upload_open(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static void ngx_media_upload_opened(void *data, ngx_media_pg_result_t *res);
static void ngx_media_upload_read(ngx_media_upload_t *u);
static void ngx_media_upload_readable(ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_pause(ngx_media_upload_t *u);
static ngx_int_t ngx_media_upload_next(ngx_media_upload_t *u);
static ngx_int_t ngx_media_upload_unreadable(ngx_media_upload_t *u,
    ngx_int_t rc);
static ngx_int_t ngx_media_upload_take(ngx_media_upload_t *u);


ngx_int_t
ngx_media_upload_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_media_upload_t  *u;

    u = ngx_media_upload_create(r);
    if (u == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_media_upload_parse(u, r);

    if (rc == NGX_DONE) {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_REFUSED, 1);

        /* the answer went out: its result may well be NGX_OK */

        rc = u->answer;
        ngx_media_upload_free(u);
        return rc;
    }

    if (rc != NGX_OK) {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_FAILED, 1);
        ngx_media_upload_free(u);
        return rc;
    }

    if (ngx_media_upload_open(u, r) != NGX_OK
        || ngx_media_op_begin(&u->op, r, ngx_media_upload_cancel) != NGX_OK)
    {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_FAILED, 1);
        ngx_media_upload_free(u);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


/* The intent row, before anything is read or sent. */

static ngx_int_t
ngx_media_upload_open(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    u_char           size[NGX_OFF_T_LEN];
    ngx_str_t        p[10];
    ngx_media_ctx_t *ctx;

    ngx_memzero(p, sizeof(p));

    p[0] = u->id;
    p[1] = u->owner;
    p[2] = u->key;
    p[3] = u->name;

    if (media_utf8_valid(ngx_media_view(&u->type))) {
        p[4] = u->type;
    }

    if (u->declared >= 0) {
        p[5].data = size;
        p[5].len = ngx_sprintf(size, "%O", u->declared) - size;
    }

    p[6] = u->pipeline;
    p[7] = u->params;
    p[8] = u->request_id;

    if (u->no_replace) {
        ngx_str_set(&p[9], "t");

    } else {
        ngx_str_set(&p[9], "f");
    }

    ctx = ngx_media_ctx(r);
    ctx->phase = "open";

    /* logged after the upload is gone */

    if (ngx_media_strdup(r->pool, &ctx->media_id, u->id.data, u->id.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    u->query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_OPEN, p,
                                  ngx_media_upload_opened, u);

    return u->query == NULL ? NGX_ERROR : NGX_OK;
}


static void
ngx_media_upload_opened(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail;

    u->query = NULL;

    if (res->rc != NGX_OK || res->nrows != 1) {

        /* NGX_ABORT: it may have been written after all; the janitor sees a
         * row without heart-beat */

        if (!ngx_media_query_away(res)) {
            ngx_log_error(NGX_LOG_ERR, u->log, 0,
                          "media upload open failed, sqlstate=%s media=%V",
                          res->sqlstate, &u->id);
            (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
            return;
        }

        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_DATABASE_UNAVAILABLE,
                                     NULL);
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        detail = ngx_media_pg_value(res, 0, 1);
        (void) ngx_media_upload_denied(u, &code, &detail);
        return;
    }

    u->opened = 1;

    if (u->op.r == NULL) {
        ngx_media_upload_abandon(u);
        return;
    }

    u->state = NGX_MEDIA_UPLOAD_READING;
    ngx_media_count(NGX_MEDIA_C_UPLOADS_STARTED, 1);

    ngx_media_upload_read(u);
}


/*
 * Starts nginx's body reader from a foreign event. The reader takes a
 * reference for the content handler that called it; that is us, and the
 * finalization with NGX_DONE gives it back. The reader goes on with the request
 * after its post handler has run, so nothing may end in there.
 */

static void
ngx_media_upload_read(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_uint_t           started;
    ngx_http_request_t  *r;

    r = u->op.r;

    ngx_media_ctx(r)->phase = "body";

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    u->starting = 1;

    rc = ngx_http_read_client_request_body(r, ngx_media_upload_body);

    /* HTTP/2 with the whole body there calls its post handler later */

    started = !u->starting;
    u->starting = 0;

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        (void) ngx_media_upload_unreadable(u, rc);
        return;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    if (started) {
        ngx_media_upload_body(r);
    }
}


static ngx_media_upload_t *
ngx_media_upload_of(ngx_http_request_t *r)
{
    return (ngx_media_upload_t *) ngx_media_op_find(r,
                                                    ngx_media_upload_cancel);
}


void
ngx_media_upload_body(ngx_http_request_t *r)
{
    ngx_media_upload_t  *u;

    u = ngx_media_upload_of(r);
    if (u == NULL) {
        return;
    }

    r->read_event_handler = ngx_media_upload_readable;

    if (u->starting) {
        u->starting = 0;
        return;
    }

    if (ngx_media_upload_take(u) != NGX_OK) {
        return;
    }

    (void) ngx_media_upload_pump(u);
}


/* The client sent more, left, or was too slow. */

static void
ngx_media_upload_readable(ngx_http_request_t *r)
{
    ngx_media_upload_t  *u;

    u = ngx_media_upload_of(r);
    if (u == NULL) {
        return;
    }

    if (r->connection->read->timedout) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_CLIENT_TIMEOUT,
                                     "no byte of the body came in time");
        return;
    }

    if (r->connection->error) {
        (void) ngx_media_upload_left(u);
        return;
    }

    (void) ngx_media_upload_pump(u);
}


/* Not the client is what we wait for: its time stands still. Nobody reads from
 * it either, so that its end shows in the event alone. NGX_OK or NGX_DONE. */

static ngx_int_t
ngx_media_upload_pause(ngx_media_upload_t *u)
{
    ngx_event_t  *rev;

    rev = u->op.r->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

#if (NGX_HAVE_EPOLLRDHUP)

    if (rev->pending_eof) {
        u->op.r->connection->error = 1;
        return ngx_media_upload_left(u);
    }

#endif

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_pump(ngx_media_upload_t *u)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (u->state != NGX_MEDIA_UPLOAD_READING) {
        return NGX_OK;
    }

    if (u->dead) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_UPLOAD_LOST, NULL);
    }

    for ( ;; ) {

        while (u->in != NULL) {
            cl = u->in;

            rc = ngx_media_ingest(u, cl->buf);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_upload_pause(u) : rc;
            }

            u->in = cl->next;
            ngx_free_chain(u->op.r->pool, cl);
        }

        if (u->body_done) {
            u->state = NGX_MEDIA_UPLOAD_STORING;

            if (u->op.r != NULL) {
                u->op.r->read_event_handler = ngx_http_test_reading;
                ngx_media_ctx(u->op.r)->phase = "store";
            }

            return ngx_media_ingest_end(u);
        }

        if (u->typed) {
            rc = u->sink->ready(u);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_upload_pause(u) : rc;
            }
        }

        rc = ngx_media_upload_next(u);

        if (rc == NGX_AGAIN) {
            if (u->typed) {
                u->sink->hold(u, 1);
            }

            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (u->typed) {
            u->sink->hold(u, 0);
        }
    }
}


/* The next bytes of the client: NGX_OK something came or the body is over,
 * NGX_AGAIN nothing yet, NGX_DONE. */

static ngx_int_t
ngx_media_upload_next(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = u->op.r;

    rc = ngx_http_read_unbuffered_request_body(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return ngx_media_upload_unreadable(u, rc);
    }

    if (ngx_media_upload_take(u) != NGX_OK) {
        return NGX_DONE;
    }

    return u->in != NULL || u->body_done ? NGX_OK : NGX_AGAIN;
}


/* What nginx's reader says in place of bytes. Always NGX_DONE. */

static ngx_int_t
ngx_media_upload_unreadable(ngx_media_upload_t *u, ngx_int_t rc)
{
    if (u->op.r->connection->error) {
        return ngx_media_upload_left(u);
    }

    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE, NULL);
    }

    if (rc >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return ngx_media_upload_fail(u, MEDIA_PROBLEM_BAD_REQUEST,
                                 "the body ended early or its framing is "
                                 "broken");
}


/* Takes over what nginx's reader has; NGX_OK or NGX_DONE. */

static ngx_int_t
ngx_media_upload_take(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = u->op.r;

    u->body_done = !r->reading_body;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    u->in = r->request_body->bufs;
    r->request_body->bufs = NULL;

    for (cl = u->in; cl != NULL && u->form == NULL; cl = cl->next) {
        rc = ngx_media_ingest_account(u, cl->buf->pos,
                                      cl->buf->last - cl->buf->pos);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}
