/* PostgreSQL, blocking. A connection is made by the first query that needs one and again after it
 * was lost; between failed attempts lies a growing pause in which queries fail at once, so that a
 * caller in the middle of a job is not held up. Every query has a deadline of our own beside the
 * server's statement_timeout: a server that hangs without closing must not hang us.
 *
 * A statement is said to a schema that fits alone (media/schema.h): a connection asks for its
 * numbers before its first statement and again when the answer has grown old. A schema that does
 * not fit is to callers a database that is away. */
#include "wk_pg.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "wk_alive.h"
#include "wk_log.h"

#define WK_PG_STATEMENT_MS 10000 /* the server gives up */
#define WK_PG_QUERY_MS 12000 /* we give up; a little later, so that the server's cause is heard */
#define WK_PG_BACKOFF_MIN_MS 200
#define WK_PG_BACKOFF_MAX_MS 5000
#define WK_PG_PARAMS_MAX 16
#define WK_PG_SCHEMA_MS 5000 /* so long the numbers of a schema that fits are believed */

struct wk_pg_s {
    const char *application_name;
    PGconn *conn;
    int64_t next_try_ms; /* monotonic; no connection attempt before */
    int64_t backoff_ms;
    int told; /* the outage is in the log */
    media_err_t cause;
    media_schema_t schema;         /* of this connection, as it last said */
    int64_t schema_ms;             /* monotonic, when; 0: never */
    char unfit[MEDIA_SCHEMA_TEXT]; /* what is wrong with it; in the log */
    unsigned char prepared[MEDIA_STMT_COUNT];
};

struct wk_pg_result_s {
    PGresult *res;
};

wk_pg_t *wk_pg_new(const char *application_name)
{
    wk_pg_t *pg = calloc(1, sizeof(*pg));

    if (pg != NULL) {
        pg->application_name = application_name;
        pg->backoff_ms = WK_PG_BACKOFF_MIN_MS;
    }
    return pg;
}

static void pg_close(wk_pg_t *pg)
{
    if (pg->conn != NULL) {
        PQfinish(pg->conn);
        pg->conn = NULL;
    }
    pg->schema_ms = 0;
    memset(pg->prepared, 0, sizeof(pg->prepared));
}

void wk_pg_free(wk_pg_t *pg)
{
    if (pg != NULL) {
        pg_close(pg);
        free(pg);
    }
}

int wk_pg_ready(const wk_pg_t *pg)
{
    return pg != NULL && pg->conn != NULL && PQstatus(pg->conn) == CONNECTION_OK;
}

/* The first line of a libpq text; libpq puts no password into it. */
static int pg_cause(media_err_t *ei, int rc, const char *prefix, const char *text)
{
    size_t n = text != NULL ? strcspn(text, "\r\n") : 0;

    return media_err_set(ei, rc, "%s%.*s", prefix, (int)n, n > 0 ? text : "unknown error");
}

/* Drops the connection after it failed in use; the next query may connect at once. */
static int pg_lost(wk_pg_t *pg, media_err_t *ei, const char *text)
{
    int rc = pg_cause(ei, MEDIA_E_RETRY, "database: ", text);

    (void)pg_cause(&pg->cause, rc, "database: ", text);
    pg_close(pg);
    if (!pg->told) {
        wk_log(MEDIA_LOG_WARN, "database connection lost", "cause", pg->cause.text, NULL);
        pg->told = 1;
    }
    return rc;
}

static int pg_connect_failed(wk_pg_t *pg, const char *text)
{
    (void)pg_cause(&pg->cause, MEDIA_E_RETRY, "database: ", text);
    pg_close(pg);
    pg->next_try_ms = wk_mono_ms() + pg->backoff_ms;
    pg->backoff_ms *= 2;
    if (pg->backoff_ms > WK_PG_BACKOFF_MAX_MS) {
        pg->backoff_ms = WK_PG_BACKOFF_MAX_MS;
    }
    if (!pg->told) {
        wk_log(MEDIA_LOG_WARN, "database not reachable", "cause", pg->cause.text, NULL);
        pg->told = 1;
    }
    return MEDIA_E_RETRY;
}

static void pg_notice_ignore(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static int pg_collect(wk_pg_t *pg, int64_t deadline_ms, PGresult **out, media_err_t *ei);

static int pg_connect(wk_pg_t *pg)
{
    static const char *const keys[] = {"application_name",    "gssencmode",
                                       "connect_timeout",     "keepalives",
                                       "keepalives_idle",     "client_encoding",
                                       "keepalives_count",    "tcp_user_timeout",
                                       "keepalives_interval", NULL};
    const char *const values[] = {
        pg->application_name, "disable", "5", "1", "15", "UTF8", "3", "15000", "5", NULL};
    char sql[64];
    PGresult *res = NULL;

    pg_close(pg);
    wk_alive();
    pg->conn = PQconnectdbParams(keys, values, 0);
    wk_alive();
    if (pg->conn == NULL || PQstatus(pg->conn) != CONNECTION_OK) {
        return pg_connect_failed(pg, pg->conn != NULL ? PQerrorMessage(pg->conn) : "out of memory");
    }
    PQsetNoticeReceiver(pg->conn, pg_notice_ignore, NULL);
    /* by statement and not by `options`, which would replace the operator's PGOPTIONS */
    (void)wk_fmt(sql, sizeof(sql), "SET statement_timeout = %d", WK_PG_STATEMENT_MS);
    if (!PQsendQuery(pg->conn, sql) ||
        pg_collect(pg, wk_mono_ms() + WK_PG_QUERY_MS, &res, NULL) != 0 ||
        PQresultStatus(res) != PGRES_COMMAND_OK) {
        PQclear(res);
        return pg_connect_failed(pg, "connected, but the server does not answer");
    }
    PQclear(res);
    pg->backoff_ms = WK_PG_BACKOFF_MIN_MS;
    pg->next_try_ms = 0;
    if (pg->told) {
        wk_log(MEDIA_LOG_INFO, "database connected", NULL);
        pg->told = 0;
    }
    return 0;
}

/* A connection that seems usable. A server that was restarted while we were idle has left an end
 * of file in the socket: seeing it now is better than an unknown outcome later. */
static int pg_ensure(wk_pg_t *pg, media_err_t *ei)
{
    if (wk_pg_ready(pg)) {
        struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN};

        /* a farewell message may lie before the end of file */
        while (wk_pg_ready(pg) && poll(&p, 1, 0) > 0 && PQconsumeInput(pg->conn)) {
            (void)PQisBusy(pg->conn);
        }
        if (wk_pg_ready(pg)) {
            return 0;
        }
        (void)pg_lost(pg, NULL, PQerrorMessage(pg->conn));
    }
    if (wk_mono_ms() >= pg->next_try_ms && pg_connect(pg) == 0) {
        return 0;
    }
    return media_err_set(ei, MEDIA_E_RETRY, "%s", pg->cause.text);
}

/* Waits for the results of what was sent and keeps the last. deadline_ms 0: no deadline of ours. */
static int pg_collect(wk_pg_t *pg, int64_t deadline_ms, PGresult **out, media_err_t *ei)
{
    PGresult *last = NULL;

    for (;;) {
        wk_alive();
        while (PQisBusy(pg->conn)) {
            struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN};
            int64_t left = deadline_ms != 0 ? deadline_ms - wk_mono_ms() : 60000;
            int n = left > 0 ? poll(&p, 1, (int)left) : 0;

            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n == 0 && deadline_ms != 0) {
                PQclear(last);
                return pg_lost(pg, ei, "no answer within the deadline");
            }
            if (n < 0 || !PQconsumeInput(pg->conn)) {
                PQclear(last);
                return pg_lost(pg, ei, PQerrorMessage(pg->conn));
            }
        }

        PGresult *res = PQgetResult(pg->conn);
        if (res == NULL) {
            break;
        }
        /* COPY is nothing we ever start; it would make this loop endless */
        if (PQresultStatus(res) == PGRES_COPY_IN || PQresultStatus(res) == PGRES_COPY_OUT ||
            PQresultStatus(res) == PGRES_COPY_BOTH) {
            PQclear(res);
            PQclear(last);
            return pg_lost(pg, ei, "COPY is not supported");
        }
        PQclear(last);
        last = res;
    }
    *out = last;
    return 0;
}

/* 1 if the same statement may succeed later: the server is overloaded, starting, stopping,
 * read-only after a failover, or picked us as the victim of a conflict. */
static int sqlstate_transient(const char *s)
{
    static const char *const list[] = {"08", "40", "53", "57", "58", "55P03", "25006"};

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        if (strncmp(s, list[i], strlen(list[i])) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Judges a result; takes it over in every case but success. */
static int pg_judge(wk_pg_t *pg, PGresult *res, media_err_t *ei)
{
    ExecStatusType status = PQresultStatus(res);
    const char *state;
    int rc;

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        return 0;
    }
    if (!wk_pg_ready(pg)) {
        rc = pg_lost(pg, ei, res != NULL ? PQresultErrorMessage(res) : PQerrorMessage(pg->conn));
        PQclear(res);
        return rc;
    }
    state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    state = state != NULL ? state : "XX000";
    rc = sqlstate_transient(state) ? MEDIA_E_RETRY : MEDIA_E_REJECT;
    /* the primary message only: DETAIL and CONTEXT may carry the values of rows */
    (void)pg_cause(ei, rc, "database: ",
                   res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL);
    if (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0) {
        /* a prepared statement is gone or its result type was changed by a migration */
        rc = MEDIA_E_RETRY;
        pg_close(pg);
    }
    PQclear(res);
    return rc;
}

static int pg_result_new(PGresult *res, wk_pg_result_t **out, media_err_t *ei)
{
    if (out == NULL) {
        PQclear(res);
        return 0;
    }
    *out = malloc(sizeof(**out));
    if (*out == NULL) {
        PQclear(res);
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    (*out)->res = res;
    return 0;
}

static int pg_prepare(wk_pg_t *pg, enum media_stmt stmt, const media_stmt_t *s, int64_t deadline_ms,
                      media_err_t *ei)
{
    PGresult *res = NULL;
    int rc;

    if (pg->prepared[stmt]) {
        return 0;
    }
    if (!PQsendPrepare(pg->conn, s->name, s->text, s->nparams, NULL)) {
        return pg_lost(pg, ei, PQerrorMessage(pg->conn));
    }
    rc = pg_collect(pg, deadline_ms, &res, ei);
    if (rc == 0) {
        rc = pg_judge(pg, res, ei);
    }
    if (rc == 0) {
        PQclear(res);
        pg->prepared[stmt] = 1;
    }
    return rc;
}

/* Once when it does not fit, again when it does not in another way, and when it does. */
static void pg_tell_schema(wk_pg_t *pg)
{
    char text[MEDIA_SCHEMA_TEXT];

    if (strcmp(media_schema_text(pg->schema, text, sizeof(text)), pg->unfit) == 0) {
        return;
    }
    memcpy(pg->unfit, text, sizeof(text));
    if (text[0] != '\0') {
        wk_log(MEDIA_LOG_WARN, "database not used", "cause", text, NULL);
    } else {
        wk_log(MEDIA_LOG_INFO, "database used again", NULL);
    }
}

/* 0 when the numbers are there, whether they fit or not. */
static int pg_ask_schema(wk_pg_t *pg, media_err_t *ei)
{
    PGresult *res = NULL;
    const char *state;
    int rc;

    if (!PQsendQuery(pg->conn, media_stmt_get(MEDIA_STMT_SCHEMA)->text)) {
        return pg_lost(pg, ei, PQerrorMessage(pg->conn));
    }
    rc = pg_collect(pg, wk_mono_ms() + WK_PG_QUERY_MS, &res, ei);
    if (rc != 0) {
        return rc;
    }
    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (state != NULL && media_schema_missing(state)) {
        pg->schema = (media_schema_t){0, 0};
    } else {
        rc = pg_judge(pg, res, ei);
        if (rc != 0) {
            return rc;
        }
        pg->schema = PQntuples(res) == 1 && PQnfields(res) == 2
                         ? media_schema_read(PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1))
                         : (media_schema_t){0, 0};
    }
    PQclear(res);
    pg->schema_ms = wk_mono_ms();
    pg_tell_schema(pg);
    return 0;
}

int wk_pg_schema(wk_pg_t *pg, media_schema_t *out, media_err_t *ei)
{
    int rc = pg_ensure(pg, ei);

    if (rc == 0) {
        rc = pg_ask_schema(pg, ei);
    }
    *out = rc == 0 ? pg->schema : (media_schema_t){0, 0};
    return rc;
}

int wk_pg_unfit(const wk_pg_t *pg, media_schema_t *out)
{
    if (pg->schema_ms == 0 || pg->unfit[0] == '\0') {
        return 0;
    }
    *out = pg->schema;
    return 1;
}

/* Connected to a schema that fits. */
static int pg_ready(wk_pg_t *pg, media_err_t *ei)
{
    int rc = pg_ensure(pg, ei);

    if (rc == 0 && (pg->schema_ms == 0 || pg->unfit[0] != '\0' ||
                    wk_mono_ms() - pg->schema_ms >= WK_PG_SCHEMA_MS)) {
        rc = pg_ask_schema(pg, ei);
    }
    if (rc == 0 && pg->unfit[0] != '\0') {
        rc = media_err_set(ei, MEDIA_E_RETRY, "database: %s", pg->unfit);
    }
    return rc;
}

int wk_pg_query(wk_pg_t *pg, enum media_stmt stmt, const char *const *params, wk_pg_result_t **out,
                media_err_t *ei)
{
    const media_stmt_t *s = media_stmt_get(stmt);
    int64_t deadline_ms;
    PGresult *res = NULL;
    int rc;

    if (out != NULL) {
        *out = NULL;
    }
    if (s == NULL || s->nparams > WK_PG_PARAMS_MAX) {
        return media_err_set(ei, MEDIA_E_BUG, "no such statement");
    }
    rc = pg_ready(pg, ei);
    deadline_ms = wk_mono_ms() + WK_PG_QUERY_MS;
    if (rc == 0) {
        rc = pg_prepare(pg, stmt, s, deadline_ms, ei);
    }
    if (rc != 0) {
        return rc;
    }
    if (!PQsendQueryPrepared(pg->conn, s->name, s->nparams, params, NULL, NULL, 0)) {
        return pg_lost(pg, ei, PQerrorMessage(pg->conn));
    }
    rc = pg_collect(pg, deadline_ms, &res, ei);
    if (rc == 0) {
        rc = pg_judge(pg, res, ei);
    }
    return rc == 0 ? pg_result_new(res, out, ei) : rc;
}

int wk_pg_exec(wk_pg_t *pg, const char *sql, wk_pg_result_t **out, media_err_t *ei)
{
    PGresult *res = NULL;
    int rc;

    if (out != NULL) {
        *out = NULL;
    }
    rc = pg_ensure(pg, ei);
    if (rc != 0) {
        return rc;
    }
    if (!PQsendQuery(pg->conn, sql)) {
        return pg_lost(pg, ei, PQerrorMessage(pg->conn));
    }
    /* a migration may rightly take long: here only the server's statement_timeout counts */
    rc = pg_collect(pg, 0, &res, ei);
    if (rc == 0) {
        rc = pg_judge(pg, res, ei);
    }
    return rc == 0 ? pg_result_new(res, out, ei) : rc;
}

int wk_pg_rows(const wk_pg_result_t *r)
{
    return r != NULL ? PQntuples(r->res) : 0;
}

int wk_pg_cols(const wk_pg_result_t *r)
{
    return r != NULL ? PQnfields(r->res) : 0;
}

const char *wk_pg_col_name(const wk_pg_result_t *r, int col)
{
    return r != NULL ? PQfname(r->res, col) : NULL;
}

const char *wk_pg_value(const wk_pg_result_t *r, int row, int col)
{
    if (row < 0 || row >= wk_pg_rows(r) || col < 0 || col >= wk_pg_cols(r) ||
        PQgetisnull(r->res, row, col)) {
        return NULL;
    }
    return PQgetvalue(r->res, row, col);
}

void wk_pg_result_free(wk_pg_result_t *r)
{
    if (r != NULL) {
        PQclear(r->res);
        free(r);
    }
}
