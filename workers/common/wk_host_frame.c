/* What a decoder child asks and hands over, and the replies. Everything the child sends is checked;
 * a frame that breaks the protocol ends the child. */
#define _GNU_SOURCE
#include "wk_host_run.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wk_log.h"

#define HOST_JSON_MAX (256u << 10)
#define HOST_RESULT_MAX WK_FRAME_MAX
#define HOST_OUTPUTS_MAX 32768 /* a day of sound in pieces of 4 s */
#define HOST_COPY (64 << 10)

static void misbehaved(wk_host_run_t *r, const char *what)
{
    wk_log(MEDIA_LOG_ERROR, "decoder child broke the protocol", "what", what, NULL);
    wk_host_over(r, WK_REJECT, "decoder_failed", "The file made the decoder misbehave.");
}

static void on_ask(wk_host_run_t *r, enum reply kind, int64_t size)
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

static void on_question(wk_host_run_t *r)
{
    const wk_asked_t *asked = r->host->asked;
    media_str_t question = {r->payload, r->in.len};
    media_err_t ei = {""};
    size_t len = 0;
    int rc;

    if (asked == NULL) {
        misbehaved(r, "a question nobody answers");
        return;
    }
    wk_host_charge(r, 1);
    rc = asked->answer(asked->data, question, r->answer, &len, &ei);
    wk_host_charge(r, 0);
    if (rc == MEDIA_E_REJECT) {
        misbehaved(r, ei.text);
    } else if (rc != 0) {
        wk_host_over(r, WK_RETRY, "detector_failed", "%s", ei.text);
    } else {
        r->head = (wk_frame_head_t){WK_F_DATA, (uint32_t)len, 0};
        r->sent = 0;
        r->reply = REPLY_ANSWER;
    }
}

static void on_write(wk_host_run_t *r)
{
    int64_t room = r->host->limits->output_bytes - r->out_total;
    size_t done = 0;

    if (r->in.off < 0 || r->in.off > room || (int64_t)r->in.len > room - r->in.off) {
        wk_host_over(r, WK_REJECT, "limits",
                     "The output would be larger than the limit of %lld bytes.",
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
            wk_host_over(r, WK_RETRY, "worker_storage",
                         "The worker's disk cannot take the output.");
            return;
        }
        done += (size_t)n;
    }
    if (r->in.off + (int64_t)r->in.len > r->out_size) {
        r->out_size = r->in.off + (int64_t)r->in.len;
    }
}

static void on_output(wk_host_run_t *r)
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
    wk_host_charge(r, 1);
    rc = r->host->output(r->host->data, r->tmp_fd, r->out_size, meta, &ei);
    wk_host_charge(r, 0);
    if (rc == MEDIA_E_GONE || rc == MEDIA_E_AGAIN) {
        (void)wk_host_gone(r, rc);
    } else if (rc != 0) {
        wk_host_over(r, WK_RETRY, "storage_unavailable", "The output could not be stored: %s",
                     ei.text);
    } else if (ftruncate(r->tmp_fd, 0) != 0) {
        wk_host_over(r, WK_RETRY, "worker_storage", "The worker's temporary file failed.");
    }
    r->out_total += r->out_size;
    r->out_size = 0;
}

static void on_result(wk_host_run_t *r)
{
    media_err_t ei = {"bad result"};

    r->out->result = wk_claims_result((media_str_t){r->payload, r->in.len}, &ei);
    if (r->out->result == NULL) {
        misbehaved(r, ei.text);
        return;
    }
    r->over = r->judged = 1;
    r->end = WK_DONE;
}

static void on_error(wk_host_run_t *r)
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

static void on_progress(wk_host_run_t *r)
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
    case WK_F_ASK:
        return h->len > 0 && h->len <= WK_FRAME_MAX;
    case WK_F_OUTPUT:
    case WK_F_ERROR:
        return h->len > 0 && h->len <= HOST_JSON_MAX;
    case WK_F_RESULT:
        return h->len > 0 && h->len <= HOST_RESULT_MAX;
    default:
        return 0;
    }
}

static void dispatch(wk_host_run_t *r)
{
    r->silent_ms = 0;
    switch (r->in.type) {
    case WK_F_READ:
        on_ask(r, REPLY_INPUT, r->host->source->size);
        break;
    case WK_F_REREAD:
        on_ask(r, REPLY_OUTPUT, r->out_size);
        break;
    case WK_F_ASK:
        on_question(r);
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

int wk_host_listen(wk_host_run_t *r)
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
static size_t reply_bytes(wk_host_run_t *r, char *copy, const char **p)
{
    int64_t done = (int64_t)(r->sent - sizeof(r->head));
    int64_t left = (int64_t)r->head.len - done;
    media_err_t ei = {""};
    ssize_t n = MEDIA_E_BUG;

    if (r->reply == REPLY_START || r->reply == REPLY_ANSWER) {
        *p = (r->reply == REPLY_START ? r->start : r->answer) + done;
        return (size_t)left;
    }
    if (r->reply == REPLY_OUTPUT) {
        *p = copy;
        n = pread(r->tmp_fd, copy, left < HOST_COPY ? (size_t)left : HOST_COPY, r->head.off + done);
        if (n > 0) {
            return (size_t)n;
        }
        wk_host_over(r, WK_RETRY, "worker_storage", "The worker's temporary file cannot be read.");
        return 0;
    }
    n = wk_blocks_get(r->blocks, r->head.off + done, p, &ei);
    r->starved = n == MEDIA_E_AGAIN;
    if (n > 0) {
        return n < left ? (size_t)n : (size_t)left;
    }
    if (n == MEDIA_E_GONE) {
        /* its row says that it is there, and a store that has just lost members may deny it */
        wk_host_over(r, WK_RETRY, "input_missing", "The uploaded file does not exist any more.");
    } else if (n != MEDIA_E_AGAIN) {
        wk_host_over(r, WK_RETRY, "storage_unavailable", "The file could not be read: %s", ei.text);
    }
    return 0;
}

void wk_host_reply(wk_host_run_t *r)
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
