
/*
 * The client's body: nginx's unbuffered reader, driven by the pump of
 * ngx_media_upload.c and by its own events.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static void ngx_media_body_handler(ngx_http_request_t *r);
static void ngx_media_body_readable(ngx_http_request_t *r);
#if (NGX_HAVE_EPOLLRDHUP)
static ngx_uint_t ngx_media_body_whole(ngx_http_request_t *r);
#endif
static void ngx_media_body_rewind(ngx_http_request_t *r);
static ngx_int_t ngx_media_body_unreadable(ngx_media_upload_t *u,
    ngx_int_t rc);
static ngx_int_t ngx_media_body_take(ngx_media_upload_t *u);


/*
 * Starts nginx's body reader from a foreign event. The reader takes a
 * reference for the content handler that called it; that is us, and the
 * finalization with NGX_DONE gives it back. The reader goes on with the request
 * after its post handler has run, so nothing may end in there.
 */

void
ngx_media_body_start(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_uint_t           started;
    ngx_http_request_t  *r;

    r = u->op.r;

    ngx_media_ctx(r)->phase = "body";

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    u->starting = 1;

    rc = ngx_http_read_client_request_body(r, ngx_media_body_handler);

    /* HTTP/2 with the whole body there calls its post handler later */

    started = !u->starting;
    u->starting = 0;

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        (void) ngx_media_body_unreadable(u, rc);
        return;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    if (started) {
        ngx_media_body_handler(r);
    }
}


static ngx_media_upload_t *
ngx_media_body_owner(ngx_http_request_t *r)
{
    return (ngx_media_upload_t *) ngx_media_op_find(r,
                                                    ngx_media_upload_cancel);
}


static void
ngx_media_body_handler(ngx_http_request_t *r)
{
    ngx_media_upload_t  *u;

    u = ngx_media_body_owner(r);
    if (u == NULL) {
        return;
    }

    r->read_event_handler = ngx_media_body_readable;

    if (u->starting) {
        u->starting = 0;
        return;
    }

    if (ngx_media_body_take(u) != NGX_OK) {
        return;
    }

    (void) ngx_media_upload_pump(u);
}


/* The client sent more, left, or was too slow. */

static void
ngx_media_body_readable(ngx_http_request_t *r)
{
    ngx_media_upload_t  *u;

    u = ngx_media_body_owner(r);
    if (u == NULL) {
        return;
    }

    if (r->connection->read->timedout) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_CLIENT_TIMEOUT,
                                     "no byte of the body came in time");
        return;
    }

    if (r->connection->error) {
        (void) ngx_media_upload_left(u);
        return;
    }

    /* a client that always has more would have two turns else */

    if (!u->turn.posted) {
        (void) ngx_media_upload_pump(u);
    }
}


/* Not the client is what we wait for: its time stands still. Nobody reads from
 * it either, so that its end shows in the event alone. NGX_OK or NGX_DONE. */

ngx_int_t
ngx_media_body_pause(ngx_media_upload_t *u)
{
    ngx_event_t  *rev;

    rev = u->op.r->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

#if (NGX_HAVE_EPOLLRDHUP)

    if (rev->pending_eof && !ngx_media_body_whole(u->op.r)) {
        u->op.r->connection->error = 1;
        return ngx_media_upload_left(u);
    }

#endif

    return NGX_OK;
}


/* The client has closed its half, but all of its body lies in the socket: it
 * may well wait for the answer. Of TLS and chunks only reading would tell. */

#if (NGX_HAVE_EPOLLRDHUP)

static ngx_uint_t
ngx_media_body_whole(ngx_http_request_t *r)
{
    int                n, err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = r->connection;

    if (r->stream != NULL || c->ssl != NULL || r->headers_in.chunked) {
        return 0;
    }

    err = 0;
    len = sizeof(int);

    return getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == 0
           && err == 0
           && ioctl(c->fd, FIONREAD, &n) == 0
           && n >= r->request_body->rest;
}

#endif


ngx_int_t
ngx_media_body_next(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = u->op.r;

    ngx_media_body_rewind(r);

    rc = ngx_http_read_unbuffered_request_body(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return ngx_media_body_unreadable(u, rc);
    }

    if (ngx_media_body_take(u) != NGX_OK) {
        return NGX_DONE;
    }

    return u->in != NULL || u->body_done ? NGX_OK : NGX_AGAIN;
}


/* A worker that shuts down goes by the timers that are left and exits under a
 * posted event: there is one. */

void
ngx_media_body_yield(ngx_media_upload_t *u)
{
    ngx_event_t               *rev;
    ngx_http_core_loc_conf_t  *clcf;

    rev = u->op.r->connection->read;

    if (!rev->timer_set) {
        clcf = ngx_http_get_module_loc_conf(u->op.r, ngx_http_core_module);
        ngx_add_timer(rev, clcf->client_body_timeout);
    }

    ngx_post_event(&u->turn, &ngx_posted_next_events);
}


/*
 * All bytes of nginx's buffer are taken. Its HTTP/1 reader would go on behind
 * them, and so touch every page of client_body_buffer_size for a client that
 * sends little at a time; it shall start at the beginning again, as the one of
 * HTTP/2 does.
 */

static void
ngx_media_body_rewind(ngx_http_request_t *r)
{
    ngx_buf_t  *b;

    if (r->stream != NULL || r->request_body == NULL) {
        return;
    }

    b = r->request_body->buf;

    if (b != NULL && r->request_body->bufs == NULL && b->pos == b->last) {
        b->pos = b->start;
        b->last = b->start;
    }
}


ngx_uint_t
ngx_media_body_has_input(ngx_media_upload_t *u)
{
    ngx_buf_t           *b;
    ngx_http_request_t  *r = u->op.r;

    if (r->stream == NULL) {
        return r->connection->read->ready;
    }

    b = r->request_body == NULL ? NULL : r->request_body->buf;

    return b == NULL || b->pos != b->last;
}


/* What nginx's reader says in place of bytes. Always NGX_DONE. */

static ngx_int_t
ngx_media_body_unreadable(ngx_media_upload_t *u, ngx_int_t rc)
{
    if (u->op.r->connection->error) {
        return ngx_media_upload_left(u);
    }

    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        ngx_media_problem_core_limit(u->op.r);
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE, NULL);
    }

    if (rc >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return ngx_media_upload_fail(u, MEDIA_PROBLEM_BAD_REQUEST,
                                 "the body ended early or its framing is "
                                 "broken");
}


/* Takes over what nginx's reader has; NGX_OK or NGX_DONE. */

static ngx_int_t
ngx_media_body_take(ngx_media_upload_t *u)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = u->op.r;

    u->body_done = !r->reading_body;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    u->in = r->request_body->bufs;
    r->request_body->bufs = NULL;

    for (cl = u->in; cl != NULL; cl = cl->next) {
        media_pace_add(&u->pace, cl->buf->last - cl->buf->pos);
        u->taken += cl->buf->last - cl->buf->pos;
    }

    for (cl = u->in; cl != NULL; cl = cl->next) {
        rc = ngx_media_ingest_body(u, cl->buf->pos,
                                   cl->buf->last - cl->buf->pos);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}
