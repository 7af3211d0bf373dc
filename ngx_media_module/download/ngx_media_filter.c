
/*
 * Header filter: every answer of our locations carries X-Request-Id (those of
 * playback also say which pages may read them, and hide their address), and an
 * object that comes from S3 carries the headers of its row instead of S3's.
 * It is the last filter installed, so it sees the headers before core's own
 * filters (ranges, conditions, compression) do.
 */


#include "ngx_media_cors.h"
#include "ngx_media_object.h"
#include "ngx_media_request.h"
#include "ngx_media_var.h"


static ngx_int_t ngx_media_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_media_filter_wanted(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);
static ngx_int_t ngx_media_filter_slice(ngx_http_request_t *r);
static ngx_int_t ngx_media_filter_object(ngx_http_request_t *r,
    ngx_media_object_t *object);
static const char *ngx_media_filter_fault(ngx_http_request_t *r,
    ngx_media_object_t *object);
static ngx_int_t ngx_media_filter_accept_ranges(ngx_http_request_t *r);
static void ngx_media_filter_strip(ngx_http_request_t *r);
static ngx_int_t ngx_media_filter_request_id(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_media_next_header_filter;

static ngx_str_t  ngx_media_filter_private = ngx_string("private");
static ngx_str_t  ngx_media_filter_no_referrer = ngx_string("no-referrer");


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
        return ngx_media_filter_slice(r);
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

    if (ngx_media_filter_request_id(r) != NGX_OK
        || ngx_media_cors_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->play
        && ngx_media_add_header(r, "Referrer-Policy",
                                &ngx_media_filter_no_referrer)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the URL let it through: no shared cache may answer it (RFC 6750 2.3) */

    if (ctx->query_tokens
        && ngx_media_add_header(r, "Cache-Control", &ngx_media_filter_private)
           != NGX_OK)
    {
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


/* The slices of an object after the first are subrequests of nginx's slice
 * module, their bytes go where the first one's went. So nothing but the same
 * object may come out of them: else the connection is closed, early enough for
 * the client to see. */

static ngx_int_t
ngx_media_filter_slice(ngx_http_request_t *r)
{
    const char          *fault;
    ngx_media_ctx_t     *ctx;
    ngx_media_object_t  *object;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_media_module);

    if (ctx == NULL || ctx->object == NULL || !r->main->header_sent) {
        return ngx_media_next_header_filter(r);
    }

    object = ctx->object;
    fault = NULL;

    if (r->err_status) {
        fault = "an error";

    } else if (r->upstream && object->loc_conf == r->loc_conf) {
        fault = ngx_media_filter_fault(r, object);
    }

    if (fault) {
        ngx_media_object_failed(r, object, fault, r->headers_out.status);
        return NGX_ERROR;
    }

    if (r->upstream && object->loc_conf == r->loc_conf) {
        ngx_media_slice_begin(r, object);
    }

    return ngx_media_next_header_filter(r);
}


static ngx_int_t
ngx_media_filter_object(ngx_http_request_t *r, ngx_media_object_t *object)
{
    const char  *fault;

    fault = ngx_media_filter_fault(r, object);

    if (fault) {
        ngx_media_object_failed(r, object, fault, r->headers_out.status);

        /* no XML of S3's for the client. What is sent instead comes through
         * here, too. What is no HTTP proxy_pass takes for HTTP/0.9. */

        object->loc_conf = NULL;

        if (r->http_version < NGX_HTTP_VERSION_10) {
            r->http_version = object->http_version;
        }

        return ngx_http_filter_finalize_request(r, &ngx_http_media_module,
                                                NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    ngx_media_filter_strip(r);

    ngx_http_clear_etag(r);
    ngx_http_clear_last_modified(r);

    r->headers_out.content_type = object->content_type;
    r->headers_out.content_type_len = object->content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);

    if (ngx_media_filter_accept_ranges(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_object_headers(r, object);
}


/* What is wrong about an answer of S3's; NULL for a 200 with all of the row's
 * object or a 206 with a part of it, where the client's part begins. */

static const char *
ngx_media_filter_fault(ngx_http_request_t *r, ngx_media_object_t *object)
{
    off_t             first, last, size, want;
    ngx_table_elt_t  *h;

    switch (r->headers_out.status) {

    case NGX_HTTP_OK:
        if (r->headers_out.content_length_n != object->size) {
            return "another size";
        }
        break;

    case NGX_HTTP_PARTIAL_CONTENT:
        h = r->headers_out.content_range;

        if (h == NULL
            || ngx_media_content_range(&h->value, &first, &last, &size)
               != NGX_OK
            || size != object->size
            || r->headers_out.content_length_n != last - first + 1)
        {
            return "another range";
        }

        want = (r == r->main) ? object->first : first;

        if (first > want || last < want) {
            return "another range";
        }

        break;

    default:
        return "another status";
    }

    h = r->headers_out.etag;

    if (h && (h->value.len != object->etag.len + 2
              || h->value.data[0] != '"'
              || ngx_strncmp(h->value.data + 1, object->etag.data,
                             object->etag.len)
                 != 0))
    {
        return "another ETag";
    }

    return NULL;
}


/* Exactly one Accept-Ranges. The range filter writes its own where it makes
 * ranges and none was asked for; the slice filter, which sets allow_ranges only
 * later, takes ours back by its pointer for that. */

static ngx_int_t
ngx_media_filter_accept_ranges(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    r->headers_out.accept_ranges = NULL;

    if (r->headers_in.range == NULL && r->allow_ranges) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Accept-Ranges");
    ngx_str_set(&h->value, "bytes");

    if (r->headers_in.range == NULL) {
        r->headers_out.accept_ranges = h;
    }

    return NGX_OK;
}


/* Of S3's headers the client sees Content-Range alone; nginx writes
 * Content-Type, Content-Length and Last-Modified from fields of its own. */

static void
ngx_media_filter_strip(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (&h[i] != r->headers_out.content_range) {
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
