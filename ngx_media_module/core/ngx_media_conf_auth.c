
/*
 * Directives about keys: files, and sets of them in files and at URLs. Secrets
 * come from files. [conf]
 */


#include "ngx_media_conf.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


static void ngx_media_key_cleanup(void *data);
static media_jwt_key_t *ngx_media_conf_key(ngx_conf_t *cf,
    enum media_jwt_alg alg, ngx_str_t *path, media_str_t kid);
static void ngx_media_jwks_cleanup(void *data);
static char *ngx_media_conf_jwks_file(ngx_conf_t *cf,
    ngx_media_jwks_conf_t *jwks);
static char *ngx_media_conf_jwks_url(ngx_conf_t *cf,
    ngx_media_jwks_conf_t *jwks);
static ngx_int_t ngx_media_check_jwks(ngx_conf_t *cf,
    ngx_media_main_conf_t *mcf);
static ngx_int_t ngx_media_make_key_set(ngx_conf_t *cf,
    ngx_media_main_conf_t *mcf);


/* ---- keys ---- */

static void
ngx_media_key_cleanup(void *data)
{
    media_jwt_key_free(data);
}


/* A key out of a file; freed with the configuration. */

static media_jwt_key_t *
ngx_media_conf_key(ngx_conf_t *cf, enum media_jwt_alg alg, ngx_str_t *path,
    media_str_t kid)
{
    int                  rc;
    ngx_str_t            text;
    media_err_t          err;
    media_jwt_key_t     *key;
    ngx_pool_cleanup_t  *cln;

    if (ngx_media_conf_file(cf, path, &text) != NGX_CONF_OK) {
        return NULL;
    }

    rc = media_jwt_key_new(alg, kid, ngx_media_view(&text), &key, &err);

    ngx_explicit_memzero(text.data, text.len);

    if (rc != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": %s", path,
                           err.text);
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        media_jwt_key_free(key);
        return NULL;
    }

    cln->handler = ngx_media_key_cleanup;
    cln->data = key;

    return key;
}


char *
ngx_media_set_auth_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    int                alg;
    ngx_str_t         *value;
    media_str_t        kid;
    media_jwt_key_t   *key, **slot;

    value = cf->args->elts;

    alg = media_jwt_alg_parse(ngx_media_view(&value[1]));
    if (alg < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown algorithm \"%V\" in \"%V\", known are "
#define X(id, text, family, bits)  text " "
                           MEDIA_JWT_ALGS(X)
#undef X
                           , &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    kid = MEDIA_STR_NULL;

    if (cf->args->nelts == 4) {
        if (ngx_strncmp(value[3].data, "kid=", 4) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\", it must "
                               "be kid=...", &value[3], &value[0]);
            return NGX_CONF_ERROR;
        }

        kid.p = (char *) value[3].data + 4;
        kid.len = value[3].len - 4;
    }

    key = ngx_media_conf_key(cf, alg, &value[2], kid);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    if (mcf->keys == NULL) {
        mcf->keys = ngx_array_create(cf->pool, 2, sizeof(media_jwt_key_t *));
        if (mcf->keys == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    slot = ngx_array_push(mcf->keys);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = key;

    if (mcf->issue_key == NULL && media_jwt_key_can_issue(key)) {
        mcf->issue_key = key;
    }

    return NGX_CONF_OK;
}


char *
ngx_media_set_play_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ngx_str_t  *value;

    if (mcf->play_key != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mcf->play_key = ngx_media_conf_key(cf, MEDIA_JWT_HS256, &value[1],
                                       MEDIA_STR_NULL);

    return mcf->play_key == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* ---- key sets ---- */

static void
ngx_media_jwks_cleanup(void *data)
{
    media_jwks_free(data);
}


char *
ngx_media_set_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ngx_str_t              *value, *name;
    ngx_uint_t              i, file;
    ngx_media_jwks_conf_t  *jwks;

    value = cf->args->elts;
    file = (cf->args->nelts == 3);
    name = file ? &value[2] : &value[1];

    if (file && ngx_strcmp(value[1].data, "file") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes \"file\" and a path, or a URL",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (file && ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (mcf->jwks == NULL) {
        mcf->jwks = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_media_jwks_conf_t));
        if (mcf->jwks == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    jwks = mcf->jwks->elts;

    for (i = 0; i < mcf->jwks->nelts; i++) {
        if (jwks[i].name.len == name->len
            && ngx_strncmp(jwks[i].name.data, name->data, name->len) == 0)
        {
            return "is duplicate";
        }
    }

    jwks = ngx_array_push(mcf->jwks);
    if (jwks == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(jwks, sizeof(ngx_media_jwks_conf_t));
    jwks->name = *name;
    jwks->file = file;

    return file ? ngx_media_conf_jwks_file(cf, jwks)
                : ngx_media_conf_jwks_url(cf, jwks);
}


/* Has to be readable and sound now; later on, a bad one leaves the old. */

static char *
ngx_media_conf_jwks_file(ngx_conf_t *cf, ngx_media_jwks_conf_t *jwks)
{
    int                  rc;
    ngx_str_t            text;
    media_err_t          err;
    media_jwks_t        *set;
    ngx_pool_cleanup_t  *cln;

    if (ngx_media_conf_file(cf, &jwks->name, &text) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(media_jwks_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    set = cln->data;

    rc = media_jwks_parse(ngx_media_view(&text), 1, set, &err);

    ngx_explicit_memzero(text.data, text.len);

    if (rc != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is no key set: %s",
                           &jwks->name, err.text);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_media_jwks_cleanup;
    jwks->initial = *set;

    if (set->njwks == 0) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" holds no key that can verify a token",
                           &jwks->name);
    }

    return NGX_CONF_OK;
}


static char *
ngx_media_conf_jwks_url(ngx_conf_t *cf, ngx_media_jwks_conf_t *jwks)
{
    ngx_url_t               u;
    ngx_uint_t              ssl;
    ngx_media_http_peer_t  *peer;

    if (!ngx_media_conf_scheme(&u, &jwks->name, &ssl)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must start with http:// or https://, or "
                           "be \"file\" and a path", &jwks->name);
        return NGX_CONF_ERROR;
    }

    jwks->ssl = ssl;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           u.err ? u.err : "no address", &jwks->name);
        return NGX_CONF_ERROR;
    }

    jwks->server = u.host;
    jwks->uri = u.uri;
    jwks->host.data = u.url.data;
    jwks->host.len = u.url.len - u.uri.len;

    if (u.uri.len == 0) {
        ngx_str_set(&jwks->uri, "/");
    }

    peer = &jwks->peer;
    peer->name = jwks->host;
    peer->addrs = u.addrs;
    peer->naddrs = u.naddrs;
    peer->connect_timeout = 3000;
    peer->send_timeout = 3000;
    peer->read_timeout = 5000;

    ngx_media_http_peer_init(peer);

    return ngx_media_jwks_zone(cf, jwks) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


/* ---- the whole ---- */

ngx_int_t
ngx_media_check_auth(ngx_conf_t *cf)
{
    ngx_media_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (ngx_media_check_jwks(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_make_key_set(cf, mcf);
}


static ngx_int_t
ngx_media_check_jwks(ngx_conf_t *cf, ngx_media_main_conf_t *mcf)
{
    ngx_uint_t              i, j;
    ngx_media_jwks_conf_t  *jwks;

    if (mcf->jwks == NULL) {
        return NGX_OK;
    }

    if (mcf->jwks_retry < 1000) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_auth_jwks_retry\" is %M ms, it must be at "
                      "least 1s", mcf->jwks_retry);
        return NGX_ERROR;
    }

    if (mcf->jwks_refresh < mcf->jwks_retry) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_auth_jwks_refresh\" is %M ms, shorter than "
                      "\"media_auth_jwks_retry\", %M ms", mcf->jwks_refresh,
                      mcf->jwks_retry);
        return NGX_ERROR;
    }

    jwks = mcf->jwks->elts;

    for (i = 0; i < mcf->jwks->nelts; i++) {

        if (jwks[i].ssl
            && ngx_media_http_peer_ssl(cf, &jwks[i].peer, &jwks[i].server,
                                       &mcf->jwks_ca)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (j = 0; !jwks[i].ssl && j < jwks[i].peer.naddrs; j++) {
            if (!ngx_media_is_loopback(jwks[i].peer.addrs[j].sockaddr)) {
                ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                              "\"media_auth_jwks %V\": whoever is on the way "
                              "can put in keys of his own, use https",
                              &jwks[i].name);
                break;
            }
        }
    }

    return NGX_OK;
}


/* What /.well-known/jwks.json answers. */

static ngx_int_t
ngx_media_make_key_set(ngx_conf_t *cf, ngx_media_main_conf_t *mcf)
{
    int           rc;
    ngx_int_t     ok;
    media_buf_t   buf;
    media_str_t   text;

    media_buf_init(&buf, MEDIA_JWKS_TEXT_MAX);

    rc = mcf->keys
         ? media_jwks_write(mcf->keys->elts, mcf->keys->nelts, &buf)
         : media_jwks_write(NULL, 0, &buf);

    text = media_buf_view(&buf);

    ok = rc == 0 ? ngx_media_strdup(cf->pool, &mcf->key_set, text.p, text.len)
                 : NGX_ERROR;

    media_buf_free(&buf);

    return ok;
}
