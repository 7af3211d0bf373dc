/* A job's life in the database: claim, lease, output, commit; with the database away in between.
 * Needs PG* (TCP) of a server where databases may be created; outputs also need AWS_ENDPOINT_URL.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "scratch_db.h"
#include "tcp_proxy.h"
#include "wk_runner.h"

#define MEDIA_ID "0193a000-0000-7000-8000-0000000000%02x"

static wk_conf_t conf = {.worker_name = "test:1", .lease_s = 3, .drain_s = 0};
static const wk_engine_t engine = {.name = "test", .queue = MEDIA_QUEUE_SHORT, .steps = "{audio}"};
static wk_runner_t runner;
static proxy_t proxy;
static char port[16]; /* of the server itself */

/* An upload with one job of the audio pipeline, claimed. */
static void claim(wk_job_t *job)
{
    static int n;
    char id[64];
    int rc;

    (void)wk_fmt(id, sizeof(id), MEDIA_ID, (unsigned)++n);
    scratch_upload(id);
    /* after an outage the connection's back-off passes first */
    for (int i = 0; (rc = wk_job_claim(&runner, job)) == MEDIA_E_RETRY && i < 100; i++) {
        (void)poll(NULL, 0, 100);
    }
    CHECK_INT(rc, 0);
    CHECK_STR(job->media_id, id);
}

static const char *state(const wk_job_t *job)
{
    return scratch_sql("SELECT state FROM media.jobs WHERE id = '%s'", job->id);
}

static wk_outcome_t outcome(const char *code)
{
    wk_outcome_t out = {0};

    (void)wk_fmt(out.code, sizeof(out.code), "%s", code);
    (void)wk_fmt(out.detail, sizeof(out.detail), "A cause.");
    return out;
}

static void test_wk_job_claim_fills_the_job(void)
{
    wk_outcome_t out = outcome("no_audio");
    char key[128];
    wk_job_t job, none;

    claim(&job);
    CHECK_STR(job.step, "audio");
    CHECK_STR(job.name, "Film.mp4");
    CHECK_STR(job.request_id, "req-7");
    CHECK_STR(job.traceparent, "00-trace");
    CHECK_STR(job.object_key, wk_fmt(key, sizeof(key), "media/%s/original", job.media_id));
    CHECK_INT(job.size, 100);
    CHECK_INT(job.attempt, 1);
    CHECK_INT(json_integer_value(json_object_get(job.params, "bitrate")), 128);
    CHECK_STR(json_string_value(json_object_get(job.params, "format")), "mp3");
    CHECK_INT(wk_job_claim(&runner, &none), MEDIA_E_AGAIN);
    CHECK_STR(wk_job_commit(&runner, &job, WK_REJECT, &out), "failed");
    CHECK_STR(state(&job), "failed");
    CHECK_STR(scratch_sql("SELECT error_code FROM media.jobs WHERE id = '%s'", job.id), "no_audio");
    wk_job_clear(&job);
}

static void test_wk_job_finish_is_idempotent(void)
{
    wk_outcome_t out = {.result = json_pack("{s:[],s:{}}", "outputs", "probe")};
    wk_job_t job;

    claim(&job);
    CHECK_STR(wk_job_commit(&runner, &job, WK_DONE, &out), "ok");
    CHECK_STR(wk_job_commit(&runner, &job, WK_DONE, &out), "ok");
    CHECK_STR(state(&job), "succeeded");
    json_decref(out.result);
    wk_job_clear(&job);
}

static void test_wk_job_refused_result_is_a_failed_attempt(void)
{
    wk_outcome_t out = {.result = json_pack("{s:s}", "outputs", "no list")};
    wk_job_t job;

    claim(&job);
    CHECK_STR(wk_job_commit(&runner, &job, WK_DONE, &out), "retried");
    CHECK_STR(state(&job), "queued");
    (void)scratch_sql("UPDATE media.jobs SET state = 'canceled' WHERE id = '%s'", job.id);
    json_decref(out.result);
    wk_job_clear(&job);
}

static void test_wk_job_lost_fence_writes_nothing(void)
{
    wk_outcome_t out = {.result = json_pack("{s:[]}", "outputs")};
    wk_job_t job;

    claim(&job);
    (void)scratch_sql("UPDATE media.jobs SET fence = fence + 1 WHERE id = '%s'", job.id);
    CHECK_STR(wk_job_commit(&runner, &job, WK_DONE, &out), "lost");
    CHECK_STR(state(&job), "running");
    runner.next_beat_ms = 0;
    CHECK_INT(wk_job_beat(&runner.ctx, &job, 0.5, 1), MEDIA_E_GONE);
    CHECK_INT(wk_job_beat(&runner.ctx, &job, 0.5, 1), MEDIA_E_GONE);
    (void)scratch_sql(
        "UPDATE media.jobs SET state = 'canceled', lease_until = NULL WHERE id = '%s'", job.id);
    json_decref(out.result);
    wk_job_clear(&job);
}

static void test_wk_job_beat_renews_and_tells_progress(void)
{
    wk_outcome_t out = outcome("x");
    int64_t before_ms;
    wk_job_t job;

    claim(&job);
    before_ms = runner.lease_until_ms;
    runner.next_beat_ms = 0;
    (void)poll(NULL, 0, 20);
    CHECK_INT(wk_job_beat(&runner.ctx, &job, 0.25, 12), 0);
    CHECK(runner.lease_until_ms > before_ms);
    CHECK_STR(scratch_sql("SELECT progress || ' ' || eta_seconds FROM media.jobs WHERE id = '%s'",
                          job.id),
              "0.25 12");
    CHECK_STR(wk_job_commit(&runner, &job, WK_RELEASE, &out), "ok");
    CHECK_STR(scratch_sql("SELECT state || attempt FROM media.jobs WHERE id = '%s'", job.id),
              "queued0");
    (void)scratch_sql("UPDATE media.jobs SET state = 'canceled' WHERE id = '%s'", job.id);
    wk_job_clear(&job);
}

static void test_wk_job_canceled_ends_the_beat(void)
{
    wk_job_t job;

    claim(&job);
    CHECK_STR(scratch_sql("SELECT code FROM media.ctl_job_cancel('%s')", job.id), "ok");
    runner.next_beat_ms = 0;
    CHECK_INT(wk_job_beat(&runner.ctx, &job, -1, -1), MEDIA_E_GONE);
    wk_job_clear(&job);
}

/* The database is away: no failure while the lease holds, the end of the job after it. */
static void test_wk_job_outage_within_the_lease_is_no_failure(void)
{
    int64_t started_ms;
    wk_job_t job;
    int rc = 0;

    claim(&job);
    started_ms = wk_mono_ms();
    atomic_store(&proxy.mode, PROXY_CUT);
    while (wk_mono_ms() - started_ms < 20000) {
        rc = wk_job_beat(&runner.ctx, &job, 0.5, -1);
        if (rc != 0) {
            break;
        }
        (void)poll(NULL, 0, 100);
    }
    CHECK_INT(rc, MEDIA_E_GONE);
    CHECK(wk_mono_ms() - started_ms >= conf.lease_s * 1000 - 500);
    CHECK(wk_mono_ms() - started_ms < conf.lease_s * 1000 + 13000);
    atomic_store(&proxy.mode, PROXY_PASS);
    (void)scratch_sql(
        "UPDATE media.jobs SET state = 'canceled', lease_until = NULL WHERE id = '%s'", job.id);
    wk_job_clear(&job);
}

static void *heal(void *data)
{
    (void)poll(NULL, 0, 1000);
    atomic_store(&proxy.mode, PROXY_PASS);
    return data;
}

static void test_wk_job_finish_waits_for_the_database(void)
{
    wk_outcome_t out = {.result = json_pack("{s:[],s:{}}", "outputs", "probe")};
    pthread_t healer;
    wk_job_t job;

    claim(&job);
    atomic_store(&proxy.mode, PROXY_CUT);
    CHECK_INT(pthread_create(&healer, NULL, heal, NULL), 0);
    CHECK_STR(wk_job_commit(&runner, &job, WK_DONE, &out), "ok");
    CHECK_INT(pthread_join(healer, NULL), 0);
    CHECK_STR(state(&job), "succeeded");
    json_decref(out.result);
    wk_job_clear(&job);
}

static void test_wk_job_drain_gives_back(void)
{
    wk_outcome_t out = {0};
    wk_job_t job;

    claim(&job);
    CHECK_INT(wk_stopping(&runner), 0);
    CHECK_INT(eventfd_write(runner.ctx.stop_fd, 1), 0);
    CHECK_INT(wk_job_beat(&runner.ctx, &job, 0.5, 1), MEDIA_E_AGAIN); /* drain_s is 0 */
    CHECK_STR(wk_job_commit(&runner, &job, WK_RELEASE, &out), "ok");
    CHECK_STR(state(&job), "queued");
    (void)scratch_sql("UPDATE media.jobs SET state = 'canceled' WHERE id = '%s'", job.id);
    runner.stopped_ms = 0;
    wk_job_clear(&job);
}

static void test_wk_job_output_is_registered_and_stored(void)
{
    json_t *outputs = json_array(), *o;
    int fd = memfd_create("out", MFD_CLOEXEC);
    media_err_t ei = {""};
    const char *key;
    char back[8], prefix[64];
    wk_job_t job;

    if (conf.s3[MEDIA_STORE_INPUT].endpoint == NULL) {
        printf("no AWS_ENDPOINT_URL: outputs not tested\n");
        json_decref(outputs);
        return;
    }
    claim(&job);
    CHECK_STR(job.prefix, "");
    (void)wk_fmt(job.prefix, sizeof(job.prefix), "of/anna/");
    conf.s3[MEDIA_STORE_OUTPUT].prefix = "made/";
    CHECK_INT(write(fd, "sound", 5), 5);
    CHECK_INT(
        wk_job_output(&runner.ctx, &job, fd, 5,
                      json_pack("{s:s,s:s}", "name", "audio.mp3", "content_type", "audio/mpeg"),
                      outputs, &ei),
        0);
    o = json_array_get(outputs, 0);
    key = json_string_value(json_object_get(o, "object_key"));
    (void)wk_fmt(prefix, sizeof(prefix), "made/of/anna/media/%s/", job.media_id);
    CHECK(strncmp(key, prefix, strlen(prefix)) == 0); /* as their original, behind our own */
    conf.s3[MEDIA_STORE_OUTPUT].prefix = NULL;
    CHECK_INT(json_integer_value(json_object_get(o, "size")), 5);
    CHECK(strlen(json_string_value(json_object_get(o, "etag"))) >= 32);
    CHECK_STR(json_string_value(json_object_get(o, "sha256")),
              "dd29442deca69f52c50006b831cb216edf78a7da33748f0a80ff19f2ebe57ecd");
    CHECK_STR(scratch_sql("SELECT state FROM media.objects WHERE object_key = '%s'", key),
              "pending");
    CHECK_INT(wk_s3_get_range(runner.ctx.s3, key, 0, 8, back, &ei), 5);

    (void)scratch_sql("UPDATE media.jobs SET fence = fence + 1 WHERE id = '%s'", job.id);
    CHECK_INT(wk_job_output(&runner.ctx, &job, fd, 5,
                            json_pack("{s:s,s:s}", "name", "b.mp3", "content_type", "audio/mpeg"),
                            outputs, &ei),
              MEDIA_E_GONE);
    CHECK_INT(json_array_size(outputs), 1);
    (void)wk_s3_delete(runner.ctx.s3, key, &ei);
    (void)scratch_sql(
        "UPDATE media.jobs SET state = 'canceled', lease_until = NULL WHERE id = '%s'", job.id);
    json_decref(outputs);
    wk_job_clear(&job);
    (void)close(fd);
}

/* The worker's own connection goes through a proxy that can cut it. */
static void open_runner(void)
{
    char text[16];
    wk_pg_result_t *res = NULL;

    CHECK_INT(proxy_start(&proxy, "127.0.0.1", (int)strtol(port, NULL, 10)), 0);
    setenv("PGPORT", wk_fmt(text, sizeof(text), "%d", proxy.port), 1);
    conf.s3[MEDIA_STORE_INPUT].endpoint = getenv("AWS_ENDPOINT_URL");
    conf.s3[MEDIA_STORE_INPUT].access_key = getenv("AWS_ACCESS_KEY_ID");
    conf.s3[MEDIA_STORE_INPUT].secret_key = getenv("AWS_SECRET_ACCESS_KEY");
    conf.s3[MEDIA_STORE_INPUT].region =
        getenv("AWS_REGION") != NULL ? getenv("AWS_REGION") : "us-east-1";
    conf.s3[MEDIA_STORE_INPUT].bucket =
        getenv("MEDIA_S3_BUCKET") != NULL ? getenv("MEDIA_S3_BUCKET") : "media";
    runner.engine = &engine;
    runner.ctx.conf = &conf;
    runner.ctx.pg = wk_pg_new("test");
    runner.ctx.s3 = conf.s3[MEDIA_STORE_INPUT].endpoint != NULL ? wk_s3_new(&conf) : NULL;
    runner.ctx.stop_fd = eventfd(0, EFD_CLOEXEC);
    CHECK_INT(wk_pg_query(runner.ctx.pg, MEDIA_STMT_PING, NULL, &res, NULL), 0);
    wk_pg_result_free(res);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    scratch_open();
    (void)wk_fmt(port, sizeof(port), "%s", getenv("PGPORT") != NULL ? getenv("PGPORT") : "5432");
    wk_log_init("test", MEDIA_LOG_ERROR + 1);
    CHECK_INT(CTL("migrate"), 0);
    open_runner();

    test_wk_job_claim_fills_the_job();
    test_wk_job_finish_is_idempotent();
    test_wk_job_refused_result_is_a_failed_attempt();
    test_wk_job_lost_fence_writes_nothing();
    test_wk_job_beat_renews_and_tells_progress();
    test_wk_job_canceled_ends_the_beat();
    test_wk_job_outage_within_the_lease_is_no_failure();
    test_wk_job_finish_waits_for_the_database();
    test_wk_job_output_is_registered_and_stored();
    test_wk_job_drain_gives_back();

    wk_pg_free(runner.ctx.pg);
    wk_s3_free(runner.ctx.s3);
    (void)close(runner.ctx.stop_fd);
    proxy_stop(&proxy);
    setenv("PGPORT", port, 1);
    scratch_close();
    return test_report();
}
