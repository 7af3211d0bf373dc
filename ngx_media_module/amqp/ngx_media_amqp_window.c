
/*
 * Messages: up to a window of them is published, then their confirms are
 * awaited. Delivery tags count from 1 per connection, so window[i] has tag
 * t->tag + i. A message leaves the window settled (confirmed, or left to the
 * janitor), or back into the queue when the connection is lost.
 */

#include "ngx_media_amqp_conn.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define NGX_MEDIA_AMQP_TRIES  2     /* connections a message may see end */


static int ngx_media_amqp_send(ngx_media_amqp_conn_t *t,
    ngx_media_amqp_msg_t *msg);
static int ngx_media_amqp_await(ngx_media_amqp_conn_t *t);
static int ngx_media_amqp_frame(ngx_media_amqp_conn_t *t,
    amqp_frame_t *frame);
static int ngx_media_amqp_method(ngx_media_amqp_conn_t *t,
    amqp_method_t *method);
static void ngx_media_amqp_returned(ngx_media_amqp_conn_t *t,
    amqp_basic_properties_t *props);
static void ngx_media_amqp_settle(ngx_media_amqp_conn_t *t, uint64_t tag,
    int multiple, int ack);
static void ngx_media_amqp_abandon(ngx_media_amqp_conn_t *t);


size_t
ngx_media_amqp_take(ngx_media_amqp_conn_t *t)
{
    ngx_media_amqp_t      *a;
    ngx_media_amqp_msg_t  *msg;

    a = t->a;

    /* tags of an abandoned window may still be confirmed: they are passed */

    t->tag += t->n;
    t->n = 0;

    pthread_mutex_lock(&a->lock);

    while (a->head && t->n < NGX_MEDIA_AMQP_WINDOW) {
        msg = a->head;
        a->head = msg->next;
        a->nqueued--;

        if (a->head == NULL) {
            a->tail = &a->head;
        }

        msg->next = NULL;
        t->window[t->n++] = msg;
    }

    pthread_mutex_unlock(&a->lock);

    t->pending = t->n;

    return t->n;
}


int
ngx_media_amqp_publish_window(ngx_media_amqp_conn_t *t)
{
    int     rc;
    size_t  i;

    for (i = 0; i < t->n; i++) {
        rc = ngx_media_amqp_send(t, t->window[i]);

        if (rc != AMQP_STATUS_OK) {
            ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "publish: %s",
                                amqp_error_string2(rc));
            return -1;
        }
    }

    pthread_mutex_lock(&t->a->lock);
    t->a->published += t->n;
    pthread_mutex_unlock(&t->a->lock);

    t->news = 1;

    return ngx_media_amqp_await(t);
}


static int
ngx_media_amqp_send(ngx_media_amqp_conn_t *t, ngx_media_amqp_msg_t *msg)
{
    char                     id[sizeof("-9223372036854775808")];
    media_jobmsg_t           job;
    amqp_bytes_t             body;
    amqp_table_entry_t       headers[2];
    amqp_basic_properties_t  props;

    memset(&props, 0, sizeof(amqp_basic_properties_t));

    props._flags = AMQP_BASIC_CONTENT_TYPE_FLAG
                   | AMQP_BASIC_DELIVERY_MODE_FLAG
                   | AMQP_BASIC_MESSAGE_ID_FLAG;
    props.content_type = amqp_cstring_bytes("application/json");
    props.delivery_mode = AMQP_DELIVERY_PERSISTENT;

    /* a basic.return has no tag, this tells whose it is */

    snprintf(id, sizeof(id), "%" PRId64, msg->id);
    props.message_id = amqp_cstring_bytes(id);

    if (media_jobmsg_read((media_str_t) { msg->body, msg->len }, &job, NULL)
        == 0)
    {
        props.headers.entries = headers;

        if (job.request_id[0]) {
            headers[props.headers.num_entries++] =
                       ngx_media_amqp_entry("x-request-id", job.request_id);
        }

        if (job.traceparent[0]) {
            headers[props.headers.num_entries++] =
                       ngx_media_amqp_entry("traceparent", job.traceparent);
        }

        if (props.headers.num_entries) {
            props._flags |= AMQP_BASIC_HEADERS_FLAG;
        }
    }

    body.len = msg->len;
    body.bytes = msg->body;

    return amqp_basic_publish(t->conn, NGX_MEDIA_AMQP_CHANNEL,
                              amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                              amqp_cstring_bytes(msg->queue), 1, 0, &props,
                              body);
}


/* Until all of the window are settled; the deadline is one of silence. */

static int
ngx_media_amqp_await(ngx_media_amqp_conn_t *t)
{
    size_t   pending;
    int64_t  now, deadline;

    deadline = ngx_media_amqp_now() + t->a->timeout_ms;

    while (t->pending) {
        pending = t->pending;
        now = ngx_media_amqp_now();

        if (now >= deadline) {

            if (t->blocked) {
                ngx_media_amqp_abandon(t);
                return 0;
            }

            ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "no confirms");
            return -1;
        }

        ngx_media_amqp_tell(t);

        if (ngx_media_amqp_frames(t, deadline - now) != 0) {
            return -1;
        }

        if (t->pending < pending) {
            deadline = ngx_media_amqp_now() + t->a->timeout_ms;
        }
    }

    return 0;
}


/* Waits for one frame, then takes what is there without waiting. */

int
ngx_media_amqp_frames(ngx_media_amqp_conn_t *t, int64_t wait_ms)
{
    int             rc;
    amqp_frame_t    frame;
    struct timeval  tv;

    tv.tv_sec = wait_ms / 1000;
    tv.tv_usec = wait_ms % 1000 * 1000;

    for ( ;; ) {
        rc = amqp_simple_wait_frame_noblock(t->conn, &frame, &tv);

        if (rc == AMQP_STATUS_TIMEOUT) {
            return 0;
        }

        if (rc != AMQP_STATUS_OK) {
            ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "connection: %s",
                                amqp_error_string2(rc));
            return -1;
        }

        rc = ngx_media_amqp_frame(t, &frame);

        amqp_maybe_release_buffers(t->conn);

        if (rc != 0) {
            return -1;
        }

        tv.tv_sec = 0;
        tv.tv_usec = 0;
    }
}


static int
ngx_media_amqp_frame(ngx_media_amqp_conn_t *t, amqp_frame_t *frame)
{
    switch (frame->frame_type) {

    case AMQP_FRAME_METHOD:
        return ngx_media_amqp_method(t, &frame->payload.method);

    case AMQP_FRAME_HEADER:
        if (t->returning) {
            ngx_media_amqp_returned(t, frame->payload.properties.decoded);
            t->returning = 0;
        }

        return 0;

    default:
        return 0;
    }
}


static int
ngx_media_amqp_method(ngx_media_amqp_conn_t *t, amqp_method_t *method)
{
    amqp_rpc_reply_t     reply;
    amqp_basic_ack_t    *ack;
    amqp_basic_nack_t   *nack;

    switch (method->id) {

    case AMQP_BASIC_ACK_METHOD:
        ack = method->decoded;
        ngx_media_amqp_settle(t, ack->delivery_tag, ack->multiple, 1);
        return 0;

    case AMQP_BASIC_NACK_METHOD:
        nack = method->decoded;
        ngx_media_amqp_settle(t, nack->delivery_tag, nack->multiple, 0);
        return 0;

    case AMQP_BASIC_RETURN_METHOD:
        t->returning = 1;
        return 0;

    case AMQP_CONNECTION_BLOCKED_METHOD:
        t->blocked = 1;
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_ERR,
                            "the broker has an alarm and takes no messages");
        ngx_media_amqp_set_state(t, NGX_MEDIA_AMQP_AWAY);
        return 0;

    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        t->blocked = 0;
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_INFO, "the alarm is over");
        ngx_media_amqp_set_state(t, NGX_MEDIA_AMQP_UP);
        return 0;

    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        memset(&reply, 0, sizeof(amqp_rpc_reply_t));
        reply.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION;
        reply.reply = *method;
        return ngx_media_amqp_check(t, "closed", reply);

    default:
        return 0;
    }
}


/* Comes before the confirm of the same message. */

static void
ngx_media_amqp_returned(ngx_media_amqp_conn_t *t,
    amqp_basic_properties_t *props)
{
    char      id[sizeof("-9223372036854775808")];
    size_t    i, len;
    int64_t   n;

    if (!(props->_flags & AMQP_BASIC_MESSAGE_ID_FLAG)
        || props->message_id.len >= sizeof(id))
    {
        return;
    }

    len = props->message_id.len;
    memcpy(id, props->message_id.bytes, len);
    id[len] = '\0';

    n = strtoll(id, NULL, 10);

    for (i = 0; i < t->n; i++) {
        if (t->window[i] && t->window[i]->id == n) {
            t->window[i]->returned = 1;
        }
    }

    /* the first of a connection says it all */

    ngx_media_amqp_note(t, t->returns++ ? NGX_MEDIA_AMQP_INFO
                                        : NGX_MEDIA_AMQP_ERR,
                        "no queue takes message outbox=%" PRId64, n);
}


static void
ngx_media_amqp_settle(ngx_media_amqp_conn_t *t, uint64_t tag, int multiple,
    int ack)
{
    uint64_t               i, first;
    ngx_media_amqp_t      *a;
    ngx_media_amqp_msg_t  *msg;

    a = t->a;

    if (tag < t->tag || tag - t->tag >= t->n) {
        return;
    }

    tag -= t->tag;
    first = multiple ? 0 : tag;

    pthread_mutex_lock(&a->lock);

    for (i = first; i <= tag; i++) {
        msg = t->window[i];

        if (msg == NULL) {
            continue;
        }

        if (ack && !msg->returned && a->nconfirmed < a->confirmed_max) {
            a->confirmed[a->nconfirmed++] = msg->id;

        } else {
            a->declined++;
        }

        free(msg);
        t->window[i] = NULL;
        t->pending--;
    }

    pthread_mutex_unlock(&a->lock);

    t->failures = 0;
    t->news = 1;
}


/* The window, for good: whether the broker has these nobody knows. */

static void
ngx_media_amqp_abandon(ngx_media_amqp_conn_t *t)
{
    size_t  i, dropped;

    dropped = 0;

    for (i = 0; i < t->n; i++) {
        if (t->window[i]) {
            free(t->window[i]);
            t->window[i] = NULL;
            dropped++;
        }
    }

    pthread_mutex_lock(&t->a->lock);
    t->a->declined += dropped;
    pthread_mutex_unlock(&t->a->lock);

    t->pending = 0;
    t->news = 1;
}


/* For the next connection, in order, ahead of the others; a message that has
 * seen too many connections end may be what ends them. */

void
ngx_media_amqp_put_back(ngx_media_amqp_conn_t *t)
{
    size_t                 i;
    ngx_media_amqp_t      *a;
    ngx_media_amqp_msg_t  *msg;

    a = t->a;

    pthread_mutex_lock(&a->lock);

    for (i = t->n; i-- > 0; /* void */ ) {
        msg = t->window[i];

        if (msg == NULL || ++msg->tries == NGX_MEDIA_AMQP_TRIES) {
            continue;
        }

        msg->returned = 0;
        msg->next = a->head;
        a->head = msg;
        a->nqueued++;

        if (msg->next == NULL) {
            a->tail = &msg->next;
        }

        t->window[i] = NULL;
    }

    pthread_mutex_unlock(&a->lock);

    ngx_media_amqp_abandon(t);
    t->n = 0;
}


/* The queue, for good. */

void
ngx_media_amqp_drop(ngx_media_amqp_conn_t *t)
{
    ngx_media_amqp_t      *a;
    ngx_media_amqp_msg_t  *msg, *next;

    a = t->a;

    pthread_mutex_lock(&a->lock);

    msg = a->head;
    a->head = NULL;
    a->tail = &a->head;
    a->declined += a->nqueued;
    a->nqueued = 0;

    pthread_mutex_unlock(&a->lock);

    if (msg) {
        t->news = 1;
    }

    while (msg) {
        next = msg->next;
        free(msg);
        msg = next;
    }

    ngx_media_amqp_tell(t);
}
