#include "wk_probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wk_health.h"
#include "wk_log.h"

#define PROBE_MS 3000
#define PROBE_ANSWER_MAX 1024

/* Port 0 of MEDIA_HEALTH_ADDR is any: what was taken is in MEDIA_HEALTH_FILE. 0 or -1. */
static int real_addr(const wk_conf_t *conf, char *dst, size_t cap)
{
    const char *colon = strrchr(conf->health_addr, ':');
    FILE *f;
    int ok;

    if (colon != NULL && strcmp(colon, ":0") != 0) {
        (void)wk_fmt(dst, cap, "%s", conf->health_addr);
        return 0;
    }
    f = conf->health_file != NULL ? fopen(conf->health_file, "r") : NULL;
    ok = f != NULL && fgets(dst, (int)cap, f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    if (ok) {
        dst[strcspn(dst, "\n")] = '\0';
    }
    return ok ? 0 : -1;
}

/* Every address is none to connect to. */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
}

/* 1 when the socket may go on before the deadline. */
static int wait_io(int fd, short events, int64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left_ms = deadline_ms - wk_mono_ms();

    return left_ms > 0 && poll(&p, 1, (int)left_ms) > 0;
}

/* A connection, or -1 with errno. */
static int dial(const char *addr, int64_t deadline_ms)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai = NULL;
    char host[256];
    const char *port = wk_health_split(addr, host, sizeof(host));
    socklen_t len = sizeof(int);
    int fd = -1, error = EADDRNOTAVAIL;

    if (port == NULL || getaddrinfo(reachable(host), port, &hints, &ai) != 0) {
        errno = error;
        return -1;
    }
    fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS)) {
        error = errno;
    } else if (!wait_io(fd, POLLOUT, deadline_ms)) {
        error = ETIMEDOUT;
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    freeaddrinfo(ai);
    if (error != 0 && fd >= 0) {
        (void)close(fd);
        fd = -1;
    }
    errno = error;
    return fd;
}

/* The beginning of the whole answer. 0 or -1 with errno. */
static int ask(int fd, char *dst, size_t cap, int64_t deadline_ms)
{
    static const char request[] =
        "GET /healthz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";
    size_t got = 0;
    ssize_t n = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);

    if (n != (ssize_t)sizeof(request) - 1) {
        return -1;
    }
    while (n > 0 && got < cap - 1) {
        if (!wait_io(fd, POLLIN, deadline_ms)) {
            errno = ETIMEDOUT;
            return -1;
        }
        n = recv(fd, dst + got, cap - 1 - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    dst[got] = '\0';
    return n < 0 ? -1 : 0;
}

int wk_probe(const wk_conf_t *conf, const char *prog)
{
    int64_t deadline_ms = wk_mono_ms() + PROBE_MS;
    char addr[300], answer[PROBE_ANSWER_MAX];
    const char *body;
    int rc, fd;

    if (real_addr(conf, addr, sizeof(addr)) != 0) {
        fprintf(stderr, "%s: no port in MEDIA_HEALTH_ADDR, and none in MEDIA_HEALTH_FILE\n", prog);
        return 1;
    }
    fd = dial(addr, deadline_ms);
    rc = fd >= 0 ? ask(fd, answer, sizeof(answer), deadline_ms) : -1;
    if (rc != 0) {
        fprintf(stderr, "%s: %s: %s\n", prog, addr, strerror(errno));
    } else if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) {
        body = strstr(answer, "\r\n\r\n");
        fprintf(stderr, "%s: %s: %.*s: %s\n", prog, addr, (int)strcspn(answer, "\r\n"), answer,
                body != NULL ? body + 4 : "\n");
        rc = 1;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc == 0 ? 0 : 1;
}
