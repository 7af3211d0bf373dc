
/*
 * Who is asking: verifies the bearer token (RFC 6750) in the access phase of
 * any location with media_auth and of our own protected routes, and leaves the
 * claims in the request context. Also /validate and /me, which say what was
 * found.
 *
 * NGX_OK is returned for a verified token only: under "satisfy any" it grants.
 */


#include "ngx_media.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_access_check(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, ngx_uint_t auth);
static ngx_uint_t ngx_media_access_bearer(ngx_str_t *value,
    ngx_str_t *token);
static ngx_int_t ngx_media_access_verify(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, ngx_str_t *token, enum media_problem *p,
    media_err_t *ei);
static ngx_int_t ngx_media_access_claims(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);
static ngx_int_t ngx_media_access_deny(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, enum media_problem p, const char *detail);
static ngx_int_t ngx_media_me_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);


static ngx_str_t  ngx_media_access_no_store = ngx_string("no-store");


ngx_int_t
ngx_media_access_handler(ngx_http_request_t *r)
{
    ngx_str_t              id;
    ngx_uint_t             auth;
    ngx_media_ctx_t       *ctx;
    ngx_media_loc_conf_t  *mlcf;

    if (r->internal) {
        ctx = ngx_media_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ctx->object && ctx->object->jump) {
            /* to @media_object: this very object was authorised */
            ctx->object->jump = 0;
            ctx->object->loc_conf = r->loc_conf;
            return NGX_DECLINED;
        }
    }

    mlcf = ngx_media_loc_conf(r);

    auth = (mlcf->auth == NGX_CONF_UNSET_UINT) ? NGX_MEDIA_AUTH_OFF
                                               : mlcf->auth;

    if (mlcf->problem || (auth == NGX_MEDIA_AUTH_OFF && !mlcf->enabled)) {
        return NGX_DECLINED;
    }

    if (mlcf->enabled && ngx_media_route_needs_token(r)) {
        auth = NGX_MEDIA_AUTH_ON;
    }

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ngx_media_request_id(r, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (auth == NGX_MEDIA_AUTH_OFF) {
        return NGX_DECLINED;
    }

    if (ctx->claims.claims) {
        /* verified before an internal redirect */
        return NGX_OK;
    }

    return ngx_media_access_check(r, ctx, auth);
}


static ngx_int_t
ngx_media_access_check(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    ngx_uint_t auth)
{
    ngx_int_t            rc;
    ngx_str_t            token;
    ngx_uint_t           n;
    media_err_t          ei;
    ngx_table_elt_t     *h;
    enum media_problem   p;

    h = ngx_media_header_in(r, "authorization", &n);

    if (n > 1) {
        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_BAD_REQUEST,
                                     "more than one Authorization header");
    }

    if (h == NULL || !ngx_media_access_bearer(&h->value, &token)) {

        if (auth == NGX_MEDIA_AUTH_OPTIONAL) {
            return NGX_DECLINED;
        }

        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_TOKEN_MISSING,
                                     NULL);
    }

    ei.text[0] = '\0';

    rc = ngx_media_access_verify(r, ctx, &token, &p, &ei);

    if (rc == NGX_OK) {
        ngx_media_count(NGX_MEDIA_C_AUTH_OK, 1);
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_media_count(NGX_MEDIA_C_AUTH_FAILED, 1);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "media: token refused, cause=\"%s\" req=%V", ei.text,
                  &ctx->request_id);

    return ngx_media_access_deny(r, ctx, p, ei.text);
}


static ngx_uint_t
ngx_media_access_bearer(ngx_str_t *value, ngx_str_t *token)
{
    static const size_t  scheme = sizeof("Bearer") - 1;

    if (value->len < scheme
        || ngx_strncasecmp(value->data, (u_char *) "Bearer", scheme) != 0
        || (value->len > scheme && value->data[scheme] != ' '))
    {
        return 0;
    }

    token->data = value->data + scheme;
    token->len = value->len - scheme;

    while (token->len && token->data[0] == ' ') {
        token->data++;
        token->len--;
    }

    return 1;
}


/* NGX_OK; NGX_DECLINED with the problem; NGX_ERROR when out of memory */

static ngx_int_t
ngx_media_access_verify(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    ngx_str_t *token, enum media_problem *p, media_err_t *ei)
{
    int                     rc;
    enum media_jwt_why      why;
    media_jwt_policy_t      policy;
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(r);

    ngx_memzero(&policy, sizeof(policy));

    if (mmcf->keys) {
        policy.keys = mmcf->keys->elts;
        policy.nkeys = mmcf->keys->nelts;
    }

    policy.iss = ngx_media_view(&mmcf->issuer);
    policy.aud = ngx_media_view(&mmcf->audience);
    policy.leeway_s = mmcf->leeway;

    *p = MEDIA_PROBLEM_TOKEN_INVALID;

    rc = media_jwt_verify(ngx_media_view(token), &policy, ngx_time(),
                          &ctx->claims, &why, ei);
    if (rc == 0) {
        rc = ngx_media_access_claims(r, ctx);

        if (rc != NGX_OK) {
            media_jwt_claims_free(&ctx->claims);
            ngx_memzero(&ctx->claims, sizeof(ctx->claims));
            (void) media_err_set(ei, MEDIA_E_AUTH, "sub is not a user id");
        }

        return rc;
    }

    ngx_memzero(&ctx->claims, sizeof(ctx->claims));

    if (rc == MEDIA_E_NOMEM) {
        return NGX_ERROR;
    }

    if (rc == MEDIA_E_AUTH && why == MEDIA_JWT_EXPIRED) {
        *p = MEDIA_PROBLEM_TOKEN_EXPIRED;
    }

    return NGX_DECLINED;
}


/* Copies what outlives the claims: variables are read when logging. */

static ngx_int_t
ngx_media_access_claims(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    u_char       *p;
    size_t        i, len;
    json_t       *roles, *role;
    media_str_t   sub;

    sub = media_jwt_claim(&ctx->claims, "sub");

    if (!media_uuid_valid(sub)) {
        return NGX_DECLINED;
    }

    roles = json_object_get(ctx->claims.claims, "roles");
    len = 0;

    json_array_foreach(roles, i, role) {
        len += json_string_length(role) + 1;
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->roles.data = p;

    json_array_foreach(roles, i, role) {
        if (!json_is_string(role)) {
            continue;
        }

        if (p != ctx->roles.data) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, json_string_value(role), json_string_length(role));
    }

    ctx->roles.len = p - ctx->roles.data;

    return ngx_media_strdup(r->pool, &ctx->sub, sub.p, sub.len);
}


static ngx_int_t
ngx_media_access_deny(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    enum media_problem p, const char *detail)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (detail && detail[0] == '\0') {
        detail = NULL;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY
        && media_problem_get(p)->status == NGX_HTTP_UNAUTHORIZED)
    {
        /* another module may still grant; ngx_media_problem_handler() */

        if (ngx_media_challenge(r, p) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->denied = p;
        ctx->has_denied = 1;

        return NGX_HTTP_UNAUTHORIZED;
    }

    ngx_http_finalize_request(r,
                       detail ? ngx_media_send_problem(r, p, "%s", detail)
                              : ngx_media_send_problem(r, p, NULL));

    return NGX_DONE;
}


ngx_int_t
ngx_media_validate_handler(ngx_http_request_t *r)
{
    char             *text;
    ngx_int_t         rc;
    ngx_str_t         body;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->claims.claims == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text = json_dumps(ctx->claims.claims, JSON_COMPACT|JSON_PRESERVE_ORDER);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = (u_char *) text;
    body.len = ngx_strlen(text);

    rc = ngx_media_add_header(r, "Cache-Control", &ngx_media_access_no_store);

    if (rc == NGX_OK) {
        rc = ngx_media_send_json(r, NGX_HTTP_OK, &body);
    }

    free(text);

    return rc;
}


ngx_int_t
ngx_media_me_handler(ngx_http_request_t *r)
{
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->sub.len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_query(r, MEDIA_STMT_ME, &ctx->sub, ngx_media_me_answer,
                           NULL);
}


static ngx_int_t
ngx_media_me_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t  me;

    if (res->nrows == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TOKEN_INVALID,
                                      "the account is gone or disabled");
    }

    if (ngx_media_add_header(r, "Cache-Control", &ngx_media_access_no_store)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    me = ngx_media_pg_value(res, 0, 0);

    return ngx_media_send_json(r, NGX_HTTP_OK, &me);
}
