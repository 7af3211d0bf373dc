
/*
 * Login: what the route handler, the rate limit and the token maker share.
 */

#ifndef _NGX_MEDIA_LOGIN_H_INCLUDED_
#define _NGX_MEDIA_LOGIN_H_INCLUDED_


#include "ngx_media.h"


#define NGX_MEDIA_EMAIL_MAX     320
#define NGX_MEDIA_PASSWORD_MAX  511     /* CRYPT_MAX_PASSPHRASE_SIZE - 1 */
#define NGX_MEDIA_REFRESH_LEN   43      /* base64url of 32 bytes */


/* Seconds until this caller may try this account again; 0: now. [loop] */
ngx_uint_t ngx_media_login_wait(ngx_http_request_t *r, ngx_str_t *email);

/* Counts a refused attempt. [loop] */
void ngx_media_login_refused(ngx_http_request_t *r, ngx_str_t *email);


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

/* Signs an access token for the account into r->pool. roles: JSON array text.
 * [loop] */
ngx_int_t ngx_media_login_token(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *email, ngx_str_t *roles, ngx_str_t *token);


#endif
