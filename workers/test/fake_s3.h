/* A scripted S3 server for tests: one thread, one connection after the other, each request answered
 * by the next step of a script. What came in is kept for the test to look at. */
#ifndef FAKE_S3_H
#define FAKE_S3_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_S3_STEPS 32
#define FAKE_S3_HEAD 8192

typedef struct {
    int status; /* 0: read the request, close without an answer; -1: never answer */
    const char *body;
    long claim; /* Content-Length to claim beyond the body, then close; 0: honest */
} fake_s3_step_t;

typedef struct {
    int listen_fd, stop[2], port;
    pthread_t thread;
    const fake_s3_step_t *script;
    int steps;
    _Atomic int requests; /* taken so far; head and body are to be read after fake_s3_end */
    long total;           /* size of the object that a 206 says; 0: it does not */
    char head[FAKE_S3_STEPS][FAKE_S3_HEAD];
    char *body[FAKE_S3_STEPS];
    long body_len[FAKE_S3_STEPS];
} fake_s3_t;

/* 1 when fd is readable, 0 when the test is over. */
static inline int fake_s3_wait(fake_s3_t *f, int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = f->stop[0], .events = POLLIN}};

    while (poll(p, 2, -1) < 0 && errno == EINTR) {
    }
    return p[1].revents == 0;
}

/* One request. 0: the client closed. */
static inline int fake_s3_take(fake_s3_t *f, int fd, int i)
{
    char *head = f->head[i], *end = NULL, *cl;
    size_t n = 0;
    long len, got;

    while (end == NULL && n < FAKE_S3_HEAD - 1 && fake_s3_wait(f, fd)) {
        ssize_t r = recv(fd, head + n, 1, 0);
        if (r <= 0) {
            return 0;
        }
        n += (size_t)r;
        head[n] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (end == NULL) {
        return 0;
    }
    cl = strstr(head, "Content-Length: ");
    len = cl != NULL ? strtol(cl + 16, NULL, 10) : 0;
    f->body[i] = malloc((size_t)len + 1);
    for (got = 0; got < len && fake_s3_wait(f, fd);) {
        ssize_t r = recv(fd, f->body[i] + got, (size_t)(len - got), 0);
        if (r <= 0) {
            return 0;
        }
        got += r;
    }
    f->body[i][got] = '\0';
    f->body_len[i] = got;
    return 1;
}

/* The line that says which bytes of the object a 206 has, or nothing. */
static inline void fake_s3_range(const fake_s3_t *f, const char *head, int status, size_t len,
                                 char *dst, size_t cap)
{
    const char *range = strstr(head, "Range: bytes=");
    long first = range != NULL ? strtol(range + 13, NULL, 10) : 0;

    dst[0] = '\0';
    if (status == 206 && f->total > 0) {
        (void)snprintf(dst, cap, "Content-Range: bytes %ld-%ld/%ld\r\n", first,
                       first + (long)len - 1, f->total);
    }
}

/* 1: keep the connection. */
static inline int fake_s3_answer(fake_s3_t *f, int fd, const char *head, const fake_s3_step_t *step)
{
    char out[512], range[128];
    size_t len = strlen(step->body);
    int head_only = strncmp(head, "HEAD", 4) == 0;
    int n;

    if (step->status < 0) {
        (void)fake_s3_wait(f, f->stop[0]);
        return 0;
    }
    if (step->status == 0) {
        return 0;
    }
    fake_s3_range(f, head, step->status, len, range, sizeof(range));
    n = snprintf(out, sizeof(out),
                 "HTTP/1.1 %d X\r\nETag: \"tag%d\"\r\n%sContent-Length: %ld\r\n\r\n", step->status,
                 f->requests, range, (long)len + step->claim);
    if (send(fd, out, (size_t)n, MSG_NOSIGNAL) < 0 ||
        (!head_only && len > 0 && send(fd, step->body, len, MSG_NOSIGNAL) < 0)) {
        return 0;
    }
    return step->claim == 0;
}

static inline void *fake_s3_main(void *data)
{
    fake_s3_t *f = data;

    while (f->requests < f->steps && fake_s3_wait(f, f->listen_fd)) {
        int fd = accept(f->listen_fd, NULL, NULL);
        int keep = fd >= 0;

        while (keep && f->requests < f->steps && fake_s3_take(f, fd, f->requests)) {
            const fake_s3_step_t *step = &f->script[f->requests++];
            keep = fake_s3_answer(f, fd, f->head[f->requests - 1], step);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return NULL;
}

static inline fake_s3_t *fake_s3_start(const fake_s3_step_t *script, int steps)
{
    fake_s3_t *f = calloc(1, sizeof(*f));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);

    f->script = script;
    f->steps = steps;
    f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pipe(f->stop) != 0 || bind(f->listen_fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(f->listen_fd, 8) != 0 ||
        getsockname(f->listen_fd, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&f->thread, NULL, fake_s3_main, f) != 0) {
        printf("no fake S3 server: %s\n", strerror(errno));
        exit(1);
    }
    f->port = ntohs(a.sin_port);
    return f;
}

/* Ends the thread; head, body and requests may be read then. */
static inline void fake_s3_end(fake_s3_t *f)
{
    (void)!write(f->stop[1], "x", 1);
    (void)pthread_join(f->thread, NULL);
}

static inline void fake_s3_free(fake_s3_t *f)
{
    for (int i = 0; i < FAKE_S3_STEPS; i++) {
        free(f->body[i]);
    }
    (void)close(f->listen_fd);
    (void)close(f->stop[0]);
    (void)close(f->stop[1]);
    free(f);
}

#endif
