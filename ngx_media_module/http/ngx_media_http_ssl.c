
/*
 * TLS of the HTTP client: a context per peer, made at configuration time, and
 * the handshake of a fresh connection. A certificate that does not verify, or
 * is for another name, ends the handshake: OpenSSL does both checks, so there
 * is no way around them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_media_http_priv.h"


#if (NGX_SSL)

static ngx_int_t ngx_media_http_ssl_trust(ngx_conf_t *cf, ngx_ssl_t *ssl,
    ngx_str_t *ca);
static void ngx_media_http_ssl_handshaked(ngx_connection_t *c);
static const char *ngx_media_http_ssl_cause(ngx_connection_t *c);
static ngx_int_t ngx_media_http_ssl_name(ngx_connection_t *c,
    ngx_str_t *name);


ngx_int_t
ngx_media_http_peer_ssl(ngx_conf_t *cf, ngx_media_http_peer_t *peer,
    ngx_str_t *name, ngx_str_t *ca)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        ngx_ssl_cleanup_ctx(ssl);
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    peer->ssl_name.data = ngx_pnalloc(cf->pool, name->len + 1);
    if (peer->ssl_name.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(peer->ssl_name.data, name->data, name->len + 1);
    peer->ssl_name.len = name->len;

    if (ngx_media_http_ssl_trust(cf, ssl, ca) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a call may come back with the same bytes in another buffer */
    SSL_CTX_set_mode(ssl->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                               |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    peer->ssl = ssl;

    return NGX_OK;
}


static ngx_int_t
ngx_media_http_ssl_trust(ngx_conf_t *cf, ngx_ssl_t *ssl, ngx_str_t *ca)
{
    int  rc;

    SSL_CTX_set_verify(ssl->ctx, SSL_VERIFY_PEER, NULL);

    if (ca->len) {
        if (ngx_conf_full_name(cf->cycle, ca, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = SSL_CTX_load_verify_locations(ssl->ctx, (char *) ca->data, NULL);

    } else {
        rc = SSL_CTX_set_default_verify_paths(ssl->ctx);
    }

    if (rc != 1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      (char *) "no trusted certificates from \"%s\"",
                      ca->len ? (char *) ca->data : "the system");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_media_http_ssl_start(ngx_media_http_call_t *call)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_media_http_peer_t  *peer;

    c = call->conn->c;
    peer = call->req.peer;

    if (ngx_ssl_create_connection(peer->ssl, c, NGX_SSL_CLIENT) != NGX_OK
        || ngx_media_http_ssl_name(c, &peer->ssl_name) != NGX_OK)
    {
        ngx_media_http_next_addr(call, "TLS could not be set up");
        return;
    }

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_media_http_ssl_handshaked;
        return;
    }

    ngx_media_http_ssl_handshaked(c);
}


static void
ngx_media_http_ssl_handshaked(ngx_connection_t *c)
{
    ngx_media_http_conn_t  *conn;

    conn = c->data;

    if (c->ssl->handshaked
        && SSL_get_verify_result(c->ssl->connection) == X509_V_OK)
    {
        ngx_media_http_attach(conn->call, conn);
        ngx_media_http_established(conn->call);
        return;
    }

    ngx_media_http_next_addr(conn->call, ngx_media_http_ssl_cause(c));
}


static const char *
ngx_media_http_ssl_cause(ngx_connection_t *c)
{
    long  verified;

    if (c->write->timedout || c->read->timedout) {
        return "TLS handshake timed out";
    }

    /* of its certificate */

    verified = SSL_get_verify_result(c->ssl->connection);

    return verified == X509_V_OK ? "TLS handshake failed"
                                 : X509_verify_cert_error_string(verified);
}


/* SNI, and what the certificate has to be for. */
static ngx_int_t
ngx_media_http_ssl_name(ngx_connection_t *c, ngx_str_t *name)
{
    int                 rc;
    char               *host;
    SSL                *ssl;
    X509_VERIFY_PARAM  *param;

    ssl = c->ssl->connection;
    host = (char *) name->data;
    param = SSL_get0_param(ssl);

    rc = X509_VERIFY_PARAM_set1_ip_asc(param, host);

    if (rc != 1) {
        /* no address, and its complaint is no stale error for nginx to find */
        ERR_clear_error();

        rc = X509_VERIFY_PARAM_set1_host(param, host, name->len) == 1
             && SSL_set_tlsext_host_name(ssl, host) == 1;
    }

    if (rc != 1) {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      (char *) "no TLS server name \"%V\"", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_media_http_ssl_pending(ngx_connection_t *c)
{
    return c->ssl && SSL_has_pending(c->ssl->connection);
}


void
ngx_media_http_ssl_close(ngx_connection_t *c)
{
    if (c->ssl) {
        /* framing tells where a response ends: no need for a farewell */
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }
}

#else

ngx_int_t
ngx_media_http_peer_ssl(ngx_conf_t *cf, ngx_media_http_peer_t *peer,
    ngx_str_t *name, ngx_str_t *ca)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "this nginx has no TLS");
    return NGX_ERROR;
}


void
ngx_media_http_ssl_start(ngx_media_http_call_t *call)
{
    ngx_media_http_next_addr(call, "this nginx has no TLS");
}


ngx_uint_t
ngx_media_http_ssl_pending(ngx_connection_t *c)
{
    return 0;
}


void
ngx_media_http_ssl_close(ngx_connection_t *c)
{
    /* void */
}

#endif
