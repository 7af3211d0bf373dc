
/*
 * The publisher thread: one connection, one channel in confirm mode.
 *
 *   connect -ok-> UP: [ frames; take a window; publish it; await its confirms;
 *                       or sleep until a kick, a frame or the heartbeat ]
 *   connect -failed-> AWAY: drop what is queued, pause, connect
 *   UP -lost-> AWAY: the window goes back to the queue, connect at once
 *   UP -connection.blocked-> AWAY: drop, keep the connection until unblocked
 *
 * Every wait has an end: connect, login and RPCs by librabbitmq's timeouts,
 * writes (infinite in librabbitmq) by TCP_USER_TIMEOUT, confirms by a
 * deadline, and the loop's shutdown() of the socket ends them all. What is
 * dropped is in the outbox, and the janitor publishes it.
 */

#include "ngx_media_amqp_conn.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>


#define NGX_MEDIA_AMQP_SERVE        10000   /* ms, for heartbeats */
#define NGX_MEDIA_AMQP_BACKOFF      200     /* ms */
#define NGX_MEDIA_AMQP_BACKOFF_MAX  10000


static int ngx_media_amqp_serve(ngx_media_amqp_conn_t *t);
static void ngx_media_amqp_sleep(ngx_media_amqp_conn_t *t, int64_t wait_ms);
static void ngx_media_amqp_pause(ngx_media_amqp_conn_t *t);
static void ngx_media_amqp_kicked(ngx_media_amqp_t *a);
static int ngx_media_amqp_stopped(ngx_media_amqp_conn_t *t);


void *
ngx_media_amqp_thread(void *data)
{
    ngx_media_amqp_conn_t  *t;

    t = calloc(1, sizeof(ngx_media_amqp_conn_t));
    if (t == NULL) {
        return NULL;
    }

    t->a = data;
    t->tag = 1;

    while (!ngx_media_amqp_stopped(t)) {

        if (t->conn == NULL && ngx_media_amqp_connect(t) != 0) {
            ngx_media_amqp_disconnect(t);
            ngx_media_amqp_drop(t);
            ngx_media_amqp_pause(t);
            continue;
        }

        if (ngx_media_amqp_serve(t) != 0) {
            ngx_media_amqp_disconnect(t);

            if (t->failures > 1) {
                ngx_media_amqp_pause(t);
            }
        }
    }

    ngx_media_amqp_leave(t);
    free(t);

    return NULL;
}


/* One round. Negative: the connection is lost. */

static int
ngx_media_amqp_serve(ngx_media_amqp_conn_t *t)
{
    if (ngx_media_amqp_now() - t->since > NGX_MEDIA_AMQP_BACKOFF_MAX) {
        t->failures = 0;
    }

    if (ngx_media_amqp_frames(t, 0) != 0) {
        return -1;
    }

    if (t->blocked) {
        ngx_media_amqp_drop(t);

    } else if (ngx_media_amqp_take(t)) {
        return ngx_media_amqp_publish_window(t);
    }

    ngx_media_amqp_tell(t);
    ngx_media_amqp_sleep(t, NGX_MEDIA_AMQP_SERVE);

    return 0;
}


/* Until a kick, a frame or the end of wait_ms. */

static void
ngx_media_amqp_sleep(ngx_media_amqp_conn_t *t, int64_t wait_ms)
{
    int                idle;
    struct pollfd      fds[2];
    ngx_media_amqp_t  *a;

    a = t->a;

    pthread_mutex_lock(&a->lock);
    idle = (a->head == NULL && !a->stop);
    a->sleeping = idle;
    pthread_mutex_unlock(&a->lock);

    if (!idle) {
        return;
    }

    fds[0].fd = a->kick;
    fds[0].events = POLLIN;
    fds[1].fd = amqp_get_sockfd(t->conn);
    fds[1].events = POLLIN;

    (void) poll(fds, 2, (int) wait_ms);

    ngx_media_amqp_kicked(a);
}


/* The back-off before the next connect; only the end of the process cuts it
 * short. */

static void
ngx_media_amqp_pause(ngx_media_amqp_conn_t *t)
{
    int                stop;
    int64_t            until, left;
    uint32_t           jitter;
    struct pollfd      fd;
    ngx_media_amqp_t  *a;

    a = t->a;

    left = NGX_MEDIA_AMQP_BACKOFF_MAX;

    if (t->failures < 7) {
        left = NGX_MEDIA_AMQP_BACKOFF << (t->failures - 1);
    }

    jitter = 0;
    if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) < 0) {
        jitter = 0;
    }

    left = left / 2 + jitter % (left / 2);
    until = ngx_media_amqp_now() + left;

    for ( ;; ) {
        pthread_mutex_lock(&a->lock);
        stop = a->stop;
        pthread_mutex_unlock(&a->lock);

        left = until - ngx_media_amqp_now();

        if (stop || left <= 0) {
            return;
        }

        fd.fd = a->kick;
        fd.events = POLLIN;

        (void) poll(&fd, 1, (int) left);

        ngx_media_amqp_kicked(a);
    }
}


static void
ngx_media_amqp_kicked(ngx_media_amqp_t *a)
{
    uint64_t  count;

    while (read(a->kick, &count, sizeof(uint64_t)) == -1 && errno == EINTR) {
        /* void */
    }
}


static int
ngx_media_amqp_stopped(ngx_media_amqp_conn_t *t)
{
    int                stopped;
    ngx_media_amqp_t  *a;

    a = t->a;

    pthread_mutex_lock(&a->lock);
    stopped = a->stop && (t->conn == NULL || a->head == NULL);
    pthread_mutex_unlock(&a->lock);

    return stopped;
}


void
ngx_media_amqp_set_state(ngx_media_amqp_conn_t *t,
    ngx_media_amqp_state_e state)
{
    pthread_mutex_lock(&t->a->lock);
    t->a->state = state;
    pthread_mutex_unlock(&t->a->lock);
}


/* For the log, through the loop. The first failure of an outage is said
 * aloud, its repetitions are not. */

void
ngx_media_amqp_note(ngx_media_amqp_conn_t *t, ngx_media_amqp_level_e level,
    const char *fmt, ...)
{
    char                   *p;
    va_list                 args;
    ngx_media_amqp_t       *a;
    ngx_media_amqp_note_t  *note;

    a = t->a;

    pthread_mutex_lock(&a->lock);

    if (a->nnotes < NGX_MEDIA_AMQP_NOTES) {
        note = &a->notes[a->nnotes++];
        note->level = (t->failures > 1) ? NGX_MEDIA_AMQP_INFO : level;

        va_start(args, fmt);
        vsnprintf(note->text, sizeof(note->text), fmt, args);
        va_end(args);

        for (p = note->text; *p; p++) {
            if (iscntrl((unsigned char) *p)) {
                *p = ' ';
            }
        }
    }

    pthread_mutex_unlock(&a->lock);

    t->news = 1;
}


/* Before every wait: the loop hears of what has happened. */

void
ngx_media_amqp_tell(ngx_media_amqp_conn_t *t)
{
    if (t->news) {
        t->news = 0;
        t->a->wake();
    }
}


int64_t
ngx_media_amqp_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
