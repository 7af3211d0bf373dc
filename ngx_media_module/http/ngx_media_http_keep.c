
/*
 * Connections of the HTTP client: opened, cached per peer and process while
 * idle, closed. Each has its own pool, so that it outlives the calls it
 * serves. A cached one watches for the peer's close and for its idle timer;
 * nginx closes it on worker shutdown through c->idle.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include "ngx_media_http_priv.h"


#define NGX_MEDIA_HTTP_CONN_POOL  512


static ngx_uint_t ngx_media_http_quiet(ngx_connection_t *c);
static void ngx_media_http_idle_handler(ngx_event_t *ev);
static void ngx_media_http_dummy_handler(ngx_event_t *ev);
static void ngx_media_http_conn_log(ngx_connection_t *c, ngx_log_t *log);


void
ngx_media_http_peer_init(ngx_media_http_peer_t *peer)
{
    ngx_queue_init(&peer->idle);
    peer->nidle = 0;
    peer->next_addr = 0;
}


ngx_int_t
ngx_media_http_conn_open(ngx_media_http_peer_t *peer, ngx_addr_t *addr,
    ngx_log_t *log, ngx_media_http_conn_t **out)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;
    ngx_media_http_conn_t  *conn;

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = addr->sockaddr;
    pc.socklen = addr->socklen;
    pc.name = &addr->name;
    pc.get = ngx_event_get_peer;
    pc.log = log;
    pc.log_error = NGX_ERROR_INFO;
    pc.so_keepalive = 1;

    rc = ngx_event_connect_peer(&pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return NGX_ERROR;
    }

    c = pc.connection;

    c->pool = ngx_create_pool(NGX_MEDIA_HTTP_CONN_POOL, log);
    if (c->pool == NULL) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    conn = ngx_pcalloc(c->pool, sizeof(ngx_media_http_conn_t));

    if (conn == NULL
        || (addr->sockaddr->sa_family != AF_UNIX
            && ngx_tcp_nodelay(c) != NGX_OK))
    {
        ngx_destroy_pool(c->pool);
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    conn->c = c;
    conn->peer = peer;
    c->data = conn;

    *out = conn;

    return rc;
}


void
ngx_media_http_conn_close(ngx_media_http_conn_t *conn)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = conn->c;

    ngx_media_http_ssl_close(c);

    pool = c->pool;
    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


ngx_media_http_conn_t *
ngx_media_http_keep_get(ngx_media_http_peer_t *peer, ngx_log_t *log)
{
    ngx_queue_t            *q;
    ngx_connection_t       *c;
    ngx_media_http_conn_t  *conn;

    while (!ngx_queue_empty(&peer->idle)) {

        /* the youngest: the least likely to be timed out by the peer */
        q = ngx_queue_head(&peer->idle);
        conn = ngx_queue_data(q, ngx_media_http_conn_t, queue);

        ngx_queue_remove(q);
        peer->nidle--;

        c = conn->c;

        if (!ngx_media_http_quiet(c)) {
            ngx_media_http_conn_close(conn);
            continue;
        }

        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        c->idle = 0;
        ngx_media_http_conn_log(c, log);

        return conn;
    }

    return NULL;
}


void
ngx_media_http_keep_put(ngx_media_http_conn_t *conn)
{
    ngx_queue_t            *q;
    ngx_connection_t       *c;
    ngx_media_http_peer_t  *peer;

    c = conn->c;
    peer = conn->peer;

    conn->call = NULL;

    if (ngx_exiting || ngx_terminate || peer->keepalive == 0
        || c->error || c->read->error || c->write->error
        || c->read->eof || c->read->pending_eof
        || ngx_media_http_ssl_pending(c)
        || ngx_handle_read_event(c->read, 0) != NGX_OK
        || ngx_handle_write_event(c->write, 0) != NGX_OK
        || (c->read->ready && !ngx_media_http_quiet(c)))
    {
        ngx_media_http_conn_close(conn);
        return;
    }

    if (peer->nidle >= peer->keepalive) {
        q = ngx_queue_last(&peer->idle);
        ngx_queue_remove(q);
        peer->nidle--;

        ngx_media_http_conn_close(ngx_queue_data(q, ngx_media_http_conn_t,
                                                 queue));
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_media_http_idle_handler;
    c->write->handler = ngx_media_http_dummy_handler;
    c->idle = 1;
    ngx_media_http_conn_log(c, ngx_cycle->log);

    ngx_queue_insert_head(&peer->idle, &conn->queue);
    peer->nidle++;

    ngx_add_timer(c->read, peer->idle_timeout);
}


void
ngx_media_http_peer_close(ngx_media_http_peer_t *peer)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&peer->idle)) {
        q = ngx_queue_head(&peer->idle);
        ngx_queue_remove(q);
        peer->nidle--;

        ngx_media_http_conn_close(ngx_queue_data(q, ngx_media_http_conn_t,
                                                 queue));
    }
}


/* Neither closed nor sending what nobody asked for. */
static ngx_uint_t
ngx_media_http_quiet(ngx_connection_t *c)
{
    char     buf[1];
    ssize_t  n;

    n = recv(c->fd, buf, 1, MSG_PEEK);

    if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
        c->read->ready = 0;
        return 1;
    }

    return 0;
}


static void
ngx_media_http_idle_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_media_http_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (!c->close && !ev->timedout && ngx_media_http_quiet(c)
        && ngx_handle_read_event(c->read, 0) == NGX_OK)
    {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, c->log, 0,
                   "media http: cached connection to \"%V\" closes",
                   &conn->peer->name);

    ngx_queue_remove(&conn->queue);
    conn->peer->nidle--;

    ngx_media_http_conn_close(conn);
}


static void
ngx_media_http_dummy_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "media http: event of a cached connection");
}


static void
ngx_media_http_conn_log(ngx_connection_t *c, ngx_log_t *log)
{
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->pool->log = log;
}
