
/*
 * The routes of the HTTP contract: one table for the access phase (does this
 * URI need a token?) and the content phase (who answers, which methods?).
 * [loop]
 */

#include "ngx_media.h"


typedef struct {
    ngx_str_t                   args[2];    /* path segments found by '*' */
} ngx_media_match_t;

typedef ngx_int_t (*ngx_media_route_pt)(ngx_http_request_t *r,
    ngx_media_match_t *m);

/*
 * pattern: segments; '*' takes one segment, a trailing '+' the whole rest
 * of the path (at least one byte).
 */
typedef struct {
    const char                 *pattern;
    ngx_uint_t                  methods;
    ngx_uint_t                  token;
    ngx_media_route_pt          handler;
} ngx_media_route_t;


#define NGX_MEDIA_READ  (NGX_HTTP_GET|NGX_HTTP_HEAD)

#define NGX_MEDIA_PLAIN(name)                                                 \
    static ngx_int_t                                                          \
    ngx_media_route_##name(ngx_http_request_t *r, ngx_media_match_t *m)       \
    {                                                                         \
        return ngx_media_##name##_handler(r);                                 \
    }

#define NGX_MEDIA_ONE(name)                                                   \
    static ngx_int_t                                                          \
    ngx_media_route_##name(ngx_http_request_t *r, ngx_media_match_t *m)       \
    {                                                                         \
        return ngx_media_##name##_handler(r, &m->args[0]);                    \
    }

#define NGX_MEDIA_TWO(name)                                                   \
    static ngx_int_t                                                          \
    ngx_media_route_##name(ngx_http_request_t *r, ngx_media_match_t *m)       \
    {                                                                         \
        return ngx_media_##name##_handler(r, &m->args[0], &m->args[1]);       \
    }

NGX_MEDIA_PLAIN(login)
NGX_MEDIA_PLAIN(validate)
NGX_MEDIA_PLAIN(me)
NGX_MEDIA_PLAIN(upload)
NGX_MEDIA_PLAIN(list)
NGX_MEDIA_PLAIN(download)
NGX_MEDIA_PLAIN(healthz)
NGX_MEDIA_PLAIN(readyz)
NGX_MEDIA_PLAIN(metrics)
NGX_MEDIA_ONE(get)
NGX_MEDIA_ONE(token)
NGX_MEDIA_TWO(object)
NGX_MEDIA_TWO(play)


static ngx_media_route_t  ngx_media_routes[] = {
    { "/login",           NGX_HTTP_POST,   0, ngx_media_route_login },
    { "/validate",        NGX_HTTP_POST,   1, ngx_media_route_validate },
    { "/me",              NGX_MEDIA_READ,  1, ngx_media_route_me },
    { "/upload",          NGX_HTTP_POST,   1, ngx_media_route_upload },
    { "/upload/+",        NGX_HTTP_PUT,    1, ngx_media_route_upload },
    { "/media",           NGX_MEDIA_READ,  1, ngx_media_route_list },
    { "/media/*",         NGX_MEDIA_READ,  1, ngx_media_route_get },
    { "/media/*/token",   NGX_HTTP_POST,   1, ngx_media_route_token },
    { "/media/*/*",       NGX_MEDIA_READ,  1, ngx_media_route_object },
    { "/download",        NGX_MEDIA_READ,  1, ngx_media_route_download },
    { "/play/*/*",        NGX_MEDIA_READ,  0, ngx_media_route_play },
    { "/healthz",         NGX_MEDIA_READ,  0, ngx_media_route_healthz },
    { "/readyz",          NGX_MEDIA_READ,  0, ngx_media_route_readyz },
    { "/metrics",         NGX_MEDIA_READ,  0, ngx_media_route_metrics },
    { NULL, 0, 0, NULL }
};


static ngx_uint_t
ngx_media_route_match(const char *pattern, ngx_str_t *uri,
    ngx_media_match_t *m)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    p = uri->data;
    last = p + uri->len;
    n = 0;

    for ( /* void */ ; *pattern != '\0'; pattern++) {

        if (*pattern == '+') {
            return p < last;
        }

        if (*pattern != '*') {
            if (p == last || *p++ != (u_char) *pattern) {
                return 0;
            }
            continue;
        }

        m->args[n].data = p;

        while (p < last && *p != '/') {
            p++;
        }

        m->args[n].len = p - m->args[n].data;

        if (m->args[n++].len == 0) {
            return 0;
        }
    }

    return p == last;
}


static ngx_media_route_t *
ngx_media_route_find(ngx_http_request_t *r, ngx_media_match_t *m)
{
    ngx_media_route_t  *route;

    for (route = ngx_media_routes; route->pattern != NULL; route++) {
        if (ngx_media_route_match(route->pattern, &r->uri, m)) {
            return route;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_media_route_needs_token(ngx_http_request_t *r)
{
    ngx_media_match_t   m;
    ngx_media_route_t  *route;

    route = ngx_media_route_find(r, &m);

    return route != NULL && route->token;
}


static ngx_int_t
ngx_media_route_not_allowed(ngx_http_request_t *r, ngx_uint_t methods)
{
    static ngx_str_t  read = ngx_string("GET, HEAD");
    static ngx_str_t  post = ngx_string("POST");
    static ngx_str_t  put = ngx_string("PUT");

    ngx_str_t  *allow;

    allow = methods == NGX_HTTP_POST ? &post
            : methods == NGX_HTTP_PUT ? &put : &read;

    if (ngx_media_add_header(r, "Allow", allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_METHOD_NOT_ALLOWED,
                                  "%V is not allowed here, use %V",
                                  &r->method_name, allow);
}


ngx_int_t
ngx_media_route_handler(ngx_http_request_t *r)
{
    ngx_media_ctx_t      *ctx;
    ngx_media_match_t     m;
    ngx_media_route_t    *route;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    route = ngx_media_route_find(r, &m);

    if (route == NULL) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    if (!(r->method & route->methods)) {
        return ngx_media_route_not_allowed(r, route->methods);
    }

    /* the access phase has verified the token; nothing may rest on it alone */

    if (route->token && ctx->sub.len == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TOKEN_MISSING, NULL);
    }

    return route->handler(r, &m);
}
