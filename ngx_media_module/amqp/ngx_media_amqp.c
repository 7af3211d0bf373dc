
/*
 * The loop's side of the publisher: takes messages into the bounded queue,
 * starts and joins the thread, hands its confirmed ids to the owner and its
 * notes to the log. The thread itself is ngx_media_amqp_thread.c.
 *
 *   loop                                   thread
 *   publish -> queue -- kick (eventfd) -->  takes up to a window of them
 *   wake handler <-- ngx_media_wake -----   confirmed ids, counts, notes
 */

#include "ngx_media.h"
#include "ngx_media_wake.h"
#include "ngx_media_amqp_thread.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>


#define NGX_MEDIA_AMQP_DRAIN  2     /* seconds to finish what is queued */
#define NGX_MEDIA_AMQP_LEAVE  1     /* seconds more, with the socket cut */
#define NGX_MEDIA_AMQP_BATCH  512   /* ids per call of the owner */


static ngx_media_amqp_t *ngx_media_amqp_create(ngx_media_amqp_conf_t *conf,
    ngx_log_t *log);
static void ngx_media_amqp_free(ngx_media_amqp_t *a);
static ngx_int_t ngx_media_amqp_start(ngx_media_amqp_t *a, ngx_log_t *log);
static ngx_int_t ngx_media_amqp_join(ngx_media_amqp_t *a, time_t seconds);
static void ngx_media_amqp_kick(ngx_media_amqp_t *a);
static void ngx_media_amqp_wake_handler(void *data);
static void ngx_media_amqp_log_notes(ngx_media_amqp_note_t *notes,
    ngx_uint_t n);


static ngx_media_amqp_t             *ngx_media_amqp;
static ngx_media_amqp_confirmed_pt   ngx_media_amqp_confirmed;


ngx_int_t
ngx_media_amqp_init(ngx_cycle_t *cycle, ngx_media_amqp_conf_t *conf,
    ngx_media_amqp_confirmed_pt confirmed)
{
    ngx_media_amqp_t  *a;

    a = ngx_media_amqp_create(conf, cycle->log);
    if (a == NULL) {
        return NGX_ERROR;
    }

    if (ngx_media_wake_init(cycle, ngx_media_amqp_wake_handler, a) != NGX_OK) {
        ngx_media_amqp_free(a);
        return NGX_ERROR;
    }

    ngx_media_amqp_confirmed = confirmed;

    if (ngx_media_amqp_start(a, cycle->log) != NGX_OK) {
        ngx_media_wake_done(cycle);
        ngx_media_amqp_free(a);
        return NGX_ERROR;
    }

    ngx_media_amqp = a;

    return NGX_OK;
}


void
ngx_media_amqp_done(ngx_cycle_t *cycle)
{
    ngx_media_amqp_t  *a;

    a = ngx_media_amqp;

    if (a == NULL) {
        return;
    }

    ngx_media_amqp = NULL;

    pthread_mutex_lock(&a->lock);
    a->stop = 1;
    pthread_mutex_unlock(&a->lock);

    ngx_media_amqp_kick(a);

    if (ngx_media_amqp_join(a, NGX_MEDIA_AMQP_DRAIN) == NGX_OK) {
        goto joined;
    }

    /* it may be stuck in a write: the outbox has what it held */

    pthread_mutex_lock(&a->lock);

    if (a->cut != -1) {
        (void) shutdown(a->cut, SHUT_RDWR);
    }

    pthread_mutex_unlock(&a->lock);

    if (ngx_media_amqp_join(a, NGX_MEDIA_AMQP_LEAVE) == NGX_OK) {
        goto joined;
    }

    /* in getaddrinfo() or connect(), which nothing ends: the process exits
     * under it, so what it uses stays as it is */

    ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                  "media amqp: the publisher is still connecting at exit");
    return;

joined:

    ngx_media_wake_done(cycle);
    ngx_media_amqp_free(a);
}


ngx_int_t
ngx_media_amqp_publish(ngx_media_amqp_item_t *item)
{
    char                  *p;
    ngx_uint_t             sleeping;
    ngx_media_amqp_t      *a;
    ngx_media_amqp_msg_t  *msg;

    a = ngx_media_amqp;

    if (a == NULL) {
        goto declined;
    }

    msg = ngx_alloc(sizeof(ngx_media_amqp_msg_t) + item->queue.len + 1
                    + item->message.len, ngx_cycle->log);
    if (msg == NULL) {
        goto declined;
    }

    p = (char *) (msg + 1);

    ngx_memzero(msg, sizeof(ngx_media_amqp_msg_t));
    msg->id = item->outbox_id;
    msg->queue = p;
    p = (char *) ngx_cpymem(p, item->queue.data, item->queue.len);
    *p++ = '\0';
    msg->body = p;
    msg->len = item->message.len;
    ngx_memcpy(p, item->message.data, item->message.len);

    pthread_mutex_lock(&a->lock);

    if (a->state == NGX_MEDIA_AMQP_AWAY || a->nqueued >= a->queue_max) {
        pthread_mutex_unlock(&a->lock);
        ngx_free(msg);
        goto declined;
    }

    *a->tail = msg;
    a->tail = &msg->next;
    a->nqueued++;

    sleeping = a->sleeping;
    a->sleeping = 0;

    pthread_mutex_unlock(&a->lock);

    if (sleeping) {
        ngx_media_amqp_kick(a);
    }

    return NGX_OK;

declined:

    ngx_media_count(NGX_MEDIA_C_AMQP_DECLINED, 1);

    return NGX_DECLINED;
}


ngx_uint_t
ngx_media_amqp_ready(void)
{
    ngx_uint_t         up;
    ngx_media_amqp_t  *a;

    a = ngx_media_amqp;

    if (a == NULL) {
        return 0;
    }

    pthread_mutex_lock(&a->lock);
    up = (a->state == NGX_MEDIA_AMQP_UP);
    pthread_mutex_unlock(&a->lock);

    return up;
}


static ngx_media_amqp_t *
ngx_media_amqp_create(ngx_media_amqp_conf_t *conf, ngx_log_t *log)
{
    ngx_media_amqp_t  *a;

    a = ngx_calloc(sizeof(ngx_media_amqp_t), log);
    if (a == NULL) {
        return NULL;
    }

    a->kick = -1;
    a->cut = -1;
    a->tail = &a->head;
    a->wake = ngx_media_wake_signal;
    a->timeout_ms = conf->timeout;
    a->queue_max = conf->queue;

    if (pthread_mutex_init(&a->lock, NULL) != 0) {
        ngx_free(a);
        return NULL;
    }

    /* every message is queued, in the window or here */

    a->confirmed_max = conf->queue + NGX_MEDIA_AMQP_WINDOW;
    a->confirmed = ngx_alloc(a->confirmed_max * sizeof(int64_t), log);
    if (a->confirmed == NULL) {
        goto failed;
    }

    a->url_len = conf->url.len;
    a->url = ngx_alloc(conf->url.len + 1, log);
    if (a->url == NULL) {
        goto failed;
    }

    ngx_cpystrn((u_char *) a->url, conf->url.data, conf->url.len + 1);

    if (amqp_parse_url(a->url, &a->info) != AMQP_STATUS_OK || a->info.ssl) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "media amqp: the URL is not of "
                      "the form amqp://user:password@host:port/vhost");
        goto failed;
    }

    a->kick = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (a->kick == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "eventfd() failed");
        goto failed;
    }

    return a;

failed:

    ngx_media_amqp_free(a);

    return NULL;
}


static void
ngx_media_amqp_free(ngx_media_amqp_t *a)
{
    ngx_media_amqp_msg_t  *msg;

    while (a->head) {
        msg = a->head;
        a->head = msg->next;
        ngx_free(msg);
    }

    if (a->kick != -1) {
        (void) close(a->kick);
    }

    if (a->url) {
        ngx_explicit_memzero(a->url, a->url_len);
        ngx_free(a->url);
    }

    if (a->confirmed) {
        ngx_free(a->confirmed);
    }

    pthread_mutex_destroy(&a->lock);
    ngx_free(a);
}


static ngx_int_t
ngx_media_amqp_start(ngx_media_amqp_t *a, ngx_log_t *log)
{
    int       err;
    sigset_t  all, old;

    /* signals are the loop's */

    sigfillset(&all);

    err = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (err == 0) {
        err = pthread_create(&a->thread, NULL, ngx_media_amqp_thread, a);
        (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
    }

    if (err) {
        ngx_log_error(NGX_LOG_EMERG, log, err,
                      "media amqp: cannot start the publisher thread");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_amqp_join(ngx_media_amqp_t *a, time_t seconds)
{
    struct timespec  until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;

    return pthread_timedjoin_np(a->thread, NULL, &until) == 0 ? NGX_OK
                                                              : NGX_ERROR;
}


static void
ngx_media_amqp_kick(ngx_media_amqp_t *a)
{
    ssize_t   n;
    uint64_t  one;

    one = 1;

    do {
        n = write(a->kick, &one, sizeof(uint64_t));
    } while (n == -1 && ngx_errno == NGX_EINTR);
}


/* Everything is copied out first: the owner may publish in its callback. */

static void
ngx_media_amqp_wake_handler(void *data)
{
    size_t                 n, published, declined;
    int64_t                ids[NGX_MEDIA_AMQP_BATCH];
    ngx_uint_t             nnotes;
    ngx_media_amqp_t      *a;
    ngx_media_amqp_note_t  notes[NGX_MEDIA_AMQP_NOTES];

    a = data;

    do {
        pthread_mutex_lock(&a->lock);

        n = ngx_min(a->nconfirmed, NGX_MEDIA_AMQP_BATCH);
        a->nconfirmed -= n;
        ngx_memcpy(ids, &a->confirmed[a->nconfirmed], n * sizeof(int64_t));

        nnotes = a->nnotes;
        a->nnotes = 0;
        ngx_memcpy(notes, a->notes, nnotes * sizeof(ngx_media_amqp_note_t));

        published = a->published;
        declined = a->declined;
        a->published = 0;
        a->declined = 0;

        pthread_mutex_unlock(&a->lock);

        ngx_media_amqp_log_notes(notes, nnotes);

        ngx_media_count(NGX_MEDIA_C_AMQP_PUBLISHED, published);
        ngx_media_count(NGX_MEDIA_C_AMQP_DECLINED, declined);

        if (n) {
            ngx_media_count(NGX_MEDIA_C_AMQP_CONFIRMED, n);
            ngx_media_amqp_confirmed(ids, n);
        }

    } while (n == NGX_MEDIA_AMQP_BATCH);
}


static void
ngx_media_amqp_log_notes(ngx_media_amqp_note_t *notes, ngx_uint_t n)
{
    ngx_uint_t  i, level;

    static ngx_uint_t  levels[] = { NGX_LOG_INFO, NGX_LOG_WARN, NGX_LOG_ERR };

    for (i = 0; i < n; i++) {
        level = levels[notes[i].level];
        ngx_log_error(level, ngx_cycle->log, 0, "media amqp: %s",
                      notes[i].text);
    }
}
