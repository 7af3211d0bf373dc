
/*
 * The two stores: what clients uploaded lies in the input store, what jobs made
 * of it in the output store. What the latter has none of its own is the
 * former's; with nothing of its own they are one. [conf]
 */

#include "ngx_media_conf.h"
#include "ngx_media_request.h"


static void ngx_media_s3_inherit(ngx_media_s3_conf_t *out,
    ngx_media_s3_conf_t *in);
static ngx_uint_t ngx_media_s3_own_keys(ngx_media_s3_conf_t *out);
static ngx_uint_t ngx_media_s3_differ(ngx_media_s3_conf_t *a,
    ngx_media_s3_conf_t *b);
static ngx_int_t ngx_media_s3_check_plain(ngx_conf_t *cf,
    ngx_media_s3_conf_t *s3);
static void ngx_media_s3_check_upstream(ngx_conf_t *cf, ngx_str_t *name);


void
ngx_media_s3_create(ngx_media_main_conf_t *mcf)
{
    ngx_uint_t            i;
    ngx_media_s3_conf_t  *s3;

    for (i = 0; i < MEDIA_STORE_COUNT; i++) {
        s3 = &mcf->s3[i];

        s3->which = i;
        s3->cred = &mcf->s3_cred[i];
        s3->cred->which = i;
        s3->payload = NGX_CONF_UNSET_UINT;
        s3->virtual_host = NGX_CONF_UNSET_UINT;
        s3->sum = NGX_CONF_UNSET_UINT;
        s3->sse = NGX_CONF_UNSET_UINT;
        s3->source = NGX_CONF_UNSET;
        s3->peer.keepalive = NGX_CONF_UNSET_UINT;
        s3->peer.connect_timeout = NGX_CONF_UNSET_MSEC;
        s3->peer.send_timeout = NGX_CONF_UNSET_MSEC;
        s3->peer.read_timeout = NGX_CONF_UNSET_MSEC;
        s3->idle_timeout = NGX_CONF_UNSET_MSEC;
    }
}


void
ngx_media_s3_init(ngx_media_main_conf_t *mcf)
{
    ngx_media_s3_conf_t  *in;

    in = &mcf->s3[MEDIA_STORE_INPUT];

    ngx_conf_init_uint_value(in->payload, NGX_MEDIA_S3_TRAILER);
    ngx_conf_init_uint_value(in->virtual_host, 0);
    ngx_conf_init_uint_value(in->sum, in->payload == NGX_MEDIA_S3_UNSIGNED
                                      ? MEDIA_S3_SUM_NONE
                                      : MEDIA_S3_SUM_SHA256);
    ngx_conf_init_uint_value(in->sse, MEDIA_S3_SSE_NONE);
    ngx_conf_init_uint_value(in->peer.keepalive, 64);
    ngx_conf_init_msec_value(in->peer.connect_timeout, 3000);
    ngx_conf_init_msec_value(in->peer.send_timeout, 20000);
    ngx_conf_init_msec_value(in->peer.read_timeout, 60000);
    ngx_conf_init_msec_value(in->idle_timeout, NGX_MEDIA_S3_IDLE);
    /* S3 servers close idle connections after 30 s and more */
    in->peer.idle_timeout = 15000;

    if (in->region.len == 0) {
        ngx_str_set(&in->region, "us-east-1");
    }

    if (in->bucket.len == 0) {
        ngx_str_set(&in->bucket, "media");
    }

    ngx_str_set(&in->upstream, "media_s3");

    ngx_media_s3_inherit(&mcf->s3[MEDIA_STORE_OUTPUT], in);

    mcf->s3_apart = ngx_media_s3_differ(&mcf->s3[MEDIA_STORE_OUTPUT], in);
}


static void
ngx_media_s3_inherit(ngx_media_s3_conf_t *out, ngx_media_s3_conf_t *in)
{
    ngx_media_http_peer_t  peer;

    peer = in->peer;

    if (out->host.len == 0) {
        out->host = in->host;
        out->name = in->name;
        out->ssl = in->ssl;
        out->upstream = in->upstream;

    } else {
        ngx_str_set(&out->upstream, "media_s3_output");

        peer.name = out->peer.name;
        peer.addrs = out->peer.addrs;
        peer.naddrs = out->peer.naddrs;
    }

    /* the gateway writes nothing there: the rest is never asked for */

    out->peer = peer;
    out->payload = in->payload;
    out->sum = in->sum;
    out->sse = in->sse;
    out->idle_timeout = in->idle_timeout;

    ngx_media_http_peer_init(&out->peer);

    ngx_conf_init_uint_value(out->virtual_host, in->virtual_host);

    if (out->ca.len == 0) {
        out->ca = in->ca;
    }

    if (out->region.len == 0) {
        out->region = in->region;
    }

    if (out->bucket.len == 0) {
        out->bucket = in->bucket;
    }

    if (!ngx_media_s3_own_keys(out)) {
        out->cred = in->cred;
    }
}


static ngx_uint_t
ngx_media_s3_own_keys(ngx_media_s3_conf_t *out)
{
    return out->source != NGX_CONF_UNSET
           || media_str(media_s3_output_env("AWS_ACCESS_KEY_ID")).len != 0
           || media_str(media_s3_output_env("AWS_SECRET_ACCESS_KEY")).len != 0;
}


static ngx_uint_t
ngx_media_s3_differ(ngx_media_s3_conf_t *a, ngx_media_s3_conf_t *b)
{
    return a->cred != b->cred || a->ssl != b->ssl
           || !media_str_eq(ngx_media_view(&a->host),
                            ngx_media_view(&b->host))
           || !media_str_eq(ngx_media_view(&a->bucket),
                            ngx_media_view(&b->bucket));
}


ngx_int_t
ngx_media_s3_check(ngx_conf_t *cf, ngx_media_main_conf_t *mcf)
{
    ngx_uint_t            i;
    ngx_media_s3_conf_t  *s3;

    if (mcf->s3[MEDIA_STORE_INPUT].host.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs \"media_s3_endpoint\"");
        return NGX_ERROR;
    }

    for (i = 0; i < MEDIA_STORE_COUNT; i++) {
        s3 = &mcf->s3[i];

        if (ngx_media_check_s3_dialect(cf, s3) != NGX_OK) {
            return NGX_ERROR;
        }

        if (s3->ssl
            && ngx_media_http_peer_ssl(cf, &s3->peer, &s3->name, &s3->ca)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    s3 = &mcf->s3[MEDIA_STORE_OUTPUT];

    if (s3->upstream.data != mcf->s3[MEDIA_STORE_INPUT].upstream.data) {
        ngx_media_s3_check_upstream(cf, &s3->upstream);
    }

    return ngx_media_s3_check_plain(cf, &mcf->s3[MEDIA_STORE_INPUT]);
}


static ngx_int_t
ngx_media_s3_check_plain(ngx_conf_t *cf, ngx_media_s3_conf_t *s3)
{
    ngx_uint_t  i;

    if (s3->ssl || s3->payload != NGX_MEDIA_S3_UNSIGNED) {
        return NGX_OK;
    }

    for (i = 0; i < s3->peer.naddrs; i++) {
        if (ngx_media_is_loopback(s3->peer.addrs[i].sockaddr)) {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_payload unsigned\" over plain http is for "
                      "loopback only, %V is not", &s3->peer.addrs[i].name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* proxy_pass would ask a resolver for a name that is no upstream's. */

static void
ngx_media_s3_check_upstream(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_upstream_srv_conf_t   **uscf;
    ngx_http_upstream_main_conf_t   *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscf = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        if (media_str_eq(ngx_media_view(&uscf[i]->host), ngx_media_view(name)))
        {
            return;
        }
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"media_s3_output_endpoint\" without \"upstream %V\": "
                  "downloads from there go by $media_s3_upstream", name);
}
