
/*
 * Shared by the files of the HTTP client only: ngx_media_http.c (a call),
 * ngx_media_http_io.c (its bytes), ngx_media_http_keep.c (connections) and
 * ngx_media_http_ssl.c (TLS).
 */

#ifndef _NGX_MEDIA_HTTP_PRIV_H_INCLUDED_
#define _NGX_MEDIA_HTTP_PRIV_H_INCLUDED_


#include "ngx_media_http.h"


/* A connection: in its own pool, owned by one call or by the peer's cache. */
typedef struct {
    ngx_queue_t                 queue;      /* in peer->idle */
    ngx_connection_t           *c;
    ngx_media_http_peer_t      *peer;
    ngx_media_http_call_t      *call;       /* NULL: cached */
} ngx_media_http_conn_t;


/*
 *  state     waits for                       timer
 *  CONNECT   the TCP (and TLS) handshake     write: connect_timeout
 *  HEAD      room for head and memory body   write: send_timeout
 *  BODY      the caller's bytes, or room     write: send_timeout, unless held
 *  RESPONSE  the response                    read:  read_timeout
 *  END       done() is posted                none
 *
 * A response that has begun runs under the read timer in every state.
 *
 * From CONNECT on a response is read whenever it comes; cancel() is legal in
 * every state and frees the call.
 */
typedef enum {
    NGX_MEDIA_HTTP_CONNECT = 0,
    NGX_MEDIA_HTTP_HEAD,
    NGX_MEDIA_HTTP_BODY,
    NGX_MEDIA_HTTP_RESPONSE,
    NGX_MEDIA_HTTP_END
} ngx_media_http_state_e;


struct ngx_media_http_call_s {
    ngx_media_http_request_t    req;
    ngx_media_http_conn_t      *conn;       /* NULL in END */
    ngx_media_http_state_e      state;
    ngx_event_t                 event;      /* posted: go on, or done() */

    ngx_uint_t                  tries;      /* addresses left */
    ngx_uint_t                  next_addr;

    ngx_chain_t                 out[2];     /* head, memory body */
    ngx_buf_t                   bufs[2];
    off_t                       body_sent;  /* of the caller's bytes */
    off_t                       taken;      /* by the kernel, this connection */
    size_t                      burst;      /* without a pause */
    ngx_msec_t                  sent_at;
    ngx_msec_t                  whole_by;   /* the end of the response */

    size_t                      body_size;  /* room in res.body.data */
    size_t                      body_excess;
    ngx_media_http_response_t   res;
    media_err_t                 err;

    unsigned                    reused:1;
    unsigned                    got:1;      /* bytes of a response */
    unsigned                    begun:1;    /* no interim one; whole_by is set
                                               */
    unsigned                    want_ready:1;
    unsigned                    hold:1;
    unsigned                    delivering:1;

    media_http1_t               h1;
    /* followed by the request's head */
};


/* ngx_media_http.c */
void ngx_media_http_attach(ngx_media_http_call_t *call,
    ngx_media_http_conn_t *conn);
void ngx_media_http_connected(ngx_media_http_call_t *call);
void ngx_media_http_established(ngx_media_http_call_t *call);
void ngx_media_http_next_addr(ngx_media_http_call_t *call, const char *cause);
void ngx_media_http_request_sent(ngx_media_http_call_t *call);
void ngx_media_http_go_on(ngx_media_http_call_t *call);
void ngx_media_http_complete(ngx_media_http_call_t *call, ngx_uint_t clean);
void ngx_media_http_fail(ngx_media_http_call_t *call,
    enum ngx_media_http_rc rc, const char *cause);

/* ngx_media_http_io.c: handlers of a call's connection */
void ngx_media_http_write_handler(ngx_event_t *wev);
void ngx_media_http_read_handler(ngx_event_t *rev);
void ngx_media_http_send_head(ngx_media_http_call_t *call);
void ngx_media_http_write_failed(ngx_media_http_call_t *call);
void ngx_media_http_send_timer(ngx_media_http_call_t *call,
    ngx_uint_t progress);
void ngx_media_http_read_timer(ngx_media_http_call_t *call);
ngx_int_t ngx_media_http_send(ngx_media_http_call_t *call, ngx_chain_t *in,
    off_t max, off_t *taken);

/* ngx_media_http_keep.c */
/* NGX_OK, NGX_AGAIN (connecting) or NGX_ERROR (no connection) */
ngx_int_t ngx_media_http_conn_open(ngx_media_http_peer_t *peer,
    ngx_addr_t *addr, ngx_log_t *log, ngx_media_http_conn_t **out);
void ngx_media_http_conn_close(ngx_media_http_conn_t *conn);
/* A cached connection that is alive as far as we can see, or NULL. */
ngx_media_http_conn_t *ngx_media_http_keep_get(ngx_media_http_peer_t *peer,
    ngx_log_t *log);
/* Takes the connection: caches or closes it. */
void ngx_media_http_keep_put(ngx_media_http_conn_t *conn);

/* ngx_media_http_ssl.c */
/* The handshake; goes on with established() or next_addr(). */
void ngx_media_http_ssl_start(ngx_media_http_call_t *call);
/* 1 if decrypted bytes wait where the socket does not show them */
ngx_uint_t ngx_media_http_ssl_pending(ngx_connection_t *c);
void ngx_media_http_ssl_close(ngx_connection_t *c);


#endif
