/* wk_log: stderr is redirected to a file and read back. */
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "test.h"
#include "wk_log.h"

static char path[] = "/tmp/test_wk_log.XXXXXX";
static int saved_stderr;

static void capture(void)
{
    int fd = mkstemp(path);

    saved_stderr = dup(2);
    dup2(fd, 2);
    close(fd);
}

/* Everything logged since the last call; to be freed. */
static char *captured(void)
{
    char *text = test_read(path, NULL);

    CHECK_INT(ftruncate(2, 0), 0);
    CHECK_INT(lseek(2, 0, SEEK_SET), 0);
    return text;
}

static void test_wk_log_line_is_json_with_pairs(void)
{
    char *text;
    json_t *o;

    wk_log_init("svc-x", MEDIA_LOG_INFO);
    wk_log(MEDIA_LOG_WARN, "hello \"you\"", "job", "7", "evil", "a\nb\x01", NULL);
    text = captured();
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
    o = json_loads(text, 0, NULL);
    CHECK_STR(json_string_value(json_object_get(o, "msg")), "hello \"you\"");
    CHECK_STR(json_string_value(json_object_get(o, "svc")), "svc-x");
    CHECK_STR(json_string_value(json_object_get(o, "level")), "warn");
    CHECK_STR(json_string_value(json_object_get(o, "job")), "7");
    CHECK_STR(json_string_value(json_object_get(o, "evil")), "a\nb\x01");
    json_decref(o);
    free(text);
}

static void test_wk_log_below_threshold_writes_nothing(void)
{
    char *text;

    wk_log_init("svc", MEDIA_LOG_WARN);
    wk_log(MEDIA_LOG_INFO, "quiet", NULL);
    wk_log(MEDIA_LOG_DEBUG, "quiet", NULL);
    text = captured();
    CHECK_STR(text, "");
    free(text);
    wk_log(MEDIA_LOG_WARN, "loud", NULL);
    text = captured();
    CHECK(strstr(text, "loud") != NULL);
    free(text);
}

static void test_wk_log_too_long_keeps_the_message(void)
{
    static char big[40000];
    char *text;
    json_t *o;

    memset(big, 'x', sizeof(big) - 1);
    wk_log_init("svc", MEDIA_LOG_INFO);
    wk_log(MEDIA_LOG_INFO, "short", "big", big, NULL);
    text = captured();
    o = json_loads(text, 0, NULL);
    CHECK_STR(json_string_value(json_object_get(o, "msg")), "short");
    CHECK(json_object_get(o, "big") == NULL);
    json_decref(o);
    free(text);
}

static void *writer(void *arg)
{
    char n[16];

    for (int i = 0; i < 200; i++) {
        wk_log(MEDIA_LOG_INFO, "line", "who", arg, "n", wk_fmt(n, sizeof(n), "%d", i), NULL);
    }
    return NULL;
}

static void test_wk_log_threads_do_not_mix(void)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t t[4];
    int good = 0;
    char *text;

    wk_log_init("svc", MEDIA_LOG_INFO);
    CHECK_INT(fcntl(2, F_SETFL, O_APPEND), 0);
    for (int i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, writer, names[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
    }
    text = captured();
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        good += o != NULL;
        json_decref(o);
    }
    CHECK_INT(good, 800);
    free(text);
}

static void test_wk_log_fmt_and_clocks(void)
{
    char dst[4];
    int64_t a = wk_mono_ms();

    CHECK_STR(wk_fmt(dst, sizeof(dst), "%d", 123456), "123");
    CHECK(wk_mono_ms() >= a);
    CHECK(wk_now_ms() > 1600000000000);
}

int main(void)
{
    capture();
    test_wk_log_line_is_json_with_pairs();
    test_wk_log_below_threshold_writes_nothing();
    test_wk_log_too_long_keeps_the_message();
    test_wk_log_threads_do_not_mix();
    test_wk_log_fmt_and_clocks();
    dup2(saved_stderr, 2);
    unlink(path);
    return test_report();
}
