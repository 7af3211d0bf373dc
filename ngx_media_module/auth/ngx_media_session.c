
/*
 * Sessions, see ngx_media_session.h: the frame of an attempt, and the signing
 * of tokens.
 */


#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "ngx_media_session.h"


#define NGX_MEDIA_SESSION_PENDING  256      /* tasks waiting, per process */


static void ngx_media_session_cancel(ngx_media_op_t *op);
static void ngx_media_session_thread(void *data, ngx_log_t *log);
static void ngx_media_session_back(ngx_event_t *ev);
static void ngx_media_session_sign_work(ngx_media_session_t *s);
static void ngx_media_session_signed(ngx_media_session_t *s);
static json_t *ngx_media_session_claims(ngx_media_session_t *s);
static ngx_int_t ngx_media_session_answer(ngx_media_session_t *s);


static ngx_uint_t  ngx_media_session_pending;


ngx_media_session_t *
ngx_media_session_create(ngx_http_request_t *r, size_t size)
{
    ngx_media_session_t  *s;

    s = ngx_calloc(size, r->connection->log);

    if (s) {
        s->op.r = r;
        s->size = size;
    }

    return s;
}


ngx_int_t
ngx_media_session_begin(ngx_media_session_t *s, enum media_stmt stmt,
    ngx_str_t *params, ngx_media_pg_done_pt done)
{
    s->query = ngx_media_pg_query(stmt, params, done, s);

    if (s->query == NULL) {
        ngx_media_session_free(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_media_op_begin(&s->op, s->op.r, ngx_media_session_cancel)
        != NGX_OK)
    {
        ngx_media_pg_detach(s->query);
        ngx_media_session_free(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DONE;
}


static void
ngx_media_session_cancel(ngx_media_op_t *op)
{
    ngx_media_session_t  *s = (ngx_media_session_t *) op;

    if (s->busy) {
        return;
    }

    if (s->query) {
        ngx_media_pg_detach(s->query);
    }

    ngx_media_session_free(s);
}


void
ngx_media_session_free(ngx_media_session_t *s)
{
    json_decref(s->claims);
    OPENSSL_cleanse(s, s->size);
    ngx_free(s);
}


void
ngx_media_session_finish(ngx_media_session_t *s, ngx_int_t rc)
{
    ngx_media_op_finish(&s->op, rc);
    ngx_media_session_free(s);
}


ngx_int_t
ngx_media_session_post(ngx_media_session_t *s, ngx_media_session_pt work,
    ngx_media_session_pt done)
{
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(s->op.r);

    s->work = work;
    s->done = done;

    ngx_memzero(&s->task, sizeof(ngx_thread_task_t));
    s->task.ctx = s;
    s->task.handler = ngx_media_session_thread;
    s->task.event.data = s;
    s->task.event.handler = ngx_media_session_back;
    s->task.event.log = ngx_cycle->log;

    if (ngx_media_session_pending >= NGX_MEDIA_SESSION_PENDING
        || ngx_media_hold(s->op.r) != NGX_OK
        || ngx_thread_task_post(mmcf->login_pool, &s->task) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* completions run in the loop, so none has come yet */

    ngx_media_session_pending++;
    s->busy = 1;

    return NGX_OK;
}


/* [thread] touches nothing but the attempt */

static void
ngx_media_session_thread(void *data, ngx_log_t *log)
{
    ngx_media_session_t  *s = data;

    s->work(s);
}


static void
ngx_media_session_back(ngx_event_t *ev)
{
    ngx_media_session_t  *s = ev->data;

    ngx_media_session_pending--;
    s->busy = 0;

    if (s->op.r == NULL) {
        ngx_media_session_free(s);
        return;
    }

    ngx_http_set_log_request(s->op.r->connection->log, s->op.r);

    s->done(s);
}


ngx_int_t
ngx_media_session_new_refresh(ngx_media_session_t *s,
    char sha256[NGX_MEDIA_SHA256_HEX + 1])
{
    u_char  rnd[32];

    if (RAND_bytes(rnd, sizeof(rnd)) != 1
        || media_b64url_encode(rnd, sizeof(rnd), s->refresh,
                               sizeof(s->refresh)) < 0)
    {
        return NGX_ERROR;
    }

    OPENSSL_cleanse(rnd, sizeof(rnd));

    ngx_media_session_digest(s->refresh, sha256);

    return NGX_OK;
}


void
ngx_media_session_digest(const char *refresh,
    char sha256[NGX_MEDIA_SHA256_HEX + 1])
{
    u_char  digest[SHA256_DIGEST_LENGTH];

    (void) SHA256((u_char *) refresh, NGX_MEDIA_REFRESH_LEN, digest);
    (void) media_hex_encode(digest, sizeof(digest), sha256,
                            NGX_MEDIA_SHA256_HEX + 1);
}


ngx_str_t
ngx_media_session_ttl(ngx_http_request_t *r, u_char *text)
{
    ngx_str_t  ttl;

    ttl.data = text;
    ttl.len = ngx_sprintf(text, "%T", ngx_media_main_conf(r)->refresh_ttl)
              - text;

    return ttl;
}


ngx_int_t
ngx_media_session_copy(char *dst, size_t size, ngx_str_t value)
{
    if (value.len >= size) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn((u_char *) dst, value.data, value.len + 1);

    return NGX_OK;
}


/* A signature with RSA takes a millisecond: not in the loop. */

void
ngx_media_session_sign(ngx_media_session_t *s)
{
    ngx_int_t  rc;

    s->key = ngx_media_main_conf(s->op.r)->issue_key;
    s->claims = ngx_media_session_claims(s);

    if (s->claims == NULL) {
        ngx_media_session_finish(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ngx_media_session_post(s, ngx_media_session_sign_work,
                               ngx_media_session_signed)
        != NGX_OK)
    {
        rc = ngx_media_send_problem(s->op.r, MEDIA_PROBLEM_RATE_LIMITED,
                                    "too many logins at once");
        ngx_media_session_finish(s, rc);
    }
}


static void
ngx_media_session_sign_work(ngx_media_session_t *s)
{
    s->token_len = media_jwt_issue(s->key, s->claims, s->token,
                                   sizeof(s->token), &s->cause);
}


/* NULL when out of memory */

static json_t *
ngx_media_session_claims(ngx_media_session_t *s)
{
    char                    jti[MEDIA_UUID_LEN + 1];
    u_char                  rnd[10];
    json_int_t              now;
    ngx_str_t              *iss, *aud;
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(s->op.r);
    iss = &mmcf->issuer;
    aud = &mmcf->audience;
    now = ngx_time();

    if (RAND_bytes(rnd, sizeof(rnd)) != 1) {
        return NULL;
    }

    media_uuid7((int64_t) now * 1000, rnd, jti);

    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:s%, s:s%, s:s, s:s}",
                     "sub", s->id, "email", s->email,
                     "roles", json_loads(s->roles, 0, NULL),
                     "iat", now, "nbf", now,
                     "exp", now + (json_int_t) mmcf->access_ttl,
                     "iss", (char *) iss->data, iss->len,
                     "aud", (char *) aud->data, aud->len,
                     "jti", jti, "sid", s->sid);
}


static void
ngx_media_session_signed(ngx_media_session_t *s)
{
    ngx_int_t  rc;
    ngx_str_t  id;

    if (s->token_len < 0) {
        ngx_str_null(&id);
        (void) ngx_media_request_id(s->op.r, &id);

        ngx_log_error(NGX_LOG_ERR, s->op.r->connection->log, 0,
                      "media: no access token, cause=\"%s\" req=%V",
                      s->cause.text, &id);

        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        rc = ngx_media_session_answer(s);
    }

    ngx_media_session_finish(s, rc);
}


static ngx_int_t
ngx_media_session_answer(ngx_media_session_t *s)
{
    u_char              *end;
    size_t               size;
    ngx_str_t            token, body;
    ngx_http_request_t  *r;

    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  text = ngx_string("text/plain");

    r = s->op.r;

    token.data = (u_char *) s->token;
    token.len = s->token_len;

    if (ngx_media_add_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (s->refresh[0] == '\0') {
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
                       &token, ngx_media_main_conf(r)->access_ttl,
                       s->refresh);
    body.len = end - body.data;

    return ngx_media_send_json(r, NGX_HTTP_OK, &body);
}


ngx_str_t
ngx_media_session_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = ngx_strlen(s);

    return str;
}
