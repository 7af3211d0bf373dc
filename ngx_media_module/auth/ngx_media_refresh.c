
/*
 * POST /login/refresh: a refresh token is exchanged for a new pair. POST
 * /logout: a login ends, for its access and refresh tokens alike.
 *
 *     EXCHANGE  -ok->  SIGN  statement, said once more when its connection
 *                            broke: it answers the same; ngx_media_session.h
 *               -used before-> 401, the login has ended
 */


#include <openssl/crypto.h>

#include "ngx_media_session.h"
#include "ngx_media_auth.h"
#include "ngx_media_revoke.h"
#include "media/json.h"


#define NGX_MEDIA_REFRESH_BODY_MAX  1024

/* columns of SESSION_REFRESH */
enum {
    NGX_MEDIA_REFRESH_CODE = 0,
    NGX_MEDIA_REFRESH_DETAIL,
    NGX_MEDIA_REFRESH_SID,
    NGX_MEDIA_REFRESH_ID,
    NGX_MEDIA_REFRESH_EMAIL,
    NGX_MEDIA_REFRESH_ROLES
};

typedef struct {
    ngx_media_session_t         session;
    char                        old_sha256[NGX_MEDIA_SHA256_HEX + 1];
    char                        new_sha256[NGX_MEDIA_SHA256_HEX + 1];
    u_char                      ttl[NGX_TIME_T_LEN];
    ngx_str_t                   params[3];
    ngx_uint_t                  again;
} ngx_media_refresh_t;


static ngx_int_t ngx_media_refresh_body(ngx_http_request_t *r,
    ngx_str_t *body, void *data);
static ngx_int_t ngx_media_refresh_token(ngx_str_t *body,
    char sha256[NGX_MEDIA_SHA256_HEX + 1], enum media_problem *p,
    media_err_t *ei);
static ngx_uint_t ngx_media_refresh_sane(media_str_t token);
static ngx_int_t ngx_media_refresh_start(ngx_http_request_t *r,
    const char *sha256);
static void ngx_media_refresh_done(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_refresh_fill(ngx_media_session_t *s,
    ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_logout_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);


ngx_int_t
ngx_media_refresh_handler(ngx_http_request_t *r)
{
    if (!ngx_media_is_json(r)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                                      "use Content-Type: application/json");
    }

    return ngx_media_read_small(r, NGX_MEDIA_REFRESH_BODY_MAX,
                                ngx_media_refresh_body, NULL);
}


static ngx_int_t
ngx_media_refresh_body(ngx_http_request_t *r, ngx_str_t *body, void *data)
{
    char                sha256[NGX_MEDIA_SHA256_HEX + 1];
    media_err_t         ei;
    enum media_problem  p;

    if (ngx_media_refresh_token(body, sha256, &p, &ei) != NGX_OK) {
        return ngx_media_send_problem(r, p, "%s", ei.text);
    }

    return ngx_media_refresh_start(r, sha256);
}


/* NGX_DECLINED with problem and cause. The database knows tokens by their
 * digest only. */

static ngx_int_t
ngx_media_refresh_token(ngx_str_t *body,
    char sha256[NGX_MEDIA_SHA256_HEX + 1], enum media_problem *p,
    media_err_t *ei)
{
    static const char *const  names[] = { "refresh_token", NULL };

    json_t       *root;
    ngx_int_t     rc;
    media_str_t   token;

    *p = MEDIA_PROBLEM_BAD_REQUEST;

    if (media_json_parse(ngx_media_view(body), &root, ei) != 0) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    if (media_json_only(root, names, ei) != 0) {
        *p = MEDIA_PROBLEM_UNKNOWN_FIELD;

    } else if (media_json_str(root, names[0], NGX_MEDIA_REFRESH_BODY_MAX,
                              &token, ei)
               == 0)
    {
        if (ngx_media_refresh_sane(token)) {
            ngx_media_session_digest(token.p, sha256);
            rc = NGX_OK;

        } else {
            *p = MEDIA_PROBLEM_TOKEN_INVALID;
            (void) media_err_set(ei, MEDIA_E_AUTH,
                                 "there is no such refresh token");
        }

        OPENSSL_cleanse((char *) (uintptr_t) token.p, token.len);
    }

    json_decref(root);

    return rc;
}


static ngx_uint_t
ngx_media_refresh_sane(media_str_t token)
{
    u_char     raw[32];
    ngx_uint_t sane;

    sane = token.len == NGX_MEDIA_REFRESH_LEN
           && media_b64url_decode(token, raw, sizeof(raw)) == sizeof(raw);

    OPENSSL_cleanse(raw, sizeof(raw));

    return sane;
}


static ngx_int_t
ngx_media_refresh_start(ngx_http_request_t *r, const char *sha256)
{
    ngx_media_refresh_t  *f;

    f = (ngx_media_refresh_t *)
            ngx_media_session_create(r, sizeof(ngx_media_refresh_t));
    if (f == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(f->old_sha256, sha256, sizeof(f->old_sha256));

    if (ngx_media_session_new_refresh(&f->session, f->new_sha256) != NGX_OK) {
        ngx_media_session_free(&f->session);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    f->params[0] = ngx_media_session_str(f->old_sha256);
    f->params[1] = ngx_media_session_str(f->new_sha256);
    f->params[2] = ngx_media_session_ttl(r, f->ttl);

    return ngx_media_session_begin(&f->session, MEDIA_STMT_SESSION_REFRESH,
                                   f->params, ngx_media_refresh_done);
}


static void
ngx_media_refresh_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_str_t             code, detail, sid;
    ngx_http_request_t   *r;
    ngx_media_refresh_t  *f = data;
    ngx_media_session_t  *s;

    s = &f->session;
    r = s->op.r;
    s->query = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (res->rc == NGX_ABORT && !f->again++) {
        s->query = ngx_media_pg_query(MEDIA_STMT_SESSION_REFRESH, f->params,
                                      ngx_media_refresh_done, f);
        if (s->query) {
            return;
        }
    }

    if (res->rc != NGX_OK) {
        ngx_media_session_finish(s, ngx_media_query_failed(r, res));
        return;
    }

    code = ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_CODE);
    detail = ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_DETAIL);
    sid = ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_SID);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {

        if (sid.len) {
            ngx_media_revoke_login(ngx_media_view(&sid));
            ngx_media_count(NGX_MEDIA_C_REFRESHES_REUSED, 1);

            ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                          "media: a refresh token was used twice, its login "
                          "has ended, sid=%V", &sid);
        }

        ngx_media_session_finish(s, ngx_media_send_code(r, &code, &detail));
        return;
    }

    if (ngx_media_refresh_fill(s, res) != NGX_OK) {
        ngx_media_session_finish(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_media_count(NGX_MEDIA_C_REFRESHES, 1);

    ngx_media_session_sign(s);
}


static ngx_int_t
ngx_media_refresh_fill(ngx_media_session_t *s, ngx_media_pg_result_t *res)
{
    if (ngx_media_session_copy(s->sid, sizeof(s->sid),
                            ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_SID))
           != NGX_OK
        || ngx_media_session_copy(s->id, sizeof(s->id),
                             ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_ID))
           != NGX_OK
        || ngx_media_session_copy(s->email, sizeof(s->email),
                          ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_EMAIL))
           != NGX_OK
        || ngx_media_session_copy(s->roles, sizeof(s->roles),
                          ngx_media_pg_value(res, 0, NGX_MEDIA_REFRESH_ROLES))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_logout_handler(ngx_http_request_t *r)
{
    ngx_str_t        *params;
    media_str_t       sid;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    params = ngx_pcalloc(r->pool, 2 * sizeof(ngx_str_t));
    if (ctx == NULL || params == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sid = media_jwt_claim(&ctx->token->claims, "sid");

    if (!media_uuid_valid(sid)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_CONFLICT,
                                      "the token is of no login here: only "
                                      "its issuer can end it");
    }

    params[0] = ctx->sub;
    params[1].data = (u_char *) sid.p;
    params[1].len = sid.len;

    return ngx_media_query(r, MEDIA_STMT_SESSION_CLOSE, params,
                           ngx_media_logout_answer, &params[1]);
}


static ngx_int_t
ngx_media_logout_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t  none = ngx_null_string;
    ngx_str_t  *sid = data;

    ngx_media_revoke_login(ngx_media_view(sid));
    ngx_media_count(NGX_MEDIA_C_LOGOUTS, 1);

    return ngx_media_send_json(r, NGX_HTTP_NO_CONTENT, &none);
}
