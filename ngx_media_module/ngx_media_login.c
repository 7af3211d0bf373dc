
/*
 * POST /login: password in, tokens out. One attempt lives on the heap, because
 * the thread that hashes must not lose its memory when the client leaves.
 *
 *     LOOKUP  -row or none->  HASH    statement; the pool's deadline
 *     HASH    -match->        SESSION thread pool; cannot be stopped
 *             -no match->     401     (an unknown account hashes as long)
 *     SESSION -ok->           200     statement; the pool's deadline
 *
 * Client leaves: in LOOKUP and SESSION the query is detached and the attempt
 * freed; in HASH the thread's completion frees it.
 */


#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "ngx_media_login.h"
#include "ngx_media_op.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_LOGIN_BODY_MAX  16384
#define NGX_MEDIA_LOGIN_PENDING   256       /* hashes waiting, per process */
#define NGX_MEDIA_ROLES_MAX       1024


typedef struct {
    ngx_media_op_t              op;
    ngx_media_pg_query_t       *query;
    ngx_thread_task_t           task;
    ngx_media_credentials_t     credentials;
    char                        id[MEDIA_UUID_LEN + 1];
    char                        roles[NGX_MEDIA_ROLES_MAX];
    char                        hash[CRYPT_OUTPUT_SIZE];
    char                        refresh[NGX_MEDIA_REFRESH_LEN + 1];
    struct crypt_data           crypt;
    ngx_uint_t                  known;      /* the account exists */
    ngx_uint_t                  hashing;    /* the thread has the attempt */
    ngx_uint_t                  matches;    /* written by the thread */
} ngx_media_login_t;


static ngx_int_t ngx_media_login_body(ngx_http_request_t *r, ngx_str_t *body,
    void *data);
static ngx_int_t ngx_media_login_start(ngx_http_request_t *r,
    ngx_media_credentials_t *c);
static void ngx_media_login_found(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_login_account(ngx_media_login_t *l,
    ngx_media_pg_result_t *res);
static void ngx_media_login_hash(void *data, ngx_log_t *log);
static void ngx_media_login_hashed(ngx_event_t *ev);
static ngx_int_t ngx_media_login_session(ngx_http_request_t *r,
    ngx_media_login_t *l);
static void ngx_media_login_opened(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_login_answer(ngx_http_request_t *r,
    ngx_media_login_t *l);
static ngx_uint_t ngx_media_login_wants_text(ngx_http_request_t *r);
static ngx_int_t ngx_media_login_refuse(ngx_http_request_t *r,
    ngx_str_t *email);
static void ngx_media_login_finish(ngx_media_login_t *l, ngx_int_t rc);
static void ngx_media_login_cancel(ngx_media_op_t *op);
static void ngx_media_login_free(ngx_media_login_t *l);
static ngx_str_t ngx_media_login_str(const char *s);


/* yescrypt at the cost mediactl sets, of a password nobody knows */
static const char  ngx_media_login_dummy[] =
    "$y$j9T$Uh4Ev8kQ35UJzrSkRQZuf.$"
    "uXIjkxYfC1hdbTp5eIMcVnA9Akri2bgv7eQzqLea27B";

static ngx_uint_t  ngx_media_login_pending;


ngx_int_t
ngx_media_login_handler(ngx_http_request_t *r)
{
    u_char                   *p, *end;
    ngx_int_t                 rc;
    ngx_table_elt_t          *type;
    ngx_media_credentials_t   c;

    rc = ngx_media_login_basic(r, &c);

    if (rc == NGX_OK) {
        rc = ngx_media_login_start(r, &c);
        OPENSSL_cleanse(&c, sizeof(c));
        return rc;
    }

    if (rc == NGX_ABORT) {
        OPENSSL_cleanse(&c, sizeof(c));
        return ngx_media_login_refuse(r, NULL);
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_CREDENTIALS_INVALID,
                                      "no credentials were given");
    }

    type = r->headers_in.content_type;

    if (type) {
        p = type->value.data;
        end = ngx_strlchr(p, p + type->value.len, ';');
        end = end ? end : p + type->value.len;

        while (end > p && end[-1] == ' ') { end--; }

        if (end - p == sizeof("application/json") - 1
            && ngx_strncasecmp(p, (u_char *) "application/json", end - p) == 0)
        {
            return ngx_media_read_small(r, NGX_MEDIA_LOGIN_BODY_MAX,
                                        ngx_media_login_body, NULL);
        }
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                                  "use Content-Type: application/json or "
                                  "HTTP Basic");
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
    ngx_str_t           email, seconds;
    ngx_uint_t          wait;
    ngx_media_login_t  *l;

    email = ngx_media_login_str(c->email);

    wait = ngx_media_login_wait(r, &email);

    if (wait) {
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

    l = ngx_calloc(sizeof(ngx_media_login_t), r->connection->log);
    if (l == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    l->credentials = *c;

    l->query = ngx_media_pg_query(MEDIA_STMT_LOGIN_LOOKUP, &email,
                                  ngx_media_login_found, l);
    if (l->query == NULL) {
        ngx_media_login_free(l);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_media_op_begin(&l->op, r, ngx_media_login_cancel) != NGX_OK) {
        ngx_media_pg_detach(l->query);
        ngx_media_login_free(l);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_media_login_found(void *data, ngx_media_pg_result_t *res)
{
    ngx_http_request_t     *r;
    ngx_media_login_t      *l = data;
    ngx_media_main_conf_t  *mmcf;

    r = l->op.r;
    l->query = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (res->rc != NGX_OK) {
        ngx_media_login_finish(l, ngx_media_query_failed(r, res));
        return;
    }

    if (ngx_media_login_account(l, res) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media: account does not fit its limits");
        ngx_media_login_finish(l, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    mmcf = ngx_media_main_conf(r);

    l->task.ctx = l;
    l->task.handler = ngx_media_login_hash;
    l->task.event.data = l;
    l->task.event.handler = ngx_media_login_hashed;
    l->task.event.log = ngx_cycle->log;

    if (ngx_media_login_pending >= NGX_MEDIA_LOGIN_PENDING
        || ngx_thread_task_post(mmcf->login_pool, &l->task) != NGX_OK)
    {
        ngx_media_login_finish(l,
                      ngx_media_send_problem(r, MEDIA_PROBLEM_RATE_LIMITED,
                                             "too many logins at once"));
        return;
    }

    /* completions run in the loop, so none has come yet */

    ngx_media_login_pending++;
    l->hashing = 1;
}


/* Without a row the dummy is hashed, so that time tells nothing. */

static ngx_int_t
ngx_media_login_account(ngx_media_login_t *l, ngx_media_pg_result_t *res)
{
    ngx_str_t  id, hash, roles, email;

    if (res->nrows == 0) {
        ngx_memcpy(l->hash, ngx_media_login_dummy,
                   sizeof(ngx_media_login_dummy));
        return NGX_OK;
    }

    id = ngx_media_pg_value(res, 0, 0);
    hash = ngx_media_pg_value(res, 0, 1);
    roles = ngx_media_pg_value(res, 0, 2);
    email = ngx_media_pg_value(res, 0, 3);

    if (id.len >= sizeof(l->id) || hash.len >= sizeof(l->hash)
        || roles.len >= sizeof(l->roles) || email.len > NGX_MEDIA_EMAIL_MAX)
    {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) l->id, id.data, id.len + 1);
    (void) ngx_cpystrn((u_char *) l->hash, hash.data, hash.len + 1);
    (void) ngx_cpystrn((u_char *) l->roles, roles.data, roles.len + 1);
    (void) ngx_cpystrn((u_char *) l->credentials.email, email.data,
                       email.len + 1);

    l->known = 1;

    return NGX_OK;
}


/* [thread] touches nothing but the attempt */

static void
ngx_media_login_hash(void *data, ngx_log_t *log)
{
    char               *out;
    ngx_media_login_t  *l = data;

    ngx_media_count(NGX_MEDIA_C_LOGIN_HASHES, 1);

    out = crypt_rn(l->credentials.password, l->hash, &l->crypt,
                   sizeof(l->crypt));

    l->matches = out
                 && media_str_eq_consttime(media_str(out), media_str(l->hash));

    OPENSSL_cleanse(l->credentials.password, sizeof(l->credentials.password));
    OPENSSL_cleanse(&l->crypt, sizeof(l->crypt));
}


static void
ngx_media_login_hashed(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_str_t            email;
    ngx_http_request_t  *r;
    ngx_media_login_t   *l = ev->data;

    ngx_media_login_pending--;
    l->hashing = 0;

    r = l->op.r;

    if (r == NULL) {
        ngx_media_login_free(l);
        return;
    }

    ngx_http_set_log_request(r->connection->log, r);

    if (!l->known || !l->matches) {
        email = ngx_media_login_str(l->credentials.email);
        ngx_media_login_finish(l, ngx_media_login_refuse(r, &email));
        return;
    }

    rc = ngx_media_login_session(r, l);

    if (rc != NGX_DONE) {
        ngx_media_login_finish(l, rc);
    }
}


static ngx_int_t
ngx_media_login_session(ngx_http_request_t *r, ngx_media_login_t *l)
{
    char                    hex[2 * SHA256_DIGEST_LENGTH + 1];
    char                    family[MEDIA_UUID_LEN + 1];
    u_char                  ttl[NGX_TIME_T_LEN];
    u_char                  rnd[32], digest[SHA256_DIGEST_LENGTH];
    ngx_str_t               params[4];
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(r);

    if (RAND_bytes(rnd, 10) != 1) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    media_uuid7((int64_t) ngx_time() * 1000, rnd, family);

    /* the database knows the digest of the token's text only */

    if (RAND_bytes(rnd, sizeof(rnd)) != 1
        || media_b64url_encode(rnd, sizeof(rnd), l->refresh,
                               sizeof(l->refresh)) < 0)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) SHA256((u_char *) l->refresh, NGX_MEDIA_REFRESH_LEN, digest);
    (void) media_hex_encode(digest, sizeof(digest), hex, sizeof(hex));

    OPENSSL_cleanse(rnd, sizeof(rnd));

    params[0] = ngx_media_login_str(l->id);
    params[1] = ngx_media_login_str(hex);
    params[2] = ngx_media_login_str(family);
    params[3].data = ttl;
    params[3].len = ngx_sprintf(ttl, "%T", mmcf->refresh_ttl) - ttl;

    l->query = ngx_media_pg_query(MEDIA_STMT_SESSION_OPEN, params,
                                  ngx_media_login_opened, l);

    return l->query ? NGX_DONE : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_media_login_opened(void *data, ngx_media_pg_result_t *res)
{
    ngx_int_t            rc;
    ngx_str_t            code, email;
    ngx_http_request_t  *r;
    ngx_media_login_t   *l = data;

    r = l->op.r;
    l->query = NULL;

    ngx_http_set_log_request(r->connection->log, r);

    if (res->rc != NGX_OK) {
        rc = ngx_media_query_failed(r, res);

    } else {
        code = ngx_media_pg_value(res, 0, 0);

        if (media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
            rc = ngx_media_login_answer(r, l);

        } else {
            email = ngx_media_login_str(l->credentials.email);
            rc = ngx_media_login_refuse(r, &email);
        }
    }

    ngx_media_login_finish(l, rc);
}


static ngx_int_t
ngx_media_login_answer(ngx_http_request_t *r, ngx_media_login_t *l)
{
    u_char                 *end;
    size_t                  size;
    ngx_str_t               id, email, roles, token, body;
    ngx_media_main_conf_t  *mmcf;

    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  text = ngx_string("text/plain");

    mmcf = ngx_media_main_conf(r);

    id = ngx_media_login_str(l->id);
    email = ngx_media_login_str(l->credentials.email);
    roles = ngx_media_login_str(l->roles);

    if (ngx_media_login_token(r, &id, &email, &roles, &token) != NGX_OK
        || ngx_media_add_header(r, "Cache-Control", &no_store) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_media_count(NGX_MEDIA_C_LOGINS_OK, 1);

    if (ngx_media_login_wants_text(r)) {
        return ngx_media_send(r, NGX_HTTP_OK, &text, &token);
    }

    size = token.len + NGX_MEDIA_REFRESH_LEN + 128 + NGX_TIME_T_LEN;

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = ngx_snprintf(body.data, size,
                       "{\"access_token\":\"%V\",\"token_type\":\"Bearer\","
                       "\"expires_in\":%T,\"refresh_token\":\"%s\"}",
                       &token, mmcf->access_ttl, l->refresh);
    body.len = end - body.data;

    return ngx_media_send_json(r, NGX_HTTP_OK, &body);
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


static ngx_int_t
ngx_media_login_refuse(ngx_http_request_t *r, ngx_str_t *email)
{
    ngx_media_count(NGX_MEDIA_C_LOGINS_FAILED, 1);

    if (email) {
        ngx_media_login_refused(r, email);
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_CREDENTIALS_INVALID, NULL);
}


static void
ngx_media_login_finish(ngx_media_login_t *l, ngx_int_t rc)
{
    ngx_media_op_finish(&l->op, rc);
    ngx_media_login_free(l);
}


static void
ngx_media_login_cancel(ngx_media_op_t *op)
{
    ngx_media_login_t  *l = (ngx_media_login_t *) op;

    if (l->hashing) {
        return;
    }

    if (l->query) {
        ngx_media_pg_detach(l->query);
    }

    ngx_media_login_free(l);
}


static void
ngx_media_login_free(ngx_media_login_t *l)
{
    OPENSSL_cleanse(l, sizeof(ngx_media_login_t));
    ngx_free(l);
}


static ngx_str_t
ngx_media_login_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = ngx_strlen(s);

    return str;
}
