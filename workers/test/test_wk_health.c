/* wk_health over real sockets. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"
#include "wk_health.h"
#include "wk_log.h"

static char file[] = "/tmp/test_wk_health.XXXXXX";
static char addr[64];
static int port;
static char answer[32768];

static int dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* Sends raw bytes, returns the whole answer. */
static const char *ask(const char *request)
{
    int fd = dial();
    size_t n = 0;
    ssize_t got;

    CHECK_INT(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (n < sizeof(answer) - 1 && (got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    answer[n] = '\0';
    close(fd);
    return answer;
}

static wk_health_t *start(wk_conf_t *conf)
{
    wk_health_t *h = wk_health_start(conf, "test-svc");
    char *text;

    CHECK(h != NULL);
    text = test_read(file, NULL);
    CHECK_INT(sscanf(text, "127.0.0.1:%d\n", &port), 1);
    CHECK(port > 0);
    free(text);
    return h;
}

static int has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void test_wk_health_healthz_answers(void)
{
    CHECK(has(ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n"));
    CHECK(has(answer, "\r\n\r\nok\n"));
    CHECK(has(ask("GET /healthz?x=1 HTTP/1.0\n\n"), "200 OK"));
    CHECK(has(ask("HEAD /healthz HTTP/1.1\r\n\r\n"), "Content-Length: 3\r\n"));
    CHECK(!has(answer, "\r\n\r\nok"));
}

static void test_wk_health_wrong_requests_are_refused(void)
{
    CHECK(has(ask("GET /other HTTP/1.1\r\n\r\n"), "404 Not Found"));
    CHECK(has(ask("GET /healthzz HTTP/1.1\r\n\r\n"), "404 Not Found"));
    CHECK(has(ask("POST /healthz HTTP/1.1\r\n\r\n"), "405 Method Not Allowed"));
    CHECK(has(answer, "Allow: GET, HEAD"));
    CHECK(has(ask("garbage\r\n\r\n"), "400 Bad Request"));
    CHECK(has(ask("\r\n\r\n"), "400 Bad Request"));
}

static void test_wk_health_readyz_follows_dependencies(wk_health_t *h)
{
    static const char request[] = "GET /readyz HTTP/1.1\r\n\r\n";

    CHECK(has(ask(request), "503 ")); /* PostgreSQL was never reached */
    wk_health_dep(h, WK_DEP_POSTGRES, 1);
    CHECK(has(ask(request), "200 OK"));
    CHECK(has(answer, "postgres: ok\nok\n"));
    CHECK(!has(answer, "s3"));
    wk_health_dep(h, WK_DEP_RABBITMQ, 0);
    CHECK(has(ask(request), "200 OK"));
    CHECK(has(answer, "rabbitmq: unavailable\ndegraded\n"));
    wk_health_dep(h, WK_DEP_S3, 0);
    CHECK(has(ask(request), "503 "));
    CHECK(has(answer, "s3: unavailable\nunavailable\n"));
    wk_health_dep(h, WK_DEP_S3, 1);
    wk_health_dep(h, WK_DEP_RABBITMQ, 1);
    wk_health_dep(h, WK_DEP_POSTGRES, 0);
    CHECK(has(ask(request), "503 "));
}

static void test_wk_health_metrics_count(wk_health_t *h)
{
    wk_health_count(h, WK_C_JOBS_CLAIMED, 2);
    wk_health_count(h, WK_C_JOBS_CLAIMED, 3);
    wk_health_count(NULL, WK_C_JOBS_CLAIMED, 3);
    wk_health_dep(NULL, WK_DEP_S3, 1);
    CHECK(has(ask("GET /metrics HTTP/1.1\r\n\r\n"),
              "\nngx_media_worker_jobs_claimed_total{svc=\"test-svc\"} 5\n"));
    CHECK(has(answer, "# TYPE ngx_media_worker_mails_sent_total counter\n"));
    CHECK(has(answer, "dependency_up{svc=\"test-svc\",dependency=\"s3\"} 1\n"));
}

static void test_wk_health_silent_client_does_not_block(void)
{
    int silent = dial();
    int64_t start_ms = wk_mono_ms();

    CHECK(has(ask("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
    CHECK(wk_mono_ms() - start_ms < 3000);
    close(silent);
}

static void test_wk_health_oversized_request_is_dropped(void)
{
    static char big[8192];

    memset(big, 'a', sizeof(big) - 1);
    CHECK_STR(ask(big), "");
    CHECK(has(ask("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
}

static void test_wk_health_taken_port_fails(wk_conf_t *conf)
{
    wk_conf_t other = *conf;

    (void)wk_fmt(addr, sizeof(addr), "127.0.0.1:%d", port);
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
    test_wk_health_metrics_count(h);
    test_wk_health_silent_client_does_not_block();
    test_wk_health_oversized_request_is_dropped();
    test_wk_health_taken_port_fails(&conf);
    wk_health_stop(h);
    CHECK(access(file, F_OK) != 0);
    return test_report();
}
