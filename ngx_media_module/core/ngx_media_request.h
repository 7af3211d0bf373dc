
/*
 * What route handlers share: reading the request (headers, arguments, a
 * small body) and answering with the result of one statement.
 */

#ifndef _NGX_MEDIA_REQUEST_H_INCLUDED_
#define _NGX_MEDIA_REQUEST_H_INCLUDED_


#include "ngx_media.h"
#include "media/str.h"


/* A view of an ngx_str_t for libmedia. */
static ngx_inline media_str_t
ngx_media_view(const ngx_str_t *s)
{
    media_str_t  v;

    v.p = (const char *) s->data;
    v.len = s->len;

    return v;
}


/* A worker that shall exit waits until the request has ended, also while only a
 * thread works for it. NGX_ERROR when out of memory. [loop] */
ngx_int_t ngx_media_hold(ngx_http_request_t *r);

/* The first request header called name (lower case) and, where n is given, how
 * many there are; NULL when there is none. [loop] */
ngx_table_elt_t *ngx_media_header_in(ngx_http_request_t *r, const char *name,
    ngx_uint_t *n);

/* All its lines as one value, as RFC 9110 5.3 joins them; empty when there is
 * none. NGX_ERROR when out of memory. [loop] */
ngx_int_t ngx_media_header_joined(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* A copy of s in the pool, NUL-terminated; NGX_ERROR when out of memory. */
ngx_int_t ngx_media_strdup(ngx_pool_t *pool, ngx_str_t *dst,
    const void *p, size_t len);

/* Query arguments one by one: *pos starts as 0. NGX_OK with name and value
 * percent-decoded into the pool ('+' is a space), NGX_DONE at the end,
 * NGX_DECLINED for an argument that is not well-formed UTF-8 text, NGX_ERROR
 * when out of memory. [loop] */
ngx_int_t ngx_media_args_next(ngx_http_request_t *r, size_t *pos,
    ngx_str_t *name, ngx_str_t *value);


/*
 * A body of at most cap bytes, read without temporary files and handed over
 * once; too long a body is answered 413 by the reader. body is in r->pool,
 * NUL-terminated, and cleansed as soon as the handler returns. The handler
 * returns what finalizes the request (NGX_DONE after beginning an op).
 * Returned is the content handler's value. [loop]
 */
typedef ngx_int_t (*ngx_media_small_pt)(ngx_http_request_t *r,
    ngx_str_t *body, void *data);

ngx_int_t ngx_media_read_small(ngx_http_request_t *r, size_t cap,
    ngx_media_small_pt handler, void *data);


/*
 * Runs one statement for the request and lets answer() finish it: answer
 * returns what finalizes the request (NGX_DONE after a further query). It is
 * called for NGX_OK results only; a database that is away is answered 503, a
 * statement that fails 500. Returned is the content handler's value. [loop]
 */
typedef ngx_int_t (*ngx_media_answer_pt)(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);

ngx_int_t ngx_media_query(ngx_http_request_t *r, enum media_stmt stmt,
    ngx_str_t *params, ngx_media_answer_pt answer, void *data);

/* The user who asks, as a parameter of a statement: null without a token. */
ngx_str_t ngx_media_caller(ngx_media_ctx_t *ctx);

/* What is not there for this caller: 404, or 401 for one without a token, who
 * might see it with one. [loop] */
ngx_int_t ngx_media_send_not_found(ngx_http_request_t *r,
    ngx_media_ctx_t *ctx);

/* 1 for a body that says it is JSON (application/json). [loop] */
ngx_uint_t ngx_media_is_json(ngx_http_request_t *r);

/* 1 for a result that is not the statement's fault: the database is away,
 * overloaded, starting or stopping, or chose us in a conflict. [loop] */
ngx_uint_t ngx_media_query_away(ngx_media_pg_result_t *res);

/* Says which statement failed and how. [loop] */
void ngx_media_query_log(ngx_log_t *log, ngx_media_pg_result_t *res,
    ngx_str_t *req);

/* The answer to a result that is not NGX_OK; logs it. [loop] */
ngx_int_t ngx_media_query_failed(ngx_http_request_t *r,
    ngx_media_pg_result_t *res);

/* Publishes what an "outbox" column (stmt.h) names. [loop] */
void ngx_media_outbox_publish(ngx_str_t *outbox);

/* The answer to a "code" column other than ok. [loop] */
ngx_int_t ngx_media_send_code(ngx_http_request_t *r, ngx_str_t *code,
    ngx_str_t *detail);


#endif
