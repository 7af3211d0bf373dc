/* What wk_amqp.c and wk_amqp_open.c share; nobody else includes it. */
#ifndef WK_AMQP_CONN_H
#define WK_AMQP_CONN_H

#include <amqp.h>

#include "wk_amqp.h"

#define WK_AMQP_CHANNEL 1
#define WK_AMQP_TIMEOUT_MS 5000 /* connect, handshake, each method, a confirm */

struct wk_amqp_s {
    wk_secret_t url;
    amqp_connection_state_t conn; /* NULL: not connected */
    uint64_t published;           /* sequence number of the last publish in this connection */
    uint64_t held_tag;            /* delivery that waits for wk_amqp_ack; 0: none */
    int64_t next_try_ms;          /* monotonic; no connection attempt before */
    int64_t backoff_ms;
    int told; /* the outage is in the log */
    media_err_t cause;
};

/* Connected, or MEDIA_E_RETRY: at once while the pause after a failed attempt lasts. [thread] */
int wk_amqp_ensure(wk_amqp_t *a);
/* Drops a connection that failed in use; the next call may connect at once. Returns MEDIA_E_RETRY.
 */
int wk_amqp_lost(wk_amqp_t *a, const char *what, const char *why);
/* 0 when the last method of the connection succeeded; else drops it. */
int wk_amqp_check(wk_amqp_t *a, const char *what);
/* Exchange, queues and bindings of media/jobmsg.h; those that are there already stay. [thread] */
int wk_amqp_declare(wk_amqp_t *a);

/* A string of a header or argument table; borrows both. */
static inline amqp_table_entry_t wk_amqp_entry(const char *key, const char *value)
{
    amqp_table_entry_t e = {.key = amqp_cstring_bytes(key)};

    e.value.kind = AMQP_FIELD_KIND_UTF8;
    e.value.value.bytes = amqp_cstring_bytes(value);
    return e;
}

#endif
