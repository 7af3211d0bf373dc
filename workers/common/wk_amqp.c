/* RabbitMQ, blocking with deadlines: waiting for a message, publishing with confirm. Frames are
 * read one by one with amqp_simple_wait_frame_noblock, because librabbitmq's own readers wait
 * without limit. After any doubt the connection is dropped: an unacknowledged message comes again,
 * an unconfirmed one is published again by the janitor. */
#include "wk_amqp_conn.h"

#include <poll.h>
#include <string.h>

#include "wk_alive.h"
#include "wk_log.h"

#define WK_AMQP_SLICE_MS 5000 /* librabbitmq serves heart-beats inside its calls only */
#define WK_AMQP_BODY_MAX 16384
#define WK_AMQP_TAG "wk"

/* Methods nobody waits for. 0: of no interest; else the connection is dropped. */
static int serve_method(wk_amqp_t *a, const amqp_method_t *m)
{
    switch (m->id) {
    case AMQP_CONNECTION_CLOSE_METHOD:
        return wk_amqp_lost(a, "connection closed", "by the server");
    case AMQP_CHANNEL_CLOSE_METHOD:
        return wk_amqp_lost(a, "channel closed", "by the server");
    case AMQP_BASIC_CANCEL_METHOD:
        return wk_amqp_lost(a, "consumer canceled", "the queue is gone");
    default:
        return 0;
    }
}

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* The next frame of the channel. 0; MEDIA_E_AGAIN: the deadline passed or stop_fd is readable;
 * MEDIA_E_RETRY: connection dropped. The frame's bytes live until amqp_maybe_release_buffers. */
static int next_frame(wk_amqp_t *a, int64_t deadline_ms, int stop_fd, amqp_frame_t *frame)
{
    for (;;) {
        struct timeval none = {0, 0};
        int rc = amqp_simple_wait_frame_noblock(a->conn, frame, &none);

        if (rc == AMQP_STATUS_OK) {
            if (frame->frame_type == AMQP_FRAME_METHOD &&
                serve_method(a, &frame->payload.method) != 0) {
                return MEDIA_E_RETRY;
            }
            if (frame->channel == WK_AMQP_CHANNEL) {
                return 0;
            }
            continue;
        }
        if (rc != AMQP_STATUS_TIMEOUT) {
            return wk_amqp_lost(a, "read", amqp_error_string2(rc));
        }

        wk_alive();
        int64_t left = deadline_ms - wk_mono_ms();
        struct pollfd fds[2] = {{.fd = amqp_get_sockfd(a->conn), .events = POLLIN},
                                {.fd = stop_fd, .events = POLLIN}};
        if (left <= 0 || is_readable(stop_fd)) {
            return MEDIA_E_AGAIN;
        }
        (void)poll(fds, 2, (int)(left < WK_AMQP_SLICE_MS ? left : WK_AMQP_SLICE_MS));
    }
}

/* Reads header and body that follow a basic.deliver or basic.return. Longer bodies than cap are
 * read to their end, but *len then says more than cap. */
static int read_content(wk_amqp_t *a, char *dst, size_t cap, size_t *len)
{
    int64_t deadline_ms = wk_mono_ms() + WK_AMQP_TIMEOUT_MS;
    amqp_frame_t frame;
    uint64_t want;

    *len = 0;
    if (next_frame(a, deadline_ms, -1, &frame) != 0 || frame.frame_type != AMQP_FRAME_HEADER) {
        return a->conn != NULL ? wk_amqp_lost(a, "read", "no content header") : MEDIA_E_RETRY;
    }
    want = frame.payload.properties.body_size;
    for (uint64_t got = 0; got < want;) {
        if (next_frame(a, deadline_ms, -1, &frame) != 0 || frame.frame_type != AMQP_FRAME_BODY) {
            return a->conn != NULL ? wk_amqp_lost(a, "read", "no content body") : MEDIA_E_RETRY;
        }
        amqp_bytes_t part = frame.payload.body_fragment;
        if (got < cap) {
            size_t room = cap - (size_t)got;
            memcpy(dst + got, part.bytes, part.len < room ? part.len : room);
        }
        got += part.len;
        *len = got > SIZE_MAX ? SIZE_MAX : (size_t)got;
    }
    return 0;
}

/* Takes over the delivery whose method frame was just read. A body that is no job message is
 * acknowledged and forgotten: the database still has the job. */
static int take_delivery(wk_amqp_t *a, uint64_t tag, media_jobmsg_t *out)
{
    char body[WK_AMQP_BODY_MAX];
    media_err_t why;
    size_t len;

    if (read_content(a, body, sizeof(body), &len) != 0) {
        return MEDIA_E_RETRY;
    }
    a->held_tag = tag;
    if (len <= sizeof(body) && media_jobmsg_read((media_str_t){body, len}, out, &why) == 0) {
        return 0;
    }
    wk_log(MEDIA_LOG_WARN, "message dropped, it is no job message", NULL);
    return wk_amqp_ack(a) == 0 ? MEDIA_E_AGAIN : MEDIA_E_RETRY;
}

/* Frames until a message is held, the deadline, or the stop. */
static int wait_delivery(wk_amqp_t *a, int64_t deadline_ms, int stop_fd, media_jobmsg_t *out)
{
    amqp_frame_t frame;

    for (;;) {
        int rc = next_frame(a, deadline_ms, stop_fd, &frame);
        if (rc != 0) {
            return rc;
        }
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
            const amqp_basic_deliver_t *d = frame.payload.method.decoded;
            rc = take_delivery(a, d->delivery_tag, out);
            if (rc != MEDIA_E_AGAIN) {
                return rc;
            }
        }
        amqp_maybe_release_buffers(a->conn);
    }
}

/* One consume ... cancel. A delivery that crossed our cancel on the wire counts as a delivery. */
static int consume_once(wk_amqp_t *a, enum media_queue q, int64_t deadline_ms, int stop_fd,
                        media_jobmsg_t *out)
{
    char name[64];
    int rc;

    (void)wk_fmt(name, sizeof(name), MEDIA_MQ_QUEUE_PREFIX "%s", media_queue_name(q));
    (void)amqp_basic_consume(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(name),
                             amqp_cstring_bytes(WK_AMQP_TAG), 0, 0, 0, amqp_empty_table);
    if (wk_amqp_check(a, "basic.consume") != 0) {
        return MEDIA_E_RETRY;
    }
    rc = wait_delivery(a, deadline_ms, stop_fd, out);
    if (rc == MEDIA_E_RETRY) {
        return rc;
    }
    (void)amqp_basic_cancel(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(WK_AMQP_TAG));
    if (wk_amqp_check(a, "basic.cancel") != 0) {
        return MEDIA_E_RETRY;
    }
    if (rc == MEDIA_E_AGAIN && amqp_frames_enqueued(a->conn)) {
        rc = wait_delivery(a, 0, -1, out);
    }
    if (rc != MEDIA_E_RETRY) {
        amqp_maybe_release_buffers(a->conn);
    }
    return rc;
}

int wk_amqp_wait(wk_amqp_t *a, enum media_queue q, int timeout_ms, int stop_fd, media_jobmsg_t *out)
{
    int64_t deadline_ms = wk_mono_ms() + timeout_ms;

    while (wk_amqp_ensure(a) != 0) {
        int64_t now_ms = wk_mono_ms();
        int64_t until_ms = a->next_try_ms < deadline_ms ? a->next_try_ms : deadline_ms;
        struct pollfd p = {.fd = stop_fd, .events = POLLIN};

        if (now_ms >= deadline_ms || is_readable(stop_fd)) {
            return MEDIA_E_RETRY;
        }
        (void)poll(&p, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0);
    }
    return consume_once(a, q, deadline_ms, stop_fd, out);
}

int wk_amqp_ack(wk_amqp_t *a)
{
    uint64_t tag = a->held_tag;
    int rc;

    if (a->conn == NULL || tag == 0) {
        return MEDIA_E_RETRY; /* the connection went; the broker delivers the message again */
    }
    a->held_tag = 0;
    rc = amqp_basic_ack(a->conn, WK_AMQP_CHANNEL, tag, 0);
    return rc == AMQP_STATUS_OK ? 0 : wk_amqp_lost(a, "basic.ack", amqp_error_string2(rc));
}

/* Sends one message; its request id and trace travel as headers too. */
static int publish_send(wk_amqp_t *a, const char *queue, media_str_t message)
{
    amqp_basic_properties_t props = {0};
    amqp_table_entry_t headers[2];
    media_jobmsg_t m;
    int rc;

    props._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
    props.content_type = amqp_cstring_bytes("application/json");
    props.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    if (media_jobmsg_read(message, &m, NULL) == 0) {
        props.headers.entries = headers;
        if (m.request_id[0] != '\0') {
            headers[props.headers.num_entries++] = wk_amqp_entry("x-request-id", m.request_id);
        }
        if (m.traceparent[0] != '\0') {
            headers[props.headers.num_entries++] = wk_amqp_entry("traceparent", m.traceparent);
        }
        if (props.headers.num_entries > 0) {
            props._flags |= AMQP_BASIC_HEADERS_FLAG;
        }
    }
    rc = amqp_basic_publish(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                            amqp_cstring_bytes(queue), 1, 0, &props,
                            (amqp_bytes_t){message.len, (void *)(uintptr_t)message.p});
    if (rc != AMQP_STATUS_OK) {
        return wk_amqp_lost(a, "basic.publish", amqp_error_string2(rc));
    }
    a->published++;
    return 0;
}

/* Waits for the confirm of the last publish. 0: confirmed and routed; MEDIA_E_GONE: returned, no
 * queue is bound; MEDIA_E_AGAIN: refused by the broker; MEDIA_E_RETRY: connection dropped. */
static int publish_confirm(wk_amqp_t *a)
{
    int64_t deadline_ms = wk_mono_ms() + WK_AMQP_TIMEOUT_MS;
    int returned = 0;
    amqp_frame_t frame;
    size_t len;

    for (;;) {
        int rc = next_frame(a, deadline_ms, -1, &frame);
        if (rc == MEDIA_E_AGAIN) {
            return wk_amqp_lost(a, "publish", "no confirm in time");
        }
        if (rc != 0) {
            return rc;
        }
        if (frame.frame_type != AMQP_FRAME_METHOD) {
            continue;
        }
        const amqp_method_t *m = &frame.payload.method;
        if (m->id == AMQP_BASIC_RETURN_METHOD) {
            /* comes before its confirm */
            if (read_content(a, NULL, 0, &len) != 0) {
                return MEDIA_E_RETRY;
            }
            returned = 1;
        } else if (m->id == AMQP_BASIC_ACK_METHOD &&
                   ((amqp_basic_ack_t *)m->decoded)->delivery_tag >= a->published) {
            return returned ? MEDIA_E_GONE : 0;
        } else if (m->id == AMQP_BASIC_NACK_METHOD &&
                   ((amqp_basic_nack_t *)m->decoded)->delivery_tag >= a->published) {
            return MEDIA_E_AGAIN;
        }
    }
}

int wk_amqp_publish(wk_amqp_t *a, const char *queue, media_str_t message, media_err_t *ei)
{
    int rc;

    if (media_queue_parse(media_str(queue)) < 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "RabbitMQ: there is no queue \"%.40s\"", queue);
    }
    rc = wk_amqp_ensure(a);
    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = publish_send(a, queue, message);
        if (rc == 0) {
            rc = publish_confirm(a);
        }
        if (rc != MEDIA_E_RETRY) {
            amqp_maybe_release_buffers(a->conn);
        }
        if (rc != MEDIA_E_GONE) {
            break;
        }
        /* somebody deleted the queue: make it again and try once more */
        rc = wk_amqp_declare(a);
        if (rc == 0 && i == 1) {
            return media_err_set(ei, MEDIA_E_RETRY, "RabbitMQ: the message was not routed");
        }
    }
    if (rc == MEDIA_E_AGAIN) {
        return media_err_set(ei, MEDIA_E_RETRY, "RabbitMQ: the broker refused the message");
    }
    return rc != 0 ? media_err_set(ei, MEDIA_E_RETRY, "%s", a->cause.text) : 0;
}

void wk_amqp_tick(wk_amqp_t *a)
{
    amqp_frame_t frame;

    if (a->conn == NULL) {
        return;
    }
    while (next_frame(a, 0, -1, &frame) == 0) {
        amqp_maybe_release_buffers(a->conn);
    }
}
