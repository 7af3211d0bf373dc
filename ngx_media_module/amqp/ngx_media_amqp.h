
/*
 * RabbitMQ publisher: one thread per worker process owns one connection in
 * confirm mode (librabbitmq blocks, see docs/ARCHITECTURE.md). The loop hands
 * over plain bytes through a bounded queue and gets confirmed outbox ids back
 * through ngx_media_wake. Nothing waits for the broker: what is refused,
 * dropped or unconfirmed stays in the outbox table for the janitor.
 */

#ifndef _NGX_MEDIA_AMQP_H_INCLUDED_
#define _NGX_MEDIA_AMQP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t                   url;        /* amqp://user:pass@host:port/vhost,
                                               NUL-terminated */
    ngx_uint_t                  queue;      /* messages waiting, default 8192 */
    ngx_msec_t                  timeout;    /* connect, rpc, confirm: 5 s */
} ngx_media_amqp_conf_t;

typedef struct {
    int64_t                     outbox_id;
    ngx_str_t                   queue;      /* "short": routing key */
    ngx_str_t                   message;    /* JSON body */
} ngx_media_amqp_item_t;

/* ids[0..n-1] were confirmed by the broker (and routed: mandatory). */
typedef void (*ngx_media_amqp_confirmed_pt)(int64_t *ids, ngx_uint_t n);


/* [loop], from init_process / exit_process (joins the thread: drains up to
 * 2 s, then shuts the socket down). */
ngx_int_t ngx_media_amqp_init(ngx_cycle_t *cycle, ngx_media_amqp_conf_t *conf,
    ngx_media_amqp_confirmed_pt confirmed);
void ngx_media_amqp_done(ngx_cycle_t *cycle);

/* Copies the item into the queue. NGX_OK, or NGX_DECLINED when it is full, the
 * broker is away or memory is short. Never blocks. [loop] */
ngx_int_t ngx_media_amqp_publish(ngx_media_amqp_item_t *item);

/* 1 while connected. [loop] */
ngx_uint_t ngx_media_amqp_ready(void);


#endif
