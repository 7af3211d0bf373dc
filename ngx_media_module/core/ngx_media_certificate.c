
/*
 * When the first of the certificates that this nginx shows will end, for
 * /metrics: out of the loaded ones, since a file may have been replaced that
 * nobody reloaded.
 */


#include "ngx_media.h"


static time_t ngx_media_certificate_end(X509 *cert);
static time_t ngx_media_certificates_of(SSL_CTX *ctx);


/* Seconds since 1970; 0: no server has a certificate of its own */

time_t
ngx_media_certificates_end(ngx_http_request_t *r)
{
    time_t                       at, end;
    ngx_uint_t                   i;
    ngx_http_ssl_srv_conf_t     *scf;
    ngx_http_core_srv_conf_t   **cscf;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    cscf = cmcf->servers.elts;
    end = 0;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        scf = cscf[i]->ctx->srv_conf[ngx_http_ssl_module.ctx_index];

        if (scf->ssl.ctx == NULL) {
            continue;
        }

        at = ngx_media_certificates_of(scf->ssl.ctx);

        if (at != 0 && (end == 0 || at < end)) {
            end = at;
        }
    }

    return end;
}


/* A server may have one of each kind of key. */

static time_t
ngx_media_certificates_of(SSL_CTX *ctx)
{
    long    more;
    X509   *cert;
    time_t  at, end;

    end = 0;

    for (more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);
         more;
         more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
    {
        cert = SSL_CTX_get0_certificate(ctx);
        at = cert ? ngx_media_certificate_end(cert) : 0;

        if (at != 0 && (end == 0 || at < end)) {
            end = at;
        }
    }

    return end;
}


static time_t
ngx_media_certificate_end(X509 *cert)
{
    struct tm  tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1) {
        return 0;
    }

    return timegm(&tm);
}
