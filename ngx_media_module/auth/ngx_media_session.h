
/*
 * From "this is the user" to tokens: what POST /login and POST /login/refresh
 * share. One attempt lives on the heap, because a thread that works for it
 * must not lose its memory when the client leaves.
 *
 *     the caller's statements and hash    query(), post()
 *     SIGN  -signed-> 200                 thread pool; cannot be stopped
 *
 * Client leaves: a query is detached and the attempt freed; while a thread has
 * it, the thread's completion frees it.
 */

#ifndef _NGX_MEDIA_SESSION_H_INCLUDED_
#define _NGX_MEDIA_SESSION_H_INCLUDED_


#include "ngx_media.h"
#include "ngx_media_op.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_EMAIL_MAX      320
#define NGX_MEDIA_ROLES_MAX      1024
#define NGX_MEDIA_REFRESH_LEN    43     /* base64url of 32 bytes */
#define NGX_MEDIA_SHA256_HEX     64


typedef struct ngx_media_session_s  ngx_media_session_t;

typedef void (*ngx_media_session_pt)(ngx_media_session_t *s);

/* The first member of what a route makes of it. Texts are NUL-terminated. */
struct ngx_media_session_s {
    ngx_media_op_t              op;
    size_t                      size;       /* of all, cleansed when freed */
    ngx_media_pg_query_t       *query;
    ngx_thread_task_t           task;
    ngx_media_session_pt        work;       /* [thread] */
    ngx_media_session_pt        done;       /* [loop] */
    ngx_uint_t                  busy;       /* the thread has the attempt */

    /* who: filled by the caller before ngx_media_session_sign() */
    char                        id[MEDIA_UUID_LEN + 1];
    char                        sid[MEDIA_UUID_LEN + 1];
    char                        email[NGX_MEDIA_EMAIL_MAX + 1];
    char                        roles[NGX_MEDIA_ROLES_MAX];

    /* empty: the answer is the bare token as text/plain */
    char                        refresh[NGX_MEDIA_REFRESH_LEN + 1];

    const media_jwt_key_t      *key;
    json_t                     *claims;
    ssize_t                     token_len;  /* or a negative code */
    media_err_t                 cause;
    char                        token[MEDIA_JWT_MAX_TOKEN + 1];
};


/* An attempt of that size for the request, zeroed; NULL when out of memory. */
ngx_media_session_t *ngx_media_session_create(ngx_http_request_t *r,
    size_t size);

/* The first wait, once: NGX_DONE, or an error with the attempt freed. [loop] */
ngx_int_t ngx_media_session_begin(ngx_media_session_t *s,
    enum media_stmt stmt, ngx_str_t *params, ngx_media_pg_done_pt done);

/* Has work done by the thread pool, then done() in the loop if the client is
 * still there. NGX_DECLINED when too many wait. [loop] */
ngx_int_t ngx_media_session_post(ngx_media_session_t *s,
    ngx_media_session_pt work, ngx_media_session_pt done);

/* Makes a refresh token and the digest the database knows it by. [any] */
ngx_int_t ngx_media_session_new_refresh(ngx_media_session_t *s,
    char sha256[NGX_MEDIA_SHA256_HEX + 1]);
void ngx_media_session_digest(const char *refresh,
    char sha256[NGX_MEDIA_SHA256_HEX + 1]);

/* media_refresh_ttl as a parameter; text: NGX_TIME_T_LEN bytes. */
ngx_str_t ngx_media_session_ttl(ngx_http_request_t *r, u_char *text);

/* Copies a value into one of the fields; NGX_ERROR when it is too long. */
ngx_int_t ngx_media_session_copy(char *dst, size_t size, ngx_str_t value);

/* Signs an access token and answers with it. Ends the attempt. [loop] */
void ngx_media_session_sign(ngx_media_session_t *s);

/* Ends the attempt with what finalizes the request. [loop] */
void ngx_media_session_finish(ngx_media_session_t *s, ngx_int_t rc);
/* Of one that was not begun. */
void ngx_media_session_free(ngx_media_session_t *s);

ngx_str_t ngx_media_session_str(const char *s);


#endif
