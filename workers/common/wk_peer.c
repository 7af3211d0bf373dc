/* The decoder child's side: locking itself down and talking to the parent.
 *
 * The parent is trusted, the input is not. Requests are strictly alternating (one READ, its DATA),
 * so blocking calls on the socket are all that is needed; the parent's end closing ends every call.
 */
#define _GNU_SOURCE
#include "wk_child.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "media/json.h"
#include "wk_host.h"
#include "wk_sandbox.h"

#define PEER_FD 3
#define PEER_START_MAX (1u << 20)

struct wk_peer_s {
    int fd;
};

static int recv_full(wk_peer_t *p, void *dst, size_t len)
{
    char *to = dst;

    while (len > 0) {
        ssize_t n = recv(p->fd, to, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return MEDIA_E_GONE;
        }
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

static int send_frame(wk_peer_t *p, enum wk_frame type, int64_t off, const void *src, size_t len)
{
    wk_frame_head_t head = {(uint32_t)type, (uint32_t)len, off};
    struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)src, len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len > 0 ? 2 : 1};

    while (msg.msg_iovlen > 0) {
        ssize_t n = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return MEDIA_E_GONE;
        }
        while (msg.msg_iovlen > 0 && (size_t)n >= msg.msg_iov->iov_len) {
            n -= (ssize_t)msg.msg_iov->iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen > 0) {
            msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
            msg.msg_iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

/* The DATA that answers a request, at most cap bytes. */
static ssize_t answer(wk_peer_t *p, void *dst, size_t cap)
{
    wk_frame_head_t head;

    if (recv_full(p, &head, sizeof(head)) != 0 || head.type != WK_F_DATA || head.len > cap ||
        recv_full(p, dst, head.len) != 0) {
        return MEDIA_E_GONE;
    }
    return (ssize_t)head.len;
}

/* One request of at most WK_FRAME_MAX bytes. */
static ssize_t ask(wk_peer_t *p, enum wk_frame type, int64_t off, void *dst, size_t len)
{
    uint32_t want = len < WK_FRAME_MAX ? (uint32_t)len : WK_FRAME_MAX;

    return send_frame(p, type, off, &want, sizeof(want)) != 0 ? MEDIA_E_GONE : answer(p, dst, want);
}

static ssize_t ask_all(wk_peer_t *p, enum wk_frame type, int64_t off, void *dst, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = ask(p, type, off + (int64_t)got, (char *)dst + got, len - got);
        if (n < 0) {
            return n;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ssize_t wk_peer_read(wk_peer_t *p, int64_t off, void *dst, size_t len)
{
    return ask_all(p, WK_F_READ, off, dst, len);
}

ssize_t wk_peer_reread(wk_peer_t *p, int64_t off, void *dst, size_t len)
{
    return ask_all(p, WK_F_REREAD, off, dst, len);
}

ssize_t wk_peer_ask(wk_peer_t *p, media_str_t question, void *dst, size_t cap)
{
    return send_frame(p, WK_F_ASK, 0, question.p, question.len) != 0 ? MEDIA_E_GONE
                                                                     : answer(p, dst, cap);
}

int wk_peer_write(wk_peer_t *p, int64_t off, const void *src, size_t len)
{
    int rc = 0;

    for (size_t done = 0; rc == 0 && done < len;) {
        size_t n = len - done < WK_FRAME_MAX ? len - done : WK_FRAME_MAX;
        rc = send_frame(p, WK_F_WRITE, off + (int64_t)done, (const char *)src + done, n);
        done += n;
    }
    return rc;
}

/* Takes doc. */
static int send_json(wk_peer_t *p, enum wk_frame type, json_t *doc)
{
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    int rc = MEDIA_E_NOMEM;

    if (text != NULL) {
        rc = send_frame(p, type, 0, text, strlen(text));
    }
    free(text);
    json_decref(doc);
    return rc;
}

int wk_peer_output(wk_peer_t *p, json_t *meta)
{
    return send_json(p, WK_F_OUTPUT, meta);
}

int wk_peer_progress(wk_peer_t *p, double progress)
{
    return send_frame(p, WK_F_PROGRESS, 0, &progress, sizeof(progress));
}

int wk_peer_result(wk_peer_t *p, json_t *result)
{
    return send_json(p, WK_F_RESULT, result);
}

int wk_peer_error(wk_peer_t *p, const char *code, int retry, const char *fmt, ...)
{
    char detail[WK_DETAIL_MAX];
    va_list ap;
    json_t *doc;

    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    doc = json_pack("{s:s,s:s,s:b}", "code", code, "detail", detail, "retry", retry != 0);
    if (doc == NULL) {
        /* the detail quotes the file and was no UTF-8, or cut inside a character */
        doc = json_pack("{s:s,s:s,s:b}", "code", code, "detail", "The file cannot be processed.",
                        "retry", retry != 0);
    }
    return send_json(p, WK_F_ERROR, doc);
}

/* The START document. Its params were written by a client: read only after lock-down. */
static json_t *read_start(wk_peer_t *p, uint32_t len, wk_child_input_t *in)
{
    char *text = len <= PEER_START_MAX ? malloc(len + 1) : NULL;
    json_t *doc = NULL;
    int64_t size = 0;

    if (text != NULL && recv_full(p, text, len) == 0 &&
        media_json_parse((media_str_t){text, len}, &doc, NULL) == 0 &&
        media_json_int(doc, "size", 0, INT64_MAX, &size, NULL) == 0) {
        in->size = size;
        in->step = json_string_value(json_object_get(doc, "step"));
        in->kept = json_integer_value(json_object_get(doc, "kept"));
        in->name = json_string_value(json_object_get(doc, "name"));
        in->params = json_object_get(doc, "params");
        in->range = json_object_get(doc, "range");
        in->limits = json_object_get(doc, "limits");
    } else {
        json_decref(doc);
        doc = NULL;
    }
    free(text);
    return doc;
}

/* The kernel tells of a parent's death only from wk_sandbox_lock on; if it died before, its end of
 * the socket is closed. */
static int parent_gone(const wk_peer_t *p)
{
    struct pollfd f = {.fd = p->fd, .events = 0};

    return poll(&f, 1, 0) != 0;
}

static void die(int code, const char *what)
{
    (void)dprintf(STDERR_FILENO, "decoder child: %s: %s\n", what, strerror(errno));
    _exit(code);
}

void wk_child_main(void (*warm)(void), int (*work)(wk_peer_t *peer, const wk_child_input_t *in))
{
    wk_peer_t peer = {PEER_FD};
    wk_child_input_t in = {0};
    wk_frame_head_t head;
    json_t *start;
    int rc;

    if (recv_full(&peer, &head, sizeof(head)) != 0 || head.type != WK_F_START) {
        die(WK_EXIT_START, "not started by a worker");
    }
    if (wk_sandbox_drop(head.off) != 0) {
        die(WK_EXIT_SANDBOX, "privileges cannot be dropped");
    }
    /* one arena is enough, and more would count against the memory limit */
    (void)mallopt(M_ARENA_MAX, 1);
    json_object_seed(0); /* opens /dev/urandom at its first use otherwise */
    if (warm != NULL) {
        warm();
    }
    if (wk_sandbox_lock() != 0) {
        die(WK_EXIT_SANDBOX, "lock-down failed");
    }
    start = parent_gone(&peer) ? NULL : read_start(&peer, head.len, &in);
    if (start == NULL) {
        die(WK_EXIT_START, "no usable start document");
    }
    rc = work(&peer, &in);
    json_decref(start);
    /* not exit(): destructors of a hundred libraries have nothing to save here */
    _exit(rc == 0 ? 0 : 1);
}
