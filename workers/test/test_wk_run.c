/* The loop of a worker as a process of its own, with an engine that does what a test wants, in a
 * database that is its own. Needs PG* of a server where databases may be created. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>

#include "ask_health.h"
#include "scratch_db.h"
#include "wk_run.h"

#define MEDIA_ID "0193a000-0000-7000-8000-0000000000%02x"
#define PATIENCE_MS 20000

static char dir[] = "/tmp/test_wk_run.XXXXXX";
static char health_file[64], log_file[64];
static wk_conf_t conf = {.health_addr = "127.0.0.1:0",
                         .health_file = health_file,
                         .worker_name = "test:1",
                         .log_level = "info",
                         .lease_s = 10,
                         .poll_s = 1,
                         .drain_s = 1,
                         .jobs = 1};

static enum wk_end finish(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    (void)ctx;
    (void)job;
    out->result = json_pack("{s:[],s:{}}", "outputs", "probe");
    return WK_DONE;
}

static pid_t start(enum wk_end (*run)(wk_ctx_t *, const wk_job_t *, wk_outcome_t *))
{
    const wk_engine_t engine = {
        .name = "test-worker", .queue = MEDIA_QUEUE_SHORT, .steps = "{audio}", .run = run};
    pid_t pid;

    (void)unlink(health_file);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        int fd = open(log_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(fd, STDERR_FILENO);
        _exit(wk_run(&engine, &conf));
    }
    for (int i = 0; i < 400 && health_port(health_file) == 0; i++) {
        (void)poll(NULL, 0, 25);
    }
    CHECK(health_port_no > 0);
    return pid;
}

static void stop(pid_t pid)
{
    int status = 0;

    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
}

/* 1 once the answer to GET path has both texts. */
static int await_answer(const char *path, const char *first, const char *second)
{
    int64_t end_ms = wk_mono_ms() + PATIENCE_MS;
    char request[64];

    (void)wk_fmt(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", path);
    while (!has(health_ask(request), first) || !has(health_answer, second)) {
        if (wk_mono_ms() > end_ms) {
            printf("not in time: %s, but\n%s\n", first, health_answer);
            return 0;
        }
        (void)poll(NULL, 0, 50);
    }
    return 1;
}

static int await_state(const char *id, const char *state)
{
    int64_t end_ms = wk_mono_ms() + PATIENCE_MS;
    const char *now;

    while (strcmp(now = scratch_sql("SELECT state FROM media.jobs WHERE media_id = '%s' AND step ="
                                    " 'audio'",
                                    id),
                  state) != 0) {
        if (wk_mono_ms() > end_ms) {
            printf("not in time: %s, but %s\n", state, now);
            return 0;
        }
        (void)poll(NULL, 0, 50);
    }
    return 1;
}

static int logged(const char *text)
{
    char *log = test_read(log_file, NULL);
    int n = 0;

    for (const char *p = log; (p = strstr(p, text)) != NULL; p++) {
        n++;
    }
    free(log);
    return n;
}

static void set_schema(int version, int oldest)
{
    (void)scratch_sql("UPDATE media.schema SET version = %d, oldest = %d", version, oldest);
}

static void new_job(char *id, size_t cap)
{
    static unsigned n;

    scratch_upload(wk_fmt(id, cap, MEDIA_ID, ++n));
}

static void test_run_takes_no_job_from_a_schema_that_does_not_fit(void)
{
    char id[64], want[160];
    pid_t pid;

    set_schema(MEDIA_SCHEMA - 1, 1);
    new_job(id, sizeof(id));
    pid = start(finish);
    (void)wk_fmt(want, sizeof(want), "postgres: schema %d, this program needs %d\n",
                 MEDIA_SCHEMA - 1, MEDIA_SCHEMA);
    CHECK(await_answer("/readyz", "503 ", want));
    CHECK(has(health_ask("GET /healthz HTTP/1.1\r\n\r\n"), "200 OK"));
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    (void)wk_fmt(want, sizeof(want), "postgres: schema %d serves programs from %d on",
                 MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    CHECK(await_answer("/readyz", "503 ", want));
    CHECK_STR(scratch_sql("SELECT state FROM media.jobs"), "queued");
    set_schema(MEDIA_SCHEMA, MEDIA_SCHEMA);
    CHECK(await_state(id, "succeeded"));
    CHECK(await_answer("/readyz", "200 ", "postgres: ok\n"));
    CHECK_INT(logged("database not used"), 2);
    CHECK_INT(logged("database used again"), 1);

    /* one that is at work notices, too */
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    CHECK(await_answer("/readyz", "503 ", want));
    new_job(id, sizeof(id));
    CHECK_INT(logged("database not used"), 3);
    CHECK(await_state(id, "queued"));
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA);
    CHECK(await_state(id, "succeeded"));
    stop(pid);
    set_schema(MEDIA_SCHEMA, MEDIA_SCHEMA);
}

static void test_run_looks_at_the_schema_while_it_waits_for_long(void)
{
    pid_t pid;

    conf.poll_s = 3600;
    pid = start(finish);
    CHECK(await_answer("/readyz", "200 ", "postgres: ok\n"));
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    CHECK(await_answer("/readyz", "503 ", "serves programs from"));
    set_schema(MEDIA_SCHEMA, MEDIA_SCHEMA);
    CHECK(await_answer("/readyz", "200 ", "postgres: ok\n"));
    stop(pid);
    conf.poll_s = 1;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    unsetenv("AMQP_URL");
    scratch_open();
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    (void)wk_fmt(health_file, sizeof(health_file), "%s/health", dir);
    (void)wk_fmt(log_file, sizeof(log_file), "%s/log", dir);
    CHECK_INT(CTL("migrate"), 0);
    test_run_takes_no_job_from_a_schema_that_does_not_fit();
    test_run_looks_at_the_schema_while_it_waits_for_long();
    (void)unlink(log_file);
    (void)rmdir(dir);
    scratch_close();
    return test_report();
}
