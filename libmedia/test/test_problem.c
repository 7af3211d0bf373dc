#include "test.h"

#include <jansson.h>

#include "media/err.h"
#include "media/problem.h"

static void test_problem_table_round_trips(void)
{
    for (int i = 0; i < MEDIA_PROBLEM_COUNT; i++) {
        const media_problem_t *p = media_problem_get((enum media_problem)i);
        CHECK(p->status >= 400 && p->status < 600);
        CHECK_INT(media_problem_parse(media_str(p->code)), i);
    }
    CHECK_STR(media_problem_get(MEDIA_PROBLEM_NOT_READY)->code, "not_ready");
    CHECK_INT(media_problem_get(MEDIA_PROBLEM_STORAGE_FULL)->status, 507);
    CHECK_INT(media_problem_parse(MEDIA_STR("no_such_code")), MEDIA_E_REJECT);
    CHECK_INT(media_problem_parse(MEDIA_STR("")), MEDIA_E_REJECT);
}

static void test_problem_write_all_members(void)
{
    media_buf_t b;
    media_buf_init(&b, 1000);
    CHECK_INT(media_problem_write(&b, 413, MEDIA_STR("quota_exceeded"), MEDIA_STR("T"),
                                  MEDIA_STR("d\"\r\n<"), MEDIA_STR("/upload"), MEDIA_STR("r1"),
                                  ",\"used\":1,\"limit\":2"),
              0);
    CHECK_STR(
        b.p, "{\"type\":\"about:blank\",\"title\":\"T\",\"status\":413,\"detail\":\"d\\\"\\r\\n<\","
             "\"instance\":\"/"
             "upload\",\"code\":\"quota_exceeded\",\"request_id\":\"r1\",\"used\":1,\"limit\":2}");
    json_t *v = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(v != NULL);
    json_decref(v);
    media_buf_free(&b);
}

static void test_problem_write_leaves_out_what_is_empty(void)
{
    media_buf_t b;
    media_buf_init(&b, 1000);
    media_problem_write(&b, 404, MEDIA_STR("not_found"), MEDIA_STR("Not found"), MEDIA_STR_NULL,
                        MEDIA_STR_NULL, MEDIA_STR_NULL, NULL);
    CHECK_STR(
        b.p,
        "{\"type\":\"about:blank\",\"title\":\"Not found\",\"status\":404,\"code\":\"not_found\"}");
    media_buf_free(&b);
    media_buf_init(&b, 30);
    CHECK_INT(media_problem_write(&b, 404, MEDIA_STR("a"), MEDIA_STR("b"), MEDIA_STR("c"),
                                  MEDIA_STR("d"), MEDIA_STR("e"), NULL),
              MEDIA_E_TOOBIG);
    media_buf_free(&b);
}

int main(void)
{
    test_problem_table_round_trips();
    test_problem_write_all_members();
    test_problem_write_leaves_out_what_is_empty();
    return test_report();
}
