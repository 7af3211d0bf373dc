
/*
 * Every way an upload can end without a commit: refused, failed, left by its
 * client. Nothing was promised; the row says so, and the janitor removes what
 * S3 may have.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_FAREWELL_WAIT  1000   /* ms */


/* A problem that waits until the database has let go of its upload. */
typedef struct {
    ngx_media_op_t              op;         /* first */
    ngx_event_t                 timer;
    enum media_problem          problem;
    ngx_str_t                   detail;
    u_char                      text[512];
} ngx_media_farewell_t;


static ngx_int_t ngx_media_upload_release(ngx_media_upload_t *u,
    ngx_media_pg_done_pt done, void *data);
static ngx_int_t ngx_media_farewell(ngx_media_upload_t *u,
    enum media_problem p, ngx_str_t *detail);
static void ngx_media_farewell_say(ngx_media_farewell_t *f);
static void ngx_media_farewell_done(void *data, ngx_media_pg_result_t *res);
static void ngx_media_farewell_late(ngx_event_t *ev);
static void ngx_media_farewell_cancel(ngx_media_op_t *op);


/* Tells the database that this upload will never commit; a row that could not
 * be closed is the janitor's. NGX_DECLINED: there is none. */

static ngx_int_t
ngx_media_upload_release(ngx_media_upload_t *u, ngx_media_pg_done_pt done,
    void *data)
{
    ngx_str_t  p[3];

    if (!u->opened) {
        return NGX_DECLINED;
    }

    u->opened = 0;
    p[0] = u->id;

    if (u->touched) {
        ngx_str_set(&p[1], "f");

    } else {
        ngx_str_set(&p[1], "t");
    }

    p[2] = u->key;

    return ngx_media_pg_query(MEDIA_STMT_UPLOAD_ABORT, p, done, data) != NULL
           ? NGX_OK : NGX_ERROR;
}


/* Who comes again as soon as he hears of the failure shall find his quota and
 * his key free; a database that does not answer holds nobody up for long. */

static ngx_int_t
ngx_media_farewell(ngx_media_upload_t *u, enum media_problem p,
    ngx_str_t *detail)
{
    ngx_event_t           *rev;
    ngx_media_farewell_t  *f;

    f = ngx_calloc(sizeof(ngx_media_farewell_t), u->log);

    if (f == NULL
        || ngx_media_upload_release(u, ngx_media_farewell_done, f) != NGX_OK)
    {
        if (f != NULL) {
            ngx_free(f);
        }

        return NGX_DECLINED;
    }

    ngx_media_op_move(&f->op, &u->op, ngx_media_farewell_cancel);

    f->problem = p;
    f->detail.data = f->text;
    f->detail.len = ngx_min(detail->len, sizeof(f->text));
    ngx_memcpy(f->text, detail->data, f->detail.len);

    f->timer.handler = ngx_media_farewell_late;
    f->timer.data = f;
    f->timer.log = ngx_cycle->log;

    ngx_add_timer(&f->timer, NGX_MEDIA_FAREWELL_WAIT);

    rev = f->op.r->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    f->op.r->read_event_handler = ngx_http_test_reading;

    return NGX_OK;
}


static void
ngx_media_farewell_say(ngx_media_farewell_t *f)
{
    ngx_http_request_t  *r;

    r = f->op.r;

    if (f->timer.timer_set) {
        ngx_del_timer(&f->timer);
    }

    if (r != NULL) {
        ngx_http_set_log_request(r->connection->log, r);
        ngx_media_op_finish(&f->op,
                            ngx_media_send_problem(r, f->problem,
                                                   f->detail.len ? "%V" : NULL,
                                                   &f->detail));
    }
}


static void
ngx_media_farewell_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_farewell_say(data);
    ngx_free(data);
}


static void
ngx_media_farewell_late(ngx_event_t *ev)
{
    ngx_media_farewell_say(ev->data);
}


static void
ngx_media_farewell_cancel(ngx_media_op_t *op)
{
    ngx_media_farewell_t  *f = (ngx_media_farewell_t *) op;

    /* the request is being freed; what waits for the database goes with it */

    if (f->timer.timer_set) {
        ngx_del_timer(&f->timer);
    }
}


ngx_int_t
ngx_media_upload_fail(ngx_media_upload_t *u, enum media_problem p,
    const char *fmt, ...)
{
    u_char                 *last;
    va_list                 args;
    ngx_int_t               rc;
    ngx_str_t               detail;
    ngx_media_op_t          op;
    ngx_http_request_t     *r;
    const media_problem_t  *row;
    u_char                  text[512];

    detail.data = text;
    detail.len = 0;

    if (fmt != NULL) {
        va_start(args, fmt);
        last = ngx_vslprintf(text, text + sizeof(text), fmt, args);
        va_end(args);
        detail.len = last - text;
    }

    row = media_problem_get(p);

    ngx_media_count(row->status >= 500 ? NGX_MEDIA_C_UPLOADS_FAILED
                                       : NGX_MEDIA_C_UPLOADS_REFUSED, 1);

    ngx_log_error((row->status >= 500 ? NGX_LOG_ERR : NGX_LOG_INFO), u->log, 0,
                  "media upload refused: media=%V req=%V code=%s received=%O "
                  "detail=\"%V\"", &u->id, &u->request_id, row->code,
                  u->received, &detail);

    op = u->op;
    r = op.r;

    if (r == NULL) {
        (void) ngx_media_upload_release(u, NULL, NULL);
        ngx_media_upload_free(u);
        return NGX_DONE;
    }

    if (ngx_media_farewell(u, p, &detail) == NGX_OK) {
        ngx_media_upload_free(u);
        return NGX_DONE;
    }

    rc = ngx_media_send_problem(r, p, detail.len ? "%V" : NULL, &detail);

    /* the upload goes first: finishing may run other requests */

    u->op.r = NULL;
    ngx_media_upload_free(u);
    ngx_media_op_finish(&op, rc);

    return NGX_DONE;
}


ngx_int_t
ngx_media_upload_denied(ngx_media_upload_t *u, ngx_str_t *code,
    ngx_str_t *detail, ngx_str_t *members)
{
    int  problem;

    problem = media_problem_parse(ngx_media_view(code));

    if (problem < 0) {
        ngx_log_error(NGX_LOG_ERR, u->log, 0,
                      "media: the database answered an unknown code \"%V\"",
                      code);
        problem = MEDIA_PROBLEM_INTERNAL;
        ngx_str_null(detail);
    }

    if (members != NULL && u->op.r != NULL) {
        ngx_media_problem_members(u->op.r, members);
    }

    /* what passes by itself */

    if (u->op.r != NULL
        && (problem == MEDIA_PROBLEM_IN_PROGRESS
            || (problem == MEDIA_PROBLEM_QUOTA_EXCEEDED && members != NULL
                && ngx_strnstr(members->data, "uploads", members->len))))
    {
        ngx_media_problem_retry(u->op.r, NGX_MEDIA_RETRY_AFTER);
    }

    return ngx_media_upload_fail(u, problem, detail->len ? "%V" : NULL,
                                 detail);
}


ngx_int_t
ngx_media_upload_s3_failed(ngx_media_upload_t *u, ngx_media_s3_result_t *res,
    const char *what)
{
    ngx_log_error(NGX_LOG_ERR, u->log, 0,
                  "media s3 failed: %s media=%V status=%ui code=%s cause=%s",
                  what, &u->id, res->status, res->error.code,
                  res->cause ? res->cause : "-");

    if (res->full) {
        ngx_media_alive_full();
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_STORAGE_FULL, NULL);
    }

    /* S3 asks for more time than our own answer would give it */

    if (res->retry_after > NGX_MEDIA_RETRY_AFTER && u->op.r != NULL) {
        ngx_media_problem_retry(u->op.r, res->retry_after);
    }

    return ngx_media_upload_fail(u, MEDIA_PROBLEM_STORAGE_UNAVAILABLE, NULL);
}


/* The reader found the connection closed: nobody is there to be answered. */

ngx_int_t
ngx_media_upload_left(ngx_media_upload_t *u)
{
    ngx_media_op_t  op;

    op = u->op;
    u->op.r = NULL;

    ngx_media_upload_abandon(u);
    ngx_media_op_finish(&op, NGX_HTTP_CLIENT_CLOSED_REQUEST);

    return NGX_DONE;
}


/* The request is being freed. What was stored is committed all the same:
 * repeating it is up to the client, losing it is not up to us. */

void
ngx_media_upload_cancel(ngx_media_op_t *op)
{
    ngx_media_upload_t  *u = (ngx_media_upload_t *) op;

    u->in = NULL;

    if (u->state == NGX_MEDIA_UPLOAD_COMMITTING) {
        return;
    }

    /* the intent will be written all the same: then it can be closed */

    if (u->state == NGX_MEDIA_UPLOAD_OPENING && u->query != NULL) {
        return;
    }

    ngx_media_upload_abandon(u);
}


/* The client is gone before the commit: nothing was promised. */

void
ngx_media_upload_abandon(ngx_media_upload_t *u)
{
    ngx_media_count(NGX_MEDIA_C_UPLOADS_ABORTED, 1);

    ngx_log_error(NGX_LOG_INFO, u->log, 0,
                  "media upload aborted: media=%V received=%O", &u->id,
                  u->received);

    (void) ngx_media_upload_release(u, NULL, NULL);
    ngx_media_upload_free(u);
}
