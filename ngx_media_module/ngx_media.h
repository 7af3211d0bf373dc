
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


/* Counters in shared memory: name in /metrics after "ngx_media_", help text */
#define NGX_MEDIA_COUNTERS(X)                                                 \
    X(UPLOADS_STARTED, "uploads_started_total", "Uploads admitted")           \
    X(UPLOADS_COMMITTED, "uploads_committed_total", "Uploads answered 201")   \
    X(UPLOADS_REFUSED, "uploads_refused_total", "Uploads answered 4xx")       \
    X(UPLOADS_FAILED, "uploads_failed_total", "Uploads answered 5xx")         \
    X(UPLOADS_ABORTED, "uploads_aborted_total", "Uploads the client left")    \
    X(UPLOAD_BYTES, "upload_bytes_total", "File bytes taken from clients")    \
    X(DOWNLOADS, "downloads_total", "Object downloads authorised")            \
    X(LOGINS_OK, "logins_ok_total", "Successful logins")                      \
    X(LOGINS_FAILED, "logins_failed_total", "Refused logins")                 \
    X(LOGIN_HASHES, "login_hashes_total", "Password hashes computed")         \
    X(AUTH_OK, "auth_ok_total", "Tokens accepted")                            \
    X(AUTH_FAILED, "auth_failed_total", "Tokens refused")                     \
    X(PG_QUERIES, "pg_queries_total", "Statements sent to PostgreSQL")        \
    X(PG_ERRORS, "pg_errors_total", "Statements failed or lost")              \
    X(S3_REQUESTS, "s3_requests_total", "Requests sent to S3")                \
    X(S3_ERRORS, "s3_errors_total", "S3 requests failed")                     \
    X(AMQP_PUBLISHED, "amqp_published_total", "Messages handed to RabbitMQ")  \
    X(AMQP_CONFIRMED, "amqp_confirmed_total", "Messages it confirmed")        \
    X(AMQP_DECLINED, "amqp_declined_total", "Messages left to the janitor")

enum ngx_media_counter {
#define X(name, text, help)  NGX_MEDIA_C_##name,
    NGX_MEDIA_COUNTERS(X)
#undef X
    NGX_MEDIA_COUNTER_COUNT
};

#define NGX_MEDIA_LOGIN_SLOTS  1024     /* ngx_media_login_limit.c */

typedef struct {
    ngx_atomic_t                counters[NGX_MEDIA_COUNTER_COUNT];
    ngx_atomic_t                uploads_active;     /* gauge */
    ngx_atomic_t                memory_used;        /* gauge, bytes */
    ngx_atomic_t                login_salt;
    ngx_atomic_t                login_failures[NGX_MEDIA_LOGIN_SLOTS];
} ngx_media_shm_t;


#define NGX_MEDIA_AUTH_OFF       0
#define NGX_MEDIA_AUTH_ON        1
#define NGX_MEDIA_AUTH_OPTIONAL  2


/* http{}: what exists once per nginx */
typedef struct {
    ngx_uint_t                  enabled;    /* some location says "media on" */
    ngx_media_pg_conf_t         pg;
    ngx_media_amqp_conf_t       amqp;
    ngx_media_s3_conf_t         s3;
    ngx_str_t                   s3_name;    /* of its TLS certificate */
    ngx_str_t                   s3_ca;      /* media_s3_trusted_certificate */
    size_t                      memory;     /* media_memory, per process */
    size_t                      part_size;  /* media_s3_part_size */
    off_t                       single_max; /* largest single PUT, 5 GiB */
    ngx_array_t                *keys;       /* media_jwt_key_t *, verify */
    media_jwt_key_t            *issue_key;  /* the first of them that can */
    media_jwt_key_t            *play_key;   /* media_play_key */
    ngx_str_t                   issuer;     /* media_auth_issuer */
    ngx_str_t                   audience;   /* media_auth_audience */
    ngx_str_t                   realm;      /* "ngx_media" */
    time_t                      access_ttl; /* media_token_ttl, 15 m */
    time_t                      refresh_ttl;
    time_t                      leeway;
    ngx_thread_pool_t          *login_pool; /* for password hashes */
    ngx_shm_zone_t             *shm_zone;
} ngx_media_main_conf_t;


/* http, server, location */
typedef struct {
    ngx_flag_t                  enabled;    /* media on */
    ngx_flag_t                  problem;    /* media_problem on */
    ngx_uint_t                  auth;       /* media_auth */
    ngx_str_t                   pipeline;   /* media_pipeline, "audio" */
    off_t                       max_size;   /* media_max_size; 0: no limit */
    ngx_array_t                *types;      /* media_types: ngx_str_t, "video/"
                                               or a full type; NULL: any */
    ngx_flag_t                  metrics;    /* media_metrics on */
} ngx_media_loc_conf_t;


/* The authorised object of a download, for variables and header filter */
typedef struct {
    ngx_str_t                   key;
    ngx_str_t                   etag;       /* as S3 gave it, unquoted */
    ngx_str_t                   content_type;
    ngx_str_t                   disposition;
    ngx_str_t                   sha256;     /* hex, may be empty */
    off_t                       size;
    time_t                      modified;
    struct ngx_media_signed_s  *signature[2];   /* GET, HEAD; made on demand by
                                                   ngx_media_var.c */
    unsigned                    play:1;     /* by playback token */
    unsigned                    jump:1;     /* authorised: the next pass of the
                                               access phase lets it through */
    void                      **loc_conf;   /* where that pass was: what comes
                                               from there is the object */
} ngx_media_object_t;


/* Request context. Survives internal and named redirects (found through its
 * pool cleanup); NULL never means "allowed". */
typedef struct {
    media_jwt_claims_t          claims;     /* claims.claims NULL: no token */
    ngx_str_t                   sub;        /* user id; empty: anonymous */
    ngx_str_t                   roles;      /* "user,admin" */
    ngx_str_t                   request_id; /* X-Request-Id */
    ngx_str_t                   traceparent;
    ngx_str_t                   media_id;   /* $media_id */
    ngx_str_t                   problem_extra;
    const char                 *phase;      /* $media_phase, static */
    ngx_media_object_t         *object;
    ngx_msec_t                  s3_time;    /* $media_s3_time */
    ngx_msec_t                  commit_time;
    off_t                       size;       /* $media_size */
    unsigned                    has_size:1;
    unsigned                    has_denied:1;
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
ngx_media_shm_t *ngx_media_shm(void);

/* Route handlers (content phase); each is called with the context made and,
 * unless noted, a valid token in it. They return what a content handler
 * does. */
ngx_int_t ngx_media_login_handler(ngx_http_request_t *r);       /* no token */
ngx_int_t ngx_media_validate_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_me_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_upload_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_list_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_get_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_token_handler(ngx_http_request_t *r, ngx_str_t *id);
ngx_int_t ngx_media_object_handler(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *output);
ngx_int_t ngx_media_download_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_play_handler(ngx_http_request_t *r, ngx_str_t *token,
    ngx_str_t *output);                                         /* no token */
ngx_int_t ngx_media_healthz_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_readyz_handler(ngx_http_request_t *r);      /* no token */
ngx_int_t ngx_media_metrics_handler(ngx_http_request_t *r);     /* no token */
ngx_int_t ngx_media_problem_handler(ngx_http_request_t *r);     /* error_page */

/* Post-read phase: playback tokens out of the request line (ngx_media_mask.c);
 * out of r->uri and r->unparsed_uri, once their output is known. [loop] */
ngx_int_t ngx_media_mask_handler(ngx_http_request_t *r);
ngx_int_t ngx_media_mask_uri(ngx_http_request_t *r, ngx_str_t *output);

/* Access phase of any location with media_auth, and of our protected routes. */
ngx_int_t ngx_media_access_handler(ngx_http_request_t *r);

/* Routing: is this URI one of ours and does it need a token? Defined in
 * ngx_media_route.c; the same table drives access and content phase. */
ngx_uint_t ngx_media_route_needs_token(ngx_http_request_t *r);
ngx_int_t ngx_media_route_handler(ngx_http_request_t *r);


#endif
