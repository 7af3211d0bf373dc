/* The event loop around one decoder child.
 *
 *   state     waits for                     timer                   ends in
 *   listen    a frame of the child          stall, wall, beat       reply (READ, REREAD), over
 *   reply     room in the socket, or the    beat; stall and wall    listen
 *             input block from the cache    only while it is the child that is slow
 *   over      -                             -                       kill, reap, judge
 *
 * In `reply` no further frame is read, so one request is open at most and what we hold is bounded:
 * one frame, the block cache, one unlinked temporary file. Everything the child sends is checked; a
 * frame that breaks the protocol ends the child. */
#define _GNU_SOURCE
#include "wk_host_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wk_log.h"

#define HOST_TICK_MS 250
#define HOST_BEAT_MS 500
#define HOST_TURN_MS 5000 /* of a turn: if it took longer it was us who did not run */
#define HOST_STDERR_MAX 8192

void wk_host_over(wk_host_run_t *r, enum wk_end end, const char *code, const char *fmt, ...)
{
    va_list ap;

    r->over = 1;
    r->judged = 1;
    r->end = end;
    (void)snprintf(r->out->code, sizeof(r->out->code), "%s", code);
    va_start(ap, fmt);
    (void)vsnprintf(r->out->detail, sizeof(r->out->detail), fmt, ap);
    va_end(ap);
}

static int tmp_open(const char *dir)
{
    char path[512];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        /* a file system without O_TMPFILE */
        (void)snprintf(path, sizeof(path), "%s/media-XXXXXX", dir);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(path);
        }
    }
    return fd;
}

void wk_host_charge(wk_host_run_t *r, int child)
{
    int64_t now_ms = wk_mono_ms();
    int64_t spent_ms = now_ms - r->mark_ms;

    if (child) {
        spent_ms = spent_ms < HOST_TURN_MS ? spent_ms : HOST_TURN_MS;
        r->child_ms += spent_ms;
        r->silent_ms += spent_ms;
    }
    r->mark_ms = now_ms;
}

int wk_host_gone(wk_host_run_t *r, int rc)
{
    if (rc == MEDIA_E_GONE) {
        wk_host_over(r, WK_LOST, "", "%s", "");
    } else if (rc == MEDIA_E_AGAIN) {
        wk_host_over(r, WK_RELEASE, "", "%s", "");
    }
    return r->over;
}

static void beat(wk_host_run_t *r)
{
    double eta_s = -1;

    if (r->mark_ms - r->beat_ms < HOST_BEAT_MS) {
        return;
    }
    if (r->progress > 0.01) {
        eta_s = (double)r->child_ms / 1000 * (1 - r->progress) / r->progress;
    }
    (void)wk_host_gone(r, r->host->beat(r->host->data, r->progress, eta_s));
    wk_host_charge(r, 0);
    r->beat_ms = r->mark_ms;
}

static void watch(wk_host_run_t *r)
{
    const wk_child_limits_t *l = r->host->limits;

    if (r->child_ms > (int64_t)l->wall_s * 1000) {
        wk_host_over(r, WK_REJECT, "limits", "Processing took longer than the limit of %d seconds.",
                     l->wall_s);
    } else if (r->silent_ms > (int64_t)l->stall_s * 1000) {
        wk_host_over(r, WK_RETRY, "decoder_stalled", "The decoder made no progress for %d seconds.",
                     l->stall_s);
    }
}

static void read_stderr(wk_host_run_t *r)
{
    char buf[1024];
    ssize_t n;

    /* a child that writes without end must not keep us from the timers */
    for (int i = 0; i < 64 && (n = read(r->proc.stderr_fd, buf, sizeof(buf))) > 0; i++) {
        if (r->err.len + (size_t)n < HOST_STDERR_MAX) {
            (void)media_buf_add(&r->err, buf, (size_t)n);
        }
    }
}

static void turn(wk_host_run_t *r)
{
    struct pollfd p[3] = {{.fd = r->proc.sock, .events = POLLIN},
                          {.fd = r->proc.stderr_fd, .events = POLLIN},
                          {.fd = -1, .events = POLLIN}};

    if (r->reply != REPLY_NONE) {
        p[0].events = POLLOUT;
    }
    if (r->starved) {
        p[0].events = 0;
        p[2].fd = wk_blocks_fd(r->blocks);
    }
    (void)poll(p, 3, HOST_TICK_MS);
    wk_host_charge(r, !r->starved);
    if (p[1].revents != 0) {
        read_stderr(r);
    }
    if (r->reply != REPLY_NONE) {
        int64_t before;
        do {
            before = (int64_t)r->sent;
            wk_host_reply(r);
        } while (!r->over && r->reply != REPLY_NONE && (int64_t)r->sent > before);
    }
    /* a child that writes without end must not keep us from the timers */
    for (int i = 0; i < 64 && r->reply == REPLY_NONE && !r->over && wk_host_listen(r); i++) {
    }
    if (r->starved && (p[0].revents & (POLLHUP | POLLERR)) != 0) {
        r->over = 1;
    }
    if (!r->over) {
        watch(r);
    }
    if (!r->over) {
        beat(r);
    }
}

/* The cause of a death nobody of us ordered. */
static void judge(wk_host_run_t *r, int status)
{
    char what[64];
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    (void)wk_fmt(what, sizeof(what), "signal %d, exit code %d", sig, code);
    if (sig == SIGXCPU) {
        wk_host_over(r, WK_REJECT, "limits",
                     "Processing needed more than the limit of %d CPU seconds.",
                     r->host->limits->cpu_s);
        return;
    }
    wk_log(MEDIA_LOG_ERROR, "decoder child died", "status", what, "stderr",
           r->err.len > 0 ? r->err.p : "", NULL);
    if (code == WK_EXIT_SANDBOX || code == WK_EXIT_EXEC || code == WK_EXIT_START) {
        wk_host_over(r, WK_RETRY, "sandbox_failed", "The decoder could not be started.");
    } else {
        wk_host_over(r, WK_RETRY, "decoder_crashed", "The decoder crashed on this file.");
    }
}

static int prepare(wk_host_run_t *r)
{
    static char name[] = "decoder", flag[] = WK_CHILD_FLAG;
    char *argv[] = {name, flag, NULL};
    media_err_t ei = {""};

    r->payload = malloc(WK_FRAME_MAX);
    r->start = json_dumps(r->host->start, JSON_COMPACT);
    r->blocks = wk_blocks_new(r->host->source);
    r->answer = r->host->asked != NULL ? malloc(WK_ANSWER_MAX) : NULL;
    if (r->payload == NULL || r->start == NULL || r->blocks == NULL ||
        (r->host->asked != NULL && r->answer == NULL)) {
        wk_host_over(r, WK_RETRY, "worker_memory", "The worker is out of memory.");
        return -1;
    }
    r->tmp_fd = tmp_open(r->host->tmpdir);
    if (r->tmp_fd < 0) {
        wk_log(MEDIA_LOG_ERROR, "no temporary file", "dir", r->host->tmpdir, "cause",
               strerror(errno), NULL);
        wk_host_over(r, WK_RETRY, "worker_storage", "The worker cannot make a temporary file.");
        return -1;
    }
    if (wk_spawn(r->host->exe, argv, r->host->limits, &r->proc, &ei) != 0) {
        wk_host_over(r, WK_RETRY, "sandbox_failed", "The decoder could not be started: %s",
                     ei.text);
        return -1;
    }
    r->head = (wk_frame_head_t){WK_F_START, (uint32_t)strlen(r->start), r->host->uid};
    r->reply = REPLY_START;
    return 0;
}

enum wk_end wk_host_run(const wk_host_t *host, wk_outcome_t *out)
{
    wk_host_run_t r = {
        .host = host, .out = out, .tmp_fd = -1, .proc = {-1, -1, -1}, .end = WK_RETRY};
    int status;

    media_buf_init(&r.err, HOST_STDERR_MAX);
    r.mark_ms = r.beat_ms = wk_mono_ms();
    if (prepare(&r) == 0) {
        while (!r.over) {
            turn(&r);
        }
        read_stderr(&r);
    }
    status = wk_spawn_end(&r.proc);
    if (!r.judged) {
        judge(&r, status);
    } else if (r.err.len > 0) {
        wk_log(MEDIA_LOG_DEBUG, "decoder child's stderr", "text", r.err.p, NULL);
    }
    if (r.end != WK_DONE && out->result != NULL) {
        json_decref(out->result);
        out->result = NULL;
    }
    if (r.tmp_fd >= 0) {
        (void)close(r.tmp_fd);
    }
    wk_blocks_free(r.blocks);
    media_buf_free(&r.err);
    free(r.payload);
    free(r.start);
    free(r.answer);
    return r.end;
}
