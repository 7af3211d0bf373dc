
/*
 * An authorised object on its way out: its row becomes ctx->object, conditions
 * are answered here, bytes come through the named location @media_object.
 */


#include "ngx_media_object.h"
#include "ngx_media_request.h"
#include "media/dash.h"
#include "media/filename.h"
#include "media/hls.h"


#define NGX_MEDIA_DISPOSITION_MAX  2048

/* columns of MEDIA_OBJECT and PLAY_OBJECT */
enum {
    NGX_MEDIA_COL_CODE = 0,
    NGX_MEDIA_COL_DETAIL,
    NGX_MEDIA_COL_KEY,
    NGX_MEDIA_COL_SIZE,
    NGX_MEDIA_COL_ETAG,
    NGX_MEDIA_COL_TYPE,
    NGX_MEDIA_COL_NAME,
    NGX_MEDIA_COL_SHA256,
    NGX_MEDIA_COL_MODIFIED,
    NGX_MEDIA_COL_OUTPUT,
    NGX_MEDIA_COL_PUBLIC
};


static ngx_int_t ngx_media_object_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);
static ngx_int_t ngx_media_object_fill(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, enum ngx_media_serve how,
    ngx_media_object_t *object);
static ngx_int_t ngx_media_object_type(ngx_http_request_t *r,
    ngx_str_t *type, ngx_str_t *out);
static ngx_uint_t ngx_media_object_is(ngx_media_object_t *object,
    const char *type);
static ngx_int_t ngx_media_object_disposition(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, enum ngx_media_serve how,
    ngx_media_object_t *object);
static ngx_int_t ngx_media_object_row(ngx_http_request_t *r,
    ngx_media_object_t *object, ngx_uint_t status);
static ngx_int_t ngx_media_object_unsatisfiable(ngx_http_request_t *r,
    ngx_media_object_t *object);
static ngx_str_t *ngx_media_object_cache(ngx_media_ctx_t *ctx,
    ngx_media_object_t *object);
static ngx_int_t ngx_media_object_digest(ngx_http_request_t *r,
    ngx_media_object_t *object);


static ngx_str_t  ngx_media_object_location = ngx_string("@media_object");
static ngx_str_t  ngx_media_octet_stream =
    ngx_string("application/octet-stream");

static ngx_str_t  ngx_media_cache_private = ngx_string("private, no-cache");
static ngx_str_t  ngx_media_cache_play = ngx_string("private, max-age=60");
static ngx_str_t  ngx_media_cache_fixed[] = {
    ngx_string("private, max-age=31536000, immutable"),
    ngx_string("public, max-age=31536000, immutable")
};
static ngx_str_t  ngx_media_cache_grows[] = {
    ngx_string("private, max-age=4, must-revalidate"),
    ngx_string("public, max-age=4, must-revalidate")
};
static ngx_str_t  ngx_media_nosniff = ngx_string("nosniff");


ngx_int_t
ngx_media_object_serve(ngx_http_request_t *r, enum media_stmt stmt,
    ngx_str_t *params, enum ngx_media_serve how)
{
    /* proxy_pass would announce a body that nobody sends */

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_BAD_REQUEST,
                                      "a download has no request body");
    }

    return ngx_media_query(r, stmt, params, ngx_media_object_answer,
                           (void *) (uintptr_t) how);
}


static ngx_int_t
ngx_media_object_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_int_t            rc;
    ngx_str_t            code, detail;
    ngx_media_ctx_t     *ctx;
    ngx_media_object_t  *object;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (res->nrows == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    code = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_CODE);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
        detail = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_DETAIL);
        return ngx_media_send_code(r, &code, &detail);
    }

    object = ngx_pcalloc(r->pool, sizeof(ngx_media_object_t));
    if (object == NULL
        || ngx_media_object_fill(r, res, (uintptr_t) data, object) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_media_object_conditions(r, object);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_HTTP_NOT_MODIFIED:
        return ngx_media_object_row(r, object, NGX_HTTP_NOT_MODIFIED);

    case NGX_HTTP_PRECONDITION_FAILED:
        return ngx_media_send_problem(r, MEDIA_PROBLEM_PRECONDITION_FAILED,
                                      NULL);

    case NGX_HTTP_RANGE_NOT_SATISFIABLE:
        return ngx_media_object_unsatisfiable(r, object);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_media_s3_cred_usable(object->store->cred)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_STORAGE_UNAVAILABLE,
                                      NULL);
    }

    ngx_media_count(NGX_MEDIA_C_DOWNLOADS, 1);

    ctx->phase = "serve";

    if (r->method == NGX_HTTP_HEAD || object->size == 0) {
        return ngx_media_object_row(r, object, NGX_HTTP_OK);
    }

    if (ngx_media_hold(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    object->http_version = r->http_version;
    object->jump = 1;
    ctx->object = object;

    return ngx_http_named_location(r, &ngx_media_object_location);
}


static ngx_int_t
ngx_media_object_fill(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    enum ngx_media_serve how, ngx_media_object_t *object)
{
    int64_t                 size, modified;
    ngx_str_t               v;
    ngx_media_main_conf_t  *mcf;

    mcf = ngx_media_main_conf(r);

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_KEY);
    if (v.len == 0
        || ngx_media_strdup(r->pool, &object->key, v.data, v.len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    object->store = &mcf->s3[media_objkey_store(ngx_media_view(&v))];

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_ETAG);
    if (ngx_media_strdup(r->pool, &object->etag, v.data, v.len) != NGX_OK) {
        return NGX_ERROR;
    }

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_SHA256);
    if (ngx_media_strdup(r->pool, &object->sha256, v.data, v.len) != NGX_OK) {
        return NGX_ERROR;
    }

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_TYPE);
    if (ngx_media_object_type(r, &v, &object->content_type) != NGX_OK) {
        return NGX_ERROR;
    }

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_SIZE);
    if (media_str_to_i64(ngx_media_view(&v), &size) != 0) {
        return NGX_ERROR;
    }

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_MODIFIED);
    if (media_str_to_i64(ngx_media_view(&v), &modified) != 0) {
        return NGX_ERROR;
    }

    object->size = size;
    object->modified = modified;

    /* segments of a run */
    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_OUTPUT);
    object->fixed = v.len > 5 && ngx_strncmp(v.data, "cmaf/", 5) == 0;

    object->grows = ngx_media_object_is(object, MEDIA_HLS_TYPE)
                    || ngx_media_object_is(object, MEDIA_DASH_TYPE);

    v = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_PUBLIC);
    object->shared = v.len == 1 && v.data[0] == 't';
    object->asked = v.data == NULL;

    return ngx_media_object_disposition(r, res, how, object);
}


/* The type is the uploader's word: nothing that could end a header line. */

static ngx_int_t
ngx_media_object_type(ngx_http_request_t *r, ngx_str_t *type, ngx_str_t *out)
{
    size_t  i;

    for (i = 0; i < type->len; i++) {
        if (type->data[i] < 0x20 || type->data[i] >= 0x7f) {
            break;
        }
    }

    if (type->len == 0 || i < type->len) {
        *out = ngx_media_octet_stream;
        return NGX_OK;
    }

    return ngx_media_strdup(r->pool, out, type->data, type->len);
}


static ngx_uint_t
ngx_media_object_is(ngx_media_object_t *object, const char *type)
{
    return object->content_type.len == ngx_strlen(type)
           && ngx_strncasecmp(object->content_type.data, (u_char *) type,
                              object->content_type.len)
              == 0;
}


/* Shown in the browser: sound, video and pictures made by us, and what players
 * read beside them, in types that carry no script. Everything else is saved. */

static ngx_int_t
ngx_media_object_disposition(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, enum ngx_media_serve how,
    ngx_media_object_t *object)
{
    char         text[NGX_MEDIA_DISPOSITION_MAX];
    u_char      *type;
    size_t       len;
    ssize_t      n;
    ngx_str_t    name, output;
    ngx_uint_t   original, safe;
    media_str_t  ext;

    name = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_NAME);
    output = ngx_media_pg_value(res, 0, NGX_MEDIA_COL_OUTPUT);

    original = media_str_eq(ngx_media_view(&output), MEDIA_STR("original"));

    ext = MEDIA_STR("");

    if (!original) {
        for (len = output.len; len > 1; len--) {
            if (output.data[len - 1] == '.') {
                ext.p = (char *) output.data + len - 1;
                ext.len = output.len - (len - 1);
                break;
            }
        }
    }

    type = object->content_type.data;
    len = object->content_type.len;

    safe = (len > 6 && (ngx_strncasecmp(type, (u_char *) "audio/", 6) == 0
                        || ngx_strncasecmp(type, (u_char *) "video/", 6) == 0
                        || ngx_strncasecmp(type, (u_char *) "image/", 6) == 0))
           && !(len >= 9
                && ngx_strncasecmp(type, (u_char *) "image/svg", 9) == 0);

    safe = safe || object->grows || ngx_media_object_is(object, "text/vtt");

    n = media_content_disposition(
                       (safe && !original && how != NGX_MEDIA_SERVE_DOWNLOAD)
                       ? "inline" : "attachment",
                       ngx_media_view(&name), ext, text, sizeof(text));
    if (n < 0) {
        return NGX_ERROR;
    }

    return ngx_media_strdup(r->pool, &object->disposition, text, n);
}


/* What needs no byte of the object needs no request to S3: 304, HEAD, an empty
 * one (of which S3 has no slice). */

static ngx_int_t
ngx_media_object_row(ngx_http_request_t *r, ngx_media_object_t *object,
    ngx_uint_t status)
{
    ngx_int_t  rc;

    if (ngx_media_object_headers(r, object) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;
    r->headers_out.status_line.len = 0;

    if (status == NGX_HTTP_OK) {
        r->headers_out.content_type = object->content_type;
        r->headers_out.content_type_len = object->content_type.len;
        r->headers_out.content_length_n = object->size;
        r->allow_ranges = 1;

    } else {
        r->headers_out.content_type.len = 0;
        ngx_http_clear_content_length(r);
        ngx_http_clear_accept_ranges(r);
    }

    r->header_only = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    return ngx_http_send_special(r, NGX_HTTP_LAST);
}


static ngx_int_t
ngx_media_object_unsatisfiable(ngx_http_request_t *r,
    ngx_media_object_t *object)
{
    ngx_str_t  range;

    range.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN + sizeof("bytes */"));
    if (range.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    range.len = ngx_sprintf(range.data, "bytes */%O", object->size)
                - range.data;

    if (ngx_media_add_header(r, "Content-Range", &range) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_RANGE_NOT_SATISFIABLE,
                                  "the object has %O bytes", object->size);
}


ngx_int_t
ngx_media_object_headers(ngx_http_request_t *r, ngx_media_object_t *object)
{
    ngx_str_t         etag;
    ngx_media_ctx_t  *ctx;
    ngx_table_elt_t  *h;

    ctx = ngx_media_ctx(r);

    etag.len = object->etag.len + 2;
    etag.data = ngx_pnalloc(r->pool, etag.len);
    if (ctx == NULL || etag.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(etag.data, "\"%V\"", &object->etag);

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "ETag");
    h->value = etag;

    r->headers_out.etag = h;

    r->headers_out.last_modified_time = object->modified;

    if (ngx_media_add_header(r, "Cache-Control",
                             ngx_media_object_cache(ctx, object))
           != NGX_OK
        || ngx_media_add_header(r, "Content-Disposition",
                                &object->disposition)
           != NGX_OK
        || ngx_media_add_header(r, "X-Content-Type-Options",
                                &ngx_media_nosniff)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_media_object_digest(r, object);
}


void
ngx_media_object_failed(ngx_http_request_t *r, ngx_media_object_t *object,
    const char *cause, ngx_uint_t status)
{
    ngx_str_t  id;

    if (object->failed) {
        return;
    }

    object->failed = 1;
    ngx_media_count(NGX_MEDIA_C_S3_ERRORS, 1);

    ngx_str_null(&id);
    (void) ngx_media_request_id(r, &id);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "media s3 failed: download key=%V status=%ui cause=\"%s\" "
                  "req=%V", &object->key, status, cause, &id);
}


/* A segment is the same for ever; a playlist leads to more of them once another
 * rung is done, and is asked for again when a player comes back. What is masked
 * may have to be masked better: nobody shows it without asking. */

static ngx_str_t *
ngx_media_object_cache(ngx_media_ctx_t *ctx, ngx_media_object_t *object)
{
    ngx_uint_t  shared;

    shared = object->shared && ctx->query_tokens == 0;

    if (object->asked) {
        return &ngx_media_cache_private;
    }

    if (object->fixed) {
        return &ngx_media_cache_fixed[shared];
    }

    if (object->grows) {
        return &ngx_media_cache_grows[shared];
    }

    return ctx->play ? &ngx_media_cache_play : &ngx_media_cache_private;
}


/* RFC 9530: of the whole representation, whatever range is sent */

static ngx_int_t
ngx_media_object_digest(ngx_http_request_t *r, ngx_media_object_t *object)
{
    char       base64[64], text[96];
    ssize_t    n;
    uint8_t    sha256[32];
    ngx_str_t  value;

    n = media_hex_decode(ngx_media_view(&object->sha256), sha256,
                         sizeof(sha256));
    if (n != sizeof(sha256)) {
        return NGX_OK;
    }

    if (media_b64_encode(sha256, sizeof(sha256), base64, sizeof(base64)) < 0)
    {
        return NGX_ERROR;
    }

    n = ngx_snprintf((u_char *) text, sizeof(text), "sha-256=:%s:", base64)
        - (u_char *) text;

    if (ngx_media_strdup(r->pool, &value, text, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_add_header(r, "Repr-Digest", &value);
}
