
/*
 * Credentials as they come: HTTP Basic, or a JSON body.
 */


#include <openssl/crypto.h>

#include "ngx_media_login.h"
#include "media/json.h"


#define NGX_MEDIA_BASIC_MAX  (NGX_MEDIA_EMAIL_MAX + NGX_MEDIA_PASSWORD_MAX + 1)


static ngx_int_t ngx_media_login_split(char *text, size_t len,
    ngx_media_credentials_t *c);
static ngx_int_t ngx_media_login_copy(char *dst, size_t max, media_str_t s);


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
