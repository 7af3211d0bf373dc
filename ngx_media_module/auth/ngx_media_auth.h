
/*
 * Who may pass: keys and where they come from, verified tokens and how long
 * they are remembered, where a token stands in a request and what its claims
 * have to say. Used by ngx_media_access.c, which decides, and by the
 * configuration.
 *
 * Configuration is read-only; what changes while running is ngx_media_auth_t,
 * one per process, made in init_process and freed with the cycle's pool.
 */

#ifndef _NGX_MEDIA_AUTH_H_INCLUDED_
#define _NGX_MEDIA_AUTH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "media/jwks.h"
#include "ngx_media.h"
#include "ngx_media_http.h"


/* ---- verified tokens (ngx_media_token.c) ---- */

/* One block of memory, shared by the cache and the requests that carry the
 * token. */
typedef struct ngx_media_token_s  ngx_media_token_t;

struct ngx_media_token_s {
    ngx_queue_t                 queue;      /* cache: the last used first */
    ngx_media_token_t          *next;       /* cache: of the same bucket */
    ngx_uint_t                  refs;
    size_t                      size;       /* of all memory behind it */
    uint32_t                    hash;
    media_jwt_claims_t          claims;
    ngx_str_t                   text;       /* the token itself */
    ngx_str_t                   sub;        /* may be empty */
    ngx_str_t                   roles;      /* "user,admin" */
};

typedef struct {
    size_t                      max;        /* media_auth_cache, 0: off */
    size_t                      used;
    ngx_uint_t                  mask;       /* buckets - 1 */
    ngx_media_token_t         **buckets;
    ngx_queue_t                 queue;
} ngx_media_token_cache_t;

/* [loop] init_process; nothing else to free than its tokens. */
ngx_int_t ngx_media_token_cache_init(ngx_media_token_cache_t *cache,
    size_t max, ngx_pool_t *pool);

/* A token out of verified claims, which it takes; one reference. NULL when out
 * of memory (the claims are freed then as well). [loop] */
ngx_media_token_t *ngx_media_token_create(media_jwt_claims_t *claims,
    ngx_str_t *text, ngx_log_t *log);
void ngx_media_token_release(ngx_media_token_t *token); /* NULL is allowed */

/* Found: one reference more. The caller still looks at its time. */
ngx_media_token_t *ngx_media_token_find(ngx_media_token_cache_t *cache,
    ngx_str_t *text);
void ngx_media_token_keep(ngx_media_token_cache_t *cache,
    ngx_media_token_t *token);
void ngx_media_token_drop(ngx_media_token_cache_t *cache,
    ngx_media_token_t *token);
void ngx_media_token_drop_all(ngx_media_token_cache_t *cache);


/* ---- key sets from outside (ngx_media_jwks.c, ngx_media_jwks_url.c) ---- */

/* media_auth_jwks */
typedef struct {
    ngx_str_t                   name;       /* path or URL, ends in NUL */
    unsigned                    file:1;
    media_jwks_t                initial;    /* file: as configuration read it */
    ngx_media_http_peer_t       peer;       /* URL */
    ngx_str_t                   server;     /* of its TLS certificate */
    ngx_str_t                   host;       /* header */
    ngx_str_t                   uri;
    unsigned                    ssl:1;
    ngx_shm_zone_t             *zone;       /* URL: the last good set */
} ngx_media_jwks_conf_t;

typedef struct ngx_media_auth_s  ngx_media_auth_t;

typedef struct {
    ngx_media_jwks_conf_t      *conf;
    ngx_media_auth_t           *auth;
    media_jwks_t                set;        /* keys NULL: conf->initial */
    ngx_event_t                 timer;

    struct stat                 info;       /* file: of what was read last */

    ngx_atomic_uint_t           version;    /* URL: of set; 0: none has come */
    ngx_media_http_call_t      *call;       /* URL: running fetch */
    ngx_event_t                 deadline;   /* URL: of it */
} ngx_media_jwks_t;

struct ngx_media_auth_s {
    media_jwt_policy_t          policy;     /* all keys, issuer, audience */
    ngx_media_jwks_t           *jwks;
    ngx_uint_t                  njwks;
    ngx_msec_t                  refresh;    /* media_auth_jwks_refresh */
    ngx_msec_t                  retry;      /* media_auth_jwks_retry */
    ngx_array_t                *conf_keys;  /* media_auth_key */
    ngx_media_token_cache_t     cache;
    ngx_log_t                  *log;
};

/* [conf] The zone in which all processes, over reloads, share a URL's set. */
ngx_int_t ngx_media_jwks_zone(ngx_conf_t *cf, ngx_media_jwks_conf_t *conf);

/* [loop] Begins to watch a file, to fetch a URL; ends a fetch. */
void ngx_media_jwks_file_start(ngx_media_jwks_t *jwks);
void ngx_media_jwks_url_start(ngx_media_jwks_t *jwks);
void ngx_media_jwks_url_stop(ngx_media_jwks_t *jwks);

/* [loop] Takes a set that another process has fetched. */
void ngx_media_jwks_url_update(ngx_media_jwks_t *jwks);

/* [loop] Somebody asks for a key that is not there: fetches, but not sooner
 * than media_auth_jwks_retry after the last time. */
void ngx_media_jwks_url_wanted(ngx_media_jwks_t *jwks);


/* ---- all keys (ngx_media_keys.c) ---- */

/* Replaces the set of one source; on NGX_ERROR the old one stays. The text of
 * a file may hold secrets, that of a URL may not. [loop] */
ngx_int_t ngx_media_jwks_set(ngx_media_jwks_t *jwks, ngx_str_t *text,
    media_err_t *ei);

static ngx_inline media_jwks_t *
ngx_media_jwks_current(ngx_media_jwks_t *jwks)
{
    return jwks->set.keys ? &jwks->set : &jwks->conf->initial;
}

/* mcf->auth of this process; freed with the cycle. [loop] */
ngx_int_t ngx_media_auth_init_process(ngx_cycle_t *cycle,
    ngx_media_main_conf_t *mcf);

/*
 * A verified token, one reference: NGX_OK. NGX_DECLINED with the problem and
 * its cause; NGX_ERROR when out of memory.
 */
ngx_int_t ngx_media_auth_verify(ngx_media_auth_t *auth, ngx_str_t *text,
    ngx_media_token_t **token, enum media_problem *p, media_err_t *ei);


/* ---- where tokens stand in a request (ngx_media_source.c) ---- */

enum ngx_media_source {
    NGX_MEDIA_SOURCE_HEADER = 0,
    NGX_MEDIA_SOURCE_COOKIE,
    NGX_MEDIA_SOURCE_QUERY
};

typedef struct {
    enum ngx_media_source       type;
    ngx_str_t                   name;       /* of cookie or argument */
} ngx_media_source_t;

/* NGX_OK, NGX_DECLINED when there is none, NGX_ABORT when there are several.
 * [loop] */
ngx_int_t ngx_media_source_find(ngx_http_request_t *r, ngx_str_t *text);

/* Tokens in the query: out of the request line, which logs quote, when the
 * request has been read; out of everything else when its location is known
 * (rewrite phase). [loop] */
ngx_int_t ngx_media_source_mask_line(ngx_http_request_t *r,
    ngx_array_t *sources);
ngx_int_t ngx_media_source_handler(ngx_http_request_t *r);


/* ---- what claims have to say (ngx_media_require.c) ---- */

/* media_auth_require */
typedef struct {
    ngx_str_t                   claim;
    ngx_array_t                 values;     /* ngx_str_t; one is enough */
    unsigned                    negative:1; /* none may hold */
} ngx_media_rule_t;

/* The first rule of this location that the claims break, or NULL. [loop] */
ngx_media_rule_t *ngx_media_require_broken(ngx_http_request_t *r,
    media_jwt_claims_t *claims);


#endif
