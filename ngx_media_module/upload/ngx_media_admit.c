
/*
 * Admission: everything that can be refused before the first body byte, in
 * this order. Token, role and method were checked by the route.
 *
 *   rate      ngx_media_rate.c            429
 *   request   ngx_media_upload_req.c      400 411 413 415 422
 *   S3        ngx_media_alive.c           503, 507
 *   memory    ngx_media_parts_admit()     503
 *   intent    upload_open() in the        401 409 412 413 422 503, or the 201
 *             database                    of a first upload with the same key
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include "ngx_media_rate.h"


static ngx_int_t ngx_media_admit_rate(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_admit_room(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static void ngx_media_admit_alive(void *data, ngx_uint_t alive);
static void ngx_media_admit_memory(void *data);
static ngx_int_t ngx_media_admit_open(ngx_media_upload_t *u);
static void ngx_media_admit_opened(void *data, ngx_media_pg_result_t *res);


ngx_int_t
ngx_media_upload_handler(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_media_upload_t   *u;
    ngx_media_s3_conf_t  *s3;

    s3 = &ngx_media_main_conf(r)->s3[MEDIA_STORE_INPUT];

    if (!ngx_media_s3_cred_usable(s3->cred)) {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_FAILED, 1);
        return ngx_media_send_problem(r, MEDIA_PROBLEM_STORAGE_UNAVAILABLE,
                                      NULL);
    }

    u = ngx_media_upload_create(r);
    if (u == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_media_admit_rate(u, r);

    if (rc == NGX_OK) {
        rc = ngx_media_upload_parse(u, r);
    }

    if (rc == NGX_OK) {
        rc = ngx_media_admit_room(u, r);
    }

    if (rc == NGX_DONE) {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_REFUSED, 1);

        ngx_log_error(NGX_LOG_INFO, u->log, 0,
                      "media upload refused: media=%V req=%V code=%s "
                      "received=0", &u->id, &ngx_media_ctx(r)->request_id,
                      ngx_media_ctx(r)->problem);

        /* the answer went out: its result may well be NGX_OK */

        rc = u->answer;
        ngx_media_upload_free(u);
        return rc;
    }

    if (rc != NGX_OK
        || ngx_media_op_begin(&u->op, r, ngx_media_upload_cancel) != NGX_OK)
    {
        ngx_media_count(NGX_MEDIA_C_UPLOADS_FAILED, 1);
        ngx_media_upload_free(u);
        return rc != NGX_OK ? rc : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    u->alive.done = ngx_media_admit_alive;
    u->alive.data = u;

    ngx_media_op_enter(&u->op);

    rc = ngx_media_alive_ask(&u->alive, u->s3);

    if (rc == NGX_OK) {
        ngx_media_admit_memory(u);

    } else if (rc == NGX_ERROR) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    ngx_media_op_leave(r, ngx_media_upload_cancel);

    return NGX_DONE;
}


static ngx_int_t
ngx_media_admit_rate(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_media_rate_check(r);

    if (rc == NGX_DECLINED) {
        ngx_media_refuse(r, MEDIA_PROBLEM_RATE_LIMITED,
                         "more than %ui uploads in %ui s",
                         u->lcf->rate->limit, u->lcf->rate->period);
    }

    return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* S3 said lately that it is full. */

static ngx_int_t
ngx_media_admit_room(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_msec_t  left;

    left = ngx_media_alive_full_for();

    if (left > 0) {
        ngx_media_problem_retry(r, (left + 999) / 1000);
        ngx_media_refuse(r, MEDIA_PROBLEM_STORAGE_FULL, NULL);
    }

    return NGX_OK;
}


static void
ngx_media_admit_alive(void *data, ngx_uint_t alive)
{
    ngx_media_upload_t  *u = data;

    if (!alive) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_STORAGE_UNAVAILABLE,
                                     NULL);
        return;
    }

    ngx_media_admit_memory(u);
}


/* Whoever will hold parts has to find memory for the first one. */

static void
ngx_media_admit_memory(void *data)
{
    ngx_media_upload_t  *u = data;

    if (u->sink == &ngx_media_parts_sink
        && ngx_media_parts_admit(u, ngx_media_admit_memory) != NGX_OK)
    {
        return;
    }

    if (ngx_media_admit_open(u) != NGX_OK) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }
}


void
ngx_media_quota_params(ngx_media_loc_conf_t *lcf, ngx_media_quota_t *quota,
    ngx_str_t *bytes, ngx_str_t *uploads)
{
    ngx_str_null(bytes);
    ngx_str_null(uploads);

    if (lcf->quota_bytes >= 0) {
        bytes->data = quota->bytes;
        bytes->len = ngx_sprintf(quota->bytes, "%O", lcf->quota_bytes)
                     - quota->bytes;
    }

    if (lcf->quota_uploads >= 0) {
        uploads->data = quota->uploads;
        uploads->len = ngx_sprintf(quota->uploads, "%i", lcf->quota_uploads)
                       - quota->uploads;
    }
}


/* The intent row, before anything is read or sent. */

static ngx_int_t
ngx_media_admit_open(ngx_media_upload_t *u)
{
    u_char            least[NGX_OFF_T_LEN], most[NGX_OFF_T_LEN], hex[64];
    ngx_str_t         p[16];
    ngx_media_ctx_t  *ctx;

    ngx_media_quota_t  quota;

    ngx_memzero(p, sizeof(p));

    p[0] = u->id;
    p[1] = u->owner;
    p[2] = u->key;

    /* a form's name and fields come with it */

    if (u->form == NULL) {
        p[3] = u->name;
        p[4] = u->title;
        p[5] = u->visibility;
    }

    p[6] = u->pipeline;
    p[7] = u->params;

    p[8].data = least;
    p[8].len = ngx_sprintf(least, "%O", u->least) - least;

    if (u->most >= 0) {
        p[9].data = most;
        p[9].len = ngx_sprintf(most, "%O", u->most) - most;
    }

    if (u->want_digest) {
        p[10].data = hex;
        p[10].len = ngx_hex_dump(hex, u->want_sha256, 32) - hex;
    }

    p[11] = u->request_id;
    ngx_str_set(&p[12], "f");

    if (u->no_replace) {
        ngx_str_set(&p[12], "t");
    }

    p[13] = u->idempotency_key;

    ngx_media_quota_params(u->lcf, &quota, &p[14], &p[15]);

    ctx = ngx_media_ctx(u->op.r);
    ctx->phase = "open";

    /* logged after the upload is gone */

    if (ngx_media_strdup(u->op.r->pool, &ctx->media_id, u->id.data, u->id.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    u->query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_OPEN, p,
                                  ngx_media_admit_opened, u);

    return u->query == NULL ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_media_admit_is(ngx_str_t *code, const char *what)
{
    return code->len == ngx_strlen(what)
           && ngx_memcmp(code->data, what, code->len) == 0;
}


static void
ngx_media_admit_opened(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail, members, reserved, id, size, media;

    u->query = NULL;

    if (res->rc != NGX_OK || res->nrows != 1) {

        /* it may have been written after all, or will be: if it is behind what
         * we say now, the janitor sees a row without heart-beat */

        u->opened = res->rc == NGX_ABORT;

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
    detail = ngx_media_pg_value(res, 0, 1);
    members = ngx_media_pg_value(res, 0, 2);
    reserved = ngx_media_pg_value(res, 0, 3);
    id = ngx_media_pg_value(res, 0, 4);
    size = ngx_media_pg_value(res, 0, 5);
    media = ngx_media_pg_value(res, 0, 6);

    u->opened = ngx_media_admit_is(&code, "ok");

    if (u->op.r == NULL) {
        ngx_media_upload_abandon(u);
        return;
    }

    if (ngx_media_admit_is(&code, "replayed")) {
        ngx_media_upload_replayed(u, &id, &media);
        return;
    }

    if (ngx_media_admit_is(&code, "replay")) {
        u->sink = &ngx_media_replay_sink;
        u->replay_size = ngx_atoof(size.data, size.len);

    } else if (u->opened) {
        u->reserve.bytes = ngx_atoof(reserved.data, reserved.len);
        ngx_media_count(NGX_MEDIA_C_UPLOADS_STARTED, 1);

    } else {
        (void) ngx_media_upload_denied(u, &code, &detail, &members);
        return;
    }

    ngx_media_upload_start(u);
}
