/* Runs media-gateway with an environment of its own and keeps what it says. */
#ifndef GW_RUN_CHILD_H
#define GW_RUN_CHILD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    int status;
    char out[65536]; /* stdout and stderr */
} run_t;

/* `env`: "NAME=value" strings, NULL-ended; `arg`: a flag or NULL. */
static inline void run_gateway(run_t *r, const char *const *env, const char *arg)
{
    int fds[2], status = 0;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    fflush(stdout);
    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        exit(1);
    }
    if (pid == 0) {
        (void)dup2(fds[1], 1);
        (void)dup2(fds[1], 2);
        (void)clearenv();
        for (; *env != NULL; env++) {
            (void)putenv(strdup(*env));
        }
        (void)execl(MEDIA_GATEWAY, "media-gateway", arg, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    while (n < sizeof(r->out) - 1 && (got = read(fds[0], r->out + n, sizeof(r->out) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    r->out[n] = '\0';
    (void)close(fds[0]);
    (void)waitpid(pid, &status, 0);
    r->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
