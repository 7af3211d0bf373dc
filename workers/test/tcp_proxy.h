/* A TCP proxy on loopback that can freeze or cut its connections, for tests of what a client does
 * when its server hangs or dies. One thread, a few connections. */
#ifndef TCP_PROXY_H
#define TCP_PROXY_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum proxy_mode {
    PROXY_PASS,
    PROXY_FREEZE, /* bytes stay where they are; new connections are accepted by the kernel alone */
    PROXY_CUT     /* every connection is closed */
};

#define PROXY_PAIRS 8

typedef struct {
    struct sockaddr_in target;
    int listen_fd;
    int port;
    pthread_t thread;
    _Atomic int mode;
    _Atomic int stop;
    int pair[PROXY_PAIRS][2]; /* client, server; -1: free */
} proxy_t;

static inline int proxy_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A listening socket on a free port of loopback. */
static inline int proxy_listen(int *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = proxy_socket();

    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        return -1;
    }
    *port = ntohs(sa.sin_port);
    return fd;
}

static inline void proxy_close(proxy_t *p, int i)
{
    for (int k = 0; k < 2; k++) {
        if (p->pair[i][k] >= 0) {
            close(p->pair[i][k]);
            p->pair[i][k] = -1;
        }
    }
}

static inline void proxy_accept(proxy_t *p)
{
    int client = accept(p->listen_fd, NULL, NULL);
    int server = proxy_socket();

    for (int i = 0; i < PROXY_PAIRS; i++) {
        if (p->pair[i][0] < 0) {
            p->pair[i][0] = client;
            p->pair[i][1] = server;
            if (connect(server, (struct sockaddr *)&p->target, sizeof(p->target)) != 0) {
                proxy_close(p, i);
            }
            return;
        }
    }
    close(client);
    close(server);
}

static inline void proxy_pump(proxy_t *p, int i, int from)
{
    char buf[16384];
    ssize_t n = read(p->pair[i][from], buf, sizeof(buf));

    if (n <= 0 || write(p->pair[i][1 - from], buf, (size_t)n) != n) {
        proxy_close(p, i);
    }
}

static inline void proxy_turn(proxy_t *p)
{
    struct pollfd fds[1 + 2 * PROXY_PAIRS];
    int mode = atomic_load(&p->mode);

    for (int i = 0; i < PROXY_PAIRS; i++) {
        if (mode == PROXY_CUT) {
            proxy_close(p, i);
        }
        for (int k = 0; k < 2; k++) {
            fds[1 + 2 * i + k] = (struct pollfd){.fd = p->pair[i][k], .events = POLLIN};
        }
    }
    fds[0] = (struct pollfd){.fd = p->listen_fd, .events = POLLIN};
    if (mode != PROXY_PASS || poll(fds, 1 + 2 * PROXY_PAIRS, 20) <= 0) {
        if (mode != PROXY_PASS) {
            (void)poll(NULL, 0, 20);
        }
        return;
    }
    for (int i = 0; i < PROXY_PAIRS; i++) {
        for (int k = 0; k < 2; k++) {
            if (fds[1 + 2 * i + k].revents != 0 && p->pair[i][k] == fds[1 + 2 * i + k].fd) {
                proxy_pump(p, i, k);
            }
        }
    }
    if (fds[0].revents != 0) {
        proxy_accept(p);
    }
}

static inline void *proxy_main(void *arg)
{
    proxy_t *p = arg;

    while (!atomic_load(&p->stop)) {
        proxy_turn(p);
    }
    return NULL;
}

/* 0 and p->port, or -1. */
static inline int proxy_start(proxy_t *p, const char *host, int port)
{
    memset(p, 0, sizeof(*p));
    memset(p->pair, -1, sizeof(p->pair));
    p->target.sin_family = AF_INET;
    p->target.sin_port = htons((uint16_t)port);
    p->listen_fd = proxy_listen(&p->port);
    if (p->listen_fd < 0 || inet_pton(AF_INET, host, &p->target.sin_addr) != 1) {
        return -1;
    }
    return pthread_create(&p->thread, NULL, proxy_main, p);
}

static inline void proxy_stop(proxy_t *p)
{
    atomic_store(&p->stop, 1);
    (void)pthread_join(p->thread, NULL);
    for (int i = 0; i < PROXY_PAIRS; i++) {
        proxy_close(p, i);
    }
    close(p->listen_fd);
}

#endif
