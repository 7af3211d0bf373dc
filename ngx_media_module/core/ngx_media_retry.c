
/*
 * Pauses between tries, see ngx_media_retry.h.
 */

#include "ngx_media_retry.h"


#define NGX_MEDIA_RETRY_LEAST  5000     /* ms that a try may always take */


void
ngx_media_retry_init(ngx_media_retry_t *retry, ngx_event_handler_pt again,
    void *data, ngx_log_t *log, ngx_msec_t longest)
{
    ngx_memzero(retry, sizeof(ngx_media_retry_t));

    retry->timer.handler = again;
    retry->timer.data = data;
    retry->timer.log = log;
    retry->longest = longest;
}


ngx_int_t
ngx_media_retry(ngx_media_retry_t *retry, ngx_msec_t least)
{
    ngx_msec_t  pause;

    if (retry->failures == 0) {
        retry->since = ngx_current_msec;
    }

    pause = NGX_MEDIA_RETRY_DELAY << ngx_min(retry->failures, 10);
    pause = ngx_max(ngx_min(pause, retry->longest), least);

    retry->failures++;

    if (ngx_current_msec - retry->since + pause > NGX_MEDIA_RETRY_FOR) {
        return NGX_DECLINED;
    }

    ngx_add_timer(&retry->timer, pause);

    return NGX_OK;
}


ngx_msec_t
ngx_media_retry_left(ngx_media_retry_t *retry)
{
    ngx_msec_t  past;

    if (retry->failures == 0) {
        return 0;
    }

    past = ngx_current_msec - retry->since;

    return past + NGX_MEDIA_RETRY_LEAST < NGX_MEDIA_RETRY_FOR
           ? NGX_MEDIA_RETRY_FOR - past : NGX_MEDIA_RETRY_LEAST;
}


void
ngx_media_retry_stop(ngx_media_retry_t *retry)
{
    if (retry->timer.timer_set) {
        ngx_del_timer(&retry->timer);
    }
}
