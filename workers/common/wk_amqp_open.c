/* The connection of wk_amqp: opening, login, topology, and what happens when it is lost.
 * librabbitmq 0.11 waits without limit in most calls, so every wait is bounded from outside:
 * TCP_USER_TIMEOUT for writes (it covers a closed window too), the RPC timeout for methods with an
 * answer. */
#include "wk_amqp_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <amqp_tcp_socket.h>
#include <openssl/crypto.h>

#include "wk_alive.h"
#include "wk_log.h"

#define WK_AMQP_FRAME_MAX 131072
#define WK_AMQP_HEARTBEAT_S 30
#define WK_AMQP_BACKOFF_MIN_MS 200
#define WK_AMQP_BACKOFF_MAX_MS 10000

wk_amqp_t *wk_amqp_new(wk_secret_t url)
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
int wk_amqp_lost(wk_amqp_t *a, const char *what, const char *why)
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
int wk_amqp_check(wk_amqp_t *a, const char *what)
{
    amqp_rpc_reply_t r = amqp_get_rpc_reply(a->conn);
    char text[160];

    wk_alive();
    if (r.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }
    return wk_amqp_lost(a, what, reply_text(r, text, sizeof(text)));
}

static int declare_queue(wk_amqp_t *a, enum media_queue q)
{
    const char *key = media_queue_name(q);
    amqp_table_entry_t args[2];
    amqp_table_t table = {1, args};
    char name[64];

    args[0] = wk_amqp_entry("x-queue-type", "quorum");
    if (q == MEDIA_QUEUE_DEAD) {
        args[1] = (amqp_table_entry_t){.key = amqp_cstring_bytes("x-max-length")};
        args[1].value.kind = AMQP_FIELD_KIND_I32;
        args[1].value.value.i32 = MEDIA_MQ_DEAD_MAX_LENGTH;
        table.num_entries = 2;
    }
    (void)wk_fmt(name, sizeof(name), MEDIA_MQ_QUEUE_PREFIX "%s", key);
    (void)amqp_queue_declare(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0, table);
    if (wk_amqp_check(a, "queue.declare") != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_queue_bind(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(name),
                          amqp_cstring_bytes(MEDIA_MQ_EXCHANGE), amqp_cstring_bytes(key),
                          amqp_empty_table);
    return wk_amqp_check(a, "queue.bind");
}

int wk_amqp_declare(wk_amqp_t *a)
{
    (void)amqp_exchange_declare(a->conn, WK_AMQP_CHANNEL, amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                                amqp_cstring_bytes("direct"), 0, 1, 0, 0, amqp_empty_table);
    if (wk_amqp_check(a, "exchange.declare") != 0) {
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
        return wk_amqp_lost(a, "connect", "out of memory");
    }
    (void)amqp_set_handshake_timeout(a->conn, &tv);
    (void)amqp_set_rpc_timeout(a->conn, &tv);
    wk_alive();
    rc = amqp_socket_open_noblock(sock, host, port, &tv);
    wk_alive();
    if (rc != AMQP_STATUS_OK) {
        return wk_amqp_lost(a, "connect", amqp_error_string2(rc));
    }
    if (setsockopt(amqp_get_sockfd(a->conn), IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                   sizeof(user_timeout_ms)) != 0) {
        return wk_amqp_lost(a, "TCP_USER_TIMEOUT", strerror(errno));
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
    props[0] = wk_amqp_entry("product", "ngx_media");
    props[1] = (amqp_table_entry_t){.key = amqp_cstring_bytes("capabilities")};
    props[1].value.kind = AMQP_FIELD_KIND_TABLE;
    props[1].value.value.table = (amqp_table_t){2, caps};

    r = amqp_login_with_properties(a->conn, vhost, 0, WK_AMQP_FRAME_MAX, WK_AMQP_HEARTBEAT_S,
                                   &table, AMQP_SASL_METHOD_PLAIN, ci->user, ci->password);
    if (r.reply_type != AMQP_RESPONSE_NORMAL) {
        return wk_amqp_lost(a, "login", reply_text(r, text, sizeof(text)));
    }
    (void)amqp_channel_open(a->conn, WK_AMQP_CHANNEL);
    if (wk_amqp_check(a, "channel.open") != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_confirm_select(a->conn, WK_AMQP_CHANNEL);
    if (wk_amqp_check(a, "confirm.select") != 0 || wk_amqp_declare(a) != 0) {
        return MEDIA_E_RETRY;
    }
    (void)amqp_basic_qos(a->conn, WK_AMQP_CHANNEL, 0, 1, 0);
    return wk_amqp_check(a, "basic.qos");
}

static int amqp_connect(wk_amqp_t *a)
{
    struct amqp_connection_info ci;
    char url[WK_SECRET_MAX]; /* the parser cuts it into pieces */
    media_err_t ei = {""};
    int rc;

    if (wk_secret_read(&a->url, url, &ei) != 0) {
        rc = wk_amqp_lost(a, "connect", ei.text);
    } else if (amqp_parse_url(url, &ci) != AMQP_STATUS_OK || ci.ssl) {
        rc = wk_amqp_lost(a, "connect", "AMQP_URL is not valid");
    } else {
        rc = open_socket(a, ci.host, ci.port);
        if (rc == 0) {
            rc = open_session(a, &ci);
        }
    }
    OPENSSL_cleanse(url, sizeof(url));
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
int wk_amqp_ensure(wk_amqp_t *a)
{
    if (a->conn != NULL) {
        return 0;
    }
    return wk_mono_ms() >= a->next_try_ms ? amqp_connect(a) : MEDIA_E_RETRY;
}
