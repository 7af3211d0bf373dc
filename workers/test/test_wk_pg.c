/* wk_pg against a real server (PGHOST ...), in a database that has a schema's numbers alone. */
#include <stdlib.h>
#include <string.h>

#include "scratch_db.h"
#include "tcp_proxy.h"

static media_err_t ei;

static int exec1(wk_pg_t *pg, const char *sql, char *dst, size_t cap)
{
    wk_pg_result_t *res = NULL;
    int rc = wk_pg_exec(pg, sql, &res, &ei);
    const char *v = wk_pg_value(res, 0, 0);

    (void)wk_fmt(dst, cap, "%s", v != NULL ? v : "(null)");
    wk_pg_result_free(res);
    return rc;
}

static int ping(wk_pg_t *pg)
{
    wk_pg_result_t *res = NULL;
    int rc = wk_pg_query(pg, MEDIA_STMT_PING, NULL, &res, &ei);

    if (rc == 0) {
        CHECK_INT(wk_pg_rows(res), 1);
        CHECK_INT(wk_pg_cols(res), 1);
        CHECK_STR(wk_pg_value(res, 0, 0), "1");
        CHECK(wk_pg_value(res, 1, 0) == NULL);
        CHECK(wk_pg_value(res, 0, 1) == NULL);
    } else {
        CHECK(res == NULL);
    }
    wk_pg_result_free(res);
    return rc;
}

static void set_schema(int version, int oldest)
{
    (void)scratch_sql("DROP SCHEMA IF EXISTS media CASCADE; CREATE SCHEMA media;"
                      "CREATE FUNCTION media.schema_numbers(OUT version int, OUT oldest int)"
                      " LANGUAGE sql AS 'SELECT %d, %d'",
                      version, oldest);
}

static void check_unfit(wk_pg_t *pg, const char *want)
{
    media_schema_t s;

    CHECK_INT(ping(pg), MEDIA_E_RETRY);
    CHECK_STR(ei.text, want);
    CHECK(wk_pg_unfit(pg, &s));
    CHECK(wk_pg_ready(pg)); /* the connection stays */
    CHECK_INT(wk_pg_exec(pg, "SELECT 1", NULL, &ei), 0);
}

static void test_wk_pg_says_nothing_to_a_schema_that_does_not_fit(wk_pg_t *pg)
{
    char want[MEDIA_SCHEMA_TEXT + 16];
    media_schema_t s;

    CHECK_INT(ping(pg), 0);
    CHECK(!wk_pg_unfit(pg, &s));
    (void)scratch_sql("DROP SCHEMA media CASCADE");
    CHECK_INT(ping(pg), 0); /* it was asked just now */
    CHECK_INT(wk_pg_schema(pg, &s, &ei), 0);
    CHECK_INT(s.version, 0);
    check_unfit(pg, wk_fmt(want, sizeof(want),
                           "database: schema is older than this program needs, which is %d",
                           MEDIA_SCHEMA));
    set_schema(MEDIA_SCHEMA - 1, 1);
    check_unfit(pg, wk_fmt(want, sizeof(want), "database: schema %d, this program needs %d",
                           MEDIA_SCHEMA - 1, MEDIA_SCHEMA));
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    check_unfit(pg, wk_fmt(want, sizeof(want),
                           "database: schema %d serves programs from %d on, this one is %d",
                           MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1, MEDIA_SCHEMA));
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA);
    CHECK_INT(ping(pg), 0);
    CHECK(!wk_pg_unfit(pg, &s));
    CHECK_INT(wk_pg_schema(pg, &s, &ei), 0);
    CHECK_INT(s.version, MEDIA_SCHEMA + 2);
    CHECK_INT(s.oldest, MEDIA_SCHEMA);
}

/* A connection that never rests notices within the time that an answer is believed. */
static void test_wk_pg_notices_a_schema_that_changes(wk_pg_t *pg)
{
    int64_t start_ms = wk_mono_ms();

    CHECK_INT(ping(pg), 0);
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    while (ping(pg) == 0 && wk_mono_ms() - start_ms < 10000) {
        (void)poll(NULL, 0, 20);
    }
    CHECK(wk_mono_ms() - start_ms < 6000);
    CHECK_INT(ping(pg), MEDIA_E_RETRY);
    set_schema(MEDIA_SCHEMA, MEDIA_SCHEMA);
    CHECK_INT(ping(pg), 0); /* at once */
}

static void test_wk_pg_query_and_exec(wk_pg_t *pg)
{
    wk_pg_result_t *res = NULL;
    char v[64];

    CHECK_INT(ping(pg), 0);
    CHECK_INT(ping(pg), 0);
    CHECK(wk_pg_ready(pg));
    CHECK_INT(wk_pg_exec(pg, "SELECT 1; SELECT NULL AS x, 'b' AS y", &res, &ei), 0);
    CHECK_INT(wk_pg_cols(res), 2);
    CHECK_STR(wk_pg_col_name(res, 1), "y");
    CHECK(wk_pg_value(res, 0, 0) == NULL);
    CHECK_STR(wk_pg_value(res, 0, 1), "b");
    wk_pg_result_free(res);
    CHECK_INT(wk_pg_exec(pg, "SELECT 1", NULL, &ei), 0);
    CHECK_INT(wk_pg_exec(pg, "", NULL, &ei), 0);
    CHECK_INT(exec1(pg, "SHOW statement_timeout", v, sizeof(v)), 0);
    CHECK_STR(v, "10s");
    CHECK_INT(exec1(pg, "SHOW application_name", v, sizeof(v)), 0);
    CHECK_STR(v, "test_wk_pg");
}

static void test_wk_pg_refused_is_reject_and_goes_on(wk_pg_t *pg)
{
    CHECK_INT(wk_pg_exec(pg, "SELECT no_such_column", NULL, &ei), MEDIA_E_REJECT);
    CHECK(strstr(ei.text, "no_such_column") != NULL);
    CHECK_INT(wk_pg_exec(pg, "SELECT 'secret-value'::int", NULL, &ei), MEDIA_E_REJECT);
    CHECK_INT(wk_pg_exec(pg, "COPY pg_class TO STDOUT", NULL, &ei), MEDIA_E_RETRY);
    CHECK_INT(ping(pg), 0);
}

static void test_wk_pg_transient_is_retry(wk_pg_t *pg)
{
    CHECK_INT(wk_pg_exec(pg, "SET statement_timeout = 50; SELECT pg_sleep(5)", NULL, &ei),
              MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "statement timeout") != NULL);
    CHECK_INT(wk_pg_exec(pg, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
                         NULL, &ei),
              MEDIA_E_RETRY);
    CHECK_INT(ping(pg), 0);
}

/* Ends the other connection's backend from outside. */
static void terminate(wk_pg_t *by, const char *pid)
{
    char sql[128], v[16];

    CHECK_INT(exec1(by, wk_fmt(sql, sizeof(sql), "SELECT pg_terminate_backend(%s, 5000)", pid), v,
                    sizeof(v)),
              0);
    CHECK_STR(v, "t");
}

static void test_wk_pg_killed_while_idle_is_not_noticed(wk_pg_t *pg, wk_pg_t *other)
{
    char pid[16], again[16];

    CHECK_INT(exec1(pg, "SELECT pg_backend_pid()", pid, sizeof(pid)), 0);
    terminate(other, pid);
    CHECK_INT(ping(pg), 0); /* on a new connection */
    CHECK_INT(exec1(pg, "SELECT pg_backend_pid()", again, sizeof(again)), 0);
    CHECK(strcmp(pid, again) != 0);
}

static void test_wk_pg_killed_in_query_is_retry(wk_pg_t *pg)
{
    CHECK_INT(ping(pg), 0);
    CHECK_INT(wk_pg_exec(pg, "SELECT pg_terminate_backend(pg_backend_pid()); SELECT pg_sleep(1)",
                         NULL, &ei),
              MEDIA_E_RETRY);
    CHECK(!wk_pg_ready(pg));
    CHECK_INT(ping(pg), 0);
}

static void test_wk_pg_lost_prepared_statement_recovers(wk_pg_t *pg)
{
    CHECK_INT(ping(pg), 0);
    CHECK_INT(wk_pg_exec(pg, "DEALLOCATE ALL", NULL, &ei), 0);
    CHECK_INT(ping(pg), MEDIA_E_RETRY);
    CHECK_INT(ping(pg), 0);
}

static void test_wk_pg_no_server_fails_fast_and_backs_off(void)
{
    char *port = strdup(getenv("PGPORT") != NULL ? getenv("PGPORT") : "5432");
    int64_t start_ms = wk_mono_ms();
    wk_pg_t *pg = wk_pg_new("test_wk_pg");
    int closed_port, fd = proxy_listen(&closed_port);
    char text[16];

    close(fd);
    setenv("PGPORT", wk_fmt(text, sizeof(text), "%d", closed_port), 1);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(ping(pg), MEDIA_E_RETRY);
    }
    CHECK(wk_mono_ms() - start_ms < 2000);
    CHECK(strstr(ei.text, "database: ") == ei.text);
    CHECK(!wk_pg_ready(pg));
    setenv("PGPORT", port, 1);
    while (wk_mono_ms() - start_ms < 10000 && ping(pg) != 0) {
        (void)poll(NULL, 0, 50);
    }
    CHECK(wk_pg_ready(pg));
    wk_pg_free(pg);
    free(port);
}

static void test_wk_pg_hung_server_is_given_up(void)
{
    char *port = strdup(getenv("PGPORT") != NULL ? getenv("PGPORT") : "5432");
    wk_pg_t *pg = wk_pg_new("test_wk_pg");
    int64_t start_ms;
    char text[16];
    proxy_t proxy;

    CHECK_INT(proxy_start(&proxy, "127.0.0.1", (int)strtol(port, NULL, 10)), 0);
    setenv("PGPORT", wk_fmt(text, sizeof(text), "%d", proxy.port), 1);
    CHECK_INT(ping(pg), 0);
    atomic_store(&proxy.mode, PROXY_FREEZE);
    (void)poll(NULL, 0, 60); /* the proxy's turn has ended */
    start_ms = wk_mono_ms();
    CHECK_INT(ping(pg), MEDIA_E_RETRY);
    CHECK(wk_mono_ms() - start_ms < 15000);
    start_ms = wk_mono_ms();
    CHECK_INT(ping(pg), MEDIA_E_RETRY); /* a connection that gets no answer either */
    CHECK(wk_mono_ms() - start_ms < 8000);
    atomic_store(&proxy.mode, PROXY_PASS);
    start_ms = wk_mono_ms();
    while (wk_mono_ms() - start_ms < 10000 && ping(pg) != 0) {
        (void)poll(NULL, 0, 50);
    }
    CHECK(wk_pg_ready(pg));
    wk_pg_free(pg);
    proxy_stop(&proxy);
    setenv("PGPORT", port, 1);
    free(port);
}

int main(void)
{
    const char *host = getenv("PGHOST");
    wk_pg_t *pg, *other;

    scratch_open();
    set_schema(MEDIA_SCHEMA, MEDIA_SCHEMA);
    pg = wk_pg_new("test_wk_pg");
    other = wk_pg_new("test_wk_pg other");
    CHECK(!wk_pg_ready(pg));
    test_wk_pg_query_and_exec(pg);
    test_wk_pg_refused_is_reject_and_goes_on(pg);
    test_wk_pg_transient_is_retry(pg);
    test_wk_pg_killed_while_idle_is_not_noticed(pg, other);
    test_wk_pg_killed_in_query_is_retry(pg);
    test_wk_pg_lost_prepared_statement_recovers(pg);
    test_wk_pg_says_nothing_to_a_schema_that_does_not_fit(pg);
    test_wk_pg_notices_a_schema_that_changes(pg);
    wk_pg_free(other);
    wk_pg_free(pg);
    wk_pg_free(NULL);
    if (strcmp(host, "127.0.0.1") == 0 || strcmp(host, "localhost") == 0) {
        test_wk_pg_no_server_fails_fast_and_backs_off();
        test_wk_pg_hung_server_is_given_up();
    }
    scratch_close();
    return test_report();
}
