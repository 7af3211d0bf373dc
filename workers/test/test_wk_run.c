/* The loop of a worker as a process of its own, with an engine that does what a test wants, in a
 * database that is its own. Needs PG* of a server where databases may be created. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>

#include "ask_health.h"
#include "scratch_db.h"
#include "tcp_proxy.h"
#include "wk_run.h"

#define MEDIA_ID "0193a000-0000-7000-8000-0000000000%02x"
#define PATIENCE_MS 20000

static char dir[] = "/tmp/test_wk_run.XXXXXX";
static char health_file[64], log_file[64], probe_file[64];
static wk_conf_t conf = {.health_addr = "127.0.0.1:0",
                         .health_file = health_file,
                         .worker_name = "test:1",
                         .log_level = "info",
                         .lease_s = 10,
                         .poll_s = 1,
                         .drain_s = 1,
                         .stall_s = 60,
                         .jobs = 1};

static enum wk_end finish(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    (void)ctx;
    (void)job;
    out->result = json_pack("{s:[],s:{}}", "outputs", "probe");
    return WK_DONE;
}

/* An engine that hangs: no beat, no end. */
__attribute__((noreturn)) static enum wk_end hang(wk_ctx_t *ctx, const wk_job_t *job,
                                                  wk_outcome_t *out)
{
    (void)ctx;
    (void)job;
    (void)out;
    for (;;) {
        (void)poll(NULL, 0, -1);
    }
}

/* One that works for three seconds. */
static enum wk_end work(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    for (int i = 0; i < 30; i++) {
        (void)wk_job_beat(ctx, job, i / 30.0, -1);
        (void)poll(NULL, 0, 100);
    }
    return finish(ctx, job, out);
}

static void await_port(void)
{
    for (int i = 0; i < 400 && health_port(health_file) == 0; i++) {
        (void)poll(NULL, 0, 25);
    }
    CHECK(health_port_no > 0);
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
    await_port();
    return pid;
}

/* The janitor as it is, by this environment; its log goes to fd. */
static pid_t start_janitor(int fd)
{
    char *argv[] = {(char *)(uintptr_t)MEDIA_JANITOR, NULL};
    posix_spawn_file_actions_t fa;
    pid_t pid = -1;

    (void)unlink(health_file);
    setenv("MEDIA_HEALTH_FILE", health_file, 1);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, fd, 2);
    CHECK_INT(posix_spawn(&pid, MEDIA_JANITOR, &fa, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&fa);
    await_port();
    return pid;
}

/* What --probe says of the worker at health_file; its reason is in the log. */
static int probe(const char *addr)
{
    char *argv[] = {(char *)(uintptr_t)MEDIA_JANITOR, (char *)(uintptr_t) "--probe", NULL};
    posix_spawn_file_actions_t fa;
    int status = -1;
    pid_t pid;

    setenv("MEDIA_HEALTH_ADDR", addr, 1);
    setenv("MEDIA_HEALTH_FILE", health_file, 1);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 2, probe_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK_INT(posix_spawn(&pid, MEDIA_JANITOR, &fa, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&fa);
    (void)waitpid(pid, &status, 0);
    unsetenv("MEDIA_HEALTH_ADDR");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
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

static int said(const char *file, const char *text)
{
    char *log = test_read(file, NULL);
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
    CHECK_INT(said(log_file, "database not used"), 2);
    CHECK_INT(said(log_file, "database used again"), 1);

    /* one that is at work notices, too */
    set_schema(MEDIA_SCHEMA + 2, MEDIA_SCHEMA + 1);
    CHECK(await_answer("/readyz", "503 ", want));
    new_job(id, sizeof(id));
    CHECK_INT(said(log_file, "database not used"), 3);
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

#define HEALTHZ "GET /healthz HTTP/1.1\r\n\r\n"

/* /healthz is 200 for that long. */
static void check_alive(int ms)
{
    int64_t end_ms = wk_mono_ms() + ms;
    int well = 1;

    while (well && wk_mono_ms() < end_ms) {
        well = has(health_ask(HEALTHZ), "200 OK");
        (void)poll(NULL, 0, 100);
    }
    CHECK(well);
}

static void test_run_that_hangs_is_unhealthy(void)
{
    char id[64], addr[64];
    pid_t pid;
    int status;

    conf.stall_s = 2;
    conf.jobs = 2;
    new_job(id, sizeof(id));
    pid = start(hang);
    CHECK(await_answer("/healthz", "503 ", "loop test:1"));
    CHECK(has(health_answer, " has not turned for "));
    (void)wk_fmt(addr, sizeof(addr), "0.0.0.0:%d", health_port_no);
    CHECK_INT(probe(addr), 1);
    CHECK_INT(said(probe_file, "503 Service Unavailable: loop test:1"), 1);
    CHECK_INT(probe("127.0.0.1:0"), 1);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    (void)scratch_sql("UPDATE media.jobs SET state = 'canceled', lease_until = NULL"
                      " WHERE state = 'running'");
    conf.jobs = 1;
    conf.stall_s = 60;
}

static void test_run_at_work_or_idle_is_healthy(void)
{
    char id[64], addr[64];
    pid_t pid;

    conf.stall_s = 1;
    new_job(id, sizeof(id));
    pid = start(work);
    check_alive(5000);
    CHECK(await_state(id, "succeeded"));
    (void)wk_fmt(addr, sizeof(addr), "0.0.0.0:%d", health_port_no);
    CHECK_INT(probe(addr), 0);
    CHECK_INT(probe("127.0.0.1:0"), 0); /* by the file */
    stop(pid);
    CHECK_INT(probe(addr), 1);
    CHECK_INT(said(probe_file, "Connection refused"), 1);
    CHECK_INT(probe("127.0.0.1:0"), 1);
    CHECK_INT(said(probe_file, "no port in MEDIA_HEALTH_ADDR"), 1);
    conf.stall_s = 60;
}

static void test_probe_has_a_deadline(void)
{
    int port, fd = proxy_listen(&port); /* accepts, as far as a client can see */
    int64_t start_ms = wk_mono_ms();
    char addr[64];

    CHECK_INT(probe(wk_fmt(addr, sizeof(addr), "127.0.0.1:%d", port)), 1);
    CHECK_INT(said(probe_file, "timed out"), 1);
    CHECK(wk_mono_ms() - start_ms < 4500);
    close(fd);
}

/* Servers that refuse, and servers that take a connection and never say a word: a loop that waits
 * for them turns. */
static void test_run_without_servers_is_healthy(void)
{
    int silent_port, closed_port, silent = proxy_listen(&silent_port);
    int fd = proxy_listen(&closed_port);
    char *port = getenv("PGPORT") != NULL ? strdup(getenv("PGPORT")) : NULL;
    char text[16], url[64], endpoint[64];

    close(fd);
    fd = open("/dev/null", O_WRONLY);
    setenv("MEDIA_STALL_S", "8", 1);
    setenv("MEDIA_SWEEP_S", "1", 1);
    setenv("AWS_ACCESS_KEY_ID", "key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    for (int i = 0; i < 2; i++) {
        int p = i == 0 ? closed_port : silent_port;
        pid_t pid;

        setenv("PGPORT", wk_fmt(text, sizeof(text), "%d", p), 1);
        setenv("PGHOST", "127.0.0.1", 1);
        setenv("AMQP_URL", wk_fmt(url, sizeof(url), "amqp://u:p@127.0.0.1:%d/", p), 1);
        setenv("AWS_ENDPOINT_URL", wk_fmt(endpoint, sizeof(endpoint), "http://127.0.0.1:%d", p), 1);
        pid = start_janitor(fd);
        check_alive(12000);
        CHECK(has(health_ask("GET /readyz HTTP/1.1\r\n\r\n"), "503 "));
        stop(pid);
    }
    unsetenv("AMQP_URL");
    close(fd);
    close(silent);
    if (port != NULL) {
        setenv("PGPORT", port, 1);
        free(port);
    } else {
        unsetenv("PGPORT");
    }
}

/* Nobody reads its log: it hangs at the first line, for as long as that lasts. */
static void test_janitor_that_hangs_is_unhealthy(void)
{
    char page[4096];
    int fds[2];
    pid_t pid;

    memset(page, ' ', sizeof(page));
    CHECK_INT(pipe2(fds, O_NONBLOCK), 0);
    while (write(fds[1], page, sizeof(page)) > 0) {
    }
    CHECK_INT(fcntl(fds[1], F_SETFL, 0), 0);
    setenv("MEDIA_STALL_S", "2", 1);
    pid = start_janitor(fds[1]);
    CHECK(await_answer("/healthz", "503 ", "loop media-janitor has not turned for "));
    while (read(fds[0], page, sizeof(page)) > 0) {
    }
    CHECK(await_answer("/healthz", "200 ", "ok\n"));
    stop(pid);
    close(fds[0]);
    close(fds[1]);
}

/* The first child of a process, and how many it has, zombies among them. */
static pid_t children(pid_t pid, int *n)
{
    char path[64], text[256] = "", *end = text;
    FILE *f = fopen(wk_fmt(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid), "r");
    pid_t first = 0;

    if (f != NULL) {
        text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
        fclose(f);
    }
    for (*n = 0;; (*n)++) {
        long id = strtol(end, &end, 10);
        if (id == 0) {
            return first;
        }
        first = *n == 0 ? (pid_t)id : first;
    }
}

static int await_children(pid_t pid, int want)
{
    int n = -1;

    for (int i = 0; i < 400 && (children(pid, &n), n != want); i++) {
        (void)poll(NULL, 0, 25);
    }
    return n;
}

/* As a container runs it: process 1 reaps what loses its parent, and TERM ends all in order. */
static void test_run_as_process_1(void)
{
    char command[256];
    int n, status = -1;
    pid_t pid, init;

    if (geteuid() != 0) {
        printf("skipped in part: a PID namespace needs root\n");
        return;
    }
    (void)unlink(health_file);
    setenv("MEDIA_HEALTH_FILE", health_file, 1);
    (void)fflush(stdout);
    pid = fork();
    if (pid == 0) {
        execlp("unshare", "unshare", "--pid", "--fork", "--kill-child", MEDIA_JANITOR, NULL);
        _exit(127);
    }
    await_port();
    init = children(pid, &n);
    CHECK_INT(n, 1);
    CHECK_INT(await_children(init, 1), 1); /* the janitor */
    CHECK_INT(probe(wk_fmt(command, sizeof(command), "127.0.0.1:%d", health_port_no)), 0);
    /* a process of the container that leaves a child behind */
    (void)wk_fmt(command, sizeof(command), "%d", (int)init);
    if (fork() == 0) {
        execlp("nsenter", "nsenter", "-t", command, "-p", "sh", "-c", "sleep 1 & exit 0", NULL);
        _exit(127);
    }
    CHECK_INT(await_children(init, 2), 2);
    CHECK_INT(await_children(init, 1), 1);
    CHECK(has(health_ask(HEALTHZ), "200 OK"));
    (void)kill(init, SIGTERM);
    (void)waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    (void)waitpid(-1, &status, 0);
    CHECK_INT(status, 0);
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
    (void)wk_fmt(probe_file, sizeof(probe_file), "%s/probe", dir);
    CHECK_INT(CTL("migrate"), 0);
    test_run_takes_no_job_from_a_schema_that_does_not_fit();
    test_run_looks_at_the_schema_while_it_waits_for_long();
    test_run_that_hangs_is_unhealthy();
    test_run_at_work_or_idle_is_healthy();
    test_probe_has_a_deadline();
    test_run_without_servers_is_healthy();
    test_janitor_that_hangs_is_unhealthy();
    test_run_as_process_1();
    (void)unlink(log_file);
    (void)unlink(probe_file);
    (void)rmdir(dir);
    scratch_close();
    return test_report();
}
