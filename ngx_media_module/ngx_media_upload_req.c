
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
static ngx_uint_t ngx_media_upload_type_possible(ngx_media_upload_t *u);
static ngx_int_t ngx_media_upload_text(ngx_media_upload_t *u,
    ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_media_upload_args(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_name(ngx_media_upload_t *u,
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


/* A problem while nothing was begun: sent here, u->answer ends the request. */
#define ngx_media_refuse(...)                                                 \
    do {                                                                      \
        u->answer = ngx_media_send_problem(__VA_ARGS__);                      \
        return NGX_DONE;                                                      \
    } while (0)


ngx_int_t
ngx_media_upload_parse(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_media_ctx_t  *ctx;
    ngx_table_elt_t  *h;

    static ngx_str_t  pipeline = ngx_string("pipeline");

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

    h = ngx_media_header_in(r, "x-media-pipeline", NULL);

    if (h != NULL) {
        rc = ngx_media_upload_text(u, r, &pipeline, &h->value);
        if (rc != NGX_OK) {
            return rc;
        }
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

    if (!ngx_media_upload_type_possible(u)) {
        ngx_media_refuse(r, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                         "%V is not accepted here", &u->type);
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


/* What contradicts every accepted type need not be read. */

static ngx_uint_t
ngx_media_upload_type_possible(ngx_media_upload_t *u)
{
    ngx_str_t      *type;
    ngx_uint_t      i;
    media_str_t     declared;
    media_sniff_t   accepted;

    if (u->lcf->types == NULL) {
        return 1;
    }

    type = u->lcf->types->elts;
    declared = ngx_media_view(&u->type);
    accepted.content_type = NULL;

    for (i = 0; i < u->lcf->types->nelts; i++) {

        accepted.family =
            ngx_strncasecmp(type[i].data, (u_char *) "video/", 6) == 0
            ? MEDIA_FAMILY_VIDEO
            : ngx_strncasecmp(type[i].data, (u_char *) "audio/", 6) == 0
            ? MEDIA_FAMILY_AUDIO
            : ngx_strncasecmp(type[i].data, (u_char *) "image/", 6) == 0
            ? MEDIA_FAMILY_IMAGE : MEDIA_FAMILY_UNKNOWN;

        if (!media_sniff_lies(declared, &accepted)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_media_upload_visibility(ngx_str_t *value)
{
    ngx_uint_t  i;

    static ngx_str_t  known[] = {
        ngx_string("private"), ngx_string("unlisted"), ngx_string("public")
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].len == value->len
            && ngx_memcmp(known[i].data, value->data, value->len) == 0)
        {
            return 1;
        }
    }

    return 0;
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

    if (f->offset == offsetof(ngx_media_upload_t, visibility)
        && !ngx_media_upload_visibility(value))
    {
        *why = "must be private, unlisted or public";
        return NGX_ABORT;
    }

    if (ngx_media_strdup(u->pool, (ngx_str_t *) ((u_char *) u + f->offset),
                         value->data, value->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The same, of the request line and headers. */

static ngx_int_t
ngx_media_upload_text(ngx_media_upload_t *u, ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_int_t    rc;
    const char  *why;

    rc = ngx_media_upload_set(u, name, value, &why);

    if (rc == NGX_DECLINED) {
        ngx_media_refuse(r, MEDIA_PROBLEM_UNKNOWN_FIELD,
                         "query argument \"%V\" is unknown", name);
    }

    if (rc == NGX_ABORT) {
        ngx_media_refuse(r, MEDIA_PROBLEM_PARAMS_INVALID, "%V: %s", name,
                         why);
    }

    return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_media_upload_args(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    size_t      pos;
    ngx_int_t   rc;
    ngx_str_t   name, value;

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

        if (u->form == NULL && r->method == NGX_HTTP_POST && name.len == 4
            && ngx_strncmp(name.data, "name", 4) == 0)
        {
            if (ngx_media_strdup(u->pool, &u->name, value.data, value.len)
                != NGX_OK)
            {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            continue;
        }

        rc = ngx_media_upload_text(u, r, &name, &value);
        if (rc != NGX_OK) {
            return rc;
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
    char              name[MEDIA_MP_FILENAME_MAX + 1];

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


ngx_int_t
ngx_media_upload_field(ngx_media_upload_t *u, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t    rc;
    const char  *why;

    if (name->len == 6 && ngx_strncmp(name->data, "sha256", 6) == 0) {
        return ngx_media_upload_hex_digest(u, ngx_media_view(value));
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

    return ev->sha256.p == NULL ? NGX_OK
                                : ngx_media_upload_hex_digest(u, ev->sha256);
}
