/* wk_amqp against a real broker (AMQP_URL). Uses the queues `long` and `dead`, which are emptied:
 * not for a broker in use. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include "tcp_proxy.h"
#include "test.h"
#include "wk_amqp.h"
#include "wk_log.h"

#define JOB_A "0193a000-0000-7000-8000-00000000000a"
#define JOB_B "0193a000-0000-7000-8000-00000000000b"

static struct amqp_connection_info info;
static char info_text[1024];
static media_err_t ei;

/* The url with another port. */
static const char *url_at(int port, char *dst, size_t cap)
{
    return wk_fmt(dst, cap, "amqp://%s:%s@127.0.0.1:%d/", info.user, info.password, port);
}

static wk_amqp_t *amqp_at(const char *url)
{
    return wk_amqp_new((wk_secret_t){.name = "AMQP_URL", .value = url});
}

static media_str_t message(const char *job, char *dst, size_t cap)
{
    media_jobmsg_t m = {.request_id = "req-1", .traceparent = ""};
    ssize_t n;

    memcpy(m.job_id, job, MEDIA_UUID_LEN + 1);
    n = media_jobmsg_write(&m, dst, cap);
    CHECK(n > 0);
    return (media_str_t){dst, n > 0 ? (size_t)n : 0};
}

static int publish(wk_amqp_t *a, const char *queue, const char *job)
{
    char body[512];

    return wk_amqp_publish(a, queue, message(job, body, sizeof(body)), &ei);
}

/* Waits and acknowledges until nothing comes; returns how many came. */
static int drain(wk_amqp_t *a, enum media_queue q)
{
    media_jobmsg_t m;
    int n = 0;

    while (wk_amqp_wait(a, q, 300, -1, &m) == 0) {
        CHECK_INT(wk_amqp_ack(a), 0);
        n++;
    }
    return n;
}

/* A connection of librabbitmq's own, to do what wk_amqp does not offer. */
static amqp_connection_state_t raw_open(void)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);

    CHECK_INT(amqp_socket_open(s, info.host, info.port), 0);
    CHECK_INT(amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password)
                  .reply_type,
              AMQP_RESPONSE_NORMAL);
    amqp_channel_open(c, 1);
    return c;
}

static void raw_close(amqp_connection_state_t c)
{
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
}

static void test_wk_amqp_message_travels_and_is_acked(wk_amqp_t *a)
{
    media_jobmsg_t m = {0};

    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_STR(m.job_id, JOB_A);
    CHECK_STR(m.request_id, "req-1");
    CHECK_INT(wk_amqp_ack(a), 0);
    CHECK_INT(wk_amqp_ack(a), MEDIA_E_RETRY); /* nothing is held */
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 200, -1, &m), MEDIA_E_AGAIN);
}

static void test_wk_amqp_wait_ends_in_time(wk_amqp_t *a)
{
    int64_t start_ms = wk_mono_ms();
    int fd = eventfd(1, 0);
    media_jobmsg_t m;

    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 700, -1, &m), MEDIA_E_AGAIN);
    CHECK(wk_mono_ms() - start_ms >= 650);
    CHECK(wk_mono_ms() - start_ms < 3000);
    start_ms = wk_mono_ms();
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 60000, fd, &m), MEDIA_E_AGAIN);
    CHECK(wk_mono_ms() - start_ms < 3000);
    close(fd);
}

static void test_wk_amqp_busy_worker_holds_one_message(wk_amqp_t *a, wk_amqp_t *b)
{
    media_jobmsg_t m;

    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(publish(a, "long", JOB_B), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_STR(m.job_id, JOB_A);
    CHECK_INT(wk_amqp_wait(b, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_STR(m.job_id, JOB_B);
    CHECK_INT(publish(a, "dead", JOB_A), 0); /* publishing while a message is held */
    wk_amqp_tick(a);
    CHECK_INT(wk_amqp_ack(a), 0);
    CHECK_INT(wk_amqp_ack(b), 0);
    CHECK_INT(drain(a, MEDIA_QUEUE_LONG), 0);
    CHECK_INT(drain(a, MEDIA_QUEUE_DEAD), 1);
}

static void test_wk_amqp_unacked_message_comes_again(wk_amqp_t *a, const char *url)
{
    wk_amqp_t *dying = amqp_at(url);
    media_jobmsg_t m;

    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(wk_amqp_wait(dying, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 300, -1, &m), MEDIA_E_AGAIN);
    wk_amqp_free(dying);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_STR(m.job_id, JOB_A);
    CHECK_INT(wk_amqp_ack(a), 0);
}

static void test_wk_amqp_unknown_queue_is_rejected(wk_amqp_t *a)
{
    CHECK_INT(publish(a, "nowhere", JOB_A), MEDIA_E_REJECT);
    CHECK(strstr(ei.text, "nowhere") != NULL);
    CHECK(wk_amqp_ready(a));
}

static void test_wk_amqp_deleted_queue_is_made_again(wk_amqp_t *a)
{
    amqp_connection_state_t c = raw_open();
    media_jobmsg_t m;

    CHECK(amqp_queue_delete(c, 1, amqp_cstring_bytes("media.long"), 0, 0) != NULL);
    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_INT(wk_amqp_ack(a), 0);
    /* consuming finds it missing: reconnects and declares */
    CHECK(amqp_queue_delete(c, 1, amqp_cstring_bytes("media.long"), 0, 0) != NULL);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 300, -1, &m), MEDIA_E_RETRY);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 300, -1, &m), MEDIA_E_AGAIN);
    raw_close(c);
}

static void test_wk_amqp_bad_message_is_dropped(wk_amqp_t *a)
{
    static char big[300000];
    amqp_connection_state_t c = raw_open();
    amqp_bytes_t bodies[] = {amqp_cstring_bytes("not json"), amqp_empty_bytes, {sizeof(big), big}};
    media_jobmsg_t m;

    memset(big, 'x', sizeof(big));
    for (int i = 0; i < 3; i++) {
        CHECK_INT(amqp_basic_publish(c, 1, amqp_cstring_bytes("media"), amqp_cstring_bytes("long"),
                                     0, 0, NULL, bodies[i]),
                  0);
    }
    raw_close(c);
    CHECK_INT(publish(a, "long", JOB_B), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    CHECK_STR(m.job_id, JOB_B);
    CHECK_INT(wk_amqp_ack(a), 0);
    CHECK_INT(drain(a, MEDIA_QUEUE_LONG), 0);
}

static void test_wk_amqp_publish_is_persistent_with_headers(wk_amqp_t *a)
{
    amqp_connection_state_t c = raw_open();
    amqp_message_t m;
    int found = 0;

    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(amqp_basic_get(c, 1, amqp_cstring_bytes("media.long"), 1).reply.id,
              AMQP_BASIC_GET_OK_METHOD);
    CHECK_INT(amqp_read_message(c, 1, &m, 0).reply_type, AMQP_RESPONSE_NORMAL);
    CHECK_INT(m.properties.delivery_mode, 2);
    for (int i = 0; i < m.properties.headers.num_entries; i++) {
        const amqp_table_entry_t *e = &m.properties.headers.entries[i];
        if (e->key.len == 12 && memcmp(e->key.bytes, "x-request-id", 12) == 0) {
            CHECK_MEM(e->value.value.bytes.bytes, e->value.value.bytes.len, "req-1");
            found++;
        }
    }
    CHECK_INT(found, 1);
    amqp_destroy_message(&m);
    raw_close(c);
}

static void test_wk_amqp_no_broker_is_retry_in_time(void)
{
    char url[256];
    int port, fd = proxy_listen(&port);
    int64_t start_ms = wk_mono_ms();
    media_jobmsg_t m;
    wk_amqp_t *a;

    close(fd);
    a = amqp_at(url_at(port, url, sizeof(url)));
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "RabbitMQ: connect") == ei.text);
    CHECK(strstr(ei.text, info.password) == NULL);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 800, -1, &m), MEDIA_E_RETRY);
    CHECK(wk_mono_ms() - start_ms >= 750);
    CHECK(wk_mono_ms() - start_ms < 4000);
    wk_amqp_tick(a);
    wk_amqp_free(a);
    a = amqp_at(NULL);
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 100, -1, &m), MEDIA_E_RETRY);
    wk_amqp_free(a);
    wk_amqp_free(NULL);
}

static void put_line(const char *path, const char *line)
{
    FILE *f = fopen(path, "w");

    fprintf(f, "%s\n", line);
    fclose(f);
}

/* A file is read at each connection: an exchanged password needs no other worker. */
static void test_wk_amqp_url_of_a_file_is_read_again(const char *url)
{
    char path[] = "/tmp/test_wk_amqp.XXXXXX", wrong[256], want[80];
    wk_amqp_t *a = wk_amqp_new((wk_secret_t){.name = "AMQP_URL", .file = path});
    int64_t end_ms = wk_mono_ms() + 10000;

    close(mkstemp(path));
    (void)unlink(path);
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY);
    (void)wk_fmt(want, sizeof(want), "RabbitMQ: connect: AMQP_URL_FILE: %s: No such file", path);
    CHECK(strstr(ei.text, want) == ei.text);
    put_line(path,
             wk_fmt(wrong, sizeof(wrong), "amqp://%s:hunter2@127.0.0.1:%d/", info.user, info.port));
    while (publish(a, "long", JOB_A) != 0 && strstr(ei.text, "login") == NULL &&
           wk_mono_ms() < end_ms) {
        (void)poll(NULL, 0, 50);
    }
    CHECK(strstr(ei.text, "login") != NULL);
    CHECK(strstr(ei.text, "hunter2") == NULL);
    put_line(path, url);
    while (publish(a, "long", JOB_A) != 0 && wk_mono_ms() < end_ms) {
        (void)poll(NULL, 0, 50);
    }
    CHECK(wk_amqp_ready(a));
    (void)drain(a, MEDIA_QUEUE_LONG);
    wk_amqp_free(a);
    (void)unlink(path);
}

static void test_wk_amqp_wrong_password_is_retry_without_it(void)
{
    wk_amqp_t *a;
    char url[256];

    (void)wk_fmt(url, sizeof(url), "amqp://%s:hunter2@127.0.0.1:%d/", info.user, info.port);
    a = amqp_at(url);
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "login") != NULL);
    CHECK(strstr(ei.text, "hunter2") == NULL);
    wk_amqp_free(a);
}

static void test_wk_amqp_cut_connection_recovers(proxy_t *proxy, wk_amqp_t *a)
{
    media_jobmsg_t m;

    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0);
    atomic_store(&proxy->mode, PROXY_CUT);
    (void)poll(NULL, 0, 100);
    wk_amqp_tick(a);
    CHECK(!wk_amqp_ready(a));
    CHECK_INT(wk_amqp_ack(a), MEDIA_E_RETRY);
    atomic_store(&proxy->mode, PROXY_PASS);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 5000, -1, &m), 0); /* it comes again */
    CHECK_INT(wk_amqp_ack(a), 0);
    atomic_store(&proxy->mode, PROXY_CUT);
    (void)poll(NULL, 0, 100);
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY);
    atomic_store(&proxy->mode, PROXY_PASS);
    CHECK_INT(publish(a, "long", JOB_A), 0);
    CHECK_INT(drain(a, MEDIA_QUEUE_LONG), 1);
}

static void test_wk_amqp_frozen_broker_is_given_up(proxy_t *proxy, wk_amqp_t *a)
{
    int64_t start_ms;
    media_jobmsg_t m;

    CHECK_INT(publish(a, "dead", JOB_A), 0);
    atomic_store(&proxy->mode, PROXY_FREEZE);
    (void)poll(NULL, 0, 100);
    start_ms = wk_mono_ms();
    CHECK_INT(publish(a, "long", JOB_A), MEDIA_E_RETRY); /* no confirm */
    CHECK(wk_mono_ms() - start_ms < 8000);
    CHECK(!wk_amqp_ready(a));
    start_ms = wk_mono_ms();
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_LONG, 1000, -1, &m), MEDIA_E_RETRY); /* no handshake */
    CHECK(wk_mono_ms() - start_ms < 8000);
    atomic_store(&proxy->mode, PROXY_PASS);
    CHECK_INT(wk_amqp_wait(a, MEDIA_QUEUE_DEAD, 5000, -1, &m), 0);
    CHECK_INT(wk_amqp_ack(a), 0);
    (void)drain(a, MEDIA_QUEUE_LONG);
}

static void with_proxy(void)
{
    char url[256];
    proxy_t proxy;
    wk_amqp_t *a;

    CHECK_INT(proxy_start(&proxy, "127.0.0.1", info.port), 0);
    a = amqp_at(url_at(proxy.port, url, sizeof(url)));
    test_wk_amqp_cut_connection_recovers(&proxy, a);
    test_wk_amqp_frozen_broker_is_given_up(&proxy, a);
    wk_amqp_free(a);
    proxy_stop(&proxy);
}

int main(void)
{
    const char *url = getenv("AMQP_URL");
    wk_amqp_t *a, *b;

    if (url == NULL) {
        printf("skipped: AMQP_URL is not set\n");
        return 77;
    }
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)wk_fmt(info_text, sizeof(info_text), "%s", url);
    CHECK_INT(amqp_parse_url(info_text, &info), 0);
    a = amqp_at(url);
    b = amqp_at(url);
    CHECK(!wk_amqp_ready(a));
    (void)drain(a, MEDIA_QUEUE_LONG);
    (void)drain(a, MEDIA_QUEUE_DEAD);
    CHECK(wk_amqp_ready(a));
    test_wk_amqp_message_travels_and_is_acked(a);
    test_wk_amqp_wait_ends_in_time(a);
    test_wk_amqp_busy_worker_holds_one_message(a, b);
    test_wk_amqp_unacked_message_comes_again(a, url);
    test_wk_amqp_unknown_queue_is_rejected(a);
    test_wk_amqp_deleted_queue_is_made_again(a);
    test_wk_amqp_bad_message_is_dropped(a);
    test_wk_amqp_publish_is_persistent_with_headers(a);
    test_wk_amqp_no_broker_is_retry_in_time();
    test_wk_amqp_wrong_password_is_retry_without_it();
    test_wk_amqp_url_of_a_file_is_read_again(url);
    if (strcmp(info.host, "127.0.0.1") == 0 || strcmp(info.host, "localhost") == 0) {
        with_proxy();
    }
    wk_amqp_free(b);
    wk_amqp_free(a);
    return test_report();
}
