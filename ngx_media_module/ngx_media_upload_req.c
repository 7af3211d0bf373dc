
/*
 * What the client wants: the request line, headers and form fields of an
 * upload. Everything that can be refused before the first body byte is.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include "media/filename.h"
#include "media/json.h"


#define NGX_MEDIA_TITLE_MAX   4096
#define NGX_MEDIA_PARAMS_MAX  16384


static ngx_int_t ngx_media_upload_body_kind(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_args(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_name(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_digest(ngx_media_upload_t *u,
    ngx_http_request_t *r);


/* The text fields an upload may carry, as form fields or query arguments. */

typedef struct {
    ngx_str_t                   name;
    size_t                      max;
    size_t                      offset;
} ngx_media_field_t;


static ngx_media_field_t  ngx_media_fields[] = {
    { ngx_string("pipeline"), 64,
      offsetof(ngx_media_upload_t, pipeline) },
    { ngx_string("title"), NGX_MEDIA_TITLE_MAX,
      offsetof(ngx_media_upload_t, title) },
    { ngx_string("visibility"), 16,
      offsetof(ngx_media_upload_t, visibility) },
    { ngx_string("params"), NGX_MEDIA_PARAMS_MAX,
      offsetof(ngx_media_upload_t, params) },
    { ngx_null_string, 0, 0 }
};


/* A problem while nothing was begun: sent by the content handler. */
#define ngx_media_refuse  return ngx_media_send_problem


ngx_int_t
ngx_media_upload_parse(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    ngx_media_ctx_t  *ctx;
    ngx_table_elt_t  *h;

    ctx = ngx_media_ctx(r);
    ctx->phase = "admit";

    if (ngx_media_strdup(u->pool, &u->owner, ctx->sub.data, ctx->sub.len)
        != NGX_OK
        || ngx_media_strdup(u->pool, &u->request_id, ctx->request_id.data,
                            ctx->request_id.len)
           != NGX_OK
        || ngx_media_strdup(u->pool, &u->pipeline, u->lcf->pipeline.data,
                            u->lcf->pipeline.len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->traceparent.len != 0
        && ngx_media_strdup(u->pool, &u->traceparent, ctx->traceparent.data,
                            ctx->traceparent.len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_media_upload_body_kind(u, r);
    if (rc != NGX_OK) {
        return rc;
    }

    h = ngx_media_header_in(r, "x-media-pipeline", &n);

    if (h != NULL
        && ngx_media_strdup(u->pool, &u->pipeline, h->value.data,
                            h->value.len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_media_upload_args(u, r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_media_upload_digest(u, r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_media_upload_name(u, r);
}


/* Form or raw, how long, which sink. */

static ngx_int_t
ngx_media_upload_body_kind(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    int               rc;
    off_t             max;
    ngx_str_t        *type;
    media_str_t       view;
    media_err_t       err;
    char              boundary[MEDIA_MP_BOUNDARY_MAX + 1];

    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : NULL;
    u->declared = -1;
    u->sink = &ngx_media_parts_sink;

    if (type != NULL && r->method == NGX_HTTP_POST) {
        view.p = (char *) type->data;
        view.len = type->len;

        rc = media_multipart_boundary(view, boundary, sizeof(boundary), &err);

        if (rc == MEDIA_E_REJECT) {
            ngx_media_refuse(r, MEDIA_PROBLEM_FORM_INVALID, "%s", err.text);
        }

        if (rc == 0) {
            view.p = boundary;
            view.len = ngx_strlen(boundary);

            if (media_multipart_new(view, &u->form) != 0) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            return NGX_OK;
        }
    }

    if (type != NULL
        && ngx_media_strdup(u->pool, &u->type, type->data, type->len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->headers_in.content_length_n < 0) {

        if (!r->headers_in.chunked && r->http_version < NGX_HTTP_VERSION_20) {
            ngx_media_refuse(r, MEDIA_PROBLEM_LENGTH_REQUIRED,
                             "send Content-Length or "
                             "Transfer-Encoding: chunked");
        }

        return NGX_OK;
    }

    u->declared = r->headers_in.content_length_n;

    max = NGX_MEDIA_OBJECT_MAX;

    if (u->mcf->s3.payload != NGX_MEDIA_S3_SIGNED) {
        u->sink = &ngx_media_stream_sink;

    } else {
        max = ngx_min(max, NGX_MEDIA_PARTS_MAX * (off_t) u->mcf->part_size);
    }

    if (u->lcf->max_size != 0) {
        max = ngx_min(max, u->lcf->max_size);
    }

    if (u->declared > max) {
        ngx_media_refuse(r, MEDIA_PROBLEM_TOO_LARGE,
                         "%O bytes are more than the %O allowed",
                         u->declared, max);
    }

    return NGX_OK;
}


/* NGX_OK: taken; NGX_DECLINED: no such field; NGX_ABORT: bad value, *why. */

static ngx_int_t
ngx_media_upload_set(ngx_media_upload_t *u, ngx_str_t *name, ngx_str_t *value,
    const char **why)
{
    json_t             *json;
    media_str_t         view;
    media_err_t         err;
    ngx_media_field_t  *f;

    *why = NULL;

    for (f = ngx_media_fields; f->name.len != 0; f++) {
        if (f->name.len == name->len
            && ngx_memcmp(f->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (f->name.len == 0) {
        return NGX_DECLINED;
    }

    view.p = (char *) value->data;
    view.len = value->len;

    if (value->len > f->max) {
        *why = "is too long";
        return NGX_ABORT;
    }

    if (!media_utf8_valid(view)
        || ngx_strlchr(value->data, value->data + value->len, '\0') != NULL)
    {
        *why = "is not UTF-8 text";
        return NGX_ABORT;
    }

    if (f->offset == offsetof(ngx_media_upload_t, params)) {

        if (media_json_parse(view, &json, &err) != 0) {
            *why = "is not a JSON object";
            return NGX_ABORT;
        }

        json_decref(json);
    }

    if (ngx_media_strdup(u->pool, (ngx_str_t *) ((u_char *) u + f->offset),
                         value->data, value->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_upload_args(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    size_t       pos;
    ngx_int_t    rc;
    ngx_str_t    name, value;
    const char  *why;

    pos = 0;

    for ( ;; ) {
        rc = ngx_media_args_next(r, &pos, &name, &value);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                             "a query argument is not UTF-8 text");
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (u->form == NULL && name.len == 4
            && ngx_strncmp(name.data, "name", 4) == 0)
        {
            if (ngx_media_strdup(u->pool, &u->name, value.data, value.len)
                != NGX_OK)
            {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            continue;
        }

        rc = ngx_media_upload_set(u, &name, &value, &why);

        if (rc == NGX_DECLINED) {
            ngx_media_refuse(r, MEDIA_PROBLEM_UNKNOWN_FIELD,
                             "query argument \"%V\" is unknown", &name);
        }

        if (rc == NGX_ABORT) {
            ngx_media_refuse(r, MEDIA_PROBLEM_PARAMS_INVALID, "%V: %s", &name,
                             why);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
}


/* Keeps the cleaned form of a client's file name. */

static ngx_int_t
ngx_media_upload_clean(ngx_media_upload_t *u, media_str_t raw)
{
    ssize_t  n;
    char     name[MEDIA_FILENAME_MAX + 1];

    n = media_filename_clean(raw, name, sizeof(name));

    return n < 0 ? NGX_ERROR : ngx_media_strdup(u->pool, &u->name, name, n);
}


static ngx_int_t
ngx_media_upload_name(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ssize_t           n;
    media_str_t       raw;
    ngx_table_elt_t  *h;
    char              name[MEDIA_MP_FILENAME_MAX];

    raw.p = (char *) u->name.data;
    raw.len = u->name.len;

    if (r->method == NGX_HTTP_PUT) {
        raw.p = (char *) r->uri.data + sizeof("/upload/") - 1;
        raw.len = r->uri.len - (sizeof("/upload/") - 1);

        h = ngx_media_header_in(r, "if-none-match", NULL);

        u->no_replace = h != NULL && h->value.len == 1
                        && h->value.data[0] == '*';

    } else if (raw.len == 0 && u->form == NULL) {
        h = ngx_media_header_in(r, "content-disposition", NULL);

        if (h != NULL) {
            raw.p = (char *) h->value.data;
            raw.len = h->value.len;

            n = media_content_disposition_parse(raw, name, sizeof(name));

            raw.p = name;
            raw.len = n < 0 ? 0 : n;
        }
    }

    if (ngx_media_upload_clean(u, raw) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/* Content-Digest and Repr-Digest (RFC 9530) of a raw body: sha-256=:base64:
 * among others. Both speak of the same bytes here. */

static ngx_int_t
ngx_media_upload_digest(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    u_char           *p, *last, *end;
    ngx_uint_t        i;
    media_str_t       b64;
    ngx_table_elt_t  *h;

    static const char  *names[] = { "content-digest", "repr-digest" };

    if (u->form != NULL) {
        return NGX_OK;
    }

    for (i = 0; i < 2; i++) {
        h = ngx_media_header_in(r, names[i], NULL);

        if (h == NULL) {
            continue;
        }

        p = ngx_strlcasestrn(h->value.data, h->value.data + h->value.len,
                             (u_char *) "sha-256=:", 9 - 1);
        if (p == NULL) {
            continue;
        }

        p += 9;
        last = h->value.data + h->value.len;
        end = ngx_strlchr(p, last, ':');

        b64.p = (char *) p;
        b64.len = end ? end - p : 0;

        if (media_b64_decode(b64, u->want_sha256, 32) != 32) {
            ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                             "%s: sha-256 is not 32 bytes in base64",
                             names[i]);
        }

        u->want_digest = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_field(ngx_media_upload_t *u, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t    rc;
    const char  *why;
    media_str_t  hex;

    if (name->len == 6 && ngx_strncmp(name->data, "sha256", 6) == 0) {
        hex.p = (char *) value->data;
        hex.len = value->len;

        if (media_hex_decode(hex, u->want_sha256, 32) != 32) {
            return ngx_media_upload_fail(u, MEDIA_PROBLEM_PARAMS_INVALID,
                                         "sha256: is not 64 hex digits");
        }

        u->want_digest = 1;
        return NGX_OK;
    }

    rc = ngx_media_upload_set(u, name, value, &why);

    if (rc == NGX_DECLINED) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_UNKNOWN_FIELD,
                                     "form field \"%V\" is unknown", name);
    }

    if (rc == NGX_ABORT) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_PARAMS_INVALID,
                                     "%V: %s", name, why);
    }

    if (rc != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_file(ngx_media_upload_t *u, media_mp_event_t *ev)
{
    if (ngx_media_upload_clean(u, ev->filename) != NGX_OK
        || ngx_media_strdup(u->pool, &u->type, ev->content_type.p,
                            ev->content_type.len)
           != NGX_OK)
    {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return NGX_OK;
}
