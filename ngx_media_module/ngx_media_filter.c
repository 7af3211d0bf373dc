
/*
 * Header filter: every answer of our locations carries X-Request-Id, and an
 * object that comes from S3 carries the headers of its row instead of S3's.
 * It is the last filter installed, so it sees the headers before core's own
 * filters (ranges, conditions, compression) do.
 */


#include "ngx_media_object.h"
#include "ngx_media_request.h"
#include "ngx_media_var.h"


static ngx_int_t ngx_media_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_media_filter_wanted(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);
static ngx_int_t ngx_media_filter_object(ngx_http_request_t *r,
    ngx_media_object_t *object);
static void ngx_media_filter_strip(ngx_http_request_t *r);
static ngx_int_t ngx_media_filter_request_id(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_media_next_header_filter;

/* of S3's headers the client sees no others; nginx writes Content-Type,
 * Content-Length and Last-Modified from fields of its own */
static ngx_str_t  ngx_media_kept_headers[] = {
    ngx_string("Content-Range"),
    ngx_string("Accept-Ranges"),
    ngx_null_string
};


ngx_int_t
ngx_media_add_header_filter(ngx_conf_t *cf)
{
    ngx_media_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_media_header_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_media_header_filter(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_media_ctx_t  *ctx;

    if (r != r->main) {
        return ngx_media_next_header_filter(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);

    if (!ngx_media_filter_wanted(r, ctx)) {
        return ngx_media_next_header_filter(r);
    }

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->object && r->upstream && !r->err_status
        && ctx->object->loc_conf == r->loc_conf)
    {
        rc = ngx_media_filter_object(r, ctx->object);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ngx_media_filter_request_id(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_next_header_filter(r);
}


/* Our locations, and where a redirect out of them has led. */

static ngx_uint_t
ngx_media_filter_wanted(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    ngx_media_loc_conf_t  *mlcf;

    mlcf = ngx_media_loc_conf(r);

    if (mlcf->enabled || mlcf->problem
        || mlcf->auth == NGX_MEDIA_AUTH_ON
        || mlcf->auth == NGX_MEDIA_AUTH_OPTIONAL)
    {
        return 1;
    }

    if (ctx == NULL && r->internal) {
        ctx = ngx_media_ctx(r);
    }

    return ctx && (ctx->request_id.len || ctx->object);
}


static ngx_int_t
ngx_media_filter_object(ngx_http_request_t *r, ngx_media_object_t *object)
{
    ngx_table_elt_t  *h;

    if (r->headers_out.status != NGX_HTTP_OK
        && r->headers_out.status != NGX_HTTP_PARTIAL_CONTENT)
    {
        /* no XML of S3's for the client; a missing object was deleted between
         * the look at its row and now. What is sent instead comes through
         * here, too. */

        object->loc_conf = NULL;

        return ngx_http_filter_finalize_request(r, &ngx_http_media_module,
                         (r->headers_out.status == NGX_HTTP_NOT_FOUND)
                         ? NGX_HTTP_NOT_FOUND : NGX_HTTP_BAD_GATEWAY);
    }

    ngx_media_filter_strip(r);

    ngx_http_clear_etag(r);
    ngx_http_clear_last_modified(r);

    r->headers_out.content_type = object->content_type;
    r->headers_out.content_type_len = object->content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);

    if (r->headers_out.accept_ranges == NULL && !r->allow_ranges) {

        /* known to core by its pointer: the slice filter takes it back */

        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));
        h->hash = 1;
        ngx_str_set(&h->key, "Accept-Ranges");
        ngx_str_set(&h->value, "bytes");

        r->headers_out.accept_ranges = h;
    }

    return ngx_media_object_headers(r, object);
}


static void
ngx_media_filter_strip(ngx_http_request_t *r)
{
    ngx_str_t        *name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (name = ngx_media_kept_headers; name->len; name++) {
                if (h[i].key.len == name->len
                    && ngx_strncasecmp(h[i].key.data, name->data, name->len)
                       == 0)
                {
                    break;
                }
            }

            if (name->len == 0) {
                h[i].hash = 0;
            }
        }
    }
}


/* An upstream behind media_auth may have answered with one of its own. */

static ngx_int_t
ngx_media_filter_request_id(ngx_http_request_t *r)
{
    ngx_str_t         id;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("X-Request-Id");

    if (ngx_media_request_id(r, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == name.len
                && ngx_strncasecmp(h[i].key.data, name.data, name.len) == 0)
            {
                h[i].hash = 0;
            }
        }
    }

    return ngx_media_add_header(r, "X-Request-Id", &id);
}
