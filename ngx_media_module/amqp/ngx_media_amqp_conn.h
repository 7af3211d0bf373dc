
/*
 * Private to the publisher thread and its three files:
 *
 *   ngx_media_amqp_thread.c  the thread: when to connect, work, sleep, end
 *   ngx_media_amqp_conn.c    the connection: login, topology, end
 *   ngx_media_amqp_window.c  messages: publish a window, settle its confirms
 */

#ifndef _NGX_MEDIA_AMQP_CONN_H_INCLUDED_
#define _NGX_MEDIA_AMQP_CONN_H_INCLUDED_


#include "ngx_media_amqp_thread.h"
#include "media/jobmsg.h"

#include <amqp_framing.h>


#define NGX_MEDIA_AMQP_CHANNEL  1


typedef struct {
    ngx_media_amqp_t           *a;
    amqp_connection_state_t     conn;       /* NULL: not connected */
    int64_t                     since;      /* connected, ms */
    unsigned                    failures;   /* since it last proved good */
    unsigned                    returns;    /* basic.return of this one */
    int                         blocked;    /* by connection.blocked */
    int                         returning;  /* basic.return: its header is
                                               next */
    int                         news;       /* the loop has something to see */

    uint64_t                    tag;        /* of window[0] */
    ngx_media_amqp_msg_t       *window[NGX_MEDIA_AMQP_WINDOW];
    size_t                      n;          /* published or to be */
    size_t                      pending;    /* of them without a confirm */
} ngx_media_amqp_conn_t;


/* All [thread]; int results are 0, or -1 when the connection is lost (the
 * reason is noted). */

int ngx_media_amqp_connect(ngx_media_amqp_conn_t *t);
void ngx_media_amqp_disconnect(ngx_media_amqp_conn_t *t);
/* A polite end, if the broker still talks. */
void ngx_media_amqp_leave(ngx_media_amqp_conn_t *t);
/* 0 when normal, else notes what the broker or the library said. */
int ngx_media_amqp_check(ngx_media_amqp_conn_t *t, const char *what,
    amqp_rpc_reply_t reply);
amqp_table_entry_t ngx_media_amqp_entry(const char *key, const char *value);

/* Fills the window from the queue; returns its size. */
size_t ngx_media_amqp_take(ngx_media_amqp_conn_t *t);
/* Publishes the window and waits until all of it is settled. */
int ngx_media_amqp_publish_window(ngx_media_amqp_conn_t *t);
/* Waits for one frame, then takes what is there without waiting. */
int ngx_media_amqp_frames(ngx_media_amqp_conn_t *t, int64_t wait_ms);
/* The unsettled window back into the queue; the queue into the void. */
void ngx_media_amqp_put_back(ngx_media_amqp_conn_t *t);
void ngx_media_amqp_drop(ngx_media_amqp_conn_t *t);

void ngx_media_amqp_set_state(ngx_media_amqp_conn_t *t,
    ngx_media_amqp_state_e state);
/* A line for the log, through the loop. */
void ngx_media_amqp_note(ngx_media_amqp_conn_t *t,
    ngx_media_amqp_level_e level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Wakes the loop if it has something to see; before every wait. */
void ngx_media_amqp_tell(ngx_media_amqp_conn_t *t);
int64_t ngx_media_amqp_now(void);


#endif
