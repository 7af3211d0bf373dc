
/*
 * Which source the credentials for S3 come from, and whether it can be asked.
 * [conf]
 */

#include "ngx_media_conf.h"
#include "ngx_media_s3_ask.h"


#define NGX_MEDIA_S3_CRED_CONNECT  2000     /* ms */
#define NGX_MEDIA_S3_CRED_ANSWER   5000


static ngx_int_t ngx_media_s3_cred_own(ngx_conf_t *cf,
    ngx_media_s3_cred_t *c);
static ngx_int_t ngx_media_s3_cred_fixed(ngx_media_s3_cred_t *c);
static ngx_int_t ngx_media_s3_cred_peer(ngx_conf_t *cf,
    ngx_media_s3_cred_t *c, ngx_str_t *ca);


media_getenv_pt
ngx_media_s3_cred_env(ngx_media_s3_cred_t *c)
{
    return c->which == MEDIA_STORE_OUTPUT ? media_s3_output_env : getenv;
}


ngx_int_t
ngx_media_s3_cred_conf(ngx_conf_t *cf, ngx_media_s3_cred_t *c, ngx_int_t kind,
    ngx_str_t *region, ngx_str_t *ca)
{
    int          rc;
    media_err_t  err;
    media_str_t  name;

    name.p = (char *) region->data;
    name.len = region->len;

    rc = media_s3_source_load(&c->source, (int) kind, name,
                              ngx_media_s3_cred_env(c), &err);

    if (rc == MEDIA_E_GONE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs credentials for S3: "
                      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in nginx's "
                      "environment, or \"media_s3_credentials\"");
        return NGX_ERROR;
    }

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credentials for S3: %s in nginx's environment%s",
                      err.text, c->which == MEDIA_STORE_INPUT
                      ? "" : " (with MEDIA_S3_OUTPUT_ for AWS_)");
        return NGX_ERROR;
    }

    if (ngx_media_s3_cred_own(cf, c) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (c->source.kind) {

    case MEDIA_S3_SOURCE_ENV:
        return ngx_media_s3_cred_fixed(c);

    case MEDIA_S3_SOURCE_FILE:

        if (ngx_media_s3_cred_load(c, &err) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credentials for S3: \"%s\": %s",
                          c->source.file.p, err.text);
            return NGX_ERROR;
        }

        return NGX_OK;

    default:
        return ngx_media_s3_cred_peer(cf, c, ca);
    }
}


/* Copies of what lies in the environment, and what they amount to. */

static ngx_int_t
ngx_media_s3_cred_own(ngx_conf_t *cf, ngx_media_s3_cred_t *c)
{
    u_char              *p;
    uint32_t             crc;
    ngx_uint_t           i;
    media_s3_source_t   *s = &c->source;

    media_str_t         *texts[] = {
        &s->file, &s->profile, &s->role, &s->session, &s->token, &s->host,
        &s->path, &s->fixed.access_key, &s->fixed.secret_key,
        &s->fixed.session_token
    };

    ngx_crc32_init(crc);
    ngx_crc32_update(&crc, (u_char *) &s->kind, sizeof(s->kind));

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        p = ngx_pnalloc(cf->pool, texts[i]->len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (texts[i]->len > 0) {
            ngx_memcpy(p, texts[i]->p, texts[i]->len);
        }

        p[texts[i]->len] = '\0';
        texts[i]->p = (char *) p;

        /* with its end: "a" "bc" is not "ab" "c" */

        ngx_crc32_update(&crc, p, texts[i]->len + 1);
    }

    ngx_crc32_final(crc);

    c->source_crc = crc;

    return NGX_OK;
}


/* The source has checked their lengths. */

static ngx_int_t
ngx_media_s3_cred_fixed(ngx_media_s3_cred_t *c)
{
    media_sigv4_cred_t  *f = &c->source.fixed;

    ngx_memcpy(c->cred.access_key, f->access_key.p, f->access_key.len);
    ngx_memcpy(c->cred.secret_key, f->secret_key.p, f->secret_key.len);
    ngx_memcpy(c->cred.session_token, f->session_token.p,
               f->session_token.len);

    c->generation = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_media_s3_cred_peer(ngx_conf_t *cf, ngx_media_s3_cred_t *c, ngx_str_t *ca)
{
    ngx_url_t              u;
    ngx_media_http_peer_t  *peer = &c->peer;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url.data = (u_char *) c->source.host.p;
    u.url.len = c->source.host.len;
    u.default_port = c->source.tls ? 443 : 80;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credentials for S3: %s in \"%V\"",
                      u.err ? u.err : "no address", &u.url);
        return NGX_ERROR;
    }

    peer->name = u.url;
    peer->addrs = u.addrs;
    peer->naddrs = u.naddrs;
    peer->keepalive = 0;
    peer->connect_timeout = NGX_MEDIA_S3_CRED_CONNECT;
    peer->send_timeout = NGX_MEDIA_S3_CRED_ANSWER;
    peer->read_timeout = NGX_MEDIA_S3_CRED_ANSWER;

    ngx_media_http_peer_init(peer);

    return c->source.tls ? ngx_media_http_peer_ssl(cf, peer, &u.host, ca)
                         : NGX_OK;
}
