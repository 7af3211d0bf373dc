
/*
 * The bytes of an HTTP call: sends head and body through c->send_chain,
 * reads the response whenever it comes, and keeps the timers. What a byte
 * means for the call is decided in ngx_media_http.c.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_media_http_priv.h"


#define NGX_MEDIA_HTTP_LINKS    64              /* iovecs of one writev */
#define NGX_MEDIA_HTTP_BURST    (1024 * 1024)   /* then others have a turn */
#define NGX_MEDIA_HTTP_RECV     4096
#define NGX_MEDIA_HTTP_EXCESS   65536           /* read beyond body_max */


static ngx_chain_t *ngx_media_http_gather(ngx_chain_t *in,
    ngx_chain_t *links);
static void ngx_media_http_read(ngx_media_http_call_t *call);
static ngx_int_t ngx_media_http_feed(ngx_media_http_call_t *call,
    const char *p, size_t n);
static ngx_int_t ngx_media_http_keep_body(ngx_media_http_call_t *call,
    media_str_t *b);
static void ngx_media_http_closed(ngx_media_http_call_t *call,
    ngx_uint_t orderly);
static ngx_int_t ngx_media_http_test_connect(ngx_connection_t *c);


void
ngx_media_http_write_handler(ngx_event_t *wev)
{
    ngx_connection_t       *c;
    ngx_media_http_conn_t  *conn;
    ngx_media_http_call_t  *call;

    c = wev->data;
    conn = c->data;
    call = conn->call;

    if (call->state == NGX_MEDIA_HTTP_CONNECT) {

        if (wev->timedout) {
            ngx_media_http_next_addr(call, "connect timed out");
            return;
        }

        if (ngx_media_http_test_connect(c) != NGX_OK) {
            ngx_media_http_next_addr(call, "connect failed");
            return;
        }

        ngx_media_http_connected(call);
        return;
    }

    if (wev->timedout) {
        ngx_media_http_fail(call, NGX_MEDIA_HTTP_TIMEOUT,
                            "sending the request timed out");
        return;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN, "no event");
        return;
    }

    ngx_media_http_go_on(call);
}


void
ngx_media_http_read_handler(ngx_event_t *rev)
{
    ngx_connection_t       *c;
    ngx_media_http_conn_t  *conn;
    ngx_media_http_call_t  *call;

    c = rev->data;
    conn = c->data;
    call = conn->call;

    if (rev->timedout) {
        ngx_media_http_fail(call, NGX_MEDIA_HTTP_TIMEOUT,
                            call->begun ? "the response stopped or trickles"
                                        : "no response in time");
        return;
    }

    if (call->state == NGX_MEDIA_HTTP_CONNECT) {
        /* rev->ready stays set, established() looks at it */
        return;
    }

    ngx_media_http_read(call);
}


/* Head and memory body: the call goes on to BODY or RESPONSE. */
void
ngx_media_http_send_head(ngx_media_http_call_t *call)
{
    off_t      taken;
    ngx_int_t  rc;

    rc = ngx_media_http_send(call, call->out, NGX_MAX_OFF_T_VALUE, &taken);

    if (rc == NGX_ERROR) {
        ngx_media_http_write_failed(call);
        return;
    }

    if (rc == NGX_AGAIN) {
        ngx_media_http_send_timer(call, taken > 0);
        return;
    }

    if (call->req.body_length == 0) {
        ngx_media_http_request_sent(call);
        return;
    }

    /* ready() never runs under the caller's feet */
    call->state = NGX_MEDIA_HTTP_BODY;
    call->want_ready = 1;
    ngx_media_http_send_timer(call, 1);
    ngx_post_event(&call->event, &ngx_posted_events);
}


/*
 * The send timer guards against a peer that does not read; while the caller
 * waits for its own client (hold) and owes us the next byte it has to rest.
 */
void
ngx_media_http_send_timer(ngx_media_http_call_t *call, ngx_uint_t progress)
{
    ngx_event_t  *wev;

    wev = call->conn->c->write;

    if (call->state == NGX_MEDIA_HTTP_BODY && call->hold && !call->want_ready)
    {
        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        return;
    }

    if (progress || !wev->timer_set) {
        ngx_add_timer(wev, call->req.peer->send_timeout);
    }
}


/*
 * Sends up to max bytes of the chain. NGX_OK: nothing is left of it; NGX_AGAIN:
 * the socket is full, or others have a turn (then the event is posted);
 * NGX_DECLINED: there is more than max.
 */
ngx_int_t
ngx_media_http_send(ngx_media_http_call_t *call, ngx_chain_t *in, off_t max,
    off_t *taken)
{
    off_t              n, limit;
    ngx_chain_t       *rest, links[NGX_MEDIA_HTTP_LINKS];
    ngx_connection_t  *c;

    c = call->conn->c;
    *taken = 0;

    for ( ;; ) {
        in = ngx_media_http_gather(in, links);

        if (in == NULL) {
            return NGX_OK;
        }

        if (*taken >= max) {
            return NGX_DECLINED;
        }

        if (!c->write->ready) {
            call->burst = 0;
            return NGX_AGAIN;
        }

        if (call->burst >= NGX_MEDIA_HTTP_BURST) {
            call->burst = 0;
            ngx_post_event(&call->event, &ngx_posted_next_events);
            return NGX_AGAIN;
        }

        limit = ngx_min(max - *taken,
                        (off_t) (NGX_MEDIA_HTTP_BURST - call->burst));
        n = c->sent;

        rest = c->send_chain(c, links, limit);

        n = c->sent - n;
        *taken += n;
        call->taken += n;
        call->burst += (size_t) n;

        if (rest == NGX_CHAIN_ERROR) {
            return NGX_ERROR;
        }
    }
}


/* Links to the next buffers that hold bytes (send_chain loops on empty ones);
 * returns where they begin, NULL when there are none. */
static ngx_chain_t *
ngx_media_http_gather(ngx_chain_t *in, ngx_chain_t *links)
{
    ngx_uint_t    n;
    ngx_chain_t  *cl, *first;

    n = 0;
    first = NULL;

    for (cl = in; cl && n < NGX_MEDIA_HTTP_LINKS; cl = cl->next) {

        if (cl->buf->pos == cl->buf->last) {
            continue;
        }

        if (n == 0) {
            first = cl;

        } else {
            links[n - 1].next = &links[n];
        }

        links[n].buf = cl->buf;
        links[n].next = NULL;
        n++;
    }

    return first;
}


/* The peer may have refused the request and closed before we were through:
 * what it said lies in the socket and is worth more than "broken pipe". */
void
ngx_media_http_write_failed(ngx_media_http_call_t *call)
{
    ngx_uint_t    replayed;
    ngx_event_t  *rev;

    rev = call->conn->c->read;
    replayed = call->res.replayed;

    rev->ready = 1;
    rev->available = -1;

    ngx_media_http_read(call);

    /* a new connection may well have the address of the old one */

    if (call->state != NGX_MEDIA_HTTP_END && call->res.replayed == replayed) {
        ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN,
                            "connection lost while sending");
    }
}


static void
ngx_media_http_read(ngx_media_http_call_t *call)
{
    ssize_t            n;
    ngx_uint_t         progress;
    ngx_connection_t  *c;
    u_char             buf[NGX_MEDIA_HTTP_RECV];

    c = call->conn->c;
    progress = 0;

    for ( ;; ) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_media_http_closed(call, n == 0);
            return;
        }

        if (call->reused && call->state == NGX_MEDIA_HTTP_HEAD) {
            /* left over from before: not our answer */
            ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN,
                                "stray bytes on a reused connection");
            return;
        }

        call->got = 1;
        progress = 1;

        if (ngx_media_http_feed(call, (const char *) buf, n) != NGX_OK) {
            return;
        }
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN, "no event");
        return;
    }

    if (progress) {
        ngx_media_http_read_timer(call);
    }
}


/*
 * The next byte of the response has to come in time, and so has its last one.
 * Until it begins, the timer runs only when the peer has the whole request: an
 * interim response in mid-body obliges nobody.
 */
void
ngx_media_http_read_timer(ngx_media_http_call_t *call)
{
    ngx_msec_t       timeout;
    ngx_event_t     *rev;
    ngx_msec_int_t   left;

    rev = call->conn->c->read;
    timeout = call->req.read_timeout;

    if (!call->begun && media_http1_begun(&call->h1)) {
        call->begun = 1;
        call->whole_by = ngx_current_msec + NGX_MEDIA_HTTP_WHOLE * timeout;
    }

    if (call->begun) {
        left = (ngx_msec_int_t) (call->whole_by - ngx_current_msec);
        timeout = ngx_min(timeout, (ngx_msec_t) ngx_max(left, 1));

    } else if (call->state != NGX_MEDIA_HTTP_RESPONSE) {
        return;
    }

    ngx_add_timer(rev, timeout);
}


/* NGX_DONE: the call has ended. */
static ngx_int_t
ngx_media_http_feed(ngx_media_http_call_t *call, const char *p, size_t n)
{
    ssize_t      used;
    media_str_t  body;

    while (n) {
        used = media_http1_feed(&call->h1, p, n, &body, &call->err);

        if (used < 0) {
            ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN, call->err.text);
            return NGX_DONE;
        }

        if (body.len && ngx_media_http_keep_body(call, &body) != NGX_OK) {
            ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN,
                                "response too large");
            return NGX_DONE;
        }

        p += used;
        n -= used;

        if (call->h1.done) {
            ngx_media_http_complete(call, n == 0 && call->h1.keepalive);
            return NGX_DONE;
        }
    }

    if (call->h1.done) {
        ngx_media_http_complete(call, call->h1.keepalive);
        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_http_keep_body(ngx_media_http_call_t *call, media_str_t *b)
{
    size_t      n;
    ngx_str_t  *body;

    body = &call->res.body;

    if (body->data == NULL && call->req.body_max) {
        call->body_size = call->req.body_max;

        if (call->h1.content_length > 0
            && call->h1.content_length < (int64_t) call->body_size)
        {
            call->body_size = (size_t) call->h1.content_length;
        }

        body->data = ngx_alloc(call->body_size, call->req.log);
        if (body->data == NULL) {
            return NGX_ERROR;
        }
    }

    n = ngx_min(b->len, call->body_size - body->len);

    if (n) {
        ngx_memcpy(body->data + body->len, b->p, n);
        body->len += n;
    }

    call->body_excess += b->len - n;

    return call->body_excess > NGX_MEDIA_HTTP_EXCESS ? NGX_ERROR : NGX_OK;
}


static void
ngx_media_http_closed(ngx_media_http_call_t *call, ngx_uint_t orderly)
{
    if (call->got && orderly
        && media_http1_eof(&call->h1, &call->err) == MEDIA_OK)
    {
        ngx_media_http_complete(call, 0);
        return;
    }

    ngx_media_http_fail(call, NGX_MEDIA_HTTP_BROKEN,
                        call->got ? "connection lost within the response"
                                  : "connection lost before a response");
}


static ngx_int_t
ngx_media_http_test_connect(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

#if (NGX_HAVE_KQUEUE)
    if (ngx_event_flags & NGX_USE_KQUEUE_EVENT) {
        if (c->write->pending_eof || c->read->pending_eof) {
            return NGX_ERROR;
        }

        return NGX_OK;
    }
#endif

    err = 0;
    len = sizeof(int);

    /* BSDs and Linux return 0 and set the pending error in err */
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        (void) ngx_connection_error(c, err, (char *) "connect() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}
