/* Process 1 inherits every process whose parent has gone: of a decoder child, of what is run in the
 * container from outside. The worker waits for its own children by their ids alone, in several
 * threads; so somebody else has to wait for the others, and that is a process which does nothing
 * else. */
#include "wk_init.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wk_log.h"

/* Ends with the worker; whatever else is left then is killed by the kernel. */
static void reap(pid_t worker)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == worker) {
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
    }
}

void wk_init(void)
{
    sigset_t all, old;
    pid_t worker;

    if (getpid() != 1) {
        return;
    }
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &old);
    worker = fork();
    if (worker <= 0) {
        if (worker < 0) {
            wk_log(MEDIA_LOG_WARN, "no process beside the first", "cause", strerror(errno), NULL);
        }
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
        return;
    }
    for (;;) {
        int sig = sigwaitinfo(&all, NULL);

        if (sig == SIGCHLD) {
            reap(worker);
        } else if (sig > 0) {
            (void)kill(worker, sig);
        }
    }
}
