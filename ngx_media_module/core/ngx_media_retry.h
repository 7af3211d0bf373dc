
/*
 * Something that is done again until it works: at S3 or in the database, for
 * an upload whose client waits. Pauses grow from NGX_MEDIA_RETRY_DELAY to
 * `longest`; NGX_MEDIA_RETRY_FOR after the first failure no try begins,
 * so that the client hears of it before it loses patience itself. [loop]
 */

#ifndef _NGX_MEDIA_RETRY_H_INCLUDED_
#define _NGX_MEDIA_RETRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


#define NGX_MEDIA_RETRY_DELAY  500      /* ms, first pause */
#define NGX_MEDIA_RETRY_FOR    30000    /* ms from the first failure on */


typedef struct {
    ngx_event_t                 timer;
    ngx_msec_t                  longest;    /* pause */
    ngx_msec_t                  since;      /* the first failure */
    ngx_uint_t                  failures;
} ngx_media_retry_t;


void ngx_media_retry_init(ngx_media_retry_t *retry,
    ngx_event_handler_pt again, void *data, ngx_log_t *log,
    ngx_msec_t longest);

/* It failed: again(ev) is called, with ev->data == data, after a pause of at
 * least `least` ms: NGX_OK. NGX_DECLINED: there is no time left for that. */
ngx_int_t ngx_media_retry(ngx_media_retry_t *retry, ngx_msec_t least);

/* How long the next try may wait for an answer; 0: as long as ever, nothing
 * has failed yet. */
ngx_msec_t ngx_media_retry_left(ngx_media_retry_t *retry);

void ngx_media_retry_stop(ngx_media_retry_t *retry);


#endif
