
/*
 * What the loop (ngx_media_amqp.c) and the publisher thread
 * (ngx_media_amqp_thread.c) share. No nginx header: the thread calls nothing of
 * nginx, so its log lines and counters travel in this struct, too.
 */

#ifndef _NGX_MEDIA_AMQP_THREAD_H_INCLUDED_
#define _NGX_MEDIA_AMQP_THREAD_H_INCLUDED_


#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <amqp.h>


#define NGX_MEDIA_AMQP_WINDOW  256          /* messages per confirm round */
#define NGX_MEDIA_AMQP_NOTES   8
#define NGX_MEDIA_AMQP_NOTE    200


typedef struct ngx_media_amqp_msg_s  ngx_media_amqp_msg_t;

/* malloc'ed with queue (a C string) and body behind it */
struct ngx_media_amqp_msg_s {
    ngx_media_amqp_msg_t       *next;
    int64_t                     id;
    char                       *queue;
    char                       *body;
    size_t                      len;
    unsigned                    tries;
    int                         returned;   /* routed to no queue */
};


typedef enum {
    NGX_MEDIA_AMQP_FIRST = 0,   /* the first connect is under way: queue */
    NGX_MEDIA_AMQP_UP,
    NGX_MEDIA_AMQP_AWAY         /* no connection, or the broker's alarm */
} ngx_media_amqp_state_e;


typedef enum {
    NGX_MEDIA_AMQP_INFO = 0,
    NGX_MEDIA_AMQP_WARN,
    NGX_MEDIA_AMQP_ERR
} ngx_media_amqp_level_e;

typedef struct {
    ngx_media_amqp_level_e      level;
    char                        text[NGX_MEDIA_AMQP_NOTE];
} ngx_media_amqp_note_t;


/* One per worker process. The first group is constant while the thread runs,
 * the second is under the lock, which is never held over a call that waits. */
typedef struct {
    struct amqp_connection_info info;       /* points into url */
    char                       *url;
    size_t                      url_len;
    unsigned                    timeout_ms;
    size_t                      queue_max;
    size_t                      confirmed_max;
    int                         kick;       /* eventfd: loop wakes thread */
    void                      (*wake)(void);        /* thread wakes loop */
    pthread_t                   thread;

    pthread_mutex_t             lock;
    ngx_media_amqp_state_e      state;
    int                         stop;
    int                         sleeping;   /* the thread waits for a kick */
    int                         cut;        /* duplicate of the socket or -1:
                                               shutdown() frees the thread */
    ngx_media_amqp_msg_t       *head;
    ngx_media_amqp_msg_t      **tail;
    size_t                      nqueued;
    int64_t                    *confirmed;  /* outbox ids for the loop */
    size_t                      nconfirmed;
    size_t                      published;  /* not yet counted by the loop */
    size_t                      declined;
    ngx_media_amqp_note_t       notes[NGX_MEDIA_AMQP_NOTES];
    unsigned                    nnotes;
} ngx_media_amqp_t;


/* The thread: runs until stop is set and the queue is empty or the connection
 * is lost. data: the ngx_media_amqp_t. [thread] */
void *ngx_media_amqp_thread(void *data);


#endif
