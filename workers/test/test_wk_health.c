/* wk_health over real sockets. */
#include "ask_health.h"
#include "wk_health.h"
#include "wk_log.h"

static char file[] = "/tmp/test_wk_health.XXXXXX";
static char addr[64];

static wk_health_t *start(wk_conf_t *conf)
{
    wk_health_t *h = wk_health_start(conf, "test-svc");

    CHECK(h != NULL);
    CHECK(health_port(file) > 0);
    return h;
}

static void test_wk_health_healthz_answers(void)
{
    CHECK(has(health_ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n"));
    CHECK(has(health_answer, "\r\n\r\nok\n"));
    CHECK(has(health_ask("GET /healthz?x=1 HTTP/1.0\n\n"), "200 OK"));
    CHECK(has(health_ask("HEAD /healthz HTTP/1.1\r\n\r\n"), "Content-Length: 3\r\n"));
    CHECK(!has(health_answer, "\r\n\r\nok"));
}

static void test_wk_health_wrong_requests_are_refused(void)
{
    CHECK(has(health_ask("GET /other HTTP/1.1\r\n\r\n"), "404 Not Found"));
    CHECK(has(health_ask("GET /healthzz HTTP/1.1\r\n\r\n"), "404 Not Found"));
    CHECK(has(health_ask("POST /healthz HTTP/1.1\r\n\r\n"), "405 Method Not Allowed"));
    CHECK(has(health_answer, "Allow: GET, HEAD"));
    CHECK(has(health_ask("garbage\r\n\r\n"), "400 Bad Request"));
    CHECK(has(health_ask("\r\n\r\n"), "400 Bad Request"));
}

static void test_wk_health_readyz_follows_dependencies(wk_health_t *h)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\n\r\n";

    CHECK(has(health_ask(request), "503 ")); /* PostgreSQL was never reached */
    wk_health_dep(h, WK_DEP_POSTGRES, 1);
    CHECK(has(health_ask(request), "200 OK"));
    CHECK(has(health_answer, "postgres: ok\nok\n"));
    CHECK(!has(health_answer, "s3"));
    wk_health_dep(h, WK_DEP_RABBITMQ, 0);
    CHECK(has(health_ask(request), "200 OK"));
    CHECK(has(health_answer, "rabbitmq: unavailable\ndegraded\n"));
    wk_health_dep(h, WK_DEP_S3, 0);
    CHECK(has(health_ask(request), "503 "));
    CHECK(has(health_answer, "s3: unavailable\nunavailable\n"));
    wk_health_dep(h, WK_DEP_S3, 1);
    wk_health_dep(h, WK_DEP_RABBITMQ, 1);
    wk_health_dep(h, WK_DEP_POSTGRES, 0);
    CHECK(has(health_ask(request), "503 "));
}

/* Against a real server: its maintenance database has no schema of ours. */
static void test_wk_health_readyz_names_the_schema(wk_health_t *h)
{
    wk_pg_t *pg = wk_pg_new("test_wk_health");
    media_schema_t s;
    char want[160];

    wk_log_init("test", MEDIA_LOG_ERROR);
    if (getenv("PGHOST") == NULL) {
        printf("skipped in part: PGHOST is not set\n");
        wk_pg_free(pg);
        return;
    }
    setenv("PGDATABASE", "template1", 1);
    CHECK_INT(wk_pg_schema(pg, &s, NULL), 0);
    wk_health_pg(h, pg, 0);
    CHECK(has(health_ask("GET /readyz HTTP/1.1\r\n\r\n"), "503 "));
    (void)wk_fmt(want, sizeof(want),
                 "postgres: schema is older than this program needs, which is %d\n", MEDIA_SCHEMA);
    CHECK(has(health_answer, want));
    CHECK(has(health_ask("GET /metrics HTTP/1.1\r\n\r\n"), "dependency=\"postgres\"} 0\n"));
    wk_health_dep(h, WK_DEP_POSTGRES, 1);
    CHECK(has(health_ask("GET /readyz HTTP/1.1\r\n\r\n"), "postgres: ok\n"));
    wk_pg_free(pg);
}

static void test_wk_health_metrics_count(wk_health_t *h)
{
    wk_health_count(h, WK_C_JOBS_CLAIMED, 2);
    wk_health_count(h, WK_C_JOBS_CLAIMED, 3);
    wk_health_count(NULL, WK_C_JOBS_CLAIMED, 3);
    wk_health_dep(NULL, WK_DEP_S3, 1);
    CHECK(has(health_ask("GET /metrics HTTP/1.1\r\n\r\n"),
              "\nngx_media_worker_jobs_claimed_total{svc=\"test-svc\"} 5\n"));
    CHECK(has(health_answer, "# TYPE ngx_media_worker_mails_sent_total counter\n"));
    CHECK(has(health_answer, "dependency_up{svc=\"test-svc\",dependency=\"s3\"} 1\n"));
}

static void test_wk_health_metrics_tell_queues(wk_health_t *h)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    const wk_queue_load_t load = {.queued = 7, .running = 2, .oldest_ms = 1500};

    CHECK(!has(health_ask(request), "ngx_media_queue_jobs{"));
    wk_health_queue(h, MEDIA_QUEUE_SHORT, &load);
    wk_health_queue(NULL, MEDIA_QUEUE_SHORT, &load);
    CHECK(has(health_ask(request), "\nngx_media_queue_jobs{queue=\"short\",state=\"queued\"} 7\n"
                                   "ngx_media_queue_jobs{queue=\"short\",state=\"running\"} 2\n"));
    CHECK(has(health_answer, "\nngx_media_queue_oldest_seconds{queue=\"short\"} 1.500\n"));
    CHECK(!has(health_answer, "queue=\"long\""));
    wk_health_queues_unknown(h);
    CHECK(!has(health_ask(request), "ngx_media_queue_jobs{"));
}

static void test_wk_health_silent_client_does_not_block(void)
{
    int silent = health_dial();
    int64_t start_ms = wk_mono_ms();

    CHECK(has(health_ask("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
    CHECK(wk_mono_ms() - start_ms < 3000);
    close(silent);
}

static void test_wk_health_oversized_request_is_dropped(void)
{
    static char big[8192];

    memset(big, 'a', sizeof(big) - 1);
    CHECK_STR(health_ask(big), "");
    CHECK(has(health_ask("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
}

static void test_wk_health_taken_port_fails(wk_conf_t *conf)
{
    wk_conf_t other = *conf;

    (void)wk_fmt(addr, sizeof(addr), "127.0.0.1:%d", health_port_no);
    other.health_addr = addr;
    other.health_file = NULL;
    CHECK(wk_health_start(&other, "other") == NULL);
    other.health_addr = "127.0.0.1:0";
    other.health_file = "/nonexistent/dir/file";
    CHECK(wk_health_start(&other, "other") == NULL);
}

int main(void)
{
    wk_conf_t conf = {.health_addr = "127.0.0.1:0", .health_file = file};
    wk_health_t *h;

    wk_log_init("test", MEDIA_LOG_ERROR);
    close(mkstemp(file));
    h = start(&conf);
    test_wk_health_healthz_answers();
    test_wk_health_wrong_requests_are_refused();
    test_wk_health_readyz_follows_dependencies(h);
    test_wk_health_readyz_names_the_schema(h);
    test_wk_health_metrics_count(h);
    test_wk_health_metrics_tell_queues(h);
    test_wk_health_silent_client_does_not_block();
    test_wk_health_oversized_request_is_dropped();
    test_wk_health_taken_port_fails(&conf);
    wk_health_stop(h);
    CHECK(access(file, F_OK) != 0);
    return test_report();
}
