
/*
 * Credentials in, access token out: the two codecs of the login.
 */


#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "ngx_media_login.h"
#include "ngx_media_request.h"
#include "media/json.h"


#define NGX_MEDIA_BASIC_MAX  (NGX_MEDIA_EMAIL_MAX + NGX_MEDIA_PASSWORD_MAX + 1)


static ngx_int_t ngx_media_login_split(char *text, size_t len,
    ngx_media_credentials_t *c);
static ngx_int_t ngx_media_login_copy(char *dst, size_t max, media_str_t s);
static json_t *ngx_media_login_claims(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *email, ngx_str_t *roles);


ngx_int_t
ngx_media_login_basic(ngx_http_request_t *r, ngx_media_credentials_t *c)
{
    char              text[NGX_MEDIA_BASIC_MAX];
    ssize_t           n;
    ngx_int_t         rc;
    ngx_str_t        *value;
    media_str_t       encoded;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, "authorization", NULL);

    if (h == NULL || h->value.len < sizeof("Basic ") - 1
        || ngx_strncasecmp(h->value.data, (u_char *) "Basic ",
                           sizeof("Basic ") - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    value = &h->value;
    encoded.p = (char *) value->data + sizeof("Basic ") - 1;
    encoded.len = value->len - (sizeof("Basic ") - 1);
    encoded = media_str_trim(encoded);

    n = media_b64_decode(encoded, text, sizeof(text));

    rc = (n < 0) ? NGX_ABORT : ngx_media_login_split(text, n, c);

    /* $remote_user reads this header when the access log is written */

    OPENSSL_cleanse(text, sizeof(text));
    OPENSSL_cleanse(value->data, value->len);
    value->len = 0;

    return rc;
}


static ngx_int_t
ngx_media_login_split(char *text, size_t len, ngx_media_credentials_t *c)
{
    char         *colon;
    media_str_t   email, password;

    colon = memchr(text, ':', len);
    if (colon == NULL) {
        return NGX_ABORT;
    }

    email.p = text;
    email.len = colon - text;
    password.p = colon + 1;
    password.len = len - email.len - 1;

    if (ngx_media_login_copy(c->email, NGX_MEDIA_EMAIL_MAX, email) != NGX_OK
        || ngx_media_login_copy(c->password, NGX_MEDIA_PASSWORD_MAX, password)
           != NGX_OK)
    {
        return NGX_ABORT;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_login_copy(char *dst, size_t max, media_str_t s)
{
    if (s.len == 0 || s.len > max || memchr(s.p, '\0', s.len)
        || !media_utf8_valid(s))
    {
        return NGX_ERROR;
    }

    ngx_memcpy(dst, s.p, s.len);
    dst[s.len] = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_media_login_json(ngx_str_t *body, ngx_media_credentials_t *c,
    enum media_problem *p, media_err_t *ei)
{
    static const char *const  names[] = { "email", "password", NULL };

    json_t       *root;
    ngx_int_t     rc;
    media_str_t   email, password;

    *p = MEDIA_PROBLEM_BAD_REQUEST;

    if (media_json_parse(ngx_media_view(body), &root, ei) != 0) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;
    password = MEDIA_STR_NULL;

    if (media_json_only(root, names, ei) != 0) {
        *p = MEDIA_PROBLEM_UNKNOWN_FIELD;
        goto done;
    }

    if (media_json_str(root, "password", NGX_MEDIA_PASSWORD_MAX, &password, ei)
           != 0
        || media_json_str(root, "email", NGX_MEDIA_EMAIL_MAX, &email, ei) != 0)
    {
        goto done;
    }

    if (ngx_media_login_copy(c->email, NGX_MEDIA_EMAIL_MAX, email) != NGX_OK
        || ngx_media_login_copy(c->password, NGX_MEDIA_PASSWORD_MAX, password)
           != NGX_OK)
    {
        (void) media_err_set(ei, MEDIA_E_REJECT,
                             "email and password must not be empty");
        goto done;
    }

    rc = NGX_OK;

done:

    if (password.p) {
        OPENSSL_cleanse((char *) (uintptr_t) password.p, password.len);
    }

    json_decref(root);

    return rc;
}


ngx_int_t
ngx_media_login_token(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *email, ngx_str_t *roles, ngx_str_t *token)
{
    json_t                 *claims;
    ssize_t                 n;
    media_err_t             ei;
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(r);

    token->data = ngx_pnalloc(r->pool, MEDIA_JWT_MAX_TOKEN + 1);
    claims = ngx_media_login_claims(r, id, email, roles);

    if (token->data == NULL || claims == NULL) {
        json_decref(claims);
        return NGX_ERROR;
    }

    n = media_jwt_issue(mmcf->issue_key, claims, (char *) token->data,
                        MEDIA_JWT_MAX_TOKEN + 1, &ei);
    json_decref(claims);

    if (n < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media: no access token, cause=\"%s\"", ei.text);
        return NGX_ERROR;
    }

    token->len = n;

    return NGX_OK;
}


/* NULL when out of memory */

static json_t *
ngx_media_login_claims(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *email, ngx_str_t *roles)
{
    char                    jti[MEDIA_UUID_LEN + 1];
    int                     rc;
    json_t                 *claims, *array;
    u_char                  rnd[10];
    json_int_t              now;
    ngx_media_main_conf_t  *mmcf;

    mmcf = ngx_media_main_conf(r);
    now = ngx_time();

    if (RAND_bytes(rnd, sizeof(rnd)) != 1) {
        return NULL;
    }

    media_uuid7((int64_t) now * 1000, rnd, jti);

    array = json_loadb((char *) roles->data, roles->len, 0, NULL);
    if (array == NULL) {
        return NULL;
    }

    claims = json_object();

    rc = json_object_set_new(claims, "sub",
                         json_stringn((char *) id->data, id->len));
    rc |= json_object_set_new(claims, "email",
                         json_stringn((char *) email->data, email->len));
    rc |= json_object_set_new(claims, "roles", array);
    rc |= json_object_set_new(claims, "iat", json_integer(now));
    rc |= json_object_set_new(claims, "nbf", json_integer(now));
    rc |= json_object_set_new(claims, "exp",
                         json_integer(now + mmcf->access_ttl));
    rc |= json_object_set_new(claims, "iss",
                         json_stringn((char *) mmcf->issuer.data,
                                      mmcf->issuer.len));
    rc |= json_object_set_new(claims, "aud",
                         json_stringn((char *) mmcf->audience.data,
                                      mmcf->audience.len));
    rc |= json_object_set_new(claims, "jti", json_string(jti));

    if (rc != 0) {
        json_decref(claims);
        return NULL;
    }

    return claims;
}
