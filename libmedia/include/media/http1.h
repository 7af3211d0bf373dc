/* Incremental reader of one HTTP/1.1 response (RFC 9112): head, then body framed by Content-Length,
 * chunked or close. Strict: a response we cannot frame without doubt is refused, because the
 * connection may be reused for another user's upload. */
#ifndef MEDIA_HTTP1_H
#define MEDIA_HTTP1_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_HTTP1_HEAD_MAX 16384 /* bytes of one head, and of all trailers */
#define MEDIA_HTTP1_HEADERS_MAX 64

typedef struct {
    media_str_t name; /* as sent; views into the reader's own head copy */
    media_str_t value;
} media_http1_header_t;

typedef struct {
    /* results, valid once head_done */
    int status; /* 100..599; 1xx heads are skipped by the reader, 101 is refused */
    int head_done;
    int done;               /* the whole response was read */
    int keepalive;          /* the connection may be reused, once done */
    int64_t content_length; /* -1: chunked or until close */
    media_http1_header_t headers[MEDIA_HTTP1_HEADERS_MAX];
    size_t nheaders;
    /* private */
    int head_request;
    int state;
    int interim; /* 1xx heads skipped */
    int64_t left;
    size_t head_len;
    size_t line_len;
    char head[MEDIA_HTTP1_HEAD_MAX];
} media_http1_t;

/* head_request: 1 when the request was HEAD (no body follows). [any] */
void media_http1_init(media_http1_t *h, int head_request);
/* Feeds n bytes. Returns how many were consumed (all, unless the response ended), or MEDIA_E_REJECT
 * with the cause / MEDIA_E_TOOBIG. Body bytes found are reported through *body (a view into p, one
 * run per call: call again while bytes are left and !done; len 0 when none). [any] */
ssize_t media_http1_feed(media_http1_t *h, const char *p, size_t n, media_str_t *body,
                         media_err_t *ei);
/* 1 once the final response has begun: whole interim (1xx) heads do not count. [any] */
int media_http1_begun(const media_http1_t *h);
/* The peer closed: 0 if that ends the response properly, else MEDIA_E_REJECT. [any] */
int media_http1_eof(media_http1_t *h, media_err_t *ei);
/* The first header of that name (case-insensitive), empty p==NULL when absent. Borrowed. [any] */
media_str_t media_http1_header(const media_http1_t *h, const char *name);

#endif
