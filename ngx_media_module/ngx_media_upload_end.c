
/*
 * Every way an upload can end without a commit: refused, failed, left by its
 * client. Nothing was promised; the row says so, and the janitor removes what
 * S3 may have.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static void
ngx_media_upload_noop(void *data, ngx_media_pg_result_t *res)
{
    /* a row that could not be closed is the janitor's */
}


/* Tells the database that this upload will never commit. */

static void
ngx_media_upload_release(ngx_media_upload_t *u)
{
    ngx_str_t  p[3];

    if (!u->opened) {
        return;
    }

    u->opened = 0;
    p[0] = u->id;

    if (u->touched) {
        ngx_str_set(&p[1], "f");

    } else {
        ngx_str_set(&p[1], "t");
    }

    p[2] = u->key;

    (void) ngx_media_pg_query(MEDIA_STMT_UPLOAD_ABORT, p,
                              ngx_media_upload_noop, NULL);
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

    ngx_media_upload_release(u);

    op = u->op;
    r = op.r;

    if (r == NULL) {
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


/* The numbers of "used 90000 of 120000 bytes" become members of the problem. */

static void
ngx_media_upload_quota(ngx_http_request_t *r, ngx_str_t *detail)
{
    u_char      *p, *last;
    ngx_str_t    number[2], extra;
    ngx_uint_t   i;

    p = detail->data;
    last = p + detail->len;

    for (i = 0; i < 2; i++) {

        while (p < last && (*p < '0' || *p > '9')) {
            p++;
        }

        number[i].data = p;

        while (p < last && *p >= '0' && *p <= '9') {
            p++;
        }

        number[i].len = p - number[i].data;

        if (number[i].len == 0) {
            return;
        }
    }

    extra.len = sizeof(",\"used\":,\"limit\":") - 1 + number[0].len
                + number[1].len;
    extra.data = ngx_pnalloc(r->pool, extra.len);

    if (extra.data != NULL) {
        ngx_sprintf(extra.data, ",\"used\":%V,\"limit\":%V", &number[0],
                    &number[1]);
        ngx_media_problem_extra(r, &extra);
    }
}


ngx_int_t
ngx_media_upload_denied(ngx_media_upload_t *u, ngx_str_t *code,
    ngx_str_t *detail)
{
    int  problem;

    problem = media_problem_parse(ngx_media_view(code));

    if (problem == MEDIA_PROBLEM_QUOTA_EXCEEDED && u->op.r != NULL) {
        ngx_media_upload_quota(u->op.r, detail);
    }

    return ngx_media_upload_fail(u, problem < 0 ? MEDIA_PROBLEM_INTERNAL
                                                : (ngx_uint_t) problem,
                                 "%V", detail);
}


ngx_int_t
ngx_media_upload_s3_failed(ngx_media_upload_t *u, ngx_media_s3_result_t *res,
    const char *what)
{
    ngx_log_error(NGX_LOG_ERR, u->log, 0,
                  "media s3 failed: %s media=%V status=%ui code=%s cause=%s",
                  what, &u->id, res->status, res->error.code,
                  res->cause ? res->cause : "-");

    if (res->status == 507
        || ngx_strcmp(res->error.code, "XMinioStorageFull") == 0
        || ngx_strcmp(res->error.code, "InsufficientStorage") == 0)
    {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_STORAGE_FULL, NULL);
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

    ngx_media_upload_release(u);
    ngx_media_upload_free(u);
}
