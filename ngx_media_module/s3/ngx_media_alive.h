
/*
 * Is the input store there, and has it room? Known from what its answers were,
 * so that an upload is refused before its bytes and let through again at once
 * when S3 is back.
 *
 *     FINE -no answer, or a 5xx-> DOUBTED -an answer below 500-> FINE
 *
 * Nobody is refused for what is only doubted: an upload that comes then waits
 * until the bucket has been asked for, once for all who wait. At the start of
 * a process S3 is doubted.
 */

#ifndef _NGX_MEDIA_ALIVE_H_INCLUDED_
#define _NGX_MEDIA_ALIVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_media_s3.h"


#define NGX_MEDIA_ALIVE_WAIT  3000      /* ms for the answer */
#define NGX_MEDIA_FULL_FOR    5000      /* ms a full S3 is remembered */


typedef struct {
    ngx_queue_t                 queue;
    void                      (*done)(void *data, ngx_uint_t alive);
    void                       *data;
    unsigned                    waiting:1;
} ngx_media_alive_t;


/* NGX_OK: fine; NGX_AGAIN: done() tells later, never from within; NGX_ERROR
 * when out of memory. [loop] */
ngx_int_t ngx_media_alive_ask(ngx_media_alive_t *a, ngx_media_s3_conf_t *conf);
/* The one who waits leaves. [loop] */
void ngx_media_alive_forget(ngx_media_alive_t *a);

/* What any request to the input store came to. [loop] */
void ngx_media_alive_seen(ngx_uint_t status);

/* S3 said that it is full; milliseconds for which that still holds. Known to
 * all processes. [loop] */
void ngx_media_alive_full(void);
ngx_msec_t ngx_media_alive_full_for(void);


#endif
