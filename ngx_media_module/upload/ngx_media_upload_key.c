
/*
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): the database
 * decides what a key stands for, see sql/0009_admission.sql. A repetition whose
 * digest is not stated is read and hashed like any upload, but by a sink that
 * stores nothing; then the first answer is sent again, or 422.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include "media/sfv.h"


static void ngx_media_replay_done(void *data, ngx_media_pg_result_t *res);


ngx_int_t
ngx_media_upload_key(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    char              key[NGX_MEDIA_KEY_MAX + 1];
    ssize_t           n;
    ngx_uint_t        count;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, "idempotency-key", &count);

    if (h == NULL) {
        return NGX_OK;
    }

    if (count > 1) {
        ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                         "more than one Idempotency-Key");
    }

    n = media_sf_string(ngx_media_view(&h->value), key, sizeof(key));

    if (n == MEDIA_E_TOOBIG) {
        ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                         "Idempotency-Key is longer than %d bytes",
                         NGX_MEDIA_KEY_MAX);
    }

    if (n < 0) {
        ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                         "Idempotency-Key is not a string in quotes, nor a "
                         "token");
    }

    return ngx_media_strdup(u->pool, &u->idempotency_key, key, n) == NGX_OK
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_media_replay_open(ngx_media_upload_t *u)
{
    return NGX_OK;
}


/* The bytes were digested when they came. */

static ngx_int_t
ngx_media_replay_write(ngx_media_upload_t *u, ngx_buf_t *b)
{
    b->pos = b->last;

    if (u->received > u->replay_size) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_KEY_REUSED,
                                     "the first upload with this key had "
                                     "another size");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_replay_ready(ngx_media_upload_t *u)
{
    return NGX_OK;
}


static ngx_int_t
ngx_media_replay_finish(ngx_media_upload_t *u)
{
    u_char     size[NGX_OFF_T_LEN], hex[64];
    ngx_str_t  p[9];

    p[0] = u->owner;
    p[1] = u->idempotency_key;
    p[2] = u->name;
    p[3] = u->title;
    p[4] = u->visibility;
    p[5] = u->pipeline;
    p[6] = u->params;
    p[7].data = size;
    p[7].len = ngx_sprintf(size, "%O", u->received) - size;
    p[8].data = hex;
    p[8].len = ngx_hex_dump(hex, u->sha256, 32) - hex;

    u->query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_REPLAY, p,
                                  ngx_media_replay_done, u);

    return u->query != NULL
           ? NGX_OK : ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
}


static void
ngx_media_replay_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail, id, media;

    u->query = NULL;

    if (res->rc != NGX_OK || res->nrows != 1) {
        ngx_media_query_log(u->log, res, &u->request_id);
        (void) ngx_media_upload_fail(u, ngx_media_query_away(res)
                                        ? MEDIA_PROBLEM_DATABASE_UNAVAILABLE
                                        : MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);
    detail = ngx_media_pg_value(res, 0, 1);
    id = ngx_media_pg_value(res, 0, 2);
    media = ngx_media_pg_value(res, 0, 3);

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        (void) ngx_media_upload_denied(u, &code, &detail, NULL);
        return;
    }

    ngx_media_upload_replayed(u, &id, &media);
}


void
ngx_media_upload_replayed(ngx_media_upload_t *u, ngx_str_t *id,
    ngx_str_t *media)
{
    static ngx_str_t  yes = ngx_string("true");

    ngx_log_error(NGX_LOG_INFO, u->log, 0,
                  "media upload replayed: media=%V req=%V received=%O", id,
                  &u->request_id, u->received);

    ngx_media_count(NGX_MEDIA_C_UPLOADS_REPLAYED, 1);

    u->stored_at = ngx_current_msec;

    if (ngx_media_strdup(u->pool, &u->id, id->data, id->len) != NGX_OK
        || ngx_media_add_header(u->op.r, "Idempotent-Replayed", &yes)
           != NGX_OK)
    {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    ngx_media_upload_created(u, media);
}


static void
ngx_media_replay_hold(ngx_media_upload_t *u, ngx_uint_t hold)
{
    /* nobody waits with the client */
}


static void
ngx_media_replay_close(ngx_media_upload_t *u)
{
    /* nothing is held */
}


const ngx_media_sink_t  ngx_media_replay_sink = {
    ngx_media_replay_open,
    ngx_media_replay_write,
    ngx_media_replay_ready,
    ngx_media_replay_finish,
    ngx_media_replay_hold,
    ngx_media_replay_close,
    0
};
