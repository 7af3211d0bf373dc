
/*
 * All keys of a process: those of media_auth_key, which never change, and the
 * sets of media_auth_jwks, which do. Verifying goes through the cache of
 * tokens; whenever a key set changes, the cache is emptied.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_auth_collect(ngx_media_auth_t *auth);
static void ngx_media_auth_destroy(void *data);
static ngx_int_t ngx_media_auth_check(ngx_media_auth_t *auth,
    ngx_str_t *text, ngx_media_token_t **token, enum media_problem *p,
    media_err_t *ei);
static ngx_uint_t ngx_media_auth_unknown(ngx_media_auth_t *auth,
    enum media_jwt_why why);


ngx_int_t
ngx_media_auth_init_process(ngx_cycle_t *cycle, ngx_media_main_conf_t *mcf)
{
    ngx_uint_t              i;
    ngx_media_auth_t       *auth;
    ngx_media_jwks_t       *jwks;
    ngx_pool_cleanup_t     *cln;
    ngx_media_jwks_conf_t  *confs;

    if (mcf->keys == NULL && mcf->jwks == NULL) {
        return NGX_OK;
    }

    auth = ngx_pcalloc(cycle->pool, sizeof(ngx_media_auth_t));
    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (auth == NULL || cln == NULL
        || ngx_media_token_cache_init(&auth->cache, mcf->auth_cache,
                                      cycle->pool)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    auth->policy.iss = ngx_media_view(&mcf->issuer);
    auth->policy.aud = ngx_media_view(&mcf->audience);
    auth->policy.leeway_s = mcf->leeway;
    auth->conf_keys = mcf->keys;
    auth->refresh = mcf->jwks_refresh;
    auth->retry = mcf->jwks_retry;
    auth->log = cycle->log;

    if (mcf->jwks) {
        auth->njwks = mcf->jwks->nelts;
        auth->jwks = ngx_pcalloc(cycle->pool,
                                 auth->njwks * sizeof(ngx_media_jwks_t));
        if (auth->jwks == NULL) {
            return NGX_ERROR;
        }

        confs = mcf->jwks->elts;

        for (i = 0; i < auth->njwks; i++) {
            auth->jwks[i].conf = &confs[i];
            auth->jwks[i].auth = auth;
        }
    }

    if (ngx_media_auth_collect(auth) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_media_auth_destroy;
    cln->data = auth;
    mcf->auth = auth;

    for (i = 0; i < auth->njwks; i++) {
        jwks = &auth->jwks[i];

        if (jwks->conf->file) {
            ngx_media_jwks_file_start(jwks);

        } else {
            ngx_media_jwks_url_start(jwks);
        }
    }

    return NGX_OK;
}


static void
ngx_media_auth_destroy(void *data)
{
    ngx_media_auth_t  *auth = data;

    ngx_uint_t         i;
    ngx_media_jwks_t  *jwks;

    for (i = 0; i < auth->njwks; i++) {
        jwks = &auth->jwks[i];

        if (jwks->timer.timer_set) {
            ngx_del_timer(&jwks->timer);
        }

        if (!jwks->conf->file) {
            ngx_media_jwks_url_stop(jwks);
        }

        media_jwks_free(&jwks->set);
    }

    ngx_media_token_drop_all(&auth->cache);
    ngx_free((void *) auth->policy.keys);
}


/* The keys of all sources in one array, for the verifier. */

static ngx_int_t
ngx_media_auth_collect(ngx_media_auth_t *auth)
{
    size_t                    n;
    ngx_uint_t                i;
    media_jwks_t             *set;
    const media_jwt_key_t   **keys;

    n = auth->conf_keys ? auth->conf_keys->nelts : 0;

    for (i = 0; i < auth->njwks; i++) {
        n += ngx_media_jwks_current(&auth->jwks[i])->nkeys;
    }

    keys = ngx_alloc((n + 1) * sizeof(media_jwt_key_t *), auth->log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_free((void *) auth->policy.keys);

    auth->policy.keys = keys;
    auth->policy.nkeys = n;

    if (auth->conf_keys) {
        ngx_memcpy(keys, auth->conf_keys->elts,
                   auth->conf_keys->nelts * sizeof(media_jwt_key_t *));
        keys += auth->conf_keys->nelts;
    }

    for (i = 0; i < auth->njwks; i++) {
        set = ngx_media_jwks_current(&auth->jwks[i]);

        if (set->nkeys) {
            ngx_memcpy(keys, set->keys, set->nkeys * sizeof(*keys));
            keys += set->nkeys;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_jwks_set(ngx_media_jwks_t *jwks, ngx_str_t *text, media_err_t *ei)
{
    media_jwks_t       old, set;
    ngx_media_auth_t  *auth;

    auth = jwks->auth;

    if (media_jwks_parse(ngx_media_view(text), jwks->conf->file, &set, ei)
        != 0)
    {
        return NGX_ERROR;
    }

    old = jwks->set;
    jwks->set = set;

    if (ngx_media_auth_collect(auth) != NGX_OK) {
        jwks->set = old;
        media_jwks_free(&set);
        (void) media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
        return NGX_ERROR;
    }

    media_jwks_free(&old);

    /* what a key that is gone has signed is worth nothing any more */

    ngx_media_token_drop_all(&auth->cache);

    ngx_log_error(NGX_LOG_NOTICE, auth->log, 0,
                  "media: key set \"%V\" read, keys=%uz skipped=%uz",
                  &jwks->conf->name, set.njwks, set.nskipped);

    return NGX_OK;
}


ngx_int_t
ngx_media_auth_verify(ngx_media_auth_t *auth, ngx_str_t *text,
    ngx_media_token_t **token, enum media_problem *p, media_err_t *ei)
{
    ngx_uint_t          i;
    ngx_media_token_t  *found;

    for (i = 0; i < auth->njwks; i++) {
        if (!auth->jwks[i].conf->file) {
            ngx_media_jwks_url_update(&auth->jwks[i]);
        }
    }

    found = ngx_media_token_find(&auth->cache, text);

    if (found) {
        if (ngx_time() - found->claims.exp_s < auth->policy.leeway_s
            || ngx_time() < found->claims.exp_s)
        {
            *token = found;
            return NGX_OK;
        }

        ngx_media_token_drop(&auth->cache, found);
        ngx_media_token_release(found);
    }

    return ngx_media_auth_check(auth, text, token, p, ei);
}


static ngx_int_t
ngx_media_auth_check(ngx_media_auth_t *auth, ngx_str_t *text,
    ngx_media_token_t **token, enum media_problem *p, media_err_t *ei)
{
    int                  rc;
    media_jwt_claims_t   claims;
    enum media_jwt_why   why;

    rc = media_jwt_verify(ngx_media_view(text), &auth->policy, ngx_time(),
                          &claims, &why, ei);

    if (rc == 0) {
        *token = ngx_media_token_create(&claims, text, auth->log);
        if (*token == NULL) {
            return NGX_ERROR;
        }

        ngx_media_token_keep(&auth->cache, *token);
        return NGX_OK;
    }

    if (rc == MEDIA_E_NOMEM) {
        return NGX_ERROR;
    }

    *p = MEDIA_PROBLEM_TOKEN_INVALID;

    if (rc == MEDIA_E_AUTH && why == MEDIA_JWT_EXPIRED) {
        *p = MEDIA_PROBLEM_TOKEN_EXPIRED;

    } else if (rc == MEDIA_E_AUTH && ngx_media_auth_unknown(auth, why)) {
        *p = MEDIA_PROBLEM_KEYS_UNAVAILABLE;
    }

    return NGX_DECLINED;
}


/*
 * A kid that nobody has: the issuer may have a new key. 1 if the key may be in
 * a set that has never come, so that nothing can be said about the token.
 */

static ngx_uint_t
ngx_media_auth_unknown(ngx_media_auth_t *auth, enum media_jwt_why why)
{
    ngx_uint_t         i, unknown;
    ngx_media_jwks_t  *jwks;

    if (why != MEDIA_JWT_KEY && why != MEDIA_JWT_SIGNATURE) {
        return 0;
    }

    unknown = 0;

    for (i = 0; i < auth->njwks; i++) {
        jwks = &auth->jwks[i];

        if (jwks->conf->file) {
            continue;
        }

        if (why == MEDIA_JWT_KEY) {
            ngx_media_jwks_url_wanted(jwks);
        }

        unknown |= (jwks->version == 0);
    }

    return unknown;
}
