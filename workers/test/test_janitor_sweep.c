/* The janitor's pass against a scratch database and an object store that is scripted here. */
#include <sys/eventfd.h>

#include "scratch_db.h"
#include "sweep.h"

#define USER "0193a000-0000-7000-8000-0000000000a1"

/* ---- the object store: says what it is told to, notes what it was asked ---- */

static int store_ready;          /* what HEAD bucket says */
static int store_delete;         /* what every delete says ... */
static const char *store_broken; /* ... except for this key: refused */
static char store_calls[8192];

static void note(const char *what, const char *key, const char *upload_id)
{
    size_t n = strlen(store_calls);

    (void)snprintf(store_calls + n, sizeof(store_calls) - n, "%s %s%s%s\n", what, key,
                   upload_id[0] != '\0' ? " " : "", upload_id);
}

int wk_s3_ready(wk_s3_t *s, media_err_t *ei)
{
    (void)s;
    return store_ready == 0 ? 0 : media_err_set(ei, store_ready, "the store is away");
}

int wk_s3_abort(wk_s3_t *s, const char *key, const char *upload_id, media_err_t *ei)
{
    (void)s;
    (void)ei;
    note("abort", key, upload_id);
    return 0;
}

int wk_s3_abort_listed(wk_s3_t *s, const char *key, media_err_t *ei)
{
    (void)s;
    (void)ei;
    note("list", key, "");
    return 0;
}

static int deleted(const char *what, const char *key, media_err_t *ei)
{
    note(what, key, "");
    if (store_broken != NULL && strcmp(key, store_broken) == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "refused");
    }
    return store_delete == 0 ? 0 : media_err_set(ei, store_delete, "no answer");
}

int wk_s3_delete(wk_s3_t *s, const char *key, media_err_t *ei)
{
    (void)s;
    return deleted("delete", key, ei);
}

int wk_s3_delete_versions(wk_s3_t *s, const char *key, media_err_t *ei)
{
    (void)s;
    return deleted("versions", key, ei);
}

/* ---- */

static wk_conf_t conf;
static sweep_t sweep;

static int pass(void)
{
    store_calls[0] = '\0';
    return sweep_run(&sweep);
}

static void reset(void)
{
    (void)scratch_sql("TRUNCATE media.users, media.media, media.uploads, media.jobs, media.objects,"
                      " media.outbox, media.sessions CASCADE;"
                      "INSERT INTO media.users (id, email, password_hash) VALUES ('" USER "',"
                      " 'a@b.c', '$y$x')");
    store_ready = store_delete = 0;
    store_broken = NULL;
}

static void doom(const char *key, const char *upload_id)
{
    (void)scratch_sql("INSERT INTO media.objects (object_key, media_id, s3_upload_id, state)"
                      " VALUES ('%s', media.uuid7(), %s%s%s, 'doomed')",
                      key, upload_id != NULL ? "'" : "", upload_id != NULL ? upload_id : "NULL",
                      upload_id != NULL ? "'" : "");
}

static const char *doomed(void)
{
    return scratch_sql("SELECT string_agg(object_key, ',' ORDER BY object_key) FROM media.objects"
                       " WHERE state = 'doomed'");
}

/* A running job whose lease ended a second ago. */
static void lost_job(void)
{
    (void)scratch_sql(
        "INSERT INTO media.media (id, owner_id, name, content_type, size_bytes, sha256, etag,"
        " object_key, pipeline) VALUES (media.uuid7(), '" USER "', 'n', 'video/mp4', 1,"
        " repeat('a', 64), 'e', 'k' || random(), 'audio')");
    (void)scratch_sql("INSERT INTO media.jobs (media_id, owner_id, step, queue, state) SELECT id,"
                      " owner_id, 'audio', 'long', 'queued' FROM media.media");
    (void)scratch_sql("UPDATE media.jobs SET state = 'running', attempt = 1, fence = 1,"
                      " lease_until = now() - interval '1 s'");
}

static const char *job_state(void)
{
    return scratch_sql("SELECT state FROM media.jobs");
}

static void outbox_row(void)
{
    (void)scratch_sql(
        "INSERT INTO media.outbox (queue, job_id, message, created_at) VALUES ('long',"
        " '" USER "', '{\"v\":1,\"job_id\":\"" USER "\"}', now() - interval '1 h')");
}

static const char *outbox_count(void)
{
    return scratch_sql("SELECT count(*) FROM media.outbox");
}

static void test_sweep_doomed_objects_go_in_order(void)
{
    reset();
    doom("a", "up1");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "abort a up1\nlist a\ndelete a\n");
    CHECK_STR(doomed(), "");
    doom("b", NULL);
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "list b\ndelete b\n");
    CHECK_STR(doomed(), "");
}

static void test_sweep_originals_that_are_due_go_in_all_versions(void)
{
    reset();
    (void)scratch_sql(
        "INSERT INTO media.media (id, owner_id, name, content_type, size_bytes, sha256, etag,"
        " object_key, pipeline, state, anonymized, original_due_at) SELECT media.uuid7(), '" USER
        "', 'n', 'video/mp4', 1, repeat('a', 64), 'e', k, 'anonymize', 'ready', true,"
        " now() + d * interval '1 min' FROM (VALUES ('due', -1), ('early', 1)) t (k, d);"
        "INSERT INTO media.objects (object_key, media_id, state) SELECT object_key, id, 'live'"
        " FROM media.media");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "list due\nversions due\n");
    CHECK_STR(scratch_sql("SELECT string_agg(object_key, ',') FROM media.objects"), "early");
    CHECK_STR(scratch_sql("SELECT string_agg(object_key, ',') FROM media.media WHERE"
                          " original_gone_at IS NOT NULL"),
              "due");
}

static void test_sweep_many_doomed_objects_go_in_one_pass(void)
{
    reset();
    (void)scratch_sql("INSERT INTO media.objects (object_key, media_id, state) SELECT 'o' || i,"
                      " media.uuid7(), 'doomed' FROM generate_series(1, 120) i");
    CHECK_INT(pass(), 0);
    CHECK_STR(doomed(), "");
}

static void test_sweep_live_and_pending_objects_stay(void)
{
    reset();
    (void)scratch_sql("INSERT INTO media.objects (object_key, media_id, state) VALUES"
                      " ('live', media.uuid7(), 'live'), ('pending', media.uuid7(), 'pending')");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "");
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.objects"), "2");
}

static void test_sweep_strays_beside_live_objects_are_aborted(void)
{
    reset();
    (void)scratch_sql("INSERT INTO media.objects (object_key, media_id, state, strays_at) VALUES"
                      " ('due', media.uuid7(), 'live', now()),"
                      " ('early', media.uuid7(), 'live', now() + interval '1min'),"
                      " ('open', media.uuid7(), 'pending', now())");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "list due\n");
    CHECK_STR(scratch_sql("SELECT string_agg(object_key, ' ' ORDER BY object_key)"
                          " FROM media.objects WHERE strays_at IS NOT NULL"),
              "early open");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "");
}

static void test_sweep_store_away_keeps_rows_and_does_the_rest(void)
{
    reset();
    doom("a", NULL);
    lost_job();
    store_ready = MEDIA_E_RETRY;
    CHECK_INT(pass(), 1);
    CHECK_STR(store_calls, "");
    CHECK_STR(doomed(), "a");
    CHECK_STR(job_state(), "queued");
    store_ready = 0;
    store_delete = MEDIA_E_RETRY;
    CHECK_INT(pass(), 1);
    CHECK_STR(doomed(), "a");
    store_delete = 0;
    CHECK_INT(pass(), 0); /* hidden for a minute */
    CHECK_STR(doomed(), "a");
    (void)scratch_sql("UPDATE media.objects SET retry_at = now()");
    CHECK_INT(pass(), 0);
    CHECK_STR(doomed(), "");
}

static void test_sweep_one_bad_object_does_not_stop_others(void)
{
    reset();
    doom("a", NULL);
    doom("b", NULL);
    doom("c", NULL);
    store_broken = "b";
    CHECK_INT(pass(), 1);
    CHECK_STR(doomed(), "b");
}

static void test_sweep_dead_upload_loses_its_object(void)
{
    reset();
    (void)scratch_sql(
        "INSERT INTO media.uploads (id, owner_id, object_key, name, heartbeat_at) VALUES"
        " (media.uuid7(), '" USER "', 'old', 'n', now() - interval '61 s'),"
        " (media.uuid7(), '" USER "', 'new', 'n', now() - interval '30 s');"
        "INSERT INTO media.objects (object_key, media_id, s3_upload_id) SELECT object_key, id, 'u'"
        " FROM media.uploads");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, ""); /* a request of its gateway may still be at work */
    CHECK_STR(scratch_sql("SELECT string_agg(object_key, ',') FROM media.uploads"), "new");
    (void)scratch_sql("UPDATE media.objects SET retry_at = now()");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "abort old u\nlist old\ndelete old\n");
    CHECK_STR(doomed(), "old"); /* S3 may finish it late */
    (void)scratch_sql("UPDATE media.objects SET retry_at = now()");
    CHECK_INT(pass(), 0);
    CHECK_STR(store_calls, "list old\ndelete old\n");
    CHECK_STR(scratch_sql("SELECT string_agg(object_key, ',') FROM media.objects"), "new");
}

static void test_sweep_no_broker_keeps_outbox_and_does_the_rest(void)
{
    wk_amqp_t *real = sweep.amqp;

    reset();
    sweep.amqp = wk_amqp_new((wk_secret_t){.name = "AMQP_URL", .value = "amqp://u:p@127.0.0.1:1/"});
    outbox_row();
    outbox_row();
    doom("a", NULL);
    CHECK_INT(pass(), 1);
    CHECK_STR(outbox_count(), "2");
    CHECK_STR(doomed(), "");
    /* only the probe was taken, the other may go at once when the broker is back */
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.outbox WHERE retry_at <= now()"), "1");
    wk_amqp_free(sweep.amqp);
    sweep.amqp = real;
}

static void test_sweep_outbox_is_published(void)
{
    media_jobmsg_t m;
    int n = 0;

    reset();
    while (wk_amqp_wait(sweep.amqp, MEDIA_QUEUE_LONG, 300, -1, &m) == 0) {
        (void)wk_amqp_ack(sweep.amqp);
    }
    for (int i = 0; i < 150; i++) {
        outbox_row();
    }
    CHECK_INT(pass(), 0);
    CHECK_STR(outbox_count(), "0");
    while (wk_amqp_wait(sweep.amqp, MEDIA_QUEUE_LONG, 1000, -1, &m) == 0) {
        CHECK_STR(m.job_id, USER);
        (void)wk_amqp_ack(sweep.amqp);
        n++;
    }
    CHECK_INT(n, 150);
}

static void test_sweep_fresh_outbox_is_left_to_its_maker(void)
{
    reset();
    outbox_row();
    (void)scratch_sql("UPDATE media.outbox SET created_at = now()");
    CHECK_INT(pass(), 0);
    CHECK_STR(outbox_count(), "1");
}

static void test_sweep_follower_skips_the_leaders_work(void)
{
    wk_pg_t *leader = wk_pg_new("leader");

    reset();
    wk_pg_free(sweep.pg); /* gives the lock up */
    sweep.pg = wk_pg_new("janitor");
    CHECK_INT(wk_pg_exec(leader, "SELECT pg_advisory_lock(7244633110031)", NULL, NULL), 0);
    (void)scratch_sql(
        "INSERT INTO media.sessions (token_sha256, user_id, family, expires_at) VALUES"
        " (repeat('a', 64), '" USER "', media.uuid7(), now() - interval '1 s')");
    lost_job();
    CHECK_INT(pass(), 0);
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.sessions"), "1");
    CHECK_STR(job_state(), "queued");
    wk_pg_free(leader);
    while (strcmp(scratch_sql("SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                              " 'leader'"),
                  "0") != 0) {
    }
    CHECK_INT(pass(), 0);
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.sessions"), "0");
}

static void test_sweep_stop_ends_before_the_next_item(void)
{
    reset();
    doom("a", NULL);
    outbox_row();
    eventfd_write(sweep.stop_fd, 1);
    CHECK_INT(sweep_stopping(&sweep), 1);
    (void)pass();
    CHECK_STR(store_calls, "");
    CHECK_STR(outbox_count(), "1");
}

int main(void)
{
    const char *amqp_url = getenv("AMQP_URL");

    scratch_open();
    CHECK_INT(CTL("migrate"), 0);
    conf.upload_stale_s = 60;
    conf.outbox_age_s = 5;
    sweep.conf = &conf;
    sweep.pg = wk_pg_new("janitor");
    sweep.amqp = wk_amqp_new((wk_secret_t){.name = "AMQP_URL", .value = amqp_url});
    sweep.stop_fd = eventfd(0, EFD_CLOEXEC);
    test_sweep_doomed_objects_go_in_order();
    test_sweep_originals_that_are_due_go_in_all_versions();
    test_sweep_many_doomed_objects_go_in_one_pass();
    test_sweep_live_and_pending_objects_stay();
    test_sweep_strays_beside_live_objects_are_aborted();
    test_sweep_store_away_keeps_rows_and_does_the_rest();
    test_sweep_one_bad_object_does_not_stop_others();
    test_sweep_dead_upload_loses_its_object();
    test_sweep_no_broker_keeps_outbox_and_does_the_rest();
    if (amqp_url != NULL) {
        test_sweep_outbox_is_published();
    } else {
        printf("AMQP_URL is not set: publishing is not tested\n");
    }
    test_sweep_fresh_outbox_is_left_to_its_maker();
    test_sweep_follower_skips_the_leaders_work();
    test_sweep_stop_ends_before_the_next_item();
    wk_amqp_free(sweep.amqp);
    wk_pg_free(sweep.pg);
    close(sweep.stop_fd);
    scratch_close();
    return test_report();
}
