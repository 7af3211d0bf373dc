
/*
 * HTTP/1.1 client on nginx's event loop, for requests whose body arrives
 * piece by piece (ngx_http_upstream is one request in, one out). One call =
 * one request and its response on one connection, which comes from and goes
 * back to a keep-alive cache per peer. It knows neither S3 nor ngx_http
 * requests; it sends nginx chains without copying.
 *
 * Callbacks never run from within the functions below, save where said.
 */

#ifndef _NGX_MEDIA_HTTP_H_INCLUDED_
#define _NGX_MEDIA_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include "media/http1.h"


typedef struct {
    ngx_str_t                   name;       /* host:port, for logs */
    ngx_addr_t                 *addrs;      /* resolved at config time */
    ngx_uint_t                  naddrs;
    ngx_uint_t                  keepalive;  /* idle connections, default 64 */
    ngx_msec_t                  connect_timeout;    /* 3 s */
    ngx_msec_t                  send_timeout;   /* between two writes: 20 s */
    ngx_msec_t                  read_timeout;   /* first byte, idle: 60 s; the
                                                   whole response may take
                                                   NGX_MEDIA_HTTP_WHOLE times
                                                   that */
    ngx_msec_t                  idle_timeout;   /* cached connection: 15 s, less
                                               than the server's (MinIO 30 s) */
    /* set by ngx_media_http_peer_ssl(), NULL: plain TCP */
    ngx_ssl_t                  *ssl;
    ngx_str_t                   ssl_name;   /* ends in NUL */
    /* per process, private: */
    ngx_queue_t                 idle;
    ngx_uint_t                  nidle;
    ngx_uint_t                  next_addr;
} ngx_media_http_peer_t;


/* From its first byte on a response may take this many read timeouts, however
 * steadily it trickles (S3 sends blanks while it completes a large object). */
#define NGX_MEDIA_HTTP_WHOLE  5


typedef struct ngx_media_http_call_s  ngx_media_http_call_t;

enum ngx_media_http_rc {
    NGX_MEDIA_HTTP_OK = 0,          /* a whole response: h1, body */
    NGX_MEDIA_HTTP_UNREACHABLE,     /* no byte of the request was taken */
    NGX_MEDIA_HTTP_TIMEOUT,
    NGX_MEDIA_HTTP_BROKEN           /* connection lost or response unreadable
                                       after the request had begun */
};

typedef struct {
    enum ngx_media_http_rc      rc;
    media_http1_t              *h1;     /* NULL unless OK */
    ngx_str_t                   body;   /* up to body_max bytes */
    const char                 *cause;  /* for the log */
    ngx_uint_t                  sent;   /* 1: the whole request has left us, it
                                           may have taken effect */
    ngx_uint_t                  replayed;   /* 1: sent a second time because
                                               the reused connection was dead */
} ngx_media_http_response_t;

/* Exactly once, unless the call was canceled; res lives until it returns. The
 * response may come before the whole body was written (S3 refuses early). */
typedef void (*ngx_media_http_done_pt)(void *data,
    ngx_media_http_response_t *res);
/* After ngx_media_http_write() said NGX_AGAIN: write again. Also called when
 * the head has been sent and the first body byte may be written: once, and once
 * more if the connection was replaced before it was. */
typedef void (*ngx_media_http_ready_pt)(void *data);

typedef struct {
    ngx_media_http_peer_t      *peer;
    const char                 *name;       /* of the operation, static */
    ngx_msec_t                  read_timeout;   /* 0: the peer's */
    ngx_str_t                   head;       /* whole head, copied */
    ngx_uint_t                  head_request;   /* 1: method HEAD */
    off_t                       body_length;    /* bytes the caller will write;
                                                   0: none */
    ngx_str_t                   body;       /* or: the whole body, borrowed
                                               until done, sent unasked */
    size_t                      body_max;   /* of the response body kept */
    ngx_media_http_done_pt      done;
    ngx_media_http_ready_pt     ready;      /* NULL when body_length == 0 */
    void                       *data;
    ngx_log_t                  *log;
} ngx_media_http_request_t;


/* [conf] private lists of a peer made ready */
void ngx_media_http_peer_init(ngx_media_http_peer_t *peer);

/* [conf] Connections to this peer speak TLS; the certificate has to be valid
 * for `name` (host name or address, without port) by the CAs in the PEM file
 * `ca` (empty: the system's). NGX_ERROR is logged. */
ngx_int_t ngx_media_http_peer_ssl(ngx_conf_t *cf, ngx_media_http_peer_t *peer,
    ngx_str_t *name, ngx_str_t *ca);

/* Starts a call; NULL when out of memory (no callback then). A cached
 * connection that turns out dead before the first byte of a streamed body was
 * taken is replaced by a fresh one, once and unseen; without a streamed body,
 * before the first byte of the response (a POST: only at once). [loop] */
ngx_media_http_call_t *ngx_media_http_call(ngx_media_http_request_t *req);

/* Sends from the chain, moving buf->pos past what was taken (memory buffers
 * only). NGX_OK: all taken; NGX_AGAIN: the rest later, on ready(); NGX_ERROR:
 * the call is over, done() will tell. flush is implied. [loop] */
ngx_int_t ngx_media_http_write(ngx_media_http_call_t *call, ngx_chain_t *in);

/* The caller waits for its own client, not for the peer: stops (1) or restarts
 * (0) the send timer. [loop] */
void ngx_media_http_hold(ngx_media_http_call_t *call, ngx_uint_t hold);

/* Ends the call with BROKEN and this static cause: done() follows. [loop] */
void ngx_media_http_abort(ngx_media_http_call_t *call, const char *cause);

/* Ends the call without callback and closes its connection. NULL is allowed.
 * [loop] */
void ngx_media_http_cancel(ngx_media_http_call_t *call);

/* Closes cached connections (exit_process, worker shutdown). [loop] */
void ngx_media_http_peer_close(ngx_media_http_peer_t *peer);


#endif
