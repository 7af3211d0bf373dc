/* RabbitMQ, blocking with deadlines. librabbitmq 0.11 waits without limit in most calls, so every
 * wait is bounded from outside: TCP_USER_TIMEOUT for writes (it covers a closed window too), the
 * RPC timeout for methods with an answer, and frames are read one by one with
 * amqp_simple_wait_frame_noblock. After any doubt the connection is dropped: an unacknowledged
 * message comes again, an unconfirmed one is published again by the janitor. */
#include "wk_amqp.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <openssl/crypto.h>

#include "wk_log.h"

#define WK_AMQP_CHANNEL 1
#define WK_AMQP_FRAME_MAX 131072
#define WK_AMQP_HEARTBEAT_S 30
#define WK_AMQP_TIMEOUT_MS 5000 /* connect, handshake, each method, a confirm */
#define WK_AMQP_SLICE_MS 5000   /* librabbitmq serves heart-beats inside its calls only */
#define WK_AMQP_BACKOFF_MIN_MS 200
#define WK_AMQP_BACKOFF_MAX_MS 10000
#define WK_AMQP_BODY_MAX 16384
#define WK_AMQP_TAG "wk"

struct wk_amqp_s {
    const char *url;
    amqp_connection_state_t conn; /* NULL: not connected */
    uint64_t published;           /* sequence number of the last publish in this connection */
    uint64_t held_tag;            /* delivery that waits for wk_amqp_ack; 0: none */
    int64_t next_try_ms;          /* monotonic; no connection attempt before */
    int64_t backoff_ms;
    int told; /* the outage is in the log */
    media_err_t cause;
};

wk_amqp_t *wk_amqp_new(const char *url)
{
    wk_amqp_t *a = calloc(1, sizeof(*a));

    if (a != NULL) {
        a->url = url;
        a->backoff_ms = WK_AMQP_BACKOFF_MIN_MS;
    }
    return a;
}

int wk_amqp_ready(const wk_amqp_t *a)
{
    return a != NULL && a->conn != NULL;
}

/* Closes without the closing handshake, which could wait for a peer that is gone. */
static void amqp_drop(wk_amqp_t *a)
{
    if (a->conn != NULL) {
        (void)amqp_destroy_connection(a->conn);
        a->conn = NULL;
    }
    a->held_tag = 0;
    a->published = 0;
}

void wk_amqp_free(wk_amqp_t *a)
{
    if (a == NULL) {
        return;
    }
    if (a->conn != NULL) {
        (void)amqp_connection_close(a->conn, AMQP_REPLY_SUCCESS); /* bounded by the RPC timeout */
    }
    amqp_drop(a);
    free(a);
}

/* Drops a connection that failed in use. The next call may connect at once. */
static int amqp_lost(wk_amqp_t *a, const char *what, const char *why)
{
    (void)media_err_set(&a->cause, MEDIA_E_RETRY, "RabbitMQ: %s: %s", what, why);
    amqp_drop(a);
    if (!a->told) {
        wk_log(MEDIA_LOG_WARN, "broker connection lost", "cause", a->cause.text, NULL);
        a->told = 1;
    }
    return MEDIA_E_RETRY;
}

/* What the server or the library says about a failed call. dst is only used for server texts. */
static const char *reply_text(amqp_rpc_reply_t r, char *dst, size_t cap)
{
    amqp_bytes_t text = amqp_empty_bytes;

    if (r.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        return amqp_error_string2(r.library_error);
    }
    if (r.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
        if (r.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
            text = ((amqp_connection_close_t *)r.reply.decoded)->reply_text;
        } else if (r.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
            text = ((amqp_channel_close_t *)r.reply.decoded)->reply_text;
        }
    }
    if (text.len == 0) {
        return "no usable answer";
    }
    return wk_fmt(dst, cap, "%.*s", (int)(text.len < 150 ? text.len : 150), (char *)text.bytes);
}

/* 0 when the last method of the connection succeeded; else drops it. */
static int amqp_check(wk_amqp_t *a, const char *what)
{
    amqp_rpc_reply_t r = amqp_get_rpc_reply(a->conn);
    char text[160];

    if (r.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }
    return amqp_lost(a, what, reply_text(r, text, sizeof(text)));
}

static amqp_table_entry_t entry_str(const char *key, const char *value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = amqp_cstring_bytes(value);
    return e;
}

static int declare_queue(wk_amqp_t *a, enum media_queue q)
{
    const char *key = media_queue_name(q);
    amqp_table_entry_t args[2];
    amqp_table_t table = {1, args};
    char name[64];

    args[0] = entry_str("x-queue-type", "quorum");
    if (q == MEDIA_QUEUE_DEAD) {
        args[1] = (amqp_table_entry_t){.key = amqp_cstring_bytes("x-max-length")};
        args[1].value.kind = AMQP_FIELD_KIND_I32;
        args[1].value.value.i32 = MEDIA_MQ_DEAD_MAX_LENGTH;
        table.num_entries = 2;
    }
    (void)wk_fmt(name, sizeof(name), MEDIA_MQ_QUEUE_PREFIX "%s", key);
    (void)amqp_queue_declare(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0, table);
    if (amqp_check(a, "queue.declare") != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_queue_bind(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(name),
                          amqp_cstring_bytes(MEDIA_MQ_EXCHANGE), amqp_cstring_bytes(key),
                          amqp_empty_table);
    return amqp_check(a, "queue.bind");
}

static int declare_topology(wk_amqp_t *a)
{
    (void)amqp_exchange_declare(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                                amqp_cstring_bytes("direct"), 0, 1, 0, 0, amqp_empty_table);
    if (amqp_check(a, "exchange.declare") != 0) {
        return MEDIA_E_RETRY;
    }
    for (int q = 0; q < MEDIA_QUEUE_COUNT; q++) {
        if (declare_queue(a, (enum media_queue)q) != 0) {
            return MEDIA_E_RETRY;
        }
    }
    return 0;
}

/* Connects the socket with all its time limits set. */
static int open_socket(wk_amqp_t *a, const char *host, int port)
{
    struct timeval tv = {WK_AMQP_TIMEOUT_MS / 1000, 0};
    unsigned int user_timeout_ms = WK_AMQP_TIMEOUT_MS;
    amqp_socket_t *sock;
    int rc;

    a->conn = amqp_new_connection();
    sock = a->conn != NULL ? amqp_tcp_socket_new(a->conn) : NULL;
    if (sock == NULL) {
        return amqp_lost(a, "connect", "out of memory");
    }
    (void)amqp_set_handshake_timeout(a->conn, &tv);
    (void)amqp_set_rpc_timeout(a->conn, &tv);
    rc = amqp_socket_open_noblock(sock, host, port, &tv);
    if (rc != AMQP_STATUS_OK) {
        return amqp_lost(a, "connect", amqp_error_string2(rc));
    }
    if (setsockopt(amqp_get_sockfd(a->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                   sizeof(user_timeout_ms)) != 0) {
        return amqp_lost(a, "TCP_USER_TIMEOUT", strerror(errno));
    }
    return 0;
}

static int open_session(wk_amqp_t *a, const struct amqp_connection_info *ci)
{
    /* both unasked-for methods, else a dying queue or a memory alarm would look like silence */
    amqp_table_entry_t caps[2] = {{.key = amqp_cstring_bytes("consumer_cancel_notify")},
                                  {.key = amqp_cstring_bytes("connection.blocked")}};
    amqp_table_entry_t props[2];
    amqp_table_t table = {2, props};
    amqp_rpc_reply_t r;
    char text[160];
    const char *vhost = ci->vhost != NULL && ci->vhost[0] != '\0' ? ci->vhost : "/";

    for (int i = 0; i < 2; i++) {
        caps[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
        caps[i].value.value.boolean = 1;
    }
    props[0] = entry_str("product", "ngx_media");
    props[1] = (amqp_table_entry_t){.key = amqp_cstring_bytes("capabilities")};
    props[1].value.kind = AMQP_FIELD_KIND_TABLE;
    props[1].value.value.table = (amqp_table_t){2, caps};

    r = amqp_login_with_properties(a->conn, vhost, 0, WK_AMQP_FRAME_MAX, WK_AMQP_HEARTBEAT_S,
                                   &table, AMQP_SASL_METHOD_PLAIN, ci->user, ci->password);
    if (r.reply_type != AMQP_RESPONSE_NORMAL) {
        return amqp_lost(a, "login", reply_text(r, text, sizeof(text)));
    }
    (void)amqp_channel_open(a->conn, WK_AMQP_CHANNEL);
    if (amqp_check(a, "channel.open") != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_confirm_select(a->conn, WK_AMQP_CHANNEL);
    if (amqp_check(a, "confirm.select") != 0 || declare_topology(a) != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_basic_qos(a->conn, WK_AMQP_CHANNEL, 0, 1, 0);
    return amqp_check(a, "basic.qos");
}

static int amqp_connect(wk_amqp_t *a)
{
    struct amqp_connection_info ci;
    size_t len = a->url != NULL ? strlen(a->url) : 0;
    char *copy = a->url != NULL ? strdup(a->url) : NULL; /* the parser cuts it into pieces */
    int rc;

    if (copy == NULL) {
        rc = amqp_lost(a, "connect", a->url != NULL ? "out of memory" : "AMQP_URL is not set");
    } else if (amqp_parse_url(copy, &ci) != AMQP_STATUS_OK || ci.ssl) {
        rc = amqp_lost(a, "connect", "AMQP_URL is not valid");
    } else {
        rc = open_socket(a, ci.host, ci.port);
        if (rc == 0) {
            rc = open_session(a, &ci);
        }
    }
    if (copy != NULL) {
        OPENSSL_cleanse(copy, len);
        free(copy);
    }
    if (rc != 0) {
        a->next_try_ms = wk_mono_ms() + a->backoff_ms;
        a->backoff_ms *= 2;
        if (a->backoff_ms > WK_AMQP_BACKOFF_MAX_MS) {
            a->backoff_ms = WK_AMQP_BACKOFF_MAX_MS;
        }
        return rc;
    }
    a->backoff_ms = WK_AMQP_BACKOFF_MIN_MS;
    a->next_try_ms = 0;
    if (a->told) {
        wk_log(MEDIA_LOG_INFO, "broker connected", NULL);
        a->told = 0;
    }
    return 0;
}

/* Connected, or MEDIA_E_RETRY: at once while the pause after a failed attempt lasts. */
static int amqp_ensure(wk_amqp_t *a)
{
    if (a->conn != NULL) {
        return 0;
    }
    return wk_mono_ms() >= a->next_try_ms ? amqp_connect(a) : MEDIA_E_RETRY;
}

/* Methods nobody waits for. 0: of no interest; else the connection is dropped. */
static int serve_method(wk_amqp_t *a, const amqp_method_t *m)
{
    switch (m->id) {
    case AMQP_CONNECTION_CLOSE_METHOD:
        return amqp_lost(a, "connection closed", "by the server");
    case AMQP_CHANNEL_CLOSE_METHOD:
        return amqp_lost(a, "channel closed", "by the server");
    case AMQP_BASIC_CANCEL_METHOD:
        return amqp_lost(a, "consumer canceled", "the queue is gone");
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
            return amqp_lost(a, "read", amqp_error_string2(rc));
        }

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
        return a->conn != NULL ? amqp_lost(a, "read", "no content header") : MEDIA_E_RETRY;
    }
    want = frame.payload.properties.body_size;
    for (uint64_t got = 0; got < want;) {
        if (next_frame(a, deadline_ms, -1, &frame) != 0 || frame.frame_type != AMQP_FRAME_BODY) {
            return a->conn != NULL ? amqp_lost(a, "read", "no content body") : MEDIA_E_RETRY;
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
    if (amqp_check(a, "basic.consume") != 0) {
        return MEDIA_E_RETRY;
    }
    rc = wait_delivery(a, deadline_ms, stop_fd, out);
    if (rc == MEDIA_E_RETRY) {
        return rc;
    }
    (void)amqp_basic_cancel(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(WK_AMQP_TAG));
    if (amqp_check(a, "basic.cancel") != 0) {
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

    while (amqp_ensure(a) != 0) {
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
    return rc == AMQP_STATUS_OK ? 0 : amqp_lost(a, "basic.ack", amqp_error_string2(rc));
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
            headers[props.headers.num_entries++] = entry_str("x-request-id", m.request_id);
        }
        if (m.traceparent[0] != '\0') {
            headers[props.headers.num_entries++] = entry_str("traceparent", m.traceparent);
        }
        if (props.headers.num_entries > 0) {
            props._flags |= AMQP_BASIC_HEADERS_FLAG;
        }
    }
    rc = amqp_basic_publish(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                            amqp_cstring_bytes(queue), 1, 0, &props,
                            (amqp_bytes_t){message.len, (void *)(uintptr_t)message.p});
    if (rc != AMQP_STATUS_OK) {
        return amqp_lost(a, "basic.publish", amqp_error_string2(rc));
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
            return amqp_lost(a, "publish", "no confirm in time");
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
    rc = amqp_ensure(a);
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
        rc = declare_topology(a);
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
