
/*
 * What the client wants: whose upload it is, in which form the bytes come and
 * how many, what the headers say. All of it can be refused before the first
 * body byte; what describes the file is in ngx_media_upload_field.c.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_upload_body_kind(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_form(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_raw(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_uint_t ngx_media_upload_type_possible(ngx_media_upload_t *u);


ngx_int_t
ngx_media_upload_parse(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_media_ctx_t  *ctx;

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

    if (rc == NGX_OK) {
        rc = ngx_media_upload_describe(u, r);
    }

    if (rc == NGX_OK) {
        rc = ngx_media_upload_digest(u, r);
    }

    return rc == NGX_OK ? ngx_media_upload_key(u, r) : rc;
}


/* Form or raw, how long, which sink. */

static ngx_int_t
ngx_media_upload_body_kind(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t  rc;

    u->declared = -1;
    u->most = -1;
    u->sink = &ngx_media_parts_sink;

    rc = ngx_media_upload_form(u, r);

    return rc == NGX_DECLINED ? ngx_media_upload_raw(u, r) : rc;
}


/* NGX_DECLINED: it is none. */

static ngx_int_t
ngx_media_upload_form(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    int           rc;
    off_t         max;
    media_str_t   view;
    media_err_t   err;
    char          boundary[MEDIA_MP_BOUNDARY_MAX + 1];

    if (r->headers_in.content_type == NULL || r->method != NGX_HTTP_POST) {
        return NGX_DECLINED;
    }

    rc = media_multipart_boundary(
                        ngx_media_view(&r->headers_in.content_type->value),
                        boundary, sizeof(boundary), &err);

    if (rc == MEDIA_E_REJECT) {
        ngx_media_refuse(r, MEDIA_PROBLEM_FORM_INVALID, "%s", err.text);
    }

    if (rc != 0) {
        return NGX_DECLINED;
    }

    if (r->headers_in.content_length_n >= 0) {

        /* the file is nearly as long as the form: enough to refuse it early */

        u->most = r->headers_in.content_length_n;
        u->least = ngx_max(u->most - NGX_MEDIA_FORM_MAX, 0);
        max = u->mcf->parts_total;

        if (u->lcf->max_size != 0) {
            max = ngx_min(max, u->lcf->max_size);
        }

        if (u->least > max) {
            ngx_media_problem_limit(r, max);
            ngx_media_refuse(r, MEDIA_PROBLEM_TOO_LARGE,
                             "a form of %O bytes holds a larger file than the "
                             "%O allowed", u->most, max);
        }
    }

    view.p = boundary;
    view.len = ngx_strlen(boundary);

    return media_multipart_new(view, &u->form) == 0
           ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_media_upload_raw(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    off_t       max;
    ngx_str_t  *type;

    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : NULL;

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
    u->least = u->declared;
    u->most = u->declared;

    max = MEDIA_OBJECT_MAX;

    if (u->s3->payload != NGX_MEDIA_S3_SIGNED) {
        u->sink = &ngx_media_stream_sink;

    } else {
        max = u->mcf->parts_total;
    }

    if (u->lcf->max_size != 0) {
        max = ngx_min(max, u->lcf->max_size);
    }

    if (u->declared > max) {
        ngx_media_problem_limit(r, max);
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

    for (i = 0; i < u->lcf->types->nelts; i++) {

        accepted.family =
            ngx_strncasecmp(type[i].data, (u_char *) "video/", 6) == 0
            ? MEDIA_FAMILY_VIDEO
            : ngx_strncasecmp(type[i].data, (u_char *) "audio/", 6) == 0
            ? MEDIA_FAMILY_AUDIO
            : ngx_strncasecmp(type[i].data, (u_char *) "image/", 6) == 0
            ? MEDIA_FAMILY_IMAGE : MEDIA_FAMILY_UNKNOWN;

        /* the one of its family about which least can be said */

        accepted.content_type = accepted.family == MEDIA_FAMILY_VIDEO
                                ? "video/mp4" : "audio/mp4";

        if (!media_sniff_lies(declared, &accepted)) {
            return 1;
        }
    }

    return 0;
}
