
/*
 * The routes of the HTTP contract: one table for the access phase (does this
 * request need a token?) and the content phase (which role, who answers, which
 * methods are there?). [loop]
 */

#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_cors.h"


typedef struct {
    ngx_str_t                   args[2];    /* what '*' and '+' stand for */
} ngx_media_match_t;

typedef ngx_int_t (*ngx_media_route_pt)(ngx_http_request_t *r,
    ngx_media_match_t *m);

/*
 * pattern: segments; '*' takes one segment, a trailing '+' the whole rest
 * of the path (at least one byte). The first pattern that fits is the one;
 * its rows stand together, one for each set of methods.
 */
typedef struct {
    const char                 *pattern;
    ngx_uint_t                  methods;
    ngx_uint_t                  auth;       /* NGX_MEDIA_AUTH_* */
    ngx_uint_t                  kind;       /* NGX_MEDIA_ROUTE_* */
    ngx_media_route_pt          handler;
} ngx_media_route_t;


#define NGX_MEDIA_READ  (NGX_HTTP_GET|NGX_HTTP_HEAD)

#define NGX_MEDIA_ROUTE_PLAIN   0
#define NGX_MEDIA_ROUTE_WRITES  1   /* needs role user or admin */
#define NGX_MEDIA_ROUTE_PLAYS   2   /* GET: media_cors_origin's */

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
NGX_MEDIA_PLAIN(refresh)
NGX_MEDIA_PLAIN(logout)
NGX_MEDIA_PLAIN(validate)
NGX_MEDIA_PLAIN(me)
NGX_MEDIA_PLAIN(upload)
NGX_MEDIA_PLAIN(list)
NGX_MEDIA_PLAIN(download)
NGX_MEDIA_PLAIN(key_set)
NGX_MEDIA_PLAIN(healthz)
NGX_MEDIA_PLAIN(readyz)
NGX_MEDIA_PLAIN(metrics)
NGX_MEDIA_ONE(get)
NGX_MEDIA_ONE(patch)
NGX_MEDIA_ONE(delete)
NGX_MEDIA_ONE(cancel)
NGX_MEDIA_ONE(retry)
NGX_MEDIA_ONE(jobs)
NGX_MEDIA_ONE(regions)
NGX_MEDIA_ONE(token)
NGX_MEDIA_TWO(object)
NGX_MEDIA_TWO(play)


#define NGX_MEDIA_ROUTE(pattern, methods, auth, kind, name)                   \
    { pattern, methods, NGX_MEDIA_AUTH_##auth, NGX_MEDIA_ROUTE_##kind,        \
      ngx_media_route_##name }

#define GET     NGX_MEDIA_READ
#define POST    NGX_HTTP_POST
#define PUT     NGX_HTTP_PUT
#define PATCH   NGX_HTTP_PATCH
#define DELETE  NGX_HTTP_DELETE

static ngx_media_route_t  ngx_media_routes[] = {
    NGX_MEDIA_ROUTE("/login",           POST,   OFF,      PLAIN,  login),
    NGX_MEDIA_ROUTE("/login/refresh",   POST,   OFF,      PLAIN,  refresh),
    NGX_MEDIA_ROUTE("/logout",          POST,   ON,       PLAIN,  logout),
    NGX_MEDIA_ROUTE("/validate",        POST,   ON,       PLAIN,  validate),
    NGX_MEDIA_ROUTE("/me",              GET,    ON,       PLAIN,  me),
    NGX_MEDIA_ROUTE("/upload",          POST,   ON,       WRITES, upload),
    NGX_MEDIA_ROUTE("/upload/+",        PUT,    ON,       WRITES, upload),
    NGX_MEDIA_ROUTE("/media",           GET,    ON,       PLAIN,  list),
    NGX_MEDIA_ROUTE("/media/*",         GET,    OPTIONAL, PLAIN,  get),
    NGX_MEDIA_ROUTE("/media/*",         PATCH,  ON,       WRITES, patch),
    NGX_MEDIA_ROUTE("/media/*",         DELETE, ON,       WRITES, delete),
    NGX_MEDIA_ROUTE("/media/*/cancel",  POST,   ON,       WRITES, cancel),
    NGX_MEDIA_ROUTE("/media/*/retry",   POST,   ON,       WRITES, retry),
    NGX_MEDIA_ROUTE("/media/*/jobs",    POST,   ON,       WRITES, jobs),
    NGX_MEDIA_ROUTE("/media/*/token",   POST,   ON,       PLAIN,  token),
    NGX_MEDIA_ROUTE("/media/*/regions", PATCH,  ON,       WRITES, regions),
    NGX_MEDIA_ROUTE("/media/*/+",       GET,    OPTIONAL, PLAYS,  object),
    NGX_MEDIA_ROUTE("/download",        GET,    OPTIONAL, PLAIN,  download),
    NGX_MEDIA_ROUTE("/play/*/+",        GET,    OFF,      PLAYS,  play),
    NGX_MEDIA_ROUTE("/.well-known/jwks.json", GET, OFF,   PLAIN,  key_set),
    NGX_MEDIA_ROUTE("/healthz",         GET,    OFF,      PLAIN,  healthz),
    NGX_MEDIA_ROUTE("/readyz",          GET,    OFF,      PLAIN,  readyz),
    NGX_MEDIA_ROUTE("/metrics",         GET,    OFF,      PLAIN,  metrics),
    { NULL, 0, 0, 0, NULL }
};

#undef GET
#undef POST
#undef PUT
#undef PATCH
#undef DELETE

/* in the order of the Allow header */
static struct {
    ngx_uint_t                  method;
    const char                 *name;
} ngx_media_route_methods[] = {
    { NGX_HTTP_GET, "GET" },
    { NGX_HTTP_HEAD, "HEAD" },
    { NGX_HTTP_POST, "POST" },
    { NGX_HTTP_PUT, "PUT" },
    { NGX_HTTP_PATCH, "PATCH" },
    { NGX_HTTP_DELETE, "DELETE" },
    { 0, NULL }
};

#define NGX_MEDIA_ALLOW_MAX  sizeof("GET, HEAD, POST, PUT, PATCH, DELETE")


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
            m->args[n].data = p;
            m->args[n].len = last - p;
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


/* The row of this path and method; of the path alone, if it has none for the
 * method; NULL for no path of ours. */

static ngx_media_route_t *
ngx_media_route_find(ngx_http_request_t *r, ngx_media_match_t *m)
{
    ngx_media_route_t  *route, *first;

    for (first = ngx_media_routes; first->pattern != NULL; first++) {
        if (ngx_media_route_match(first->pattern, &r->uri, m)) {
            break;
        }
    }

    if (first->pattern == NULL) {
        return NULL;
    }

    for (route = first;
         route->pattern && ngx_strcmp(route->pattern, first->pattern) == 0;
         route++)
    {
        if (r->method & route->methods) {
            return route;
        }
    }

    return first;
}


ngx_uint_t
ngx_media_route_auth(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    ngx_media_match_t   m;
    ngx_media_route_t  *route;

    route = ngx_media_route_find(r, &m);

    if (route == NULL) {
        return NGX_MEDIA_AUTH_OFF;
    }

    if (route->kind == NGX_MEDIA_ROUTE_PLAYS) {
        ctx->cors = ngx_media_loc_conf(r)->cors;

        if (ngx_media_cors_asked(r, ctx)) {
            return NGX_MEDIA_AUTH_OFF;
        }
    }

    return route->auth;
}


static ngx_int_t
ngx_media_route_not_allowed(ngx_http_request_t *r, ngx_media_route_t *first)
{
    u_char             *p;
    ngx_str_t           allow;
    ngx_uint_t          i, methods;
    ngx_media_route_t  *route;

    methods = 0;

    for (route = first;
         route->pattern && ngx_strcmp(route->pattern, first->pattern) == 0;
         route++)
    {
        methods |= route->methods;
    }

    allow.data = ngx_pnalloc(r->pool, NGX_MEDIA_ALLOW_MAX);
    if (allow.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = allow.data;

    for (i = 0; ngx_media_route_methods[i].name; i++) {
        if (methods & ngx_media_route_methods[i].method) {
            p = ngx_sprintf(p, "%s%s", p == allow.data ? "" : ", ",
                            ngx_media_route_methods[i].name);
        }
    }

    allow.len = p - allow.data;

    if (ngx_media_add_header(r, "Allow", &allow) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_METHOD_NOT_ALLOWED,
                                  "%V is not allowed here, use %V",
                                  &r->method_name, &allow);
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

    if (route->handler == ngx_media_route_play) {

        ctx->play = 1;

        if (ngx_media_mask_uri(r, &m.args[1]) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (route->kind == NGX_MEDIA_ROUTE_PLAYS && ngx_media_cors_asked(r, ctx)) {
        return ngx_media_cors_answer(r);
    }

    if (!(r->method & route->methods)) {
        return ngx_media_route_not_allowed(r, route);
    }

    /* the access phase has verified the token; nothing may rest on it alone */

    if (route->auth == NGX_MEDIA_AUTH_ON && ctx->sub.len == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TOKEN_MISSING, NULL);
    }

    if (route->kind == NGX_MEDIA_ROUTE_WRITES
        && !media_jwt_claim_holds(&ctx->token->claims, MEDIA_STR("roles"),
                                  MEDIA_STR("user"))
        && !media_jwt_claim_holds(&ctx->token->claims, MEDIA_STR("roles"),
                                  MEDIA_STR("admin")))
    {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_INSUFFICIENT_SCOPE,
                                      "this needs the role user or admin");
    }

    return route->handler(r, &m);
}
