
/*
 * Who is asking: verifies the token (RFC 6750) in the access phase of any
 * location with media_auth and of our own protected routes, asks the rules of
 * the location, and leaves the token in the request context. Also /validate
 * and /me, which say what was found, and /.well-known/jwks.json.
 *
 * NGX_OK is returned for a verified token only: under "satisfy any" it grants.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_cors.h"
#include "ngx_media_request.h"
#include "ngx_media_revoke.h"


static ngx_int_t ngx_media_access_check(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, ngx_uint_t auth);
static ngx_int_t ngx_media_access_verify(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_media_access_rules(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);
static ngx_int_t ngx_media_access_revoked(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);
static ngx_int_t ngx_media_access_deny(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx, enum media_problem p, const char *detail);
static ngx_int_t ngx_media_me_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);


static ngx_str_t  ngx_media_access_no_store = ngx_string("no-store");
static ngx_str_t  ngx_media_key_set_age = ngx_string("public, max-age=300");
static ngx_str_t  ngx_media_key_set_type =
    ngx_string("application/jwk-set+json");


ngx_int_t
ngx_media_access_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              id;
    ngx_uint_t             auth, route;
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

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ngx_media_request_id(r, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (mlcf->enabled) {
        route = ngx_media_route_auth(r, ctx);

        /* a browser asks without a token whether it may send one */

        if (route == NGX_MEDIA_AUTH_ON || auth == NGX_MEDIA_AUTH_OFF
            || ngx_media_cors_asked(r, ctx))
        {
            auth = route;
        }
    }

    if (auth == NGX_MEDIA_AUTH_OFF) {
        return NGX_DECLINED;
    }

    if (ctx->token == NULL) {
        /* else verified before an internal redirect, or a wait */

        rc = ngx_media_access_check(r, ctx, auth);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_media_access_revoked(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    /* after a redirect the rules may be others */

    return ngx_media_access_rules(r, ctx);
}


static ngx_int_t
ngx_media_access_check(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    ngx_uint_t auth)
{
    ngx_str_t              text;
    ngx_media_loc_conf_t  *mlcf;

    switch (ngx_media_source_find(r, &text)) {

    case NGX_OK:
        return ngx_media_access_verify(r, ctx, &text);

    case NGX_ABORT:
        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_SEVERAL_TOKENS,
                                     NULL);

    default:
        break;
    }

    mlcf = ngx_media_loc_conf(r);

    /* nobody's claims fulfil a rule; but what our routes show to anybody is
     * public */

    if (auth == NGX_MEDIA_AUTH_OPTIONAL
        && (mlcf->require == NULL || mlcf->auth != NGX_MEDIA_AUTH_OPTIONAL))
    {
        return NGX_DECLINED;
    }

    return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_TOKEN_MISSING, NULL);
}


static ngx_int_t
ngx_media_access_verify(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    ngx_str_t *text)
{
    ngx_int_t            rc;
    media_err_t          ei;
    ngx_media_token_t   *token;
    enum media_problem   p;

    ei.text[0] = '\0';

    rc = ngx_media_auth_verify(ngx_media_main_conf(r)->auth, text, &token, &p,
                               &ei);

    if (rc == NGX_OK) {
        ctx->token = token;
        ctx->sub = token->sub;
        ctx->roles = token->roles;
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


/* The token is good; what remains is whether it is enough here. */

static ngx_int_t
ngx_media_access_rules(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    ngx_media_rule_t  *rule;

    /* our routes serve our accounts; other locations may have other users */

    if (ngx_media_loc_conf(r)->enabled
        && !media_uuid_valid(ngx_media_view(&ctx->token->sub)))
    {
        /* should another module grant, nobody is asking */
        ngx_media_token_release(ctx->token);
        ctx->token = NULL;
        ngx_str_null(&ctx->sub);
        ngx_str_null(&ctx->roles);

        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_TOKEN_INVALID,
                                     "sub is not a user id");
    }

    rule = ngx_media_require_broken(r, &ctx->token->claims);

    if (rule) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "media: claim \"%V\" is not enough, req=%V",
                      &rule->claim, &ctx->request_id);

        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_INSUFFICIENT_SCOPE,
                                     NULL);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_access_revoked(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_media_revoke_check(r, ctx);

    switch (rc) {

    case NGX_DECLINED:
        return ngx_media_access_deny(r, ctx, MEDIA_PROBLEM_TOKEN_INVALID,
                                     "the token was revoked");

    case NGX_ABORT:
        return ngx_media_access_deny(r, ctx,
                                     MEDIA_PROBLEM_DATABASE_UNAVAILABLE,
                                     "what was revoked is not known yet");

    default:
        return rc;
    }
}


static ngx_int_t
ngx_media_access_deny(ngx_http_request_t *r, ngx_media_ctx_t *ctx,
    enum media_problem p, const char *detail)
{
    ngx_int_t                  status;
    ngx_http_core_loc_conf_t  *clcf;

    if (detail && detail[0] == '\0') {
        detail = NULL;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    status = media_problem_get(p)->status;

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY
        && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN))
    {
        /* another module may still grant; ngx_media_problem_handler() */

        if (ngx_media_challenge(r, p) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->denied = p;
        ctx->has_denied = 1;

        return status;
    }

    ngx_http_finalize_request(r,
                       detail ? ngx_media_send_problem(r, p, "%s", detail)
                              : ngx_media_send_problem(r, p, NULL));

    return NGX_DONE;
}


/* The claims as they came: the token's second part. */

ngx_int_t
ngx_media_validate_handler(ngx_http_request_t *r)
{
    ssize_t           n;
    ngx_str_t         body, part;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->token == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    part = ctx->token->text;
    part.data = ngx_strlchr(part.data, part.data + part.len, '.') + 1;
    part.len = ngx_strlchr(part.data, ctx->token->text.data
                           + ctx->token->text.len, '.') - part.data;

    body.data = ngx_pnalloc(r->pool, part.len);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = media_b64url_decode(ngx_media_view(&part), body.data, part.len);

    if (n < 0
        || ngx_media_add_header(r, "Cache-Control",
                                &ngx_media_access_no_store)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = n;

    return ngx_media_send_json(r, NGX_HTTP_OK, &body);
}


ngx_int_t
ngx_media_key_set_handler(ngx_http_request_t *r)
{
    if (ngx_media_add_header(r, "Cache-Control", &ngx_media_key_set_age)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send(r, NGX_HTTP_OK, &ngx_media_key_set_type,
                          &ngx_media_main_conf(r)->key_set);
}


ngx_int_t
ngx_media_me_handler(ngx_http_request_t *r)
{
    ngx_str_t           p[3];
    ngx_media_ctx_t    *ctx;
    ngx_media_quota_t   quota;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->sub.len == 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p[0] = ctx->sub;
    ngx_media_quota_params(ngx_media_loc_conf(r), &quota, &p[1], &p[2]);

    return ngx_media_query(r, MEDIA_STMT_ME, p, ngx_media_me_answer, NULL);
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
