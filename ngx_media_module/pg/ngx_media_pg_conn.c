
/*
 * One connection of the pool: libpq's non-blocking calls on an nginx
 * connection that only lends its events; the descriptor belongs to libpq.
 * Events are level triggered, since libpq does not read until EAGAIN.
 *
 *   state       goes on                timer               watched for
 *   CLOSED      -connect-> CONNECTING
 *   CONNECTING  -ok->      ASKING      connect_timeout     as libpq asks
 *   ASKING      -fits->    IDLE        connect_timeout     read, write if left
 *   IDLE        -ask->     ASKING      NGX_MEDIA_PG_KEEP   read
 *               -send->    PREPARE
 *               -send->    RUNNING
 *   PREPARE     -end->     RUNNING     of the query        read, write if left
 *   RUNNING     -end->     IDLE        of the query        read, write if left
 *
 * ASKING is ngx_media_pg_schema.c. From each of them lost() leads to CLOSED. It
 * gives a query that was not yet RUNNING back to the pool; a RUNNING one ends
 * with NGX_ABORT, for the server may have committed. Nothing is ever cancelled
 * (PQcancel blocks): a deadline drops the connection, the server's
 * statement_timeout ends the statement.
 */

#include "ngx_media_pg_conn.h"


#define NGX_MEDIA_PG_KEEP  60000    /* life of an idle extra connection, ms */


static void ngx_media_pg_connect_poll(ngx_media_pg_conn_t *pc);
static ngx_int_t ngx_media_pg_watch(ngx_media_pg_conn_t *pc, ngx_int_t event);
static void ngx_media_pg_unwatch(ngx_media_pg_conn_t *pc);
static void ngx_media_pg_socket_handler(ngx_event_t *ev);
static void ngx_media_pg_read(ngx_media_pg_conn_t *pc);
static ngx_int_t ngx_media_pg_execute(ngx_media_pg_conn_t *pc);
static void ngx_media_pg_collect(ngx_media_pg_query_t *q, PGresult *res);
static void ngx_media_pg_end(ngx_media_pg_conn_t *pc);
static ngx_uint_t ngx_media_pg_stale(ngx_media_pg_conn_t *pc);
static void ngx_media_pg_idle(ngx_media_pg_conn_t *pc);


void
ngx_media_pg_connect(ngx_media_pg_conn_t *pc)
{
    pc->state = NGX_MEDIA_PG_CONNECTING;
    pc->said = 0;

    pc->pg = PQconnectStartParams(ngx_media_pg.info.keywords,
                                  ngx_media_pg.info.values, 0);

    if (pc->pg == NULL) {
        ngx_media_pg_lost(pc, "out of memory");
        return;
    }

    PQsetNoticeReceiver(pc->pg, ngx_media_pg_notice, NULL);

    /* as if the last PQconnectPoll() had returned PGRES_POLLING_WRITING */

    if (PQstatus(pc->pg) == CONNECTION_BAD
        || ngx_media_pg_watch(pc, NGX_WRITE_EVENT) != NGX_OK)
    {
        ngx_media_pg_lost(pc, NULL);
        return;
    }

    ngx_add_timer(&pc->timer, ngx_media_pg.conf->connect_timeout);
}


static void
ngx_media_pg_connect_poll(ngx_media_pg_conn_t *pc)
{
    ngx_int_t                  rc;
    PostgresPollingStatusType  status;

    /* It may close the socket and open another, even with the same number,
     * which epoll would not know: forget the old one while it is open. */

    ngx_media_pg_unwatch(pc);

    status = ngx_media_pg_poll(pc);

    if (status == PGRES_POLLING_OK) {

        if (PQsetnonblocking(pc->pg, 1) != 0
            || ngx_media_pg_watch(pc, NGX_READ_EVENT) != NGX_OK)
        {
            ngx_media_pg_lost(pc, NULL);
            return;
        }

        ngx_media_pg_schema_ask(pc);
        return;
    }

    if (status == PGRES_POLLING_READING) {
        rc = ngx_media_pg_watch(pc, NGX_READ_EVENT);

    } else if (status == PGRES_POLLING_WRITING) {
        rc = ngx_media_pg_watch(pc, NGX_WRITE_EVENT);

    } else {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_media_pg_lost(pc, NULL);
    }
}


void
ngx_media_pg_connected(ngx_media_pg_conn_t *pc)
{
    ngx_uint_t  level;

    if (!pc->used) {
        level = ngx_media_pg.failures ? NGX_LOG_NOTICE : NGX_LOG_INFO;

        ngx_log_error(level, ngx_media_pg.log, 0,
                      "media pg: connected, backend=%d",
                      PQbackendPID(pc->pg));

        pc->used = 1;
        ngx_media_pg_up(pc);
    }

    pc->asked = ngx_current_msec;
    ngx_media_pg_idle(pc);
}


void
ngx_media_pg_conn_timer_handler(ngx_event_t *ev)
{
    ngx_media_pg_conn_t  *pc;

    pc = ev->data;

    if (pc->state < NGX_MEDIA_PG_IDLE) {
        ngx_media_pg_lost(pc, "connect timed out");

    } else if (ngx_exiting || ngx_media_pg_usable() > 1) {
        ngx_media_pg_close(pc);

    } else {
        ngx_add_timer(&pc->timer, NGX_MEDIA_PG_KEEP);
    }
}


static ngx_int_t
ngx_media_pg_watch(ngx_media_pg_conn_t *pc, ngx_int_t event)
{
    ngx_event_t       *ev;
    ngx_connection_t  *c;

    c = pc->c;

    if (c == NULL) {
        c = ngx_get_connection(PQsocket(pc->pg), ngx_media_pg.log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->data = pc;
        c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
        c->read->handler = ngx_media_pg_socket_handler;
        c->read->log = c->log;
        c->write->handler = ngx_media_pg_socket_handler;
        c->write->log = c->log;

        pc->c = c;
    }

    ev = (event == NGX_READ_EVENT) ? c->read : c->write;

    if (ev->active) {
        return NGX_OK;
    }

    return ngx_add_event(ev, event, NGX_LEVEL_EVENT);
}


static void
ngx_media_pg_unwatch(ngx_media_pg_conn_t *pc)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = pc->c;

    if (c == NULL) {
        return;
    }

    /* libpq has closed it already when it read the end of the stream */

    flags = (PQsocket(pc->pg) == c->fd) ? NGX_LEVEL_EVENT : NGX_CLOSE_EVENT;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    /* "shared" keeps the descriptor open */

    c->shared = 1;
    ngx_close_connection(c);

    pc->c = NULL;
}


static void
ngx_media_pg_socket_handler(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_media_pg_conn_t  *pc;

    c = ev->data;
    pc = c->data;

    if (c->close && pc->state == NGX_MEDIA_PG_IDLE) {
        /* the worker is shutting down */
        ngx_media_pg_close(pc);

    } else if (c->close) {
        ngx_media_pg_lost(pc, "worker_shutdown_timeout");

    } else if (pc->state == NGX_MEDIA_PG_CONNECTING) {
        ngx_media_pg_connect_poll(pc);

    } else if (pc->state == NGX_MEDIA_PG_ASKING) {
        ngx_media_pg_schema_read(pc);

    } else {
        ngx_media_pg_read(pc);
    }
}


static void
ngx_media_pg_read(ngx_media_pg_conn_t *pc)
{
    PGresult              *res;
    ngx_uint_t             good;
    ngx_media_pg_query_t  *q;

    good = ngx_media_pg_consume(pc) == NGX_OK
           && ngx_media_pg_flush(pc) == NGX_OK;

    /* PQisBusy() is also what parses notices that come while idle */

    while (!PQisBusy(pc->pg) && pc->query) {
        q = pc->query;
        res = PQgetResult(pc->pg);

        if (res) {
            ngx_media_pg_collect(q, res);
        }

        /* nothing more of it: of a COPY there would be no end */

        if (q->broken) {
            good = 0;
            break;
        }

        if (res) {
            continue;
        }

        /* ReadyForQuery has been read: only this tells of a commit */

        ngx_media_pg_end(pc);

        if (pc->state == NGX_MEDIA_PG_CLOSED) {
            return;
        }
    }

    ngx_media_pg_ignore(pc);

    if (!good || PQstatus(pc->pg) != CONNECTION_OK) {
        ngx_media_pg_lost(pc, NULL);
    }
}


ngx_int_t
ngx_media_pg_flush(ngx_media_pg_conn_t *pc)
{
    switch (PQflush(pc->pg)) {

    case 0:
        if (pc->c->write->active) {
            return ngx_del_event(pc->c->write, NGX_WRITE_EVENT,
                                 NGX_LEVEL_EVENT);
        }

        return NGX_OK;

    case 1:
        return ngx_media_pg_watch(pc, NGX_WRITE_EVENT);

    default:
        return NGX_ERROR;
    }
}


void
ngx_media_pg_send(ngx_media_pg_conn_t *pc, ngx_media_pg_query_t *q)
{
    ngx_int_t  rc;

    pc->query = q;
    q->conn = pc;
    pc->c->idle = 0;
    pc->said = 0;

    if (pc->timer.timer_set) {
        ngx_del_timer(&pc->timer);
    }

    /* A server that went away while we were idle may be seen right now; once
     * the statement is sent its outcome would be unknown. */

    if (ngx_media_pg_consume(pc) != NGX_OK || PQisBusy(pc->pg)
        || PQstatus(pc->pg) != CONNECTION_OK)
    {
        rc = NGX_ERROR;

    } else if (pc->prepared[q->index]) {
        rc = ngx_media_pg_execute(pc);

    } else if (PQsendPrepare(pc->pg, q->stmt->name, q->stmt->text,
                             q->stmt->nparams, NULL))
    {
        pc->state = NGX_MEDIA_PG_PREPARE;
        rc = ngx_media_pg_flush(pc);

    } else {
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_media_pg_lost(pc, NULL);
    }
}


static ngx_int_t
ngx_media_pg_execute(ngx_media_pg_conn_t *pc)
{
    ngx_media_pg_query_t  *q;

    q = pc->query;

    if (!PQsendQueryPrepared(pc->pg, q->stmt->name, q->stmt->nparams,
                             q->params, NULL, NULL, 0))
    {
        return NGX_ERROR;
    }

    pc->state = NGX_MEDIA_PG_RUNNING;
    ngx_media_count(NGX_MEDIA_C_PG_QUERIES, 1);

    if (ngx_media_pg_flush(pc) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_fault("pg", q->stmt->name, "sent") ? NGX_ERROR : NGX_OK;
}


/*
 * There may be several: the rows come before the commit, an error of the
 * commit itself (a deferred constraint) after them. The first error counts.
 */

static void
ngx_media_pg_collect(ngx_media_pg_query_t *q, PGresult *res)
{
    char            *state;
    ExecStatusType   status;

    status = PQresultStatus(res);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        PQclear(q->result.res);
        q->result.res = res;
        return;
    }

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (state == NULL || status != PGRES_FATAL_ERROR) {
        /* libpq's own: end of file, lost synchronization, a COPY */
        q->broken = 1;
    }

    if (!q->failed) {
        q->failed = 1;

        if (state) {
            ngx_cpystrn((u_char *) q->result.sqlstate, (u_char *) state,
                        sizeof(q->result.sqlstate));
            ngx_media_pg_text(q->message, NGX_MEDIA_PG_MESSAGE,
                              PQresultErrorField(res,
                                                 PG_DIAG_MESSAGE_PRIMARY));
        }
    }

    PQclear(res);
}


static void
ngx_media_pg_end(ngx_media_pg_conn_t *pc)
{
    ngx_uint_t             is_standby;
    ngx_media_pg_query_t  *q;

    q = pc->query;

    if (pc->state == NGX_MEDIA_PG_PREPARE && !q->failed) {
        pc->prepared[q->index] = 1;

        if (!q->detached) {
            PQclear(q->result.res);
            q->result.res = NULL;

            if (PQstatus(pc->pg) != CONNECTION_OK
                || ngx_media_pg_execute(pc) != NGX_OK)
            {
                ngx_media_pg_lost(pc, NULL);
            }

            return;
        }
    }

    if (ngx_media_fault("pg", q->stmt->name, "answered")) {
        ngx_media_pg_lost(pc, "a fault was asked for");
        return;
    }

    if (!q->failed && q->result.res == NULL) {
        ngx_media_pg_lost(pc, "an answer without a result");
        return;
    }

    if (ngx_media_pg_stale(pc)) {
        ngx_media_pg_close(pc);
        ngx_media_pg_again(q);
        return;
    }

    pc->query = NULL;
    q->conn = NULL;

    ngx_media_pg_proved(pc);

    /* q may be gone behind this */

    is_standby = q->failed && ngx_strcmp(q->result.sqlstate, "25006") == 0;

    ngx_media_pg_finish(q, q->failed ? NGX_ERROR : NGX_OK, NULL);

    if (is_standby) {

        /* a failover: the next connection may find the new primary */

        ngx_media_pg_lost(pc, "the server takes no changes");
        return;
    }

    if (PQtransactionStatus(pc->pg) != PQTRANS_IDLE) {
        ngx_media_pg_lost(pc, "a statement has left a transaction open");
        return;
    }

    ngx_media_pg_idle(pc);
}


/*
 * A migration under a running worker (0A000 "cached plan must not change
 * result type") or a pooler that swapped the session (26000 "prepared
 * statement does not exist"): a new connection prepares afresh, and nothing
 * has happened, so the statement is sent once more.
 */

static ngx_uint_t
ngx_media_pg_stale(ngx_media_pg_conn_t *pc)
{
    char                  *state;
    ngx_media_pg_query_t  *q;

    q = pc->query;
    state = q->result.sqlstate;

    if (!q->failed || q->again || pc->state != NGX_MEDIA_PG_RUNNING
        || (ngx_strcmp(state, "0A000") != 0
            && ngx_strcmp(state, "26000") != 0))
    {
        return 0;
    }

    q->again = 1;

    return 1;
}


static void
ngx_media_pg_idle(ngx_media_pg_conn_t *pc)
{
    pc->state = NGX_MEDIA_PG_IDLE;
    pc->c->idle = 1;

    ngx_add_timer(&pc->timer, NGX_MEDIA_PG_KEEP);
    ngx_media_pg_post();
}


void
ngx_media_pg_lost(ngx_media_pg_conn_t *pc, const char *why)
{
    u_char                 text[NGX_MEDIA_PG_MESSAGE];
    ngx_uint_t             level, used;
    ngx_media_pg_query_t  *q;
    ngx_media_pg_state_e   state;

    q = pc->query;
    state = pc->state;
    used = pc->used;

    ngx_media_pg_text(text, sizeof(text), why ? why : ngx_media_pg_why(pc));

    /* an outage says so once, the attempts to end it are not news */

    if (used) {
        level = NGX_LOG_WARN;

    } else {
        level = ngx_media_pg.failures ? NGX_LOG_INFO : NGX_LOG_ERR;
    }

    ngx_log_error(level, ngx_media_pg.log, 0, "media pg: %s: %s",
                  used ? "connection lost" : "no connection", text);

    ngx_media_pg_close(pc);
    ngx_media_pg_failure();

    if (q == NULL) {
        ngx_media_pg_post();

    } else if (state == NGX_MEDIA_PG_RUNNING) {
        ngx_media_pg_finish(q, NGX_ABORT,
                            q->message[0] ? NULL : (char *) text);

    } else {
        ngx_media_pg_again(q);
    }
}


/* A query it had is the caller's from here on. */

void
ngx_media_pg_close(ngx_media_pg_conn_t *pc)
{
    if (pc->query) {
        pc->query->conn = NULL;
        pc->query = NULL;
    }

    if (pc->timer.timer_set) {
        ngx_del_timer(&pc->timer);
    }

    ngx_media_pg_unwatch(pc);

    PQfinish(pc->pg);
    pc->pg = NULL;

    pc->state = NGX_MEDIA_PG_CLOSED;
    pc->used = 0;
    ngx_memzero(pc->prepared, sizeof(pc->prepared));
}
