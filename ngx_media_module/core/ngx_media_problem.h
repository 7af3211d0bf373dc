
/*
 * Answers of our own: JSON documents and RFC 9457 problems.
 */

#ifndef _NGX_MEDIA_PROBLEM_H_INCLUDED_
#define _NGX_MEDIA_PROBLEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "media/problem.h"


#define NGX_MEDIA_RETRY_AFTER  5    /* s, of a 429 or 503 */


/*
 * Both send a complete response and return what ngx_http_finalize_request()
 * wants; content handlers return that value, access handlers and foreign
 * events finalize with it. An unread request body is discarded by them.
 * [loop]
 */
ngx_int_t ngx_media_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
/* fmt: nginx's format, or NULL for no detail. 401 and 403 bring their own
 * WWW-Authenticate, 429 and 503 a Retry-After (NGX_MEDIA_RETRY_AFTER) unless
 * one is set. */
ngx_int_t ngx_media_send_problem(ngx_http_request_t *r, enum media_problem p,
    const char *fmt, ...);

/* WWW-Authenticate of a problem with a token or credentials; nothing for
 * others. */
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

/* The request was answered: should its body still come over HTTP/2, the stream
 * stays until the client can have seen the answer (ngx_media_linger.c). */
void ngx_media_linger(ngx_http_request_t *r);

/* Extra members of the next problem of r, raw JSON starting with ','. */
void ngx_media_problem_extra(ngx_http_request_t *r, ngx_str_t *extra);
/* The same, of a JSON object's text; nothing of what is none. */
void ngx_media_problem_members(ngx_http_request_t *r, ngx_str_t *object);
/* "limit": what a body may have at most. */
void ngx_media_problem_limit(ngx_http_request_t *r, off_t limit);
/* The same, where core's client_max_body_size said no. */
void ngx_media_problem_core_limit(ngx_http_request_t *r);
/* When to come back, seconds. */
void ngx_media_problem_retry(ngx_http_request_t *r, ngx_uint_t seconds);


#endif
