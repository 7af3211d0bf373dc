
/*
 * HTTP/1.1 client, see ngx_media_http.h: the life of a call, from the first
 * connection over a possible second one to done(). A call is one block of
 * memory of its own; it holds a connection until the response is read, then
 * gives it back before done() runs, so that a call made there finds it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_media_http_priv.h"
#include "ngx_media_fault.h"


/* A POST that failed later than this may have been worked on: not replayed. */
#define NGX_MEDIA_HTTP_AT_ONCE  1000


static void ngx_media_http_start(ngx_media_http_call_t *call);
static void ngx_media_http_connect(ngx_media_http_call_t *call);
static ngx_uint_t ngx_media_http_may_replay(ngx_media_http_call_t *call);
static void ngx_media_http_finish(ngx_media_http_call_t *call,
    enum ngx_media_http_rc rc, const char *cause, ngx_uint_t keep);
static void ngx_media_http_event(ngx_event_t *ev);
static void ngx_media_http_free(ngx_media_http_call_t *call);


ngx_media_http_call_t *
ngx_media_http_call(ngx_media_http_request_t *req)
{
    ngx_media_http_conn_t  *conn;
    ngx_media_http_call_t  *call;

    call = ngx_alloc(sizeof(ngx_media_http_call_t) + req->head.len, req->log);
    if (call == NULL) {
        return NULL;
    }

    /* h1 is large and has an initialiser of its own */
    ngx_memzero(call, offsetof(ngx_media_http_call_t, h1));

    call->req = *req;
    if (call->req.read_timeout == 0) {
        call->req.read_timeout = req->peer->read_timeout;
    }

    call->req.head.data = (u_char *) call + sizeof(ngx_media_http_call_t);
    ngx_memcpy(call->req.head.data, req->head.data, req->head.len);

    call->event.data = call;
    call->event.handler = ngx_media_http_event;
    call->event.log = req->log;

    call->tries = req->peer->naddrs;
    call->next_addr = req->peer->next_addr++;

    conn = ngx_media_http_keep_get(req->peer, req->log);

    if (conn == NULL) {
        ngx_media_http_connect(call);
        return call;
    }

    call->reused = 1;

    ngx_media_http_attach(call, conn);
    ngx_media_http_start(call);

    return call;
}


ngx_int_t
ngx_media_http_write(ngx_media_http_call_t *call, ngx_chain_t *in)
{
    off_t      taken, left;
    ngx_int_t  rc;

    if (call->state == NGX_MEDIA_HTTP_END) {
        return NGX_ERROR;
    }

    if (call->state < NGX_MEDIA_HTTP_BODY) {
        call->want_ready = 1;
        return NGX_AGAIN;
    }

    left = call->req.body_length - call->body_sent;
    rc = ngx_media_http_send(call, in, left, &taken);

    call->body_sent += taken;

    if (rc == NGX_ERROR) {
        ngx_media_http_write_failed(call);

        if (call->state == NGX_MEDIA_HTTP_END) {
            return NGX_ERROR;
        }

        /* not a byte was taken: it starts anew */
        call->want_ready = 1;
        return NGX_AGAIN;
    }

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ALERT, call->req.log, 0,
                      "media http: the body is longer than announced");
        ngx_media_http_abort(call, "body longer than announced");
        return NGX_ERROR;
    }

    call->want_ready = (rc == NGX_AGAIN);

    if (call->state == NGX_MEDIA_HTTP_BODY && taken == left) {
        ngx_media_http_request_sent(call);

    } else if (call->state == NGX_MEDIA_HTTP_BODY) {
        ngx_media_http_send_timer(call, taken > 0);
    }

    return rc;
}


void
ngx_media_http_hold(ngx_media_http_call_t *call, ngx_uint_t hold)
{
    call->hold = hold ? 1 : 0;

    if (call->state == NGX_MEDIA_HTTP_BODY) {
        ngx_media_http_send_timer(call, 0);
    }
}


void
ngx_media_http_abort(ngx_media_http_call_t *call, const char *cause)
{
    if (call->state != NGX_MEDIA_HTTP_END) {
        ngx_media_http_finish(call, NGX_MEDIA_HTTP_BROKEN, cause, 0);
    }
}


void
ngx_media_http_cancel(ngx_media_http_call_t *call)
{
    if (call == NULL || call->delivering) {
        return;
    }

    if (call->conn) {
        ngx_media_http_conn_close(call->conn);
    }

    ngx_media_http_free(call);
}


void
ngx_media_http_attach(ngx_media_http_call_t *call, ngx_media_http_conn_t *conn)
{
    call->conn = conn;
    conn->call = call;

    conn->c->read->handler = ngx_media_http_read_handler;
    conn->c->write->handler = ngx_media_http_write_handler;
}


/* The request from its first byte, on the connection just attached. */
static void
ngx_media_http_start(ngx_media_http_call_t *call)
{
    ngx_buf_t  *b;

    b = call->bufs;

    b[0].pos = call->req.head.data;
    b[0].last = call->req.head.data + call->req.head.len;
    b[0].memory = 1;

    b[1].pos = call->req.body.data;
    b[1].last = call->req.body.data + call->req.body.len;
    b[1].memory = 1;

    call->out[0].buf = &b[0];
    call->out[0].next = &call->out[1];
    call->out[1].buf = &b[1];
    call->out[1].next = NULL;

    call->state = NGX_MEDIA_HTTP_HEAD;
    call->taken = 0;
    call->burst = 0;
    call->begun = 0;

    media_http1_init(&call->h1, call->req.head_request);

    ngx_media_http_send_head(call);
}


/* A fresh connection to the next address that does not fail at once. */
static void
ngx_media_http_connect(ngx_media_http_call_t *call)
{
    ngx_int_t               rc;
    ngx_addr_t             *addr;
    ngx_media_http_conn_t  *conn;
    ngx_media_http_peer_t  *peer;

    peer = call->req.peer;

    while (call->tries) {
        call->tries--;
        addr = &peer->addrs[call->next_addr++ % peer->naddrs];

        rc = ngx_media_http_conn_open(peer, addr, call->req.log, &conn);

        if (rc == NGX_ERROR) {
            continue;
        }

        ngx_media_http_attach(call, conn);

        call->state = NGX_MEDIA_HTTP_CONNECT;
        ngx_add_timer(conn->c->write, peer->connect_timeout);

        if (rc == NGX_OK) {
            ngx_media_http_connected(call);
        }

        return;
    }

    ngx_media_http_finish(call, call->res.sent ? NGX_MEDIA_HTTP_BROKEN
                                               : NGX_MEDIA_HTTP_UNREACHABLE,
                          call->res.cause ? call->res.cause
                                          : "connect failed", 0);
}


void
ngx_media_http_next_addr(ngx_media_http_call_t *call, const char *cause)
{
    ngx_media_http_conn_close(call->conn);

    call->conn = NULL;
    call->res.cause = cause;

    ngx_media_http_connect(call);
}


void
ngx_media_http_connected(ngx_media_http_call_t *call)
{
    if (call->req.peer->ssl) {
        ngx_media_http_ssl_start(call);
        return;
    }

    ngx_media_http_established(call);
}


void
ngx_media_http_established(ngx_media_http_call_t *call)
{
    ngx_connection_t  *c;

    c = call->conn->c;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, c->log, 0,
                   "media http: connected to \"%V\"", &call->req.peer->name);

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    ngx_media_http_start(call);
}


void
ngx_media_http_request_sent(ngx_media_http_call_t *call)
{
    ngx_connection_t  *c;

    c = call->conn->c;

    call->state = NGX_MEDIA_HTTP_RESPONSE;
    call->res.sent = 1;
    call->sent_at = ngx_current_msec;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_media_http_read_timer(call);

    if (ngx_media_fault("http", call->req.name, "sent")) {
        ngx_media_http_abort(call, "a fault was asked for");
    }
}


/* The whole response is there. clean: nothing follows, and the peer keeps the
 * connection; it is of use only if it has got our whole request as well. */
void
ngx_media_http_complete(ngx_media_http_call_t *call, ngx_uint_t clean)
{
    if (ngx_media_fault("http", call->req.name, "answered")) {
        ngx_media_http_abort(call, "a fault was asked for");
        return;
    }

    call->res.h1 = &call->h1;

    ngx_media_http_finish(call, NGX_MEDIA_HTTP_OK, NULL,
                          clean && call->state == NGX_MEDIA_HTTP_RESPONSE);
}


/* Ends the call, or starts it anew when the connection was dead already. cause
 * is static or call->err.text. */
void
ngx_media_http_fail(ngx_media_http_call_t *call, enum ngx_media_http_rc rc,
    const char *cause)
{
    if (rc == NGX_MEDIA_HTTP_BROKEN && ngx_media_http_may_replay(call)) {

        ngx_log_debug1(NGX_LOG_DEBUG_EVENT, call->req.log, 0,
                       "media http: cached connection was dead: %s", cause);

        call->reused = 0;
        call->res.replayed = 1;
        ngx_media_http_next_addr(call, cause);
        return;
    }

    if (call->taken == 0 && !call->res.sent) {
        rc = NGX_MEDIA_HTTP_UNREACHABLE;
    }

    ngx_media_http_finish(call, rc, cause, 0);
}


static ngx_uint_t
ngx_media_http_may_replay(ngx_media_http_call_t *call)
{
    if (!call->reused || call->got || call->body_sent) {
        return 0;
    }

    if (call->state == NGX_MEDIA_HTTP_RESPONSE
        && call->req.head.len > 5
        && ngx_strncmp(call->req.head.data, "POST ", 5) == 0)
    {
        return ngx_current_msec - call->sent_at < NGX_MEDIA_HTTP_AT_ONCE;
    }

    return 1;
}


static void
ngx_media_http_finish(ngx_media_http_call_t *call, enum ngx_media_http_rc rc,
    const char *cause, ngx_uint_t keep)
{
    ngx_connection_t  *c;

    if (call->conn) {
        c = call->conn->c;

        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        if (keep) {
            ngx_media_http_keep_put(call->conn);

        } else {
            ngx_media_http_conn_close(call->conn);
        }
    }

    call->conn = NULL;
    call->state = NGX_MEDIA_HTTP_END;
    call->res.rc = rc;
    call->res.cause = cause;

    ngx_post_event(&call->event, &ngx_posted_events);
}


/* What can be done now that the socket takes bytes, or that it is our turn. */
void
ngx_media_http_go_on(ngx_media_http_call_t *call)
{
    if (call->state == NGX_MEDIA_HTTP_HEAD) {
        ngx_media_http_send_head(call);
        return;
    }

    if (call->state == NGX_MEDIA_HTTP_BODY && call->want_ready) {
        call->want_ready = 0;
        call->req.ready(call->req.data);
        /* the call may be gone */
    }
}


static void
ngx_media_http_event(ngx_event_t *ev)
{
    ngx_media_http_call_t  *call;

    call = ev->data;

    if (call->state != NGX_MEDIA_HTTP_END) {
        ngx_media_http_go_on(call);
        return;
    }

    call->delivering = 1;
    call->req.done(call->req.data, &call->res);

    ngx_media_http_free(call);
}


static void
ngx_media_http_free(ngx_media_http_call_t *call)
{
    if (call->event.posted) {
        ngx_delete_posted_event(&call->event);
    }

    if (call->res.body.data) {
        ngx_free(call->res.body.data);
    }

    /* the session token is in it */
    ngx_explicit_memzero(call->req.head.data, call->req.head.len);

    ngx_free(call);
}
