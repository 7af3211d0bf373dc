/* A decoder child under its parent: this program is both. Each case names what the child shall do
 * (`do` of the params); most of it is what a child in foreign hands would try. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "file_host.h"
#include "test.h"
#include "wk_log.h"

#define SELF "/proc/self/exe"
#define INPUT_SIZE ((9 << 20) + 123)
#define WORKER_UID 65534

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- the child ---- */

static struct {
    int files, environment, groups;
} seen; /* before lock-down */

static void warm(void)
{
    extern char **environ;

    for (int fd = 0; fd < 64; fd++) {
        seen.files += fcntl(fd, F_GETFD) >= 0;
    }
    seen.environment = environ != NULL && environ[0] != NULL;
    seen.groups = getgroups(0, NULL);
}

static int done(wk_peer_t *p)
{
    return wk_peer_result(p, json_pack("{s:{s:i,s:i,s:i,s:i}}", "probe", "files", seen.files,
                                       "environment", seen.environment, "groups", seen.groups,
                                       "uid", (int)getuid()));
}

static json_t *meta(const char *name)
{
    return json_pack("{s:s,s:s,s:s,s:f}", "name", name, "kind", "audio", "content_type",
                     "audio/mpeg", "duration", 1.5);
}

/* Copies the input backwards in uneven pieces and reads some of it again. */
static int do_copy(wk_peer_t *p, const wk_child_input_t *in)
{
    static char buf[5000000], again[1000];
    int64_t end = in->size;

    while (end > 0) {
        size_t n = end < 4999999 ? (size_t)end : 4999999;
        if (wk_peer_read(p, end - (int64_t)n, buf, n) != (ssize_t)n ||
            wk_peer_write(p, end - (int64_t)n, buf, n) != 0) {
            return -1;
        }
        end -= (int64_t)n;
    }
    if (wk_peer_read(p, in->size - 10, again, 100) != 10 ||
        wk_peer_read(p, in->size, again, 100) != 0 ||
        wk_peer_read(p, in->size + 5000, again, 100) != 0 ||
        wk_peer_reread(p, 500, again, 1000) != 1000 || memcmp(again, buf + 500, 1000) != 0 ||
        wk_peer_reread(p, in->size - 1, again, 1000) != 1) {
        return -1;
    }
    if (wk_peer_output(p, meta("first.mp3")) != 0 || wk_peer_reread(p, 0, again, 10) != 0 ||
        wk_peer_write(p, 0, "second", 6) != 0 || wk_peer_output(p, meta("second.mp3")) != 0) {
        return -1;
    }
    return done(p);
}

static void raw(uint32_t type, uint32_t len, int64_t off, const void *payload, size_t n)
{
    wk_frame_head_t h = {type, len, off};

    (void)!write(3, &h, sizeof(h));
    if (n > 0) {
        (void)!write(3, payload, n);
    }
}

static void raw_text(uint32_t type, const char *text)
{
    raw(type, (uint32_t)strlen(text), 0, text, strlen(text));
}

#define OUT_OK "\"kind\":\"audio\",\"content_type\":\"audio/mpeg\""

static const struct {
    const char *what;
    uint32_t type;
    const char *text;
} bad_texts[] = {
    {"output_name", WK_F_OUTPUT, "{\"name\":\"../../x\"," OUT_OK "}"},
    {"output_hidden", WK_F_OUTPUT, "{\"name\":\".x\"," OUT_OK "}"},
    {"output_member", WK_F_OUTPUT, "{\"name\":\"x.mp3\",\"object_key\":\"media/x\"," OUT_OK "}"},
    {"output_kind", WK_F_OUTPUT,
     "{\"name\":\"x.mp3\",\"kind\":\"evil\",\"content_type\":\"audio/mpeg\"}"},
    {"output_type", WK_F_OUTPUT,
     "{\"name\":\"x.mp3\",\"kind\":\"audio\",\"content_type\":\"a/b\\r\\nx: y\"}"},
    {"output_duration", WK_F_OUTPUT, "{\"name\":\"x.mp3\",\"duration\":-1," OUT_OK "}"},
    {"output_width", WK_F_OUTPUT, "{\"name\":\"x.mp3\",\"width\":1.5," OUT_OK "}"},
    {"output_no_name", WK_F_OUTPUT, "{" OUT_OK "}"},
    {"output_no_json", WK_F_OUTPUT, "{\"name\""},
    {"result_list", WK_F_RESULT, "[]"},
    {"result_empty", WK_F_RESULT, "{}"},
    {"result_fan_out", WK_F_RESULT, "{\"probe\":{},\"fan_out\":[{\"step\":\"x\"}]}"},
    {"result_reads_other", WK_F_RESULT,
     "{\"probe\":{},\"fan_out\":[{\"step\":\"x\",\"range\":{\"kept\":{\"object_key\":\"media/"
     "x\"}}}]}"},
    {"result_track", WK_F_RESULT, "{\"tracks\":[{\"name\":\"../x\",\"segments\":1,\"info\":{}}]}"},
    {"segment_track", WK_F_OUTPUT,
     "{\"name\":\"x\",\"content_type\":\"video/mp4\",\"track\":\"A/b\",\"number\":1}"},
    {"segment_number", WK_F_OUTPUT,
     "{\"name\":\"x\",\"content_type\":\"video/mp4\",\"track\":\"a\",\"number\":-1}"},
    {"segment_kind", WK_F_OUTPUT, "{\"name\":\"x\",\"track\":\"a\",\"number\":1," OUT_OK "}"},
    {"keep_key", WK_F_OUTPUT,
     "{\"name\":\"x\",\"content_type\":\"a/b\",\"keep\":true,\"object_key\":\"media/x\"}"},
    {"result_outputs", WK_F_RESULT, "{\"probe\":{},\"outputs\":[]}"},
    {"result_infinite", WK_F_RESULT, "{\"probe\":{\"duration\":1e999}}"},
    {"error_code", WK_F_ERROR, "{\"code\":\"No Code\",\"detail\":\"x\",\"retry\":false}"},
    {"error_control", WK_F_ERROR, "{\"code\":\"x\",\"detail\":\"a\\nb\",\"retry\":false}"},
    {"start_back", WK_F_START, "{}"},
    {"data_back", WK_F_DATA, "{}"},
    {"unknown_type", 77, "{}"},
};

static const uint32_t ten = 10, most = WK_FRAME_MAX, too_many = WK_FRAME_MAX + 1;
static const double nan_text = NAN;
static const struct {
    const char *what;
    uint32_t type, len;
    int64_t off;
    const void *payload;
} bad_frames[] = {{"read_negative", WK_F_READ, 4, -1, &ten},
                  {"read_short", WK_F_READ, 3, 0, &ten},
                  {"read_huge", WK_F_READ, 4, 0, &too_many},
                  {"write_huge", WK_F_WRITE, UINT32_MAX, 0, NULL},
                  {"write_empty", WK_F_WRITE, 0, 0, NULL},
                  {"progress_nan", WK_F_PROGRESS, 8, 0, &nan_text},
                  {"output_huge", WK_F_OUTPUT, 1 << 20, 0, NULL},
                  {"result_huge", WK_F_RESULT, WK_FRAME_MAX + 1, 0, NULL}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void do_bad_frame(const char *what)
{
    for (size_t i = 0; i < COUNT(bad_texts); i++) {
        if (strcmp(what, bad_texts[i].what) == 0) {
            raw_text(bad_texts[i].type, bad_texts[i].text);
        }
    }
    for (size_t i = 0; i < COUNT(bad_frames); i++) {
        if (strcmp(what, bad_frames[i].what) == 0) {
            raw(bad_frames[i].type, bad_frames[i].len, bad_frames[i].off, bad_frames[i].payload,
                bad_frames[i].payload != NULL ? bad_frames[i].len : 0);
        }
    }
    for (;;) {
        (void)poll(NULL, 0, -1);
    }
}

static void *thread(void *data)
{
    *(int *)data = 42;
    return NULL;
}

/* 0 when every refusal is one and threads still work. */
static int sandbox_errnos(void)
{
    pthread_t t;
    int value = 0;
    char path[64];

    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES || dup(3) >= 0 ||
        readlink("/proc/self/exe", path, sizeof(path)) >= 0 ||
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 || fcntl(3, F_GETFL) >= 0) {
        return 1;
    }
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
        return 2;
    }
    if (pthread_create(&t, NULL, thread, &value) != 0 || pthread_join(t, NULL) != 0 ||
        value != 42) {
        return 3;
    }
    return 0;
}

static void forbidden(const char *what)
{
    struct sockaddr sa = {.sa_family = AF_INET};

    if (strcmp(what, "socket") == 0) {
        (void)!socket(AF_INET, SOCK_STREAM, 0);
    } else if (strcmp(what, "connect") == 0) {
        (void)!connect(3, &sa, sizeof(sa));
    } else if (strcmp(what, "fork") == 0) {
        (void)!syscall(SYS_fork);
    } else if (strcmp(what, "clone") == 0) {
        (void)!syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    } else if (strcmp(what, "exec") == 0) {
        (void)!execl("/bin/true", "true", (char *)NULL);
    } else if (strcmp(what, "kill") == 0) {
        (void)!kill(getppid(), SIGTERM);
    } else if (strcmp(what, "ptrace") == 0) {
        (void)!syscall(SYS_ptrace, 0, 0, 0, 0);
    } else if (strcmp(what, "setuid") == 0) {
        (void)!setuid(0);
    } else if (strcmp(what, "unlink") == 0) {
        (void)!unlink("/tmp/x");
    }
}

static void do_endless(wk_peer_t *p, const char *what)
{
    volatile unsigned spin = 0;

    while (strcmp(what, "hang") == 0) {
        (void)poll(NULL, 0, -1);
    }
    while (strcmp(what, "deaf") == 0) { /* asks and never listens */
        raw(WK_F_READ, 4, 0, &most, 4);
    }
    for (;;) {
        for (int i = 0; i < 1000000; i++) {
            spin = spin + 1;
        }
        (void)wk_peer_progress(p, 0.5);
        if (strcmp(what, "slow") == 0) {
            (void)usleep(20000);
        }
    }
}

static int do_eat_memory(wk_peer_t *p)
{
    size_t total = 0;

    for (;;) {
        char *m = malloc(8 << 20);
        if (m == NULL) {
            return wk_peer_error(p, "limits", 0, "no more after %zu MiB", total >> 20);
        }
        memset(m, 1, 8 << 20);
        total += 8 << 20;
    }
}

static int do_flood_stderr(wk_peer_t *p)
{
    static char line[100000];

    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 100; i++) {
        (void)!write(2, line, sizeof(line));
    }
    return done(p);
}

static int do_fill(wk_peer_t *p)
{
    static char block[1 << 20];

    for (int64_t off = 0;; off += (int64_t)sizeof(block)) {
        if (wk_peer_write(p, off, block, sizeof(block)) != 0) {
            return -1;
        }
    }
}

static int work(wk_peer_t *p, const wk_child_input_t *in)
{
    const char *what = json_string_value(json_object_get(in->params, "do"));
    const char *arg = json_string_value(json_object_get(in->params, "arg"));
    char *null = NULL;

    if (strcmp(what, "copy") == 0) {
        return do_copy(p, in);
    } else if (strcmp(what, "bad_frame") == 0) {
        do_bad_frame(arg);
    } else if (strcmp(what, "errnos") == 0) {
        return sandbox_errnos() == 0 ? done(p) : sandbox_errnos();
    } else if (strcmp(what, "forbidden") == 0) {
        forbidden(arg);
        return done(p); /* it was not forbidden */
    } else if (strcmp(what, "endless") == 0) {
        do_endless(p, arg);
    } else if (strcmp(what, "memory") == 0) {
        return do_eat_memory(p);
    } else if (strcmp(what, "stderr") == 0) {
        return do_flood_stderr(p);
    } else if (strcmp(what, "fill") == 0) {
        return do_fill(p);
    } else if (strcmp(what, "far") == 0) {
        return wk_peer_write(p, INT64_MAX - 2, "xxxx", 4);
    } else if (strcmp(what, "segv") == 0) {
        *(volatile char *)null = 1;
    } else if (strcmp(what, "abort") == 0) {
        abort();
    } else if (strcmp(what, "close") == 0) {
        (void)close(3);
        (void)poll(NULL, 0, -1);
    } else if (strcmp(what, "error") == 0) {
        return wk_peer_error(p, "no_audio", 0, "There is no sound in \xc3\xa4.");
    } else if (strcmp(what, "error_retry") == 0) {
        return wk_peer_error(p, "internal", 1, "bytes that are no text: \xff");
    }
    return 0; /* "exit": no result */
}

/* ---- the tests ---- */

static const wk_child_limits_t usual = {
    .memory_bytes = 256 << 20, .output_bytes = 64 << 20, .cpu_s = 20, .wall_s = 20, .stall_s = 10};
static int input_fd;
static char *input;

static enum wk_end run_arg(file_host_t *h, const char *what, const char *arg,
                           const wk_child_limits_t *limits)
{
    char params[128];

    return file_host_run(
        h, SELF, wk_fmt(params, sizeof(params), "{\"do\":\"%s\",\"arg\":\"%s\"}", what, arg),
        limits);
}

static enum wk_end run_do(file_host_t *h, const char *what)
{
    file_host_init(h, input_fd);
    return run_arg(h, what, "", &usual);
}

static int probe_int(const file_host_t *h, const char *name)
{
    json_t *v = json_object_get(json_object_get(h->out.result, "probe"), name);

    return v != NULL ? (int)json_integer_value(v) : -1;
}

static void test_wk_child_copy_roundtrips(void)
{
    file_host_t h;
    char *copy = malloc(INPUT_SIZE);

    CHECK_INT(run_do(&h, "copy"), WK_DONE);
    CHECK_INT(h.nout, 2);
    if (h.nout == 2) {
        CHECK_INT(h.out_size[0], INPUT_SIZE);
        CHECK_INT(pread(h.out_fd[0], copy, INPUT_SIZE, 0), INPUT_SIZE);
        CHECK(memcmp(copy, input, INPUT_SIZE) == 0);
        CHECK_INT(h.out_size[1], 6);
        CHECK_STR(json_string_value(json_object_get(h.out_meta[1], "name")), "second.mp3");
        CHECK(json_real_value(json_object_get(h.out_meta[0], "duration")) > 1.4);
    }
    file_host_free(&h);
    free(copy);
}

static void test_wk_child_start_is_locked_down(void)
{
    file_host_t h;

    CHECK_INT(run_do(&h, "errnos"), WK_DONE);
    CHECK_INT(probe_int(&h, "files"), 4);
    CHECK_INT(probe_int(&h, "environment"), 0);
    CHECK_INT(probe_int(&h, "uid"), geteuid() == 0 ? WORKER_UID : (int)geteuid());
    if (geteuid() == 0) {
        CHECK_INT(probe_int(&h, "groups"), 0);
    }
    file_host_free(&h);
}

static void test_wk_child_forbidden_call_kills(void)
{
    static const char *const calls[] = {"socket", "connect", "fork",   "clone", "exec",
                                        "kill",   "ptrace",  "setuid", "unlink"};
    file_host_t h;

    for (size_t i = 0; i < COUNT(calls); i++) {
        file_host_init(&h, input_fd);
        CHECK_INT(run_arg(&h, "forbidden", calls[i], &usual), WK_RETRY);
        CHECK_STR(h.out.code, "decoder_crashed");
        file_host_free(&h);
    }
}

static void test_wk_child_bad_frame_rejected(void)
{
    const size_t n = COUNT(bad_texts);
    file_host_t h;

    for (size_t i = 0; i < n + COUNT(bad_frames); i++) {
        const char *what = i < n ? bad_texts[i].what : bad_frames[i - n].what;

        file_host_init(&h, input_fd);
        CHECK_INT(run_arg(&h, "bad_frame", what, &usual), WK_REJECT);
        CHECK_STR(h.out.code, "decoder_failed");
        CHECK_INT(h.nout, 0);
        file_host_free(&h);
    }
}

static void test_wk_child_death_is_an_outcome(void)
{
    static const char *const ways[] = {"segv", "abort", "close", "exit"};
    file_host_t h;

    for (size_t i = 0; i < COUNT(ways); i++) {
        CHECK_INT(run_do(&h, ways[i]), WK_RETRY);
        CHECK_STR(h.out.code, "decoder_crashed");
        CHECK(h.out.result == NULL);
        file_host_free(&h);
    }
}

static void test_wk_child_error_is_passed_on(void)
{
    file_host_t h;

    CHECK_INT(run_do(&h, "error"), WK_REJECT);
    CHECK_STR(h.out.code, "no_audio");
    CHECK_STR(h.out.detail, "There is no sound in \xc3\xa4.");
    file_host_free(&h);
    CHECK_INT(run_do(&h, "error_retry"), WK_RETRY);
    CHECK_STR(h.out.code, "internal");
    CHECK(h.out.detail[0] != '\0');
    file_host_free(&h);
}

static void expect_limit(const char *what, const char *arg, wk_child_limits_t limits,
                         enum wk_end end, const char *code)
{
    int64_t started_ms = wk_mono_ms();
    file_host_t h;

    file_host_init(&h, input_fd);
    CHECK_INT(run_arg(&h, what, arg, &limits), end);
    CHECK_STR(h.out.code, code);
    CHECK(wk_mono_ms() - started_ms < 15000);
    file_host_free(&h);
}

static void test_wk_child_limits_hold(void)
{
    wk_child_limits_t l = usual;

    l.stall_s = 1;
    expect_limit("endless", "hang", l, WK_RETRY, "decoder_stalled");
    expect_limit("endless", "deaf", l, WK_RETRY, "decoder_stalled");
    l = usual;
    l.wall_s = 1;
    expect_limit("endless", "slow", l, WK_REJECT, "limits");
    l = usual;
    l.cpu_s = 1;
    expect_limit("endless", "burn", l, WK_REJECT, "limits");
    expect_limit("fill", "", usual, WK_REJECT, "limits");
    expect_limit("far", "", usual, WK_REJECT, "limits");
    if (!SANITIZED) {
        expect_limit("memory", "", usual, WK_REJECT, "limits");
    }
}

static void test_wk_child_stderr_flood_is_harmless(void)
{
    file_host_t h;

    CHECK_INT(run_do(&h, "stderr"), WK_DONE);
    file_host_free(&h);
}

static void test_wk_child_beat_ends_it(void)
{
    file_host_t h;

    file_host_init(&h, input_fd);
    h.beat_rc = MEDIA_E_GONE;
    h.beats_ok = 1;
    CHECK_INT(run_arg(&h, "endless", "slow", &usual), WK_LOST);
    CHECK_INT(h.beats, 2);
    CHECK(h.progress > 0.4 && h.progress < 0.6);
    file_host_free(&h);

    file_host_init(&h, input_fd);
    h.beat_rc = MEDIA_E_AGAIN;
    CHECK_INT(run_arg(&h, "endless", "hang", &usual), WK_RELEASE);
    file_host_free(&h);
}

static void test_wk_child_storage_failure_is_ours(void)
{
    static const struct {
        int read_rc, output_rc, end;
        const char *code;
    } cases[] = {{MEDIA_E_RETRY, 0, WK_RETRY, "storage_unavailable"},
                 {MEDIA_E_GONE, 0, WK_RETRY, "input_missing"},
                 {0, MEDIA_E_RETRY, WK_RETRY, "storage_unavailable"},
                 {0, MEDIA_E_GONE, WK_LOST, ""}};
    file_host_t h;

    for (size_t i = 0; i < COUNT(cases); i++) {
        file_host_init(&h, input_fd);
        h.read_rc = cases[i].read_rc;
        h.output_rc = cases[i].output_rc;
        CHECK_INT(run_arg(&h, "copy", "", &usual), cases[i].end);
        CHECK_STR(h.out.code, cases[i].code);
        file_host_free(&h);
    }
}

static void test_wk_child_missing_binary_is_ours(void)
{
    file_host_t h;

    file_host_init(&h, input_fd);
    CHECK_INT(file_host_run(&h, "/nonexistent", "{}", &usual), WK_RETRY);
    CHECK_STR(h.out.code, "sandbox_failed");
    file_host_free(&h);
}

/* A worker that is killed takes its child with it. */
static void test_wk_child_dies_with_its_parent(void)
{
    static const char start[] = "{\"size\":0,\"params\":{\"do\":\"endless\",\"arg\":\"hang\"}}";
    wk_frame_head_t head = {WK_F_START, sizeof(start) - 1, geteuid() == 0 ? WORKER_UID : -1};
    char flag[] = WK_CHILD_FLAG, *argv[] = {flag, flag, NULL};
    int ends[2], status = 0;
    pid_t parent, child = -1;
    wk_proc_t proc;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 && pipe(ends) == 0);
    parent = fork();
    if (parent == 0) {
        if (wk_spawn(SELF, argv, &usual, &proc, NULL) != 0 ||
            send(proc.sock, &head, sizeof(head), 0) < 0 ||
            send(proc.sock, start, sizeof(start) - 1, 0) < 0) {
            _exit(1);
        }
        (void)!write(ends[1], &proc.pid, sizeof(proc.pid));
        (void)pause();
        _exit(0);
    }
    CHECK_INT(read(ends[0], &child, sizeof(child)), sizeof(child));
    (void)kill(parent, SIGKILL);
    CHECK_INT(waitpid(parent, NULL, 0), parent);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) || WIFEXITED(status));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(warm, work);
    }
    wk_log_init("test", MEDIA_LOG_ERROR + 1);
    (void)signal(SIGPIPE, SIG_IGN);
    input = malloc(INPUT_SIZE);
    for (int i = 0; i < INPUT_SIZE; i++) {
        input[i] = (char)((unsigned)i * 2654435761u >> 23);
    }
    input_fd = memfd_create("input", MFD_CLOEXEC);
    CHECK_INT(pwrite(input_fd, input, INPUT_SIZE, 0), INPUT_SIZE);

    test_wk_child_copy_roundtrips();
    test_wk_child_start_is_locked_down();
    test_wk_child_forbidden_call_kills();
    test_wk_child_bad_frame_rejected();
    test_wk_child_death_is_an_outcome();
    test_wk_child_error_is_passed_on();
    test_wk_child_limits_hold();
    test_wk_child_stderr_flood_is_harmless();
    test_wk_child_beat_ends_it();
    test_wk_child_storage_failure_is_ours();
    test_wk_child_missing_binary_is_ours();
    test_wk_child_dies_with_its_parent();
    (void)close(input_fd);
    free(input);
    return test_report();
}
