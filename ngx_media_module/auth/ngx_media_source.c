
/*
 * Where a token stands in a request: the Authorization header, a cookie, an
 * argument of the query (RFC 6750 2), as media_auth_source says. What stands
 * in a query is taken out of it before anything can log it or pass it on; it
 * waits in the request's context.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_source_header(ngx_http_request_t *r,
    ngx_str_t *text, ngx_uint_t *n);
static void ngx_media_source_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *text, ngx_uint_t *n);
static void ngx_media_source_crumbs(ngx_str_t *value, ngx_str_t *name,
    ngx_str_t *text, ngx_uint_t *n);
static ngx_uint_t ngx_media_source_is_token(ngx_array_t *sources, u_char *p,
    u_char *end, ngx_str_t *value);
static ngx_uint_t ngx_media_source_in_query(ngx_http_request_t *r,
    ngx_array_t *sources);
static ngx_int_t ngx_media_source_rewrite(ngx_http_request_t *r,
    ngx_array_t *sources, ngx_media_ctx_t *take, ngx_str_t *uri,
    ngx_str_t *args);


ngx_int_t
ngx_media_source_find(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_uint_t           i, n, query;
    ngx_media_ctx_t     *ctx;
    ngx_array_t         *sources;
    ngx_media_source_t  *source;

    n = 0;
    query = 0;
    sources = ngx_media_loc_conf(r)->sources;

    if (sources == NULL) {
        return ngx_media_source_header(r, text, &n);
    }

    source = sources->elts;

    for (i = 0; i < sources->nelts; i++) {

        switch (source[i].type) {

        case NGX_MEDIA_SOURCE_HEADER:
            if (ngx_media_source_header(r, text, &n) == NGX_ABORT) {
                return NGX_ABORT;
            }

            break;

        case NGX_MEDIA_SOURCE_COOKIE:
            ngx_media_source_cookie(r, &source[i].name, text, &n);
            break;

        case NGX_MEDIA_SOURCE_QUERY:
            query = 1;
            break;
        }
    }

    ctx = query ? ngx_media_ctx(r) : NULL;

    if (ctx && ctx->query_tokens) {
        *text = ctx->query_token;
        n += ctx->query_tokens;
    }

    return n == 0 ? NGX_DECLINED : n == 1 ? NGX_OK : NGX_ABORT;
}


static ngx_int_t
ngx_media_source_header(ngx_http_request_t *r, ngx_str_t *text, ngx_uint_t *n)
{
    ngx_str_t         value;
    ngx_uint_t        found;
    ngx_table_elt_t  *h;

    static const size_t  scheme = sizeof("Bearer") - 1;

    h = ngx_media_header_in(r, "authorization", &found);

    if (h == NULL) {
        return NGX_DECLINED;
    }

    if (found > 1) {
        return NGX_ABORT;
    }

    value = h->value;

    if (value.len < scheme
        || ngx_strncasecmp(value.data, (u_char *) "Bearer", scheme) != 0
        || (value.len > scheme && value.data[scheme] != ' '))
    {
        return NGX_DECLINED;
    }

    value.data += scheme;
    value.len -= scheme;

    while (value.len && value.data[0] == ' ') {
        value.data++;
        value.len--;
    }

    *text = value;
    (*n)++;

    return NGX_OK;
}


/* By the list of headers: where nginx keeps cookies depends on its version. */

static void
ngx_media_source_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *text, ngx_uint_t *n)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("cookie") - 1
                && ngx_strncmp(h[i].lowcase_key, "cookie",
                               sizeof("cookie") - 1)
                   == 0)
            {
                ngx_media_source_crumbs(&h[i].value, name, text, n);
            }
        }
    }
}


/* name=value; name=value (RFC 6265 4.2.1) */

static void
ngx_media_source_crumbs(ngx_str_t *value, ngx_str_t *name, ngx_str_t *text,
    ngx_uint_t *n)
{
    u_char  *p, *end, *last;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == ';')) {
            p++;
        }

        end = ngx_strlchr(p, last, ';');
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) > name->len
            && ngx_strncmp(p, name->data, name->len) == 0
            && p[name->len] == '=')
        {
            text->data = p + name->len + 1;
            text->len = end - text->data;

            if (text->len > 1 && text->data[0] == '"'
                && text->data[text->len - 1] == '"')
            {
                text->data++;
                text->len -= 2;
            }

            (*n)++;
        }

        p = end;
    }
}


static ngx_inline u_char *
ngx_media_source_arg_end(u_char *p, u_char *last)
{
    u_char  *end;

    end = ngx_strlchr(p, last, '&');

    return end ? end : last;
}


/* Whether the argument [p, end) is one of the sources; its value then. */

static ngx_uint_t
ngx_media_source_is_token(ngx_array_t *sources, u_char *p, u_char *end,
    ngx_str_t *value)
{
    ngx_uint_t           i;
    ngx_media_source_t  *source;

    source = sources->elts;

    for (i = 0; i < sources->nelts; i++) {
        if (source[i].type == NGX_MEDIA_SOURCE_QUERY
            && (size_t) (end - p) > source[i].name.len
            && ngx_strncmp(p, source[i].name.data, source[i].name.len) == 0
            && p[source[i].name.len] == '=')
        {
            value->data = p + source[i].name.len + 1;
            value->len = end - value->data;
            return 1;
        }
    }

    return 0;
}


/* 1 if the query holds a token of one of the sources. */

static ngx_uint_t
ngx_media_source_in_query(ngx_http_request_t *r, ngx_array_t *sources)
{
    u_char     *p, *end, *last;
    ngx_str_t   value;

    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = ngx_media_source_arg_end(p, last);

        if (ngx_media_source_is_token(sources, p, end, &value)) {
            return 1;
        }
    }

    return 0;
}


/* The request's path and query, args being the latter. A token is moved from
 * there to the context `take`, or without one is an asterisk. */

static ngx_int_t
ngx_media_source_rewrite(ngx_http_request_t *r, ngx_array_t *sources,
    ngx_media_ctx_t *take, ngx_str_t *uri, ngx_str_t *args)
{
    u_char     *p, *end, *last, *dst;
    ngx_str_t   value;

    p = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');

    uri->len = p ? (size_t) (p - r->unparsed_uri.data) : r->unparsed_uri.len;

    /* a value may be shorter than its asterisk */

    uri->data = ngx_pnalloc(r->pool, uri->len + 1 + 2 * r->args.len);
    if (uri->data == NULL) {
        return NGX_ERROR;
    }

    dst = ngx_cpymem(uri->data, r->unparsed_uri.data, uri->len);
    *dst++ = '?';

    args->data = dst;
    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p < last; p = end + 1) {
        end = ngx_media_source_arg_end(p, last);

        if (!ngx_media_source_is_token(sources, p, end, &value)) {
            value.data = end;

        } else if (take) {
            take->query_token = value;
            take->query_tokens++;
            continue;
        }

        if (dst != args->data) {
            *dst++ = '&';
        }

        dst = ngx_cpymem(dst, p, value.data - p);

        if (value.data != end) {
            *dst++ = '*';
        }
    }

    args->len = dst - args->data;

    if (args->len) {
        uri->len = dst - uri->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_source_mask_line(ngx_http_request_t *r, ngx_array_t *sources)
{
    ngx_str_t  uri, args, line;

    if (!ngx_media_source_in_query(r, sources)) {
        return NGX_OK;
    }

    if (ngx_media_source_rewrite(r, sources, NULL, &uri, &args) != NGX_OK) {
        return NGX_ERROR;
    }

    line.len = r->method_name.len + 1 + uri.len + 1 + r->http_protocol.len;
    line.data = ngx_pnalloc(r->pool, line.len);
    if (line.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(line.data, "%V %V %V", &r->method_name, &uri,
                       &r->http_protocol);

    r->request_line = line;

    return NGX_OK;
}


/* Rewrite phase, as soon as the location is known and before what stands in
 * it: "return" does not get to see the token either. */

ngx_int_t
ngx_media_source_handler(ngx_http_request_t *r)
{
    ngx_str_t         uri, args;
    ngx_media_ctx_t  *ctx;
    ngx_array_t      *sources;

    sources = ngx_media_loc_conf(r)->sources;

    if (sources == NULL || r != r->main
        || !ngx_media_source_in_query(r, sources))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_media_ctx(r);

    if (ctx == NULL
        || ngx_media_source_rewrite(r, sources, ctx, &uri, &args) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->unparsed_uri = uri;
    r->args = args;

    return NGX_DECLINED;
}
