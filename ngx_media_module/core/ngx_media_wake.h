
/*
 * Wake-ups from foreign threads into the event loop: one eventfd per worker
 * process. ngx_notify() has a single handler slot that belongs to nginx's
 * thread pool, so it is never used here.
 */

#ifndef _NGX_MEDIA_WAKE_H_INCLUDED_
#define _NGX_MEDIA_WAKE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef void (*ngx_media_wake_pt)(void *data);


/* Starts the bridge; handler(data) runs in the loop after every signal, many
 * signals may become one call. [loop], from init_process */
ngx_int_t ngx_media_wake_init(ngx_cycle_t *cycle, ngx_media_wake_pt handler,
    void *data);
void ngx_media_wake_done(ngx_cycle_t *cycle);

/* Asks for a call of the handler. [thread], async-signal-safe */
void ngx_media_wake_signal(void);


#endif
