
/*
 * POST /login: password in, tokens out.
 *
 *     LOOKUP  -row or none->  HASH    statement; the pool's deadline
 *     HASH    -match->        OPEN    thread pool; cannot be stopped
 *             -no match->     401     (an unknown account hashes as long)
 *     OPEN    -ok->           SIGN    statement; the pool's deadline
 *                             see ngx_media_session.h
 */


#include <crypt.h>
#include <openssl/crypto.h>

#include "ngx_media_login.h"


#define NGX_MEDIA_LOGIN_BODY_MAX  16384


typedef struct {
    ngx_media_session_t         session;
    ngx_media_credentials_t     credentials;
    char                        version[NGX_MEDIA_SHA256_HEX + 1];
    char                        hash[CRYPT_OUTPUT_SIZE];
    struct crypt_data           crypt;
    ngx_uint_t                  known;      /* the account exists */
    ngx_uint_t                  matches;    /* written by the thread */
} ngx_media_login_t;


static ngx_int_t ngx_media_login_body(ngx_http_request_t *r, ngx_str_t *body,
    void *data);
static ngx_int_t ngx_media_login_start(ngx_http_request_t *r,
    ngx_media_credentials_t *c);
static ngx_int_t ngx_media_login_limited(ngx_http_request_t *r,
    ngx_uint_t wait);
static void ngx_media_login_found(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_login_account(ngx_media_login_t *l,
    ngx_media_pg_result_t *res);
static void ngx_media_login_hash(ngx_media_session_t *s);
static void ngx_media_login_hashed(ngx_media_session_t *s);
static ngx_int_t ngx_media_login_open(ngx_media_login_t *l);
static void ngx_media_login_opened(void *data, ngx_media_pg_result_t *res);
static ngx_uint_t ngx_media_login_wants_text(ngx_http_request_t *r);
static ngx_int_t ngx_media_login_refuse(ngx_http_request_t *r);
static void ngx_media_login_end(ngx_media_login_t *l, ngx_int_t rc);


/* yescrypt at the cost mediactl sets, of a password nobody knows */
static const char  ngx_media_login_dummy[] =
    "$y$j9T$Uh4Ev8kQ35UJzrSkRQZuf.$"
    "uXIjkxYfC1hdbTp5eIMcVnA9Akri2bgv7eQzqLea27B";


ngx_int_t
ngx_media_login_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_media_credentials_t   c;

    rc = ngx_media_login_basic(r, &c);

    if (rc == NGX_OK) {
        rc = ngx_media_login_start(r, &c);
        OPENSSL_cleanse(&c, sizeof(c));
        return rc;
    }

    if (rc == NGX_ABORT) {
        OPENSSL_cleanse(&c, sizeof(c));
        return ngx_media_login_refuse(r);
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_CREDENTIALS_INVALID,
                                      "no credentials were given");
    }

    if (!ngx_media_is_json(r)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                                      "use Content-Type: application/json or "
                                      "HTTP Basic");
    }

    return ngx_media_read_small(r, NGX_MEDIA_LOGIN_BODY_MAX,
                                ngx_media_login_body, NULL);
}


static ngx_int_t
ngx_media_login_body(ngx_http_request_t *r, ngx_str_t *body, void *data)
{
    ngx_int_t                rc;
    media_err_t              ei;
    enum media_problem       p;
    ngx_media_credentials_t  c;

    ei.text[0] = '\0';

    if (ngx_media_login_json(body, &c, &p, &ei) == NGX_OK) {
        rc = ngx_media_login_start(r, &c);

    } else {
        rc = ngx_media_send_problem(r, p, "%s", ei.text);
    }

    OPENSSL_cleanse(&c, sizeof(c));

    return rc;
}


static ngx_int_t
ngx_media_login_start(ngx_http_request_t *r, ngx_media_credentials_t *c)
{
    ngx_str_t           email;
    ngx_int_t           rc;
    ngx_uint_t          wait;
    ngx_media_login_t  *l;

    email = ngx_media_session_str(c->email);

    wait = ngx_media_login_admit(r, &email);
    if (wait) {
        return ngx_media_login_limited(r, wait);
    }

    l = (ngx_media_login_t *)
            ngx_media_session_create(r, sizeof(ngx_media_login_t));
    if (l == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    l->credentials = *c;

    rc = ngx_media_session_begin(&l->session, MEDIA_STMT_LOGIN_LOOKUP, &email,
                                 ngx_media_login_found);

    if (rc != NGX_DONE) {
        ngx_media_login_forgive(r, &email);
    }

    return rc;
}


static ngx_int_t
ngx_media_login_limited(ngx_http_request_t *r, ngx_uint_t wait)
{
    ngx_str_t  seconds;

    seconds.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (seconds.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    seconds.len = ngx_sprintf(seconds.data, "%ui", wait) - seconds.data;

    if (ngx_media_add_header(r, "Retry-After", &seconds) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_RATE_LIMITED,
                                  "too many failed logins");
}


static void
ngx_media_login_found(void *data, ngx_media_pg_result_t *res)
{
    ngx_http_request_t  *r;
    ngx_media_login_t   *l = data;

    r = l->session.op.r;
    l->session.query = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (res->rc != NGX_OK) {
        ngx_media_login_end(l, ngx_media_query_failed(r, res));
        return;
    }

    if (ngx_media_login_account(l, res) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media: account does not fit its limits");
        ngx_media_login_end(l, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_media_session_post(&l->session, ngx_media_login_hash,
                               ngx_media_login_hashed)
        != NGX_OK)
    {
        ngx_media_login_end(l,
                      ngx_media_send_problem(r, MEDIA_PROBLEM_RATE_LIMITED,
                                             "too many logins at once"));
    }
}


/* Without a row the dummy is hashed, so that time tells nothing. */

static ngx_int_t
ngx_media_login_account(ngx_media_login_t *l, ngx_media_pg_result_t *res)
{
    ngx_media_session_t  *s;

    if (res->nrows == 0) {
        ngx_memcpy(l->hash, ngx_media_login_dummy,
                   sizeof(ngx_media_login_dummy));
        return NGX_OK;
    }

    s = &l->session;

    if (ngx_media_session_copy(s->id, sizeof(s->id),
                               ngx_media_pg_value(res, 0, 0))
           != NGX_OK
        || ngx_media_session_copy(l->hash, sizeof(l->hash),
                                  ngx_media_pg_value(res, 0, 1))
           != NGX_OK
        || ngx_media_session_copy(s->roles, sizeof(s->roles),
                                  ngx_media_pg_value(res, 0, 2))
           != NGX_OK
        || ngx_media_session_copy(s->email, sizeof(s->email),
                                  ngx_media_pg_value(res, 0, 3))
           != NGX_OK
        || ngx_media_session_copy(l->version, sizeof(l->version),
                                  ngx_media_pg_value(res, 0, 4))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    l->known = 1;

    return NGX_OK;
}


/* [thread] touches nothing but the attempt */

static void
ngx_media_login_hash(ngx_media_session_t *s)
{
    char               *out;
    ngx_media_login_t  *l = (ngx_media_login_t *) s;

    ngx_media_count(NGX_MEDIA_C_LOGIN_HASHES, 1);

    out = crypt_rn(l->credentials.password, l->hash, &l->crypt,
                   sizeof(l->crypt));

    l->matches = out
                 && media_str_eq_consttime(media_str(out), media_str(l->hash));

    OPENSSL_cleanse(l->credentials.password, sizeof(l->credentials.password));
    OPENSSL_cleanse(&l->crypt, sizeof(l->crypt));
}


static void
ngx_media_login_hashed(ngx_media_session_t *s)
{
    ngx_int_t           rc;
    ngx_media_login_t  *l = (ngx_media_login_t *) s;

    if (!l->known || !l->matches) {
        ngx_media_session_finish(s, ngx_media_login_refuse(s->op.r));
        return;
    }

    rc = ngx_media_login_open(l);

    if (rc != NGX_DONE) {
        ngx_media_login_end(l, rc);
    }
}


/* The bare token leaves no room for a refresh token: no session is opened
 * that nobody could use. */

static ngx_int_t
ngx_media_login_open(ngx_media_login_t *l)
{
    char                  sha256[NGX_MEDIA_SHA256_HEX + 1];
    u_char                ttl[NGX_TIME_T_LEN];
    ngx_str_t             params[4];
    ngx_media_session_t  *s;

    s = &l->session;

    params[0] = ngx_media_session_str(s->id);
    params[1] = ngx_media_session_str(l->version);
    ngx_str_null(&params[2]);
    params[3] = ngx_media_session_ttl(s->op.r, ttl);

    if (!ngx_media_login_wants_text(s->op.r)) {
        if (ngx_media_session_new_refresh(s, sha256) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        params[2] = ngx_media_session_str(sha256);
    }

    s->query = ngx_media_pg_query(MEDIA_STMT_SESSION_OPEN, params,
                                  ngx_media_login_opened, l);

    return s->query ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_media_login_opened(void *data, ngx_media_pg_result_t *res)
{
    ngx_str_t             code, email;
    ngx_http_request_t   *r;
    ngx_media_login_t    *l = data;
    ngx_media_session_t  *s;

    s = &l->session;
    r = s->op.r;
    s->query = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (res->rc != NGX_OK) {
        ngx_media_login_end(l, ngx_media_query_failed(r, res));
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
        /* changed while the password was hashed */
        ngx_media_session_finish(s, ngx_media_login_refuse(r));
        return;
    }

    if (ngx_media_session_copy(s->sid, sizeof(s->sid),
                               ngx_media_pg_value(res, 0, 1))
        != NGX_OK)
    {
        ngx_media_login_end(l, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    email = ngx_media_session_str(l->credentials.email);
    ngx_media_login_forgive(r, &email);

    ngx_media_count(NGX_MEDIA_C_LOGINS_OK, 1);

    ngx_media_session_sign(s);
}


static ngx_uint_t
ngx_media_login_wants_text(ngx_http_request_t *r)
{
    u_char           *p, *end;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, "accept", NULL);
    if (h == NULL) {
        return 0;
    }

    p = h->value.data;
    end = p + h->value.len;

    return ngx_strlcasestrn(p, end, (u_char *) "text/plain",
                            sizeof("text/plain") - 2)
           && !ngx_strlcasestrn(p, end, (u_char *) "application/json",
                                sizeof("application/json") - 2);
}


/* It stays counted as a failure. */

static ngx_int_t
ngx_media_login_refuse(ngx_http_request_t *r)
{
    ngx_media_count(NGX_MEDIA_C_LOGINS_FAILED, 1);

    return ngx_media_send_problem(r, MEDIA_PROBLEM_CREDENTIALS_INVALID, NULL);
}


/* Not the credentials' fault */

static void
ngx_media_login_end(ngx_media_login_t *l, ngx_int_t rc)
{
    ngx_str_t  email;

    email = ngx_media_session_str(l->credentials.email);
    ngx_media_login_forgive(l->session.op.r, &email);

    ngx_media_session_finish(&l->session, rc);
}
