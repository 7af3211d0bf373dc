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
#include "wk_host.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "media/buf.h"
#include "wk_log.h"

#define HOST_TICK_MS 250
#define HOST_BEAT_MS 500
#define HOST_STDERR_MAX 8192
#define HOST_JSON_MAX (256u << 10)
#define HOST_OUTPUTS_MAX 4096
#define HOST_COPY (64 << 10)

enum reply { REPLY_NONE, REPLY_START, REPLY_INPUT, REPLY_OUTPUT };

typedef struct {
    const wk_host_t *host;
    wk_blocks_t *blocks;
    wk_proc_t proc;
    wk_outcome_t *out;
    media_buf_t err; /* the child's stderr, for the log */

    wk_frame_head_t in; /* the frame being read */
    size_t in_got;      /* of head and payload together */
    char *payload;      /* WK_FRAME_MAX */

    enum reply reply;
    wk_frame_head_t head; /* of the reply */
    size_t sent;          /* of head and payload together */
    char *start;          /* text of the START document */
    int starved;          /* the reply waits for a block */

    int tmp_fd;
    int64_t out_size;  /* of the current output */
    int64_t out_total; /* of those before it */
    int outputs;

    double progress;
    int64_t mark_ms;   /* the clock up to which time has been charged */
    int64_t child_ms;  /* time charged to the child */
    int64_t silent_ms; /* since it last moved */
    int64_t beat_ms;

    int over;
    int judged; /* `end` and *out are set; else the wait status decides */
    enum wk_end end;
} run_t;

__attribute__((format(printf, 4, 5))) static void over(run_t *r, enum wk_end end, const char *code,
                                                       const char *fmt, ...)
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

static void misbehaved(run_t *r, const char *what)
{
    wk_log(MEDIA_LOG_ERROR, "decoder child broke the protocol", "what", what, NULL);
    over(r, WK_REJECT, "decoder_failed", "The file made the decoder misbehave.");
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

/* Charges the time since the last call to the child, or to nobody while it waits for us. */
static void charge(run_t *r, int child)
{
    int64_t now_ms = wk_mono_ms();

    if (child) {
        r->child_ms += now_ms - r->mark_ms;
        r->silent_ms += now_ms - r->mark_ms;
    }
    r->mark_ms = now_ms;
}

static int gone(run_t *r, int rc)
{
    if (rc == MEDIA_E_GONE) {
        over(r, WK_LOST, "", "%s", "");
    } else if (rc == MEDIA_E_AGAIN) {
        over(r, WK_RELEASE, "", "%s", "");
    }
    return r->over;
}

static void beat(run_t *r)
{
    double eta_s = -1;

    if (r->mark_ms - r->beat_ms < HOST_BEAT_MS) {
        return;
    }
    if (r->progress > 0.01) {
        eta_s = (double)r->child_ms / 1000 * (1 - r->progress) / r->progress;
    }
    (void)gone(r, r->host->beat(r->host->data, r->progress, eta_s));
    charge(r, 0);
    r->beat_ms = r->mark_ms;
}

static void watch(run_t *r)
{
    const wk_child_limits_t *l = r->host->limits;

    if (r->child_ms > (int64_t)l->wall_s * 1000) {
        over(r, WK_REJECT, "limits", "Processing took longer than the limit of %d seconds.",
             l->wall_s);
    } else if (r->silent_ms > (int64_t)l->stall_s * 1000) {
        over(r, WK_RETRY, "decoder_stalled", "The decoder made no progress for %d seconds.",
             l->stall_s);
    }
}

/* ---- frames of the child ---- */

static void on_ask(run_t *r, enum reply kind, int64_t size)
{
    uint32_t want;

    memcpy(&want, r->payload, sizeof(want));
    if (r->in.off < 0 || want > WK_FRAME_MAX) {
        misbehaved(r, "read out of range");
        return;
    }
    if (r->in.off >= size) {
        want = 0;
    } else if (want > size - r->in.off) {
        want = (uint32_t)(size - r->in.off);
    }
    r->head = (wk_frame_head_t){WK_F_DATA, want, r->in.off};
    r->sent = 0;
    r->reply = kind;
}

static void on_write(run_t *r)
{
    int64_t room = r->host->limits->output_bytes - r->out_total;
    size_t done = 0;

    if (r->in.off < 0 || r->in.off > room || (int64_t)r->in.len > room - r->in.off) {
        over(r, WK_REJECT, "limits", "The output would be larger than the limit of %lld bytes.",
             (long long)r->host->limits->output_bytes);
        return;
    }
    while (done < r->in.len) {
        ssize_t n =
            pwrite(r->tmp_fd, r->payload + done, r->in.len - done, r->in.off + (int64_t)done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            wk_log(MEDIA_LOG_ERROR, "temporary file not writable", "dir", r->host->tmpdir, "cause",
                   strerror(errno), NULL);
            over(r, WK_RETRY, "worker_storage", "The worker's disk cannot take the output.");
            return;
        }
        done += (size_t)n;
    }
    if (r->in.off + (int64_t)r->in.len > r->out_size) {
        r->out_size = r->in.off + (int64_t)r->in.len;
    }
}

static void on_output(run_t *r)
{
    media_err_t ei = {""};
    json_t *meta;
    int rc;

    if (++r->outputs > HOST_OUTPUTS_MAX) {
        misbehaved(r, "too many outputs");
        return;
    }
    meta = wk_claims_output((media_str_t){r->payload, r->in.len}, &ei);
    if (meta == NULL) {
        misbehaved(r, ei.text);
        return;
    }
    charge(r, 1);
    rc = r->host->output(r->host->data, r->tmp_fd, r->out_size, meta, &ei);
    charge(r, 0);
    if (rc == MEDIA_E_GONE || rc == MEDIA_E_AGAIN) {
        (void)gone(r, rc);
    } else if (rc != 0) {
        over(r, WK_RETRY, "storage_unavailable", "The output could not be stored: %s", ei.text);
    } else if (ftruncate(r->tmp_fd, 0) != 0) {
        over(r, WK_RETRY, "worker_storage", "The worker's temporary file failed.");
    }
    r->out_total += r->out_size;
    r->out_size = 0;
}

static void on_result(run_t *r)
{
    media_err_t ei = {"no probe"};

    r->out->result = wk_claims_result((media_str_t){r->payload, r->in.len}, &ei);
    if (r->out->result == NULL) {
        misbehaved(r, ei.text);
        return;
    }
    r->over = r->judged = 1;
    r->end = WK_DONE;
}

static void on_error(run_t *r)
{
    media_err_t ei = {"bad text"};
    int retry = 0;

    if (wk_claims_error((media_str_t){r->payload, r->in.len}, r->out, &retry, &ei) != 0) {
        misbehaved(r, ei.text);
        return;
    }
    r->over = r->judged = 1;
    r->end = retry ? WK_RETRY : WK_REJECT;
}

static void on_progress(run_t *r)
{
    double d;

    memcpy(&d, r->payload, sizeof(d));
    if (!isfinite(d)) {
        misbehaved(r, "progress is no number");
        return;
    }
    r->progress = d < 0 ? 0 : d > 1 ? 1 : d;
}

static int head_valid(const wk_frame_head_t *h)
{
    switch (h->type) {
    case WK_F_READ:
    case WK_F_REREAD:
        return h->len == sizeof(uint32_t);
    case WK_F_PROGRESS:
        return h->len == sizeof(double);
    case WK_F_WRITE:
        return h->len > 0 && h->len <= WK_FRAME_MAX;
    case WK_F_OUTPUT:
    case WK_F_RESULT:
    case WK_F_ERROR:
        return h->len > 0 && h->len <= HOST_JSON_MAX;
    default:
        return 0;
    }
}

static void dispatch(run_t *r)
{
    r->silent_ms = 0;
    switch (r->in.type) {
    case WK_F_READ:
        on_ask(r, REPLY_INPUT, r->host->source->size);
        break;
    case WK_F_REREAD:
        on_ask(r, REPLY_OUTPUT, r->out_size);
        break;
    case WK_F_WRITE:
        on_write(r);
        break;
    case WK_F_OUTPUT:
        on_output(r);
        break;
    case WK_F_PROGRESS:
        on_progress(r);
        break;
    case WK_F_RESULT:
        on_result(r);
        break;
    case WK_F_ERROR:
        on_error(r);
        break;
    }
}

/* Reads what is there of the current frame. 1: something was read, 0: nothing now. */
static int listen_once(run_t *r)
{
    size_t head_len = sizeof(r->in);
    char *to =
        r->in_got < head_len ? (char *)&r->in + r->in_got : r->payload + (r->in_got - head_len);
    size_t want = r->in_got < head_len ? head_len - r->in_got : head_len + r->in.len - r->in_got;
    ssize_t n = recv(r->proc.sock, to, want, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n <= 0) {
        r->over = 1; /* it closed its end or died: the wait status tells */
        return 0;
    }
    r->in_got += (size_t)n;
    if (r->in_got == head_len && !head_valid(&r->in)) {
        misbehaved(r, "bad frame");
    } else if (r->in_got >= head_len && r->in_got == head_len + r->in.len) {
        r->in_got = 0;
        dispatch(r);
    }
    return 1;
}

/* ---- replies ---- */

/* The next bytes of the reply's payload. Their count; 0: not there yet or over. */
static size_t reply_bytes(run_t *r, char *copy, const char **p)
{
    int64_t done = (int64_t)(r->sent - sizeof(r->head));
    int64_t left = (int64_t)r->head.len - done;
    media_err_t ei = {""};
    ssize_t n = MEDIA_E_BUG;

    if (r->reply == REPLY_START) {
        *p = r->start + done;
        return (size_t)left;
    }
    if (r->reply == REPLY_OUTPUT) {
        *p = copy;
        n = pread(r->tmp_fd, copy, left < HOST_COPY ? (size_t)left : HOST_COPY, r->head.off + done);
        if (n > 0) {
            return (size_t)n;
        }
        over(r, WK_RETRY, "worker_storage", "The worker's temporary file cannot be read.");
        return 0;
    }
    n = wk_blocks_get(r->blocks, r->head.off + done, p, &ei);
    r->starved = n == MEDIA_E_AGAIN;
    if (n > 0) {
        return n < left ? (size_t)n : (size_t)left;
    }
    if (n == MEDIA_E_GONE) {
        over(r, WK_REJECT, "input_missing", "The uploaded file does not exist any more.");
    } else if (n != MEDIA_E_AGAIN) {
        over(r, WK_RETRY, "storage_unavailable", "The file could not be read: %s", ei.text);
    }
    return 0;
}

/* Sends what fits. */
static void reply_once(run_t *r)
{
    char copy[HOST_COPY];
    const char *p = (const char *)&r->head + r->sent;
    size_t n = r->sent < sizeof(r->head) ? sizeof(r->head) - r->sent : reply_bytes(r, copy, &p);
    ssize_t sent;

    while (n > 0) {
        sent = send(r->proc.sock, p, n, MSG_NOSIGNAL);
        if (sent < 0) {
            /* EPIPE: reading the socket tells the rest */
            r->over |= errno != EAGAIN && errno != EINTR;
            return;
        }
        r->silent_ms = 0;
        r->sent += (size_t)sent;
        p += sent;
        n -= (size_t)sent;
    }
    if (r->sent == sizeof(r->head) + r->head.len) {
        r->reply = REPLY_NONE;
    }
}

static void read_stderr(run_t *r)
{
    char buf[1024];
    ssize_t n;

    while ((n = read(r->proc.stderr_fd, buf, sizeof(buf))) > 0) {
        if (r->err.len + (size_t)n < HOST_STDERR_MAX) {
            (void)media_buf_add(&r->err, buf, (size_t)n);
        }
    }
}

/* ---- the loop ---- */

static void turn(run_t *r)
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
    charge(r, !r->starved);
    if (p[1].revents != 0) {
        read_stderr(r);
    }
    if (r->reply != REPLY_NONE) {
        int64_t before;
        do {
            before = (int64_t)r->sent;
            reply_once(r);
        } while (!r->over && r->reply != REPLY_NONE && (int64_t)r->sent > before);
    }
    /* a child that writes without end must not keep us from the timers */
    for (int i = 0; i < 64 && r->reply == REPLY_NONE && !r->over && listen_once(r); i++) {
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
static void judge(run_t *r, int status)
{
    char what[64];
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    (void)wk_fmt(what, sizeof(what), "signal %d, exit code %d", sig, code);
    if (sig == SIGXCPU) {
        over(r, WK_REJECT, "limits", "Processing needed more than the limit of %d CPU seconds.",
             r->host->limits->cpu_s);
        return;
    }
    wk_log(MEDIA_LOG_ERROR, "decoder child died", "status", what, "stderr",
           r->err.len > 0 ? r->err.p : "", NULL);
    if (code == WK_EXIT_SANDBOX || code == WK_EXIT_EXEC || code == WK_EXIT_START) {
        over(r, WK_RETRY, "sandbox_failed", "The decoder could not be started.");
    } else {
        over(r, WK_RETRY, "decoder_crashed", "The decoder crashed on this file.");
    }
}

static int prepare(run_t *r)
{
    media_err_t ei = {""};

    r->payload = malloc(WK_FRAME_MAX);
    r->start = json_dumps(r->host->start, JSON_COMPACT);
    r->blocks = wk_blocks_new(r->host->source);
    if (r->payload == NULL || r->start == NULL || r->blocks == NULL) {
        over(r, WK_RETRY, "worker_memory", "The worker is out of memory.");
        return -1;
    }
    r->tmp_fd = tmp_open(r->host->tmpdir);
    if (r->tmp_fd < 0) {
        wk_log(MEDIA_LOG_ERROR, "no temporary file", "dir", r->host->tmpdir, "cause",
               strerror(errno), NULL);
        over(r, WK_RETRY, "worker_storage", "The worker cannot make a temporary file.");
        return -1;
    }
    if (wk_spawn(r->host->exe, r->host->limits, &r->proc, &ei) != 0) {
        over(r, WK_RETRY, "sandbox_failed", "The decoder could not be started: %s", ei.text);
        return -1;
    }
    r->head = (wk_frame_head_t){WK_F_START, (uint32_t)strlen(r->start), r->host->uid};
    r->reply = REPLY_START;
    return 0;
}

enum wk_end wk_host_run(const wk_host_t *host, wk_outcome_t *out)
{
    run_t r = {.host = host, .out = out, .tmp_fd = -1, .proc = {-1, -1, -1}, .end = WK_RETRY};
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
    return r.end;
}
