
/*
 * What every file of the module shares: configuration, the request context,
 * counters and the handlers of the routes.
 */

#ifndef _NGX_MEDIA_H_INCLUDED_
#define _NGX_MEDIA_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "media/jwt.h"
#include "media/stmt.h"
#include "ngx_media_pg.h"
#include "ngx_media_amqp.h"
#include "ngx_media_s3.h"
#include "ngx_media_problem.h"
#include "ngx_media_fault.h"
#include "ngx_media_rate.h"


/* Counters in shared memory: name in /metrics after "ngx_media_", help text */
#define NGX_MEDIA_COUNTERS(X)                                                 \
    X(UPLOADS_STARTED, "uploads_started_total", "Uploads admitted")           \
    X(UPLOADS_COMMITTED, "uploads_committed_total", "Uploads answered 201")   \
    X(UPLOADS_REFUSED, "uploads_refused_total", "Uploads answered 4xx")       \
    X(UPLOADS_FAILED, "uploads_failed_total", "Uploads answered 5xx")         \
    X(UPLOADS_ABORTED, "uploads_aborted_total", "Uploads the client left")    \
    X(UPLOADS_REPLAYED, "uploads_replayed_total", "First answers sent again") \
    X(UPLOAD_BYTES, "upload_bytes_total", "File bytes taken from clients")    \
    X(DOWNLOADS, "downloads_total", "Object downloads authorised")            \
    X(LOGINS_OK, "logins_ok_total", "Successful logins")                      \
    X(LOGINS_FAILED, "logins_failed_total", "Refused logins")                 \
    X(LOGIN_HASHES, "login_hashes_total", "Password hashes computed")         \
    X(AUTH_OK, "auth_ok_total", "Tokens accepted")                            \
    X(AUTH_FAILED, "auth_failed_total", "Tokens refused")                     \
    X(TOKENS_REVOKED, "tokens_revoked_total", "Revoked tokens refused")       \
    X(REFRESHES, "refreshes_total", "Refresh tokens exchanged")               \
    X(REFRESHES_REUSED, "refreshes_reused_total", "Logins ended by reuse")    \
    X(LOGOUTS, "logouts_total", "Logins ended by logout")                     \
    X(PG_QUERIES, "pg_queries_total", "Statements sent to PostgreSQL")        \
    X(PG_ERRORS, "pg_errors_total", "Statements failed or lost")              \
    X(S3_REQUESTS, "s3_requests_total", "Requests sent to S3")                \
    X(S3_ERRORS, "s3_errors_total", "S3 requests failed")                     \
    X(S3_CRED_RENEWED, "s3_credentials_renewed_total", "New S3 credentials")  \
    X(S3_CRED_FAILED, "s3_credentials_failed_total", "None were to be had")   \
    X(AMQP_PUBLISHED, "amqp_published_total", "Messages handed to RabbitMQ")  \
    X(AMQP_CONFIRMED, "amqp_confirmed_total", "Messages it confirmed")        \
    X(AMQP_DECLINED, "amqp_declined_total", "Messages left to the janitor")

enum ngx_media_counter {
#define X(name, text, help)  NGX_MEDIA_C_##name,
    NGX_MEDIA_COUNTERS(X)
#undef X
    NGX_MEDIA_COUNTER_COUNT
};

/* Gauges, the same way: what the processes hold now */
#define NGX_MEDIA_GAUGES(X)                                                   \
    X(UPLOADS_ACTIVE, "uploads_active", "Uploads running")                    \
    X(MEMORY, "memory_bytes", "Memory held by uploads")                       \
    X(MEMORY_WAITING, "memory_waiting", "Uploads that wait for memory")

enum ngx_media_gauge {
#define X(name, text, help)  NGX_MEDIA_G_##name,
    NGX_MEDIA_GAUGES(X)
#undef X
    NGX_MEDIA_GAUGE_COUNT
};

/* Those of one process; whoever gets its slot next starts with zeros. */
typedef struct {
    ngx_atomic_t                pid;        /* 0: free */
    ngx_atomic_t                values[NGX_MEDIA_GAUGE_COUNT];
} ngx_media_gauges_t;

#define NGX_MEDIA_LOGIN_LIMITS  3       /* ngx_media_login_limit.c */
#define NGX_MEDIA_LOGIN_SLOTS   16384

typedef struct {
    ngx_atomic_t                counters[NGX_MEDIA_COUNTER_COUNT];
    ngx_media_gauges_t          gauges[NGX_MAX_PROCESSES];
    ngx_atomic_t                problems[MEDIA_PROBLEM_COUNT];  /* sent */
    ngx_atomic_t                storage_full_until; /* ngx_current_msec */
    ngx_atomic_t                login_salt;
    ngx_atomic_t                login_failures[NGX_MEDIA_LOGIN_LIMITS]
                                              [NGX_MEDIA_LOGIN_SLOTS];
    ngx_media_s3_cred_shm_t     s3_cred[MEDIA_STORE_COUNT];
} ngx_media_shm_t;


#define NGX_MEDIA_TITLE_MAX  4096       /* bytes */

/* for a media_auth or a route: a token is not asked, needed, or read if there
 * is one */
#define NGX_MEDIA_AUTH_OFF       0
#define NGX_MEDIA_AUTH_ON        1
#define NGX_MEDIA_AUTH_OPTIONAL  2


/* http{}: what exists once per nginx */
typedef struct {
    ngx_uint_t                  enabled;    /* some location says "media on" */
    ngx_media_pg_conf_t         pg;
    ngx_media_amqp_conf_t       amqp;
    ngx_media_s3_conf_t         s3[MEDIA_STORE_COUNT];
    ngx_media_s3_cred_t         s3_cred[MEDIA_STORE_COUNT];
    ngx_uint_t                  s3_apart;   /* the stores are not one */
    size_t                      memory;     /* media_memory, per process */
    ngx_msec_t                  memory_wait;    /* media_memory_wait */
    size_t                      min_rate;   /* media_min_rate, bytes/s */
    size_t                      part_size;  /* media_s3_part_size */
    size_t                      part_max;   /* they may grow to that in RAM */
    off_t                       parts_total;    /* of a file made of them */
    off_t                       single_max; /* media_s3_single_max */
    ngx_uint_t                  s3_connections;     /* for parts */
    ngx_array_t                *keys;       /* media_jwt_key_t *, verify */
    media_jwt_key_t            *issue_key;  /* the first of them that can */
    ngx_str_t                   key_set;    /* /.well-known/jwks.json */
    ngx_array_t                *jwks;       /* ngx_media_jwks_conf_t */
    ngx_str_t                   jwks_ca;    /* ..._trusted_certificate */
    ngx_msec_t                  jwks_refresh;
    ngx_msec_t                  jwks_retry;
    size_t                      auth_cache; /* media_auth_cache, 0: off */
    ngx_array_t                *query_sources;  /* of all locations */
    struct ngx_media_auth_s    *auth;       /* of this process */
    media_jwt_key_t            *play_key;   /* media_play_key */
    ngx_str_t                   issuer;     /* media_auth_issuer */
    ngx_str_t                   audience;   /* media_auth_audience */
    ngx_str_t                   realm;      /* "ngx_media" */
    time_t                      access_ttl; /* media_token_ttl, 15 m */
    time_t                      refresh_ttl;
    time_t                      leeway;
    ngx_thread_pool_t          *login_pool; /* password hashes, signatures */
    ngx_shm_zone_t             *shm_zone;
    ngx_shm_zone_t             *revoked_zone;
#if (NGX_MEDIA_FAULTS)
    ngx_str_t                   fault_file;
#endif
} ngx_media_main_conf_t;


/* http, server, location */
typedef struct {
    ngx_flag_t                  enabled;    /* media on */
    ngx_flag_t                  problem;    /* media_problem on */
    ngx_uint_t                  auth;       /* media_auth */
    ngx_array_t                *sources;    /* ngx_media_source_t; NULL: the
                                               Authorization header alone */
    ngx_array_t                *require;    /* ngx_media_rule_t, or NULL */
    ngx_str_t                   pipeline;   /* media_pipeline, "audio" */
    off_t                       max_size;   /* media_max_size; 0: no limit */
    ngx_array_t                *types;      /* media_types: ngx_str_t, "video/"
                                               or a full type; NULL: any */
    ngx_uint_t                  has_quota;  /* media_quota is written here */
    off_t                       quota_bytes;    /* -1: none */
    ngx_int_t                   quota_uploads;
    ngx_media_rate_t           *rate;       /* media_rate_limit; NULL: none */
    ngx_flag_t                  metrics;    /* media_metrics on */
    ngx_http_complex_value_t   *s3_prefix;  /* media_s3_prefix, NULL: none */
    ngx_uint_t                  s3_slashes; /* written in it */
    ngx_array_t                *cors;       /* media_cors_origin: ngx_str_t, "*"
                                               alone; NULL: off */
} ngx_media_loc_conf_t;


/* The authorised object of a download, for variables and header filter */
typedef struct {
    ngx_media_s3_conf_t        *store;      /* where it lies */
    ngx_str_t                   key;
    ngx_str_t                   etag;       /* as S3 gave it, unquoted */
    ngx_str_t                   content_type;
    ngx_str_t                   disposition;
    ngx_str_t                   sha256;     /* hex, may be empty */
    off_t                       size;
    off_t                       first;      /* byte the client asked for */
    time_t                      modified;
    ngx_uint_t                  http_version;   /* the client's */
    struct ngx_media_signed_s  *signature;  /* ngx_media_var.c */
    ngx_http_request_t         *slices[2];  /* the last one and the one before;
                                               ngx_media_slice.c */
    ngx_int_t                 (*slice_input)(void *data);
                                            /* its upstream's own */
    unsigned                    fixed:1;    /* what is under its path stays */
    unsigned                    grows:1;    /* a playlist: another follows */
    unsigned                    shared:1;   /* caches may: it is public */
    unsigned                    asked:1;    /* no cache may without asking */
    unsigned                    jump:1;     /* authorised: the next pass of the
                                               access phase lets it through */
    unsigned                    failed:1;   /* S3 did, and that was said */
    void                      **loc_conf;   /* where that pass was: what comes
                                               from there is the object */
} ngx_media_object_t;


/* Request context. Survives internal and named redirects (found through its
 * pool cleanup); NULL never means "allowed". */
typedef struct {
    struct ngx_media_token_s   *token;      /* verified, or NULL; sub and roles
                                               are part of it */
    ngx_str_t                   sub;        /* user id; empty: anonymous */
    ngx_str_t                   roles;      /* "user,admin" */
    ngx_str_t                   query_token;    /* taken out of the query */
    ngx_uint_t                  query_tokens;
    ngx_str_t                   request_id; /* X-Request-Id */
    ngx_str_t                   traceparent;
    ngx_str_t                   media_id;   /* $media_id */
    ngx_str_t                   problem_extra;
    const char                 *problem;    /* $media_problem: code of the last
                                               one sent */
    const char                 *phase;      /* $media_phase, static */
    ngx_media_object_t         *object;
    ngx_array_t                *cors;       /* of the location whose playback
                                               route was asked, or NULL */
    ngx_msec_t                  s3_time;    /* $media_s3_time */
    ngx_msec_t                  commit_time;
    off_t                       size;       /* $media_size */
    unsigned                    has_size:1;
    unsigned                    rated:1;    /* counted by media_rate_limit */
    unsigned                    has_denied:1;
    unsigned                    waited:1;   /* for ngx_media_revoke.c */
    unsigned                    play:1;     /* by playback token: the address is
                                               a secret */
    enum media_problem          denied;     /* why access said 401 where core
                                               has the last word: satisfy any */
} ngx_media_ctx_t;


extern ngx_module_t  ngx_http_media_module;


/* Get or make the context; NULL only when out of memory. [loop] */
ngx_media_ctx_t *ngx_media_ctx(ngx_http_request_t *r);
ngx_media_main_conf_t *ngx_media_main_conf(ngx_http_request_t *r);
ngx_media_loc_conf_t *ngx_media_loc_conf(ngx_http_request_t *r);

/* X-Request-Id or X-Correlation-ID of the client if sane, else a new UUIDv7;
 * made once per request (traceparent is taken over at the same time). Borrowed
 * from r->pool. NGX_ERROR only when out of memory. [loop] */
ngx_int_t ngx_media_request_id(ngx_http_request_t *r, ngx_str_t *id);

/* Counters; a no-op before the zone exists. [any thread] */
void ngx_media_count(enum ngx_media_counter c, ngx_uint_t n);
/* Gauges of this process. [loop] */
void ngx_media_gauge(enum ngx_media_gauge g, ngx_int_t delta);
/* Of all processes that live. [loop] */
ngx_uint_t ngx_media_gauge_sum(enum ngx_media_gauge g);
void ngx_media_count_problem(enum media_problem p);
ngx_media_shm_t *ngx_media_shm(void);
/* What the processes share of S3's credentials, and the pool whose mutex guards
 * it; NULL before the zone exists. */
ngx_media_s3_cred_shm_t *ngx_media_shm_s3_cred(ngx_uint_t which,
    ngx_slab_pool_t **shpool);

/* media_quota of a location as parameters of statements: SQL null without a
 * limit. They point into *quota. [loop] */
typedef struct {
    u_char                      bytes[NGX_OFF_T_LEN];
    u_char                      uploads[NGX_INT_T_LEN];
} ngx_media_quota_t;

void ngx_media_quota_params(ngx_media_loc_conf_t *lcf,
    ngx_media_quota_t *quota, ngx_str_t *bytes, ngx_str_t *uploads);

/* Route handlers (content phase); each is called with the context made and,
 * unless noted, a valid token in it. They return what a content handler
 * does. */
ngx_int_t ngx_media_login_handler(ngx_http_request_t *r);       /* no token */
ngx_int_t ngx_media_refresh_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_logout_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_validate_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_me_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_upload_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_list_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_get_handler(ngx_http_request_t *r,
    ngx_str_t *id);                                 /* token or none */
ngx_int_t ngx_media_patch_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_delete_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_cancel_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_retry_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_jobs_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_regions_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_token_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_object_handler(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *output);                             /* token or none */
ngx_int_t ngx_media_download_handler(
    ngx_http_request_t *r);                         /* token or none */
ngx_int_t ngx_media_play_handler(ngx_http_request_t *r, ngx_str_t *token,
    ngx_str_t *output);                                         /* no token */
ngx_int_t ngx_media_key_set_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_healthz_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_readyz_handler(ngx_http_request_t *r);      /* no token */
ngx_int_t ngx_media_metrics_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_problem_handler(ngx_http_request_t *r);     /* error_page */

/* When the first certificate ends, 0 without any (ngx_media_certificate.c) */
time_t ngx_media_certificates_end(ngx_http_request_t *r);

/* Post-read phase: tokens out of the request line (ngx_media_mask.c); those of
 * playback out of r->uri and r->unparsed_uri, once the route is found.
 * [loop] */
ngx_int_t ngx_media_mask_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_mask_uri(ngx_http_request_t *r, ngx_str_t *output);

/* Access phase of any location with media_auth, and of our protected routes. */
ngx_int_t ngx_media_access_handler(ngx_http_request_t *r);

/* Routing: NGX_MEDIA_AUTH_* of this method and URI, off for what is none of
 * ours. Leaves in ctx who may read the answers. Defined in ngx_media_route.c;
 * the same table drives access and content phase. */
ngx_uint_t ngx_media_route_auth(ngx_http_request_t *r, ngx_media_ctx_t *ctx);
ngx_int_t ngx_media_route_handler(ngx_http_request_t *r);


#endif
