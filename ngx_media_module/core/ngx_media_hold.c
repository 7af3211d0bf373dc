
/*
 * A worker that shall exit waits for as long as there is a timer. While a
 * thread works for a request (aio threads, the check of a password) nginx
 * before 1.25.4 has none and would cut that request off. So here is one as
 * long as such requests live; its firing means nothing.
 */


#include "ngx_media_request.h"


#define NGX_MEDIA_HOLD_PERIOD  60000


static void ngx_media_hold_timer_handler(ngx_event_t *ev);
static void ngx_media_hold_release(void *data);


static ngx_uint_t   ngx_media_holders;
static ngx_event_t  ngx_media_hold_timer;


ngx_int_t
ngx_media_hold(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_media_hold_release;

    if (ngx_media_holders++ == 0) {
        ngx_media_hold_timer.handler = ngx_media_hold_timer_handler;
        ngx_media_hold_timer.data = &ngx_media_hold_timer;
        ngx_media_hold_timer.log = ngx_cycle->log;
        ngx_add_timer(&ngx_media_hold_timer, NGX_MEDIA_HOLD_PERIOD);
    }

    return NGX_OK;
}


static void
ngx_media_hold_timer_handler(ngx_event_t *ev)
{
    ngx_add_timer(ev, NGX_MEDIA_HOLD_PERIOD);
}


static void
ngx_media_hold_release(void *data)
{
    if (--ngx_media_holders == 0) {
        ngx_del_timer(&ngx_media_hold_timer);
    }
}
