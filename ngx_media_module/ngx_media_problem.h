
/*
 * Answers of our own: JSON documents and RFC 9457 problems.
 */

#ifndef _NGX_MEDIA_PROBLEM_H_INCLUDED_
#define _NGX_MEDIA_PROBLEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "media/problem.h"


/*
 * Both send a complete response and return what ngx_http_finalize_request()
 * wants; content handlers return that value, access handlers and foreign
 * events finalize with it. An unread request body is discarded by them.
 * [loop]
 */
ngx_int_t ngx_media_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
/* fmt: nginx's format, or NULL for no detail. 401 and 403 bring their own
 * WWW-Authenticate, 429 and 503 a Retry-After unless one is set. */
ngx_int_t ngx_media_send_problem(ngx_http_request_t *r, enum media_problem p,
    const char *fmt, ...);

/* WWW-Authenticate of a 401 or 403 problem; nothing for others. */
ngx_int_t ngx_media_challenge(ngx_http_request_t *r, enum media_problem p);

/* The problem that fits a plain HTTP error status (nginx's own codes above 493
 * included): what core or a body reader returned. */
ngx_int_t ngx_media_send_status(ngx_http_request_t *r, ngx_uint_t status);

/* As the first, with another Content-Type; body is copied into r->pool. */
ngx_int_t ngx_media_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *content_type, ngx_str_t *body);

/* Adds a response header; name and value must live as long as r. */
ngx_int_t ngx_media_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* Extra members of the next problem of r, raw JSON starting with ','. */
void ngx_media_problem_extra(ngx_http_request_t *r, ngx_str_t *extra);


#endif
