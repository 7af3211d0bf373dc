/* mediactl as a program, against a scratch database. */
#include <crypt.h>
#include <dirent.h>
#include <jansson.h>
#include <sys/stat.h>

#include "scratch_db.h"

#define NO_ID "0193a000-0000-7000-8000-000000000000"

static char dir[] = "/tmp/test_mediactl.XXXXXX";

static int out_has(const char *text)
{
    return strstr(scratch_last.out, text) != NULL;
}

static int err_has(const char *text)
{
    return strstr(scratch_last.err, text) != NULL;
}

static void put_file(const char *name, const char *text)
{
    char path[256];
    FILE *f = fopen(wk_fmt(path, sizeof(path), "%s/%s", dir, name), "w");

    fputs(text, f);
    fclose(f);
}

static void remove_file(const char *name)
{
    char path[256];

    CHECK_INT(unlink(wk_fmt(path, sizeof(path), "%s/%s", dir, name)), 0);
}

static void empty_dir(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            remove_file(e->d_name);
        }
    }
    closedir(d);
}

/* This version's migrations into dir. */
static void link_migrations(void)
{
    char from[512], to[512];
    DIR *d = opendir(SQL_DIR);
    struct dirent *e;

    CHECK(d != NULL);
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9') {
            CHECK_INT(symlink(wk_fmt(from, sizeof(from), "%s/%s", SQL_DIR, e->d_name),
                              wk_fmt(to, sizeof(to), "%s/%s", dir, e->d_name)),
                      0);
        }
    }
    closedir(d);
}

static void test_migrate_applies_once_in_order(void)
{
    put_file("0002_b.sql", "INSERT INTO t VALUES ('two') -- no semicolon, a comment at the end");
    put_file("0001_a.sql", "CREATE TABLE public.t (x text);\nINSERT INTO t VALUES ('one');\n");
    put_file("README", "not SQL");
    CHECK_INT(CTL("migrate", "--dir", dir), 0);
    CHECK(out_has("applied 0001_a.sql\napplied 0002_b.sql\nthe database is at version 2\n"));
    CHECK_INT(CTL("migrate", "--dir", dir), 0);
    CHECK_STR(scratch_last.out, "the database is at version 2\n");
    CHECK_STR(scratch_sql("SELECT string_agg(x, ',') FROM t"), "one,two");
    CHECK_STR(
        scratch_sql("SELECT string_agg(version || name || length(sha256), ',' ORDER BY version)"
                    " FROM media_migrations"),
        "10001_a.sql64,20002_b.sql64");
}

static void test_migrate_failure_leaves_nothing_of_the_file(void)
{
    put_file("0003_c.sql", "INSERT INTO t VALUES ('three'); SELECT no_such;");
    put_file("0004_d.sql", "INSERT INTO t VALUES ('four');");
    CHECK_INT(CTL("migrate", "--dir", dir), 1);
    CHECK(err_has("0003_c.sql: database: column \"no_such\" does not exist"));
    CHECK_STR(scratch_sql("SELECT count(*) FROM t"), "2");
    CHECK_STR(scratch_sql("SELECT max(version) FROM media_migrations"), "2");
    put_file("0003_c.sql", "INSERT INTO t VALUES ('three');");
    CHECK_INT(CTL("--json", "migrate", "--dir", dir), 0);
    CHECK_STR(scratch_sql("SELECT count(*) FROM t"), "4");
    CHECK(out_has("\"0003_c.sql\",\n    \"0004_d.sql\"\n  ],\n  \"version\": 4"));
}

static void test_migrate_refuses_changed_missing_and_late_files(void)
{
    put_file("0002_b.sql", "INSERT INTO t VALUES ('changed')");
    CHECK_INT(CTL("migrate", "--dir", dir), 4);
    CHECK(err_has("0002_b.sql was changed after it had been applied"));
    put_file("0002_b.sql", "INSERT INTO t VALUES ('two') -- no semicolon, a comment at the end");
    remove_file("0004_d.sql");
    CHECK_INT(CTL("migrate", "--dir", dir), 4);
    CHECK(err_has("0004_d.sql was applied to this database, but its file is not here"));
    remove_file("0003_c.sql");
    CHECK_INT(CTL("migrate", "--dir", dir), 4);
    put_file("0003_c.sql", "INSERT INTO t VALUES ('three');");
    put_file("0005_e.sql", "INSERT INTO t VALUES ('five');");
    CHECK_INT(CTL("migrate", "--dir", dir), 4);
    remove_file("0005_e.sql");
    put_file("0004_d.sql", "INSERT INTO t VALUES ('four');");
    CHECK_INT(CTL("migrate", "--dir", dir), 0);
    CHECK_STR(scratch_sql("SELECT count(*) FROM t"), "4");
}

static void test_migrate_refuses_bad_directories(void)
{
    put_file("005_short.sql", "SELECT 1");
    CHECK_INT(CTL("migrate", "--dir", dir), 1);
    CHECK(err_has("005_short.sql: expected NNNN_name.sql"));
    remove_file("005_short.sql");
    put_file("0004_other.sql", "SELECT 1");
    CHECK_INT(CTL("migrate", "--dir", dir), 1);
    CHECK(err_has("have the same number"));
    remove_file("0004_other.sql");
    CHECK_INT(CTL("migrate", "--dir", "/nonexistent"), 1);
    CHECK_INT(CTL("migrate", "--dir"), 2);
    CHECK_INT(CTL("migrate", "dir"), 2);
}

/* Two runs at the same time: one applies, the other waits and finds nothing to do. */
static void test_migrate_twice_at_once(void)
{
    char *argv[] = {(char *)(uintptr_t)MEDIACTL, (char *)(uintptr_t) "migrate",
                    (char *)(uintptr_t) "--dir", dir, NULL};
    posix_spawn_file_actions_t fa;
    pid_t pid[4];
    int status;

    put_file("0005_slow.sql", "INSERT INTO t VALUES ('slow'); SELECT pg_sleep(0.5);");
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(posix_spawn(&pid[i], MEDIACTL, &fa, NULL, argv, environ), 0);
    }
    for (int i = 0; i < 4; i++) {
        waitpid(pid[i], &status, 0);
        CHECK_INT(status, 0);
    }
    posix_spawn_file_actions_destroy(&fa);
    CHECK_STR(scratch_sql("SELECT count(*) FROM t WHERE x = 'slow'"), "1");
}

/* The real migrations and two of later versions, one that adds and one that takes away; then those
 * of before alone, as a roll-back has them. */
static void test_migrate_keeps_the_schema_number(void)
{
    char want[160];

    CHECK_INT(CTL("schema"), 4);
    CHECK(out_has("schema is older than this program needs"));
    CHECK_INT(CTL("schema", "--json"), 4);
    CHECK(out_has("\"version\": null") && out_has("\"fits\": false"));
    CHECK_INT(CTL("user", "list", "--json"), 4);
    CHECK(err_has("\"code\":\"schema_unknown\""));
    CHECK_INT(CTL("migrate"), 0);
    (void)wk_fmt(want, sizeof(want), "program %d, schema %d, which serves programs from %s on",
                 MEDIA_SCHEMA, MEDIA_SCHEMA, scratch_sql("SELECT oldest FROM media.schema"));
    CHECK_INT(CTL("schema"), 0);
    CHECK(out_has(want));
    CHECK_INT(CTL("schema", "x"), 2);

    link_migrations();
    put_file("9001_adds.sql", "CREATE TABLE public.later (x int);");
    CHECK_INT(CTL("migrate", "--dir", dir), 0);
    CHECK_STR(scratch_sql("SELECT version FROM media.schema"), "9001");
    CHECK_INT(CTL("schema"), 0);
    CHECK_INT(CTL("migrate"), 0);
    (void)wk_fmt(want, sizeof(want),
                 "at version 9001, newer than this program's %d, which it still"
                 " serves\n",
                 MEDIA_SCHEMA);
    CHECK(out_has(want));
    CHECK_INT(CTL("--json", "migrate"), 0);
    CHECK(out_has("\"applied\": []") && out_has("\"version\": 9001"));

    put_file("9002_fails.sql", "UPDATE media.schema SET oldest = 9001; SELECT no_such;");
    CHECK_INT(CTL("migrate", "--dir", dir), 1);
    CHECK_STR(scratch_sql("SELECT version || ' ' || (oldest < 9001) FROM media.schema"),
              "9001 true");
    remove_file("9002_fails.sql");
    put_file("9002_takes.sql", "DROP TABLE public.later; UPDATE media.schema SET oldest = 9001;");
    CHECK_INT(CTL("migrate", "--dir", dir), 0);
    CHECK_INT(CTL("schema", "--json"), 4);
    CHECK(out_has("\"version\": 9002") && out_has("\"oldest\": 9001"));
    CHECK_INT(CTL("migrate"), 4);
    (void)wk_fmt(want, sizeof(want),
                 "at version 9002 and serves programs from 9001 on; this one is "
                 "at %d",
                 MEDIA_SCHEMA);
    CHECK(err_has(want));
    CHECK_INT(CTL("workers"), 4);
    CHECK(err_has("schema 9002 serves programs from 9001 on"));

    (void)scratch_sql("DELETE FROM media_migrations WHERE version > 9000;"
                      "UPDATE media.schema SET version = %d, oldest = %d",
                      MEDIA_SCHEMA, MEDIA_SCHEMA);
    CHECK_INT(CTL("schema"), 0);
    empty_dir();
}

static void test_user_add_makes_a_yescrypt_account(void)
{
    struct crypt_data work;
    char hash[256];

    CHECK_INT(CTL_IN("pass word\n", "user", "add", "a@example.com", "--password-stdin"), 0);
    (void)wk_fmt(hash, sizeof(hash), "%s", scratch_sql("SELECT password_hash FROM media.users"));
    CHECK(strncmp(hash, "$y$", 3) == 0);
    memset(&work, 0, sizeof(work));
    CHECK_STR(crypt_r("pass word", hash, &work), hash);
    CHECK(strcmp(crypt_r("pass word\n", hash, &work), hash) != 0);
    CHECK_STR(scratch_sql("SELECT roles FROM media.users"), "{user}");
    CHECK_INT(CTL_IN("x", "user", "add", "b@example.com", "--role=admin", "--role", "user",
                     "--password-stdin"),
              0);
    CHECK_STR(scratch_sql("SELECT roles FROM media.users WHERE email = 'b@example.com'"),
              "{admin,user}");
    CHECK_INT(CTL_IN("x\n", "user", "add", "A@EXAMPLE.com", "--password-stdin", "--json"), 4);
    CHECK(err_has("\"code\":\"conflict\""));
}

static void test_user_add_refuses_bad_arguments(void)
{
    char longer[300];

    memset(longer, 'p', sizeof(longer));
    longer[257] = '\n';
    longer[258] = '\0';
    CHECK_INT(CTL_IN("hunter2\n", "user", "add", "c@example.com"), 2);
    CHECK_INT(CTL_IN("\n", "user", "add", "c@example.com", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("", "user", "add", "c@example.com", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("a\tb\n", "user", "add", "c@example.com", "--password-stdin"), 2);
    CHECK_INT(CTL_IN(longer, "user", "add", "c@example.com", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("x\n", "user", "add", "c.example.com", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("x\n", "user", "add", "c d@e.f", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("x\n", "user", "add", "c@d.e", "--role", "a,b", "--password-stdin"), 2);
    CHECK_INT(CTL_IN("x\n", "user", "add", "c@d.e", "--password=hunter2"), 2);
    CHECK(!err_has("hunter2"));
    CHECK_INT(CTL_IN("x\n", "user", "add", "--password-stdin"), 2);
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.users"), "2");
    longer[256] = '\n';
    CHECK_INT(CTL_IN(longer, "user", "passwd", "a@example.com", "--password-stdin"), 0);
}

static void test_user_changes_and_list(void)
{
    json_t *list;

    CHECK_INT(CTL("user", "disable", "a@example.com"), 0);
    CHECK_STR(scratch_sql("SELECT disabled_at IS NOT NULL FROM media.users WHERE email ~ '^a'"),
              "t");
    CHECK_INT(CTL("user", "list"), 0);
    CHECK(out_has("a@example.com  user        yes"));
    CHECK_INT(CTL("user", "enable", "a@example.com"), 0);
    CHECK_INT(CTL("user", "disable", "nobody@example.com"), 3);
    CHECK_INT(CTL_IN("x\n", "user", "passwd", "nobody@example.com", "--password-stdin"), 3);
    CHECK_INT(CTL("user", "list", "--json"), 0);
    list = json_loads(scratch_last.out, 0, NULL);
    CHECK_INT(json_array_size(list), 2);
    CHECK(json_is_false(json_object_get(json_array_get(list, 0), "disabled")));
    CHECK_INT(json_integer_value(json_object_get(json_array_get(list, 0), "media")), 0);
    CHECK_STR(
        json_string_value(json_array_get(json_object_get(json_array_get(list, 1), "roles"), 0)),
        "admin");
    json_decref(list);
}

#define QUOTAS                                                                                     \
    "SELECT concat_ws(' ', quota_bytes, quota_uploads) FROM media.users WHERE email ~ '^a'"

static void test_user_quota_sets_and_shows(void)
{
    static const char *const bad[][2] = {
        {"--bytes", "x"},        {"--bytes", ""},     {"--bytes", "1x"},
        {"--bytes", "1kk"},      {"--bytes", "-2"},   {"--bytes", "9223372036854775808"},
        {"--bytes", "8388608t"}, {"--uploads", "1k"}, {"--uploads", "2147483648"}};

    CHECK_INT(CTL("user", "quota", "a@example.com"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "");
    CHECK(out_has("bytes    default\n"));
    CHECK_INT(CTL("user", "quota", "A@example.com", "--bytes", "10G", "--uploads=4"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "10737418240 4");
    CHECK(out_has("bytes    10737418240\n") && out_has("uploads  4\n"));
    CHECK_INT(CTL("user", "quota", "a@example.com", "--bytes", "0"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "0 4");
    CHECK_INT(CTL("user", "quota", "a@example.com", "--bytes=8388607t"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "9223370937343148032 4");
    CHECK_INT(CTL("user", "quota", "--uploads", "none", "a@example.com", "--bytes", "none"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "-1 -1");
    CHECK_INT(CTL("user", "quota", "a@example.com", "--json"), 0);
    CHECK(out_has("\"none\""));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(CTL("user", "quota", "a@example.com", bad[i][0], bad[i][1]), 2);
    }
    CHECK_INT(CTL("user", "quota", "a@example.com", "--bytes"), 2);
    CHECK_INT(CTL("user", "quota", "a@example.com", "b@example.com"), 2);
    CHECK_INT(CTL("user", "quota", "--bytes", "1"), 2);
    CHECK_INT(CTL("user", "quota", "a"), 2);
    CHECK_STR(scratch_sql(QUOTAS), "-1 -1");
    CHECK_INT(CTL("user", "quota", "a@example.com", "--bytes=default", "--uploads=default"), 0);
    CHECK_STR(scratch_sql(QUOTAS), "");
    CHECK_INT(CTL("user", "quota", "nobody@example.com"), 3);
}

/* A media of user a with one queued job; their ids. */
static void make_media(char media[40], char job[40])
{
    (void)wk_fmt(media, 40, "%s", scratch_sql("SELECT media.uuid7()"));
    (void)scratch_sql(
        "INSERT INTO media.media (id, owner_id, name, content_type, size_bytes, sha256, etag,"
        " object_key, pipeline) SELECT '%s', id, E'evil\\x1b[2J\\u0085n', 'video/mp4', 5,"
        " repeat('a', 64), 'e', 'media/%s/original', 'audio' FROM media.users WHERE email ~ '^a'",
        media, media);
    (void)scratch_sql("INSERT INTO media.objects (object_key, media_id, state) VALUES"
                      " ('media/%s/original', '%s', 'live')",
                      media, media);
    (void)wk_fmt(job, 40, "%s",
                 scratch_sql("INSERT INTO media.jobs (media_id, owner_id, step, queue, state)"
                             " SELECT id, owner_id, 'audio', 'short', 'queued' FROM media.media"
                             " WHERE id = '%s' RETURNING id",
                             media));
}

static void test_job_commands(void)
{
    char media[40], job[40];

    make_media(media, job);
    CHECK_INT(CTL("job", "list"), 0);
    CHECK(out_has(job) && out_has("queued"));
    CHECK_INT(CTL("job", "list", "--state", "failed"), 0);
    CHECK(!out_has(job));
    CHECK_INT(CTL("job", "list", "--limit=1", "--state=queued", "--json"), 0);
    CHECK(out_has("\"attempt\": 0"));
    CHECK_INT(CTL("job", "list", "--state", "odd"), 2);
    CHECK_INT(CTL("job", "list", "--limit", "0"), 2);
    CHECK_INT(CTL("job", "list", "--limit"), 2);
    CHECK_INT(CTL("job", "show", job), 0);
    CHECK(out_has("audio"));
    CHECK_INT(CTL("job", "retry", job), 4);
    CHECK(err_has("the job is queued"));
    CHECK_INT(CTL("job", "cancel", job), 0);
    CHECK_STR(scratch_sql("SELECT state FROM media.jobs WHERE id = '%s'", job), "canceled");
    CHECK_INT(CTL("job", "cancel", job, "--json"), 4);
    CHECK_INT(CTL("job", "retry", job), 0);
    CHECK_STR(scratch_sql("SELECT state FROM media.jobs WHERE id = '%s'", job), "queued");
    /* AMQP_URL is not set: the announcement waits for the janitor */
    CHECK_STR(scratch_sql("SELECT count(*) FROM media.outbox WHERE job_id = '%s'", job), "1");
    CHECK_INT(CTL("job", "show", NO_ID), 3);
    CHECK_INT(CTL("job", "retry", NO_ID), 3);
    CHECK_INT(CTL("job", "cancel", NO_ID), 3);
    CHECK_INT(CTL("job", "show", "7"), 2);
    CHECK_INT(CTL("job", "show"), 2);
    CHECK_INT(CTL("job", "show", NO_ID, NO_ID), 2);
}

static void test_media_commands(void)
{
    char media[40], job[40];

    make_media(media, job);
    CHECK_INT(CTL("media", "show", media), 0);
    CHECK(out_has("name          evil?[2J?n\n")); /* nothing acts on the terminal */
    CHECK(strchr(scratch_last.out, '\x1b') == NULL);
    CHECK_INT(CTL("media", "show", media, "--json"), 0);
    CHECK(out_has("\\u001B[2J"));
    CHECK_INT(CTL("media", "rm", media), 0);
    CHECK_STR(scratch_sql("SELECT state FROM media.objects WHERE media_id = '%s'", media),
              "doomed");
    CHECK_INT(CTL("media", "rm", media), 3);
    CHECK_INT(CTL("media", "show", media, "--json"), 3);
    CHECK(err_has("{\"error\":{\"code\":\"not_found\""));
}

static void test_pipeline_commands(void)
{
    json_t *list;

    CHECK_INT(CTL("pipeline", "list"), 0);
    CHECK(out_has("audio") && out_has("video") && out_has("package_first"));
    CHECK_INT(CTL("pipeline", "show", "video"), 0);
    CHECK(out_has("encode_first") && out_has("HOLDS") && out_has("\"max\": 51"));
    CHECK_INT(CTL("pipeline", "show", "video", "--json"), 0);
    list = json_loads(scratch_last.out, 0, NULL);
    CHECK_INT(json_array_size(list), 7);
    CHECK_INT(json_object_size(json_object_get(json_array_get(list, 0), "params_schema")), 13);
    json_decref(list);
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "{\"bitrate\": 320}"), 0);
    CHECK_STR(scratch_sql("SELECT params FROM media.pipeline_steps WHERE pipeline = 'audio'"),
              "{\"format\": \"mp3\", \"bitrate\": 320}");
    CHECK(out_has("pipeline audio, step audio: {\"format\""));
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "{\"bitrate\": 7}"), 1);
    CHECK(err_has("params.bitrate: 7 is outside 8..512"));
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "{\"crf\": 7}", "--json"), 1);
    CHECK(err_has("\"code\":\"params_invalid\""));
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "{\"bitrate\": null}", "--json"), 0);
    list = json_loads(scratch_last.out, 0, NULL);
    CHECK_INT(json_object_size(json_object_get(list, "params")), 1);
    json_decref(list);
    CHECK_INT(CTL("pipeline", "set", "audio", "video", "{}"), 3);
    CHECK_INT(CTL("pipeline", "show", "none"), 3);
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "[]"), 2);
    CHECK_INT(CTL("pipeline", "set", "audio", "audio", "{"), 2);
    CHECK_INT(CTL("pipeline", "set", "audio", "audio"), 2);
    CHECK_INT(CTL("pipeline", "show"), 2);
    CHECK_INT(CTL("pipeline", "list", "x"), 2);
    CHECK_INT(CTL("pipeline"), 2);
}

static void test_workers_are_listed(void)
{
    json_t *list;

    CHECK_INT(CTL("workers"), 0);
    CHECK(out_has("WORKER") && !out_has("box:1"));
    (void)scratch_sql("SELECT media.worker_seen('box:1', 'media-transcoder', 'long', 60)");
    CHECK_INT(CTL("workers"), 0);
    CHECK(out_has("box:1") && out_has("long"));
    CHECK_INT(CTL("workers", "--json"), 0);
    list = json_loads(scratch_last.out, 0, NULL);
    CHECK_INT(json_array_size(list), 1);
    CHECK(json_is_null(json_object_get(json_array_get(list, 0), "job")));
    json_decref(list);
    CHECK_INT(CTL("workers", "x"), 2);
}

/* One line of a service file, if the environment has the value; the variable goes. */
static void move_to(FILE *f, const char *variable, const char *key)
{
    const char *value = getenv(variable);

    if (value != NULL) {
        fprintf(f, "%s=%s\n", key, value);
        unsetenv(variable);
    }
}

/* libpq's own way to keep a password out of the environment. */
static void test_database_by_a_service_file(void)
{
    static const char *const moved[][2] = {{"PGHOST", "host"},         {"PGPORT", "port"},
                                           {"PGUSER", "user"},         {"PGDATABASE", "dbname"},
                                           {"PGPASSWORD", "password"}, {"PGPASSFILE", "passfile"}};
    char path[256], *saved[6];
    FILE *f;

    put_file("pg_service.conf", "[media]\n");
    f = fopen(wk_fmt(path, sizeof(path), "%s/pg_service.conf", dir), "a");
    for (size_t i = 0; i < 6; i++) {
        saved[i] = getenv(moved[i][0]) != NULL ? strdup(getenv(moved[i][0])) : NULL;
        move_to(f, moved[i][0], moved[i][1]);
    }
    fclose(f);
    setenv("PGSERVICEFILE", path, 1);
    setenv("PGSERVICE", "media", 1);
    CHECK_INT(CTL("schema"), 0);
    CHECK_INT(CTL("user", "list"), 0);
    setenv("PGSERVICE", "other", 1);
    CHECK_INT(CTL("schema"), 5);
    CHECK(err_has("\"other\" not found"));
    unsetenv("PGSERVICE");
    unsetenv("PGSERVICEFILE");
    for (size_t i = 0; i < 6; i++) {
        if (saved[i] != NULL) {
            setenv(moved[i][0], saved[i], 1);
        }
        free(saved[i]);
    }
    remove_file("pg_service.conf");
}

static void test_usage_and_no_database(void)
{
    char *port = getenv("PGPORT") != NULL ? strdup(getenv("PGPORT")) : NULL;

    CHECK_INT(CTL("--help"), 0);
    CHECK(out_has("usage: mediactl"));
    CHECK_INT(CTL("--json"), 2);
    CHECK_INT(CTL("nonsense"), 2);
    CHECK_INT(CTL("user"), 2);
    CHECK_INT(CTL("user", "dance"), 2);
    setenv("PGPORT", "1", 1);
    CHECK_INT(CTL("user", "list"), 5);
    CHECK_INT(CTL("migrate"), 5);
    CHECK_INT(CTL("job", "list", "--json"), 5);
    CHECK(err_has("database_unavailable"));
    if (port != NULL) {
        setenv("PGPORT", port, 1);
    } else {
        unsetenv("PGPORT");
    }
    free(port);
}

int main(void)
{
    unsetenv("AMQP_URL");
    scratch_open();
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    test_migrate_applies_once_in_order();
    test_migrate_failure_leaves_nothing_of_the_file();
    test_migrate_refuses_changed_missing_and_late_files();
    test_migrate_refuses_bad_directories();
    test_migrate_twice_at_once();
    (void)scratch_sql("DROP TABLE t; DROP TABLE media_migrations");
    empty_dir();
    test_migrate_keeps_the_schema_number();
    test_user_add_makes_a_yescrypt_account();
    test_user_add_refuses_bad_arguments();
    test_user_changes_and_list();
    test_user_quota_sets_and_shows();
    test_job_commands();
    test_media_commands();
    test_pipeline_commands();
    test_workers_are_listed();
    test_usage_and_no_database();
    test_database_by_a_service_file();
    rmdir(dir);
    scratch_close();
    return test_report();
}
