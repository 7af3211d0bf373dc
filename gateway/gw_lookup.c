/* getaddrinfo() in a child: it writes one address a line and ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gw_names.h"

#define LOOKUP_MS 20000 /* as long as resolv.conf's defaults try two servers twice */

__attribute__((noreturn)) static void child_run(const char *host, int fd)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL, *a;
    char text[INET6_ADDRSTRLEN + 1];
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    hints.ai_flags = AI_ADDRCONFIG;
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        _exit(1);
    }
    for (a = list; a != NULL; a = a->ai_next) {
        const void *addr =
            a->ai_family == AF_INET6
                ? (const void *)&((struct sockaddr_in6 *)(void *)a->ai_addr)->sin6_addr
                : (const void *)&((struct sockaddr_in *)(void *)a->ai_addr)->sin_addr;
        if (inet_ntop(a->ai_family, addr, text, INET6_ADDRSTRLEN) != NULL) {
            size_t n = strlen(text);
            text[n++] = '\n';
            if (write(fd, text, n) != (ssize_t)n) {
                _exit(1);
            }
        }
    }
    _exit(0);
}

int gw_lookup_start(gw_name_t *name, int64_t now_ms)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        child_run(name->host, fds[1]);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return -1;
    }
    name->pid = pid;
    name->fd = fds[0];
    name->until_ms = now_ms + LOOKUP_MS;
    name->len = 0;
    return 0;
}

void gw_lookup_stop(gw_name_t *name)
{
    if (name->pid > 0) {
        (void)kill(name->pid, SIGKILL);
        (void)waitpid(name->pid, NULL, 0);
    }
    if (name->fd >= 0) {
        (void)close(name->fd);
    }
    name->pid = 0;
    name->fd = -1;
}

static void lines_add(gw_addrs_t *answer, char *text, size_t len)
{
    char *line = text, *nl;

    text[len] = '\0';
    while ((nl = strchr(line, '\n')) != NULL) {
        *nl = '\0';
        gw_addrs_add(answer, line);
        line = nl + 1;
    }
}

int gw_lookup_read(gw_name_t *name, int64_t now_ms, gw_addrs_t *answer)
{
    size_t room = sizeof(name->text) - 1 - name->len;
    ssize_t n = read(name->fd, name->text + name->len, room);

    answer->count = 0;
    if (n > 0) {
        name->len += (size_t)n;
    }
    /* a full text has as many addresses as anybody needs */
    if (n < 0 ? now_ms < name->until_ms : n > 0 && (size_t)n < room) {
        return 0;
    }
    lines_add(answer, name->text, name->len);
    gw_lookup_stop(name);
    return 1;
}
