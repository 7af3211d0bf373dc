#define _GNU_SOURCE
#include "an_wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "media/err.h"

int64_t an_wire_now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 once something can be moved. */
static int wait_for(int fd, short events, int64_t until_ms)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left = until_ms < 0 ? -1 : until_ms - an_wire_now_ms();
        int n = poll(&p, 1, until_ms < 0 ? -1 : left < 0 ? 0 : (int)left);

        if (n > 0) {
            return 0;
        }
        if (n == 0) {
            return MEDIA_E_AGAIN;
        }
        if (errno != EINTR) {
            return MEDIA_E_GONE;
        }
    }
}

int an_wire_wait(int fd, int64_t until_ms)
{
    return wait_for(fd, POLLIN, until_ms);
}

int an_wire_recv(int fd, void *dst, size_t len, int64_t until_ms)
{
    char *to = dst;

    while (len > 0) {
        int rc = wait_for(fd, POLLIN, until_ms);
        ssize_t n = rc == 0 ? recv(fd, to, len, MSG_DONTWAIT) : 0;

        if (rc != 0) {
            return rc;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return MEDIA_E_GONE;
        }
        to += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int an_wire_send(int fd, const an_head_t *head, const void *a, size_t a_len, const void *b,
                 size_t b_len, int64_t until_ms)
{
    struct iovec iov[3] = {{(void *)(uintptr_t)head, sizeof(*head)},
                           {(void *)(uintptr_t)a, a_len},
                           {(void *)(uintptr_t)b, b_len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};

    for (;;) {
        ssize_t n;
        int rc;

        while (msg.msg_iovlen > 0 && msg.msg_iov->iov_len == 0) {
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen == 0) {
            return 0;
        }
        rc = wait_for(fd, POLLOUT, until_ms);
        n = rc == 0 ? sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
        if (rc != 0) {
            return rc;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return MEDIA_E_GONE;
        }
        for (size_t left = n > 0 ? (size_t)n : 0; left > 0;) {
            size_t part = left < msg.msg_iov->iov_len ? left : msg.msg_iov->iov_len;

            msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + part;
            msg.msg_iov->iov_len -= part;
            left -= part;
            if (msg.msg_iov->iov_len == 0 && left > 0) {
                msg.msg_iov++;
                msg.msg_iovlen--;
            }
        }
    }
}
