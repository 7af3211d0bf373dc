#include "test.h"

#include "media/jobmsg.h"

#define JOB "0190c0de-0000-7000-8000-000000000001"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void test_jobmsg_write_equals_the_vector(void)
{
    size_t len;
    char *want = test_read(VECTORS "/jobmsg.json", &len);
    media_jobmsg_t m = {JOB, "req-\"1\\\"", TRACE};
    media_jobmsg_t back;
    char out[512];
    CHECK_INT(media_jobmsg_write(&m, out, sizeof(out)), len);
    CHECK_STR(out, want);
    CHECK_INT(media_jobmsg_write(&m, out, len + 1), len);
    CHECK_INT(media_jobmsg_write(&m, out, len), MEDIA_E_TOOBIG);
    CHECK_INT(media_jobmsg_write(&m, out, 0), MEDIA_E_TOOBIG);
    CHECK_INT(media_jobmsg_read((media_str_t){want, len}, &back, NULL), 0);
    CHECK_STR(back.job_id, m.job_id);
    CHECK_STR(back.request_id, m.request_id);
    CHECK_STR(back.traceparent, m.traceparent);
    free(want);
}

static void test_jobmsg_write_leaves_out_empty_members(void)
{
    media_jobmsg_t m = {JOB, "", ""};
    char out[128];
    CHECK(media_jobmsg_write(&m, out, sizeof(out)) > 0);
    CHECK_STR(out, "{\"v\":1,\"job_id\":\"" JOB "\"}");
    media_jobmsg_t bad = {"7", "", ""};
    CHECK_INT(media_jobmsg_write(&bad, out, sizeof(out)), MEDIA_E_REJECT);
}

static void test_jobmsg_read_takes_null_and_any_order(void)
{
    media_jobmsg_t m;
    CHECK_INT(media_jobmsg_read(
                  MEDIA_STR(" {\"traceparent\":null, \"job_id\":\"" JOB "\", \"v\":1}"), &m, NULL),
              0);
    CHECK_STR(m.job_id, JOB);
    CHECK_STR(m.request_id, "");
    CHECK_STR(m.traceparent, "");
}

static void test_jobmsg_read_refuses(void)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"v\":1}",
        "{\"job_id\":\"" JOB "\"}",
        "{\"v\":2,\"job_id\":\"" JOB "\"}",
        "{\"v\":\"1\",\"job_id\":\"" JOB "\"}",
        "{\"v\":1,\"job_id\":null}",
        "{\"v\":1,\"job_id\":7}",
        "{\"v\":1,\"job_id\":\"" JOB "0\"}",
        "{\"v\":1,\"job_id\":\"0190c0de-0000-7000-8000-00000000000g\"}",
        "{\"v\":1,\"job_id\":\"" JOB "\",\"job_id\":\"" JOB "\"}",
        "{\"v\":1,\"job_id\":\"" JOB "\",\"x\":1}",
        "{\"v\":1,\"job_id\":\"" JOB "\",\"request_id\":1}",
        "{\"v\":1,\"job_id\":\"" JOB "\",\"request_id\":"
        "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
        "{\"v\":1,\"job_id\":\"" JOB "\",\"traceparent\":\"" TRACE "0\"}",
    };
    media_jobmsg_t m;
    media_err_t ei;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ei.text[0] = '\0';
        CHECK_INT(media_jobmsg_read(media_str(bad[i]), &m, &ei), MEDIA_E_REJECT);
        CHECK(ei.text[0] != '\0');
    }
}

static void test_jobmsg_queues(void)
{
    for (int i = 0; i < MEDIA_QUEUE_COUNT; i++) {
        CHECK_INT(media_queue_parse(media_str(media_queue_name((enum media_queue)i))), i);
    }
    CHECK_STR(media_queue_name(MEDIA_QUEUE_NOTIFY), "notify");
    CHECK_INT(media_queue_parse(MEDIA_STR("media.short")), MEDIA_E_REJECT);
}

int main(void)
{
    test_jobmsg_write_equals_the_vector();
    test_jobmsg_write_leaves_out_empty_members();
    test_jobmsg_read_takes_null_and_any_order();
    test_jobmsg_read_refuses();
    test_jobmsg_queues();
    return test_report();
}
