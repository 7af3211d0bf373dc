
/*
 * CORS of the playback routes: one list of origins per location, or "*".
 */


#include "ngx_media_cors.h"
#include "ngx_media_request.h"


static ngx_uint_t ngx_media_cors_valid(ngx_str_t *origin);
static ngx_uint_t ngx_media_cors_any(ngx_array_t *origins);
static ngx_str_t *ngx_media_cors_origin(ngx_http_request_t *r,
    ngx_array_t *origins);


static ngx_str_t  ngx_media_cors_methods = ngx_string("GET, HEAD");
static ngx_str_t  ngx_media_cors_allow = ngx_string("Authorization, Range");
/* Chromium remembers no longer */
static ngx_str_t  ngx_media_cors_age = ngx_string("7200");
static ngx_str_t  ngx_media_cors_expose =
    ngx_string("Content-Range, Content-Length, ETag, X-Request-Id");
static ngx_str_t  ngx_media_cors_vary = ngx_string("Origin");


char *
ngx_media_set_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    ngx_str_t   *value, *origin;
    ngx_uint_t   i, word;

    if (lcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->cors = NULL;
        return NGX_CONF_OK;
    }

    lcf->cors = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (lcf->cors == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        word = cf->args->nelts == 2 && ngx_strcmp(value[i].data, "*") == 0;

        if (!word && !ngx_media_cors_valid(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is no origin as browsers "
                               "name it (https://example.org, lower case, "
                               "no default port), nor \"*\" or \"off\" alone",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(lcf->cors);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* "scheme://host[:port]" (RFC 6454, 6.2), as it is compared byte by byte. The
 * origin "null" is anybody's. */

static ngx_uint_t
ngx_media_cors_valid(ngx_str_t *origin)
{
    u_char      *p, *host, *end;
    ngx_uint_t   web, tls;

    end = origin->data + origin->len;

    for (p = origin->data; p < end && *p >= 'a' && *p <= 'z'; p++) {
        /* void */
    }

    if (p == origin->data || end - p < 4 || ngx_strncmp(p, "://", 3) != 0) {
        return 0;
    }

    host = p + 3;

    for (p = host; p < end; p++) {
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9')
            && ngx_strchr(".-:[]_", *p) == NULL)
        {
            return 0;
        }
    }

    web = ngx_strncmp(origin->data, "http://", 7) == 0;
    tls = ngx_strncmp(origin->data, "https://", 8) == 0;

    return host[0] != ':'
           && !(web && ngx_strcmp(end - 3, ":80") == 0)
           && !(tls && ngx_strcmp(end - 4, ":443") == 0);
}


static ngx_uint_t
ngx_media_cors_any(ngx_array_t *origins)
{
    ngx_str_t  *origin;

    origin = origins->elts;

    return origin[0].len == 1;
}


/* The value for the request: "*" or its own origin; NULL if it may not. */

static ngx_str_t *
ngx_media_cors_origin(ngx_http_request_t *r, ngx_array_t *origins)
{
    ngx_str_t        *origin;
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;

    origin = origins->elts;

    if (ngx_media_cors_any(origins)) {
        return origin;
    }

    h = ngx_media_header_in(r, "origin", &n);

    if (h == NULL || n > 1) {
        return NULL;
    }

    for (i = 0; i < origins->nelts; i++) {
        if (h->value.len == origin[i].len
            && ngx_strncmp(h->value.data, origin[i].data, origin[i].len) == 0)
        {
            return &origin[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_media_cors_asked(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    return r->method == NGX_HTTP_OPTIONS && ctx->cors
           && ngx_media_header_in(r, "origin", NULL)
           && ngx_media_header_in(r, "access-control-request-method", NULL)
           && ngx_media_cors_origin(r, ctx->cors);
}


ngx_int_t
ngx_media_cors_answer(ngx_http_request_t *r)
{
    static ngx_str_t  none = ngx_null_string;

    if (ngx_media_add_header(r, "Access-Control-Allow-Methods",
                             &ngx_media_cors_methods)
           != NGX_OK
        || ngx_media_add_header(r, "Access-Control-Allow-Headers",
                                &ngx_media_cors_allow)
           != NGX_OK
        || ngx_media_add_header(r, "Access-Control-Max-Age",
                                &ngx_media_cors_age)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_json(r, NGX_HTTP_NO_CONTENT, &none);
}


ngx_int_t
ngx_media_cors_headers(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    ngx_str_t  *origin;

    if (ctx->cors == NULL) {
        return NGX_OK;
    }

    if (!ngx_media_cors_any(ctx->cors)
        && ngx_media_add_header(r, "Vary", &ngx_media_cors_vary) != NGX_OK)
    {
        return NGX_ERROR;
    }

    origin = ngx_media_cors_origin(r, ctx->cors);

    if (origin == NULL) {
        return NGX_OK;
    }

    if (ngx_media_add_header(r, "Access-Control-Allow-Origin", origin)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_media_add_header(r, "Access-Control-Expose-Headers",
                                &ngx_media_cors_expose);
}
