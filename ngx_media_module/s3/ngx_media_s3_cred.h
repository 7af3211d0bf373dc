
/*
 * Credentials for S3 by the rules of libmedia's s3cred: from the environment,
 * a file that may change, STS or a metadata service. A worker process asks on
 * its own events and shares what it got with the others through shared memory,
 * where a reload finds it, too. Nothing waits for credentials: while there are
 * none, requests that need them are answered 503.
 */

#ifndef _NGX_MEDIA_S3_CRED_H_INCLUDED_
#define _NGX_MEDIA_S3_CRED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_media_http.h"
#include "media/s3cred.h"


/* In shared memory, guarded by the zone's mutex. */
typedef struct {
    ngx_uint_t                  generation; /* 0: none yet */
    uint32_t                    source;     /* of which source they are */
    media_s3_cred_t             cred;
} ngx_media_s3_cred_shm_t;


typedef struct {
    ngx_uint_t                  which;      /* enum media_store */
    media_s3_source_t           source;     /* its strings end in NUL */
    uint32_t                    source_crc;
    ngx_media_http_peer_t       peer;       /* of a source asked over HTTP */

    /* per process */
    media_s3_cred_t             cred;
    ngx_uint_t                  generation; /* grows with each change */
    ngx_uint_t                  shared;     /* generation in shared memory */
    time_t                      renew_at;   /* 0: never */
    ngx_event_t                 timer;
    ngx_uint_t                  failures;   /* in a row */
    time_t                      mtime;      /* of the file, when it was read */
    off_t                       size;
    ngx_file_uniq_t             uniq;
    media_s3_exchange_t         exchange;
    ngx_media_http_call_t      *call;       /* a request of it */
} ngx_media_s3_cred_t;


/* getenv() for the variables of its store. [conf] */
media_getenv_pt ngx_media_s3_cred_env(ngx_media_s3_cred_t *c);

/* The source for `kind` (-1: what the environment has) is known to be good:
 * its file can be read, its host has addresses. file, profile: of the
 * directive, or empty. NGX_ERROR is logged. [conf] */
ngx_int_t ngx_media_s3_cred_conf(ngx_conf_t *cf, ngx_media_s3_cred_t *c,
    ngx_int_t kind, ngx_str_t *region, ngx_str_t *ca);

/* init_process, exit_process */
void ngx_media_s3_cred_init(ngx_cycle_t *cycle, ngx_media_s3_cred_t *c);
void ngx_media_s3_cred_done(ngx_media_s3_cred_t *c);

/* 1 when there are credentials that are not over. [loop] */
ngx_uint_t ngx_media_s3_cred_usable(ngx_media_s3_cred_t *c);


#endif
