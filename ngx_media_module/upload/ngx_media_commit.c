
/*
 * The promise: one transaction makes media, jobs and outbox rows. It is
 * repeated until the database says what became of it, whether or not the
 * client still waits. Publishing follows and holds nobody up.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_commit_query(ngx_media_upload_t *u);
static void ngx_media_commit_done(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_commit_again(ngx_media_upload_t *u);
static void ngx_media_commit_retry(ngx_event_t *ev);


ngx_int_t
ngx_media_upload_stored(ngx_media_upload_t *u)
{
    u->state = NGX_MEDIA_UPLOAD_COMMITTING;
    u->stored_at = ngx_current_msec;

    u->sink->close(u);

    if (u->op.r != NULL) {
        ngx_media_ctx(u->op.r)->phase = "commit";
    }

    ngx_media_retry_init(&u->retry, ngx_media_commit_retry, u, u->log,
                         NGX_MEDIA_PG_PAUSE);

    return ngx_media_commit_query(u);
}


static ngx_int_t
ngx_media_commit_query(ngx_media_upload_t *u)
{
    ngx_str_t  p[12];
    u_char     size[NGX_OFF_T_LEN], hex[64];

    ngx_memzero(p, sizeof(p));

    p[0] = u->id;
    p[1] = u->name;
    p[2] = u->title;
    p[3].data = (u_char *) u->sniff.content_type;
    p[3].len = ngx_strlen(u->sniff.content_type);
    p[4].data = size;
    p[4].len = ngx_sprintf(size, "%O", u->received) - size;
    p[5].data = hex;
    p[5].len = ngx_hex_dump(hex, u->sha256, 32) - hex;
    p[6] = u->etag;
    p[7] = u->pipeline;
    p[8] = u->params;
    p[9] = u->visibility;
    p[10] = u->request_id;
    p[11] = u->traceparent;

    u->query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_COMMIT, p,
                                  ngx_media_commit_done, u);

    return u->query == NULL ? ngx_media_commit_again(u) : NGX_OK;
}


/* It never ran, or nobody knows: the statement answers the same when it is
 * said again. */

static ngx_int_t
ngx_media_commit_again(ngx_media_upload_t *u)
{
    if (ngx_media_retry(&u->retry, 0) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_media_upload_fail(u, MEDIA_PROBLEM_DATABASE_UNAVAILABLE, NULL);
}


static void
ngx_media_commit_retry(ngx_event_t *ev)
{
    (void) ngx_media_commit_query(ev->data);
}


static void
ngx_media_commit_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail, media, outbox;

    u->query = NULL;

    if (ngx_media_query_away(res)) {
        (void) ngx_media_commit_again(u);
        return;
    }

    if (res->rc != NGX_OK || res->nrows != 1) {
        ngx_media_query_log(u->log, res, &u->request_id);
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);
    detail = ngx_media_pg_value(res, 0, 1);
    media = ngx_media_pg_value(res, 0, 2);
    outbox = ngx_media_pg_value(res, 0, 3);

    if (code.len == 4 && ngx_strncmp(code.data, "gone", 4) == 0) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_UPLOAD_LOST, NULL);
        return;
    }

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        (void) ngx_media_upload_denied(u, &code, &detail, NULL);
        return;
    }

    u->opened = 0;

    ngx_media_count(NGX_MEDIA_C_UPLOADS_COMMITTED, 1);

    ngx_log_error(NGX_LOG_INFO, u->log, 0,
                  "media upload committed: media=%V req=%V size=%O "
                  "store_ms=%M commit_ms=%M", &u->id, &u->request_id,
                  u->received, u->stored_at - u->began_at,
                  ngx_current_msec - u->stored_at);

    ngx_media_outbox_publish(&outbox);
    ngx_media_upload_created(u, &media);
}


void
ngx_media_upload_created(ngx_media_upload_t *u, ngx_str_t *media)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_str_t            location;
    ngx_media_op_t       op;
    ngx_media_ctx_t     *ctx;
    ngx_http_request_t  *r;

    op = u->op;
    r = op.r;

    if (r == NULL) {
        ngx_media_upload_free(u);
        return;
    }

    ctx = ngx_media_ctx(r);
    ctx->phase = "done";
    ctx->size = u->received;
    ctx->has_size = 1;
    ctx->s3_time = u->stored_at - u->began_at;
    ctx->commit_time = ngx_current_msec - u->stored_at;

    location.len = sizeof("/media/") - 1 + u->id.len;
    location.data = ngx_pnalloc(r->pool, location.len);

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (location.data != NULL && !ngx_media_fault("upload", "answer", NULL)) {
        p = ngx_cpymem(location.data, "/media/", sizeof("/media/") - 1);
        ngx_memcpy(p, u->id.data, u->id.len);

        ctx->media_id.data = location.data + sizeof("/media/") - 1;
        ctx->media_id.len = u->id.len;

        if (ngx_media_add_header(r, "Location", &location) == NGX_OK) {
            rc = ngx_media_send_json(r, NGX_HTTP_CREATED, media);
        }
    }

    u->op.r = NULL;
    ngx_media_upload_free(u);
    ngx_media_op_finish(&op, rc);

    (void) ngx_media_fault("upload", "answered", NULL);
}
