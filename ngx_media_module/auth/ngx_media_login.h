
/*
 * Login: what the route handler, the rate limit and the reading of
 * credentials share.
 */

#ifndef _NGX_MEDIA_LOGIN_H_INCLUDED_
#define _NGX_MEDIA_LOGIN_H_INCLUDED_


#include "ngx_media_session.h"


#define NGX_MEDIA_PASSWORD_MAX  511     /* CRYPT_MAX_PASSPHRASE_SIZE - 1 */


/* Counts an attempt as failed, until it is forgiven; many at the same time
 * cannot slip past the limit so. 0, or the seconds until this caller may try
 * this account again, and nothing was counted. [loop] */
ngx_uint_t ngx_media_login_admit(ngx_http_request_t *r, ngx_str_t *email);
void ngx_media_login_forgive(ngx_http_request_t *r, ngx_str_t *email);


/* Credentials of the request, NUL-terminated. */
typedef struct {
    char                        email[NGX_MEDIA_EMAIL_MAX + 1];
    char                        password[NGX_MEDIA_PASSWORD_MAX + 1];
} ngx_media_credentials_t;

/* From "Authorization: Basic"; what held the password is cleansed. NGX_OK,
 * NGX_DECLINED without such a header, NGX_ABORT when it cannot be right.
 * [loop] */
ngx_int_t ngx_media_login_basic(ngx_http_request_t *r,
    ngx_media_credentials_t *c);

/* From a JSON body. NGX_OK, or NGX_DECLINED with problem and cause. [any] */
ngx_int_t ngx_media_login_json(ngx_str_t *body, ngx_media_credentials_t *c,
    enum media_problem *p, media_err_t *ei);


#endif
