/* RabbitMQ, blocking with deadlines: one connection, one channel in confirm mode. Declares the
 * topology of media/jobmsg.h. Everything here may fail without losing work: PostgreSQL is the
 * truth. */
#ifndef WK_AMQP_H
#define WK_AMQP_H

#include "media/err.h"
#include "media/jobmsg.h"
#include "wk_secret.h"

typedef struct wk_amqp_s wk_amqp_t;

/* Not connected yet. The url's strings are borrowed for the object's life; it is read at each
 * connection. [thread] */
wk_amqp_t *wk_amqp_new(wk_secret_t url);
void wk_amqp_free(wk_amqp_t *a);
int wk_amqp_ready(const wk_amqp_t *a);

/* Waits for one message of the queue, at most timeout_ms, or until *stop becomes non-zero or
 * stop_fd (-1: none) is readable. Consumes with prefetch 1 and cancels the consumer before it
 * returns, so nothing more is delivered to a busy worker. 0: a message is held, call wk_amqp_ack
 * next; MEDIA_E_AGAIN: none came; MEDIA_E_RETRY: no broker (returned after at most timeout_ms,
 * reconnects by itself). */
int wk_amqp_wait(wk_amqp_t *a, enum media_queue q, int timeout_ms, int stop_fd,
                 media_jobmsg_t *out);
/* Acknowledges the held message. */
int wk_amqp_ack(wk_amqp_t *a);

/* Publishes persistent + mandatory and waits for the confirm, at most 5 s. 0: confirmed and routed.
 */
int wk_amqp_publish(wk_amqp_t *a, const char *queue, media_str_t message, media_err_t *ei);

/* Serves heart-beats without blocking; call at least every 10 s while a job runs. */
void wk_amqp_tick(wk_amqp_t *a);

#endif
