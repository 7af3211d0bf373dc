
/*
 * The promise: one transaction makes media, jobs and outbox rows. It is
 * repeated until the database says what became of it, whether or not the
 * client still waits. Publishing follows and holds nobody up.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include <jansson.h>


static ngx_int_t ngx_media_commit_query(ngx_media_upload_t *u);
static void ngx_media_commit_done(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_commit_again(ngx_media_upload_t *u);
static void ngx_media_commit_retry(ngx_event_t *ev);
static void ngx_media_commit_publish(ngx_media_upload_t *u,
    ngx_str_t *outbox);
static void ngx_media_commit_answer(ngx_media_upload_t *u, ngx_str_t *media);


ngx_int_t
ngx_media_upload_stored(ngx_media_upload_t *u)
{
    u->state = NGX_MEDIA_UPLOAD_COMMITTING;
    u->stored_at = ngx_current_msec;

    u->sink->close(u);

    if (u->op.r != NULL) {
        ngx_media_ctx(u->op.r)->phase = "commit";
    }

    u->retry.handler = ngx_media_commit_retry;
    u->retry.data = u;
    u->retry.log = u->log;

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
    if (u->tries++ < NGX_MEDIA_COMMIT_TRIES) {
        ngx_add_timer(&u->retry, NGX_MEDIA_RETRY_DELAY);
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
        ngx_log_error(NGX_LOG_ERR, u->log, 0,
                      "media commit refused: media=%V sqlstate=%s \"%V\"",
                      &u->id, res->sqlstate, &res->message);
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
        (void) ngx_media_upload_denied(u, &code, &detail);
        return;
    }

    u->opened = 0;

    ngx_media_count(NGX_MEDIA_C_UPLOADS_COMMITTED, 1);

    ngx_log_error(NGX_LOG_INFO, u->log, 0,
                  "media upload committed: media=%V req=%V size=%O "
                  "store_ms=%M commit_ms=%M", &u->id, &u->request_id,
                  u->received, u->stored_at - u->began_at,
                  ngx_current_msec - u->stored_at);

    ngx_media_commit_publish(u, &outbox);
    ngx_media_commit_answer(u, &media);
}


/* Hands the new jobs to the publisher; what it declines the janitor sends. */

static void
ngx_media_commit_publish(ngx_media_upload_t *u, ngx_str_t *outbox)
{
    size_t                  i;
    json_t                 *root, *row, *id, *queue, *message;
    ngx_media_amqp_item_t   item;

    root = json_loadb((char *) outbox->data, outbox->len, 0, NULL);

    json_array_foreach(root, i, row) {
        id = json_object_get(row, "id");
        queue = json_object_get(row, "queue");
        message = json_object_get(row, "message");

        if (!json_is_string(id) || !json_is_string(queue)
            || !json_is_string(message))
        {
            continue;
        }

        item.outbox_id = ngx_atoof((u_char *) json_string_value(id),
                                   json_string_length(id));
        item.queue.data = (u_char *) json_string_value(queue);
        item.queue.len = json_string_length(queue);
        item.message.data = (u_char *) json_string_value(message);
        item.message.len = json_string_length(message);

        if (ngx_media_amqp_publish(&item) != NGX_OK) {
            ngx_media_count(NGX_MEDIA_C_AMQP_DECLINED, 1);
        }
    }

    json_decref(root);
}


static void
ngx_media_commit_answer(ngx_media_upload_t *u, ngx_str_t *media)
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

    if (location.data != NULL) {
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
}
