
/*
 * The connection of the publisher thread: socket with all its time limits,
 * login, confirm mode, the topology of media/jobmsg.h. The password is in
 * t->a->url and goes nowhere but to the broker.
 */

#include "ngx_media_amqp_conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <amqp_tcp_socket.h>


#define NGX_MEDIA_AMQP_HEARTBEAT  30        /* seconds */
#define NGX_MEDIA_AMQP_FRAME_MAX  131072


static int ngx_media_amqp_open(ngx_media_amqp_conn_t *t);
static int ngx_media_amqp_login(ngx_media_amqp_conn_t *t);
static int ngx_media_amqp_topology(ngx_media_amqp_conn_t *t);
static int ngx_media_amqp_declare(ngx_media_amqp_conn_t *t,
    enum media_queue q);


int
ngx_media_amqp_connect(ngx_media_amqp_conn_t *t)
{
    t->blocked = 0;
    t->returning = 0;
    t->returns = 0;
    t->tag = 1;

    if (ngx_media_amqp_open(t) != 0
        || ngx_media_amqp_login(t) != 0
        || ngx_media_amqp_topology(t) != 0)
    {
        return -1;
    }

    t->since = ngx_media_amqp_now();

    ngx_media_amqp_note(t, NGX_MEDIA_AMQP_INFO, "connected to %s:%d",
                        t->a->info.host, t->a->info.port);
    ngx_media_amqp_set_state(t, NGX_MEDIA_AMQP_UP);

    return 0;
}


static int
ngx_media_amqp_open(ngx_media_amqp_conn_t *t)
{
    int                rc, fd;
    amqp_socket_t     *sock;
    struct timeval     tv;
    ngx_media_amqp_t  *a;

    a = t->a;

    t->conn = amqp_new_connection();
    if (t->conn == NULL) {
        goto nomem;
    }

    sock = amqp_tcp_socket_new(t->conn);
    if (sock == NULL) {
        goto nomem;
    }

    tv.tv_sec = a->timeout_ms / 1000;
    tv.tv_usec = a->timeout_ms % 1000 * 1000;

    (void) amqp_set_handshake_timeout(t->conn, &tv);
    (void) amqp_set_rpc_timeout(t->conn, &tv);

    rc = amqp_socket_open_noblock(sock, a->info.host, a->info.port, &tv);

    if (rc != AMQP_STATUS_OK) {
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "connect to %s:%d: %s",
                            a->info.host, a->info.port,
                            amqp_error_string2(rc));
        return -1;
    }

    fd = amqp_get_sockfd(t->conn);

    /* the only end of a write to a broker that does not read */

    if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &a->timeout_ms,
                   sizeof(a->timeout_ms))
        == -1)
    {
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "TCP_USER_TIMEOUT");
        return -1;
    }

    /* librabbitmq may close its socket at any time; a duplicate cannot have
     * become somebody else's descriptor when the loop cuts it */

    pthread_mutex_lock(&a->lock);
    a->cut = dup(fd);
    pthread_mutex_unlock(&a->lock);

    return 0;

nomem:

    ngx_media_amqp_note(t, NGX_MEDIA_AMQP_ERR, "out of memory");

    return -1;
}


amqp_table_entry_t
ngx_media_amqp_entry(const char *key, const char *value)
{
    amqp_table_entry_t  e;

    memset(&e, 0, sizeof(amqp_table_entry_t));

    e.key = amqp_cstring_bytes(key);
    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = amqp_cstring_bytes(value);

    return e;
}


static int
ngx_media_amqp_login(ngx_media_amqp_conn_t *t)
{
    const char                   *vhost;
    amqp_table_t                  table;
    amqp_table_entry_t            cap, props[2];
    struct amqp_connection_info  *info;

    info = &t->a->info;
    vhost = info->vhost[0] ? info->vhost : "/";

    /* without it a memory alarm would look like a dead broker */

    memset(&cap, 0, sizeof(amqp_table_entry_t));
    cap.key = amqp_cstring_bytes("connection.blocked");
    cap.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    cap.value.value.boolean = 1;

    props[0] = ngx_media_amqp_entry("product", "ngx_media");
    props[1] = ngx_media_amqp_entry("capabilities", "");
    props[1].value.kind = AMQP_FIELD_KIND_TABLE;
    props[1].value.value.table.num_entries = 1;
    props[1].value.value.table.entries = &cap;

    table.num_entries = 2;
    table.entries = props;

    return ngx_media_amqp_check(t, "login",
               amqp_login_with_properties(t->conn, vhost, 0,
                                          NGX_MEDIA_AMQP_FRAME_MAX,
                                          NGX_MEDIA_AMQP_HEARTBEAT, &table,
                                          AMQP_SASL_METHOD_PLAIN, info->user,
                                          info->password));
}


/* Declaring what exists is harmless, and whoever comes first makes it. */

static int
ngx_media_amqp_topology(ngx_media_amqp_conn_t *t)
{
    int  q;

    (void) amqp_channel_open(t->conn, NGX_MEDIA_AMQP_CHANNEL);

    if (ngx_media_amqp_check(t, "channel.open", amqp_get_rpc_reply(t->conn))
        != 0)
    {
        return -1;
    }

    (void) amqp_confirm_select(t->conn, NGX_MEDIA_AMQP_CHANNEL);

    if (ngx_media_amqp_check(t, "confirm.select", amqp_get_rpc_reply(t->conn))
        != 0)
    {
        return -1;
    }

    (void) amqp_exchange_declare(t->conn, NGX_MEDIA_AMQP_CHANNEL,
                                 amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                                 amqp_cstring_bytes("direct"), 0, 1, 0, 0,
                                 amqp_empty_table);

    if (ngx_media_amqp_check(t, "exchange.declare",
                             amqp_get_rpc_reply(t->conn))
        != 0)
    {
        return -1;
    }

    for (q = 0; q < MEDIA_QUEUE_COUNT; q++) {
        if (ngx_media_amqp_declare(t, q) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
ngx_media_amqp_declare(ngx_media_amqp_conn_t *t, enum media_queue q)
{
    char                name[64];
    amqp_table_t        args;
    amqp_table_entry_t  entries[2];

    snprintf(name, sizeof(name), MEDIA_MQ_QUEUE_PREFIX "%s",
             media_queue_name(q));

    entries[0] = ngx_media_amqp_entry("x-queue-type", "quorum");
    args.num_entries = 1;
    args.entries = entries;

    if (q == MEDIA_QUEUE_DEAD) {
        entries[1] = ngx_media_amqp_entry("x-max-length", "");
        entries[1].value.kind = AMQP_FIELD_KIND_I32;
        entries[1].value.value.i32 = MEDIA_MQ_DEAD_MAX_LENGTH;
        args.num_entries = 2;
    }

    (void) amqp_queue_declare(t->conn, NGX_MEDIA_AMQP_CHANNEL,
                              amqp_cstring_bytes(name), 0, 1, 0, 0, args);

    if (ngx_media_amqp_check(t, "queue.declare", amqp_get_rpc_reply(t->conn))
        != 0)
    {
        return -1;
    }

    (void) amqp_queue_bind(t->conn, NGX_MEDIA_AMQP_CHANNEL,
                           amqp_cstring_bytes(name),
                           amqp_cstring_bytes(MEDIA_MQ_EXCHANGE),
                           amqp_cstring_bytes(media_queue_name(q)),
                           amqp_empty_table);

    return ngx_media_amqp_check(t, "queue.bind",
                                amqp_get_rpc_reply(t->conn));
}


int
ngx_media_amqp_check(ngx_media_amqp_conn_t *t, const char *what,
    amqp_rpc_reply_t reply)
{
    amqp_channel_close_t     *ch;
    ngx_media_amqp_level_e    level;
    amqp_connection_close_t  *cc;

    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        return 0;
    }

    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) {
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_WARN, "%s: %s", what,
                            amqp_error_string2(reply.library_error));

    } else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        ch = reply.reply.decoded;
        ngx_media_amqp_note(t, NGX_MEDIA_AMQP_ERR, "%s: %d %.*s", what,
                            ch->reply_code, (int) ch->reply_text.len,
                            (char *) ch->reply_text.bytes);

    } else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        cc = reply.reply.decoded;

        /* it shuts down; every other reason needs somebody's help */

        level = (cc->reply_code == AMQP_CONNECTION_FORCED)
                ? NGX_MEDIA_AMQP_WARN : NGX_MEDIA_AMQP_ERR;

        ngx_media_amqp_note(t, level, "%s: %d %.*s", what,
                            cc->reply_code, (int) cc->reply_text.len,
                            (char *) cc->reply_text.bytes);
    }

    return -1;
}


void
ngx_media_amqp_disconnect(ngx_media_amqp_conn_t *t)
{
    ngx_media_amqp_t  *a;

    a = t->a;

    t->failures++;

    ngx_media_amqp_set_state(t, NGX_MEDIA_AMQP_AWAY);
    ngx_media_amqp_put_back(t);

    pthread_mutex_lock(&a->lock);

    if (a->cut != -1) {
        (void) close(a->cut);
        a->cut = -1;
    }

    pthread_mutex_unlock(&a->lock);

    if (t->conn) {
        (void) amqp_destroy_connection(t->conn);
        t->conn = NULL;
    }

    ngx_media_amqp_tell(t);
}


/* A polite end, if the broker still talks. */

void
ngx_media_amqp_leave(ngx_media_amqp_conn_t *t)
{
    struct timeval  tv;

    if (t->conn) {
        tv.tv_sec = 1;
        tv.tv_usec = 0;

        (void) amqp_set_rpc_timeout(t->conn, &tv);
        (void) amqp_connection_close(t->conn, AMQP_REPLY_SUCCESS);
    }

    ngx_media_amqp_disconnect(t);
    ngx_media_amqp_drop(t);
}
