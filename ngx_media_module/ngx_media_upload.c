
/*
 * The upload state machine, see ngx_media_upload.h: admission and the pump that
 * moves bytes from the client to S3.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static void ngx_media_upload_admit(void *data);
static ngx_int_t ngx_media_upload_open(ngx_media_upload_t *u);
static void ngx_media_upload_opened(void *data, ngx_media_pg_result_t *res);
static void ngx_media_upload_turn(ngx_event_t *ev);


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

    if (ngx_media_op_begin(&u->op, r, ngx_media_upload_cancel) != NGX_OK) {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_FAILED, 1);
        ngx_media_upload_free(u);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_media_upload_admit(u);

    return NGX_DONE;
}


/* Whoever will hold parts has to find memory for the first one. */

static void
ngx_media_upload_admit(void *data)
{
    ngx_media_upload_t  *u = data;

    if (u->sink == &ngx_media_parts_sink
        && ngx_media_parts_admit(u, ngx_media_upload_admit) != NGX_OK)
    {
        return;
    }

    if (ngx_media_upload_open(u) != NGX_OK) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }
}


/* The intent row, before anything is read or sent. */

static ngx_int_t
ngx_media_upload_open(ngx_media_upload_t *u)
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

    ctx = ngx_media_ctx(u->op.r);
    ctx->phase = "open";

    /* logged after the upload is gone */

    if (ngx_media_strdup(u->op.r->pool, &ctx->media_id, u->id.data, u->id.len)
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

        ngx_media_query_log(u->log, res, &u->request_id);

        if (!ngx_media_query_away(res)) {
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

    u->turn.handler = ngx_media_upload_turn;
    u->turn.data = u;
    u->turn.log = u->log;

    ngx_media_body_start(u);
}


static void
ngx_media_upload_turn(ngx_event_t *ev)
{
    (void) ngx_media_upload_pump(ev->data);
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

    media_pace_rest(&u->pace, ngx_current_msec);

    for ( ;; ) {

        while (u->in != NULL) {
            cl = u->in;

            rc = ngx_media_ingest(u, cl->buf);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_body_pause(u) : rc;
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

        if (u->taken >= NGX_MEDIA_TURN) {
            u->taken = 0;
            ngx_post_event(&u->turn, &ngx_posted_next_events);
            return NGX_OK;
        }

        if (u->typed) {
            rc = u->sink->ready(u);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_body_pause(u) : rc;
            }
        }

        rc = ngx_media_body_next(u);

        if (rc == NGX_AGAIN) {
            u->taken = 0;
            media_pace_wait(&u->pace, ngx_current_msec);

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
