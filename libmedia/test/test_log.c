#include "test.h"

#include <jansson.h>

#include "media/err.h"
#include "media/log.h"

static void test_log_line_is_one_json_object(void)
{
    static const char *const kv[] = {"job", "j\"1", "cause", NULL, "n\n", "\xff\n", NULL};
    media_buf_t b;
    media_buf_init(&b, 1000);
    CHECK_INT(
        media_log_line(&b, MEDIA_LOG_WARN, 1700000000001, "janitor", "lease \"ran\" out\n", kv), 0);
    CHECK_STR(
        b.p,
        "{\"ts\":\"2023-11-14T22:13:20.001Z\",\"level\":\"warn\",\"msg\":\"lease \\\"ran\\\" "
        "out\\n\","
        "\"svc\":\"janitor\",\"job\":\"j\\\"1\",\"cause\":null,\"n\\n\":\"\xef\xbf\xbd\\n\"}\n");
    json_t *v = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(v != NULL);
    json_decref(v);
    media_buf_free(&b);
}

static void test_log_line_without_pairs(void)
{
    media_buf_t b;
    media_buf_init(&b, 1000);
    CHECK_INT(media_log_line(&b, MEDIA_LOG_DEBUG, 0, "x", "y", NULL), 0);
    CHECK_STR(
        b.p,
        "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"debug\",\"msg\":\"y\",\"svc\":\"x\"}\n");
    media_buf_free(&b);
    media_buf_init(&b, 20);
    CHECK_INT(media_log_line(&b, MEDIA_LOG_DEBUG, 0, "x", "y", NULL), MEDIA_E_TOOBIG);
    media_buf_free(&b);
}

static void test_log_level_parse(void)
{
    CHECK_INT(media_log_level_parse(MEDIA_STR("debug")), MEDIA_LOG_DEBUG);
    CHECK_INT(media_log_level_parse(MEDIA_STR("info")), MEDIA_LOG_INFO);
    CHECK_INT(media_log_level_parse(MEDIA_STR("warn")), MEDIA_LOG_WARN);
    CHECK_INT(media_log_level_parse(MEDIA_STR("error")), MEDIA_LOG_ERROR);
    CHECK_INT(media_log_level_parse(MEDIA_STR("INFO")), MEDIA_E_REJECT);
    CHECK_INT(media_log_level_parse(MEDIA_STR("")), MEDIA_E_REJECT);
}

int main(void)
{
    test_log_line_is_one_json_object();
    test_log_line_without_pairs();
    test_log_level_parse();
    return test_report();
}
