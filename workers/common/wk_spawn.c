/* Starting and ending a decoder child.
 *
 * Between fork and exec only async-signal-safe calls: the worker has other threads. The child's
 * descriptors are moved to high numbers first, so that placing them at 0..3 overwrites none. */
#define _GNU_SOURCE
#include "wk_host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FILES 16
#define CHILD_STACK (8 << 20)
#define CHILD_MAPPED (4ll << 30) /* address space beside memory_bytes: a hundred libraries */
#define SOCKET_BUFFER (1 << 20)
#define FD_FLOOR 10

enum { END_NULL, END_ERR, END_SOCK, END_COUNT };

static void limit(int what, rlim_t soft, rlim_t hard)
{
    struct rlimit r = {soft, hard};

    if (setrlimit(what, &r) != 0) {
        _exit(WK_EXIT_SANDBOX);
    }
}

static void child_limits(const wk_child_limits_t *l)
{
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, CHILD_FILES, CHILD_FILES);
    limit(RLIMIT_STACK, CHILD_STACK, CHILD_STACK);
    limit(RLIMIT_MEMLOCK, 0, 0);
    if (l->cpu_s > 0) {
        limit(RLIMIT_CPU, (rlim_t)l->cpu_s, (rlim_t)l->cpu_s + 5);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* the sanitizers' shadow memory is larger than any limit worth setting, and partly a file */
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_DATA, (rlim_t)l->memory_bytes, (rlim_t)l->memory_bytes);
    limit(RLIMIT_AS, (rlim_t)(l->memory_bytes + CHILD_MAPPED),
          (rlim_t)(l->memory_bytes + CHILD_MAPPED));
#endif
}

__attribute__((noreturn)) static void child_exec(const char *exe, char *const argv[],
                                                 const wk_child_limits_t *l,
                                                 const int ends[END_COUNT])
{
    char *envp[] = {NULL};
    sigset_t none;

    (void)setsid(); /* Ctrl-C in a terminal is for the worker alone */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(ends[END_NULL], 0) < 0 || dup2(ends[END_ERR], 1) < 0 || dup2(ends[END_ERR], 2) < 0 ||
        dup2(ends[END_SOCK], 3) < 0 || close_range(4, ~0u, 0) != 0) {
        _exit(WK_EXIT_EXEC);
    }
    child_limits(l);
    (void)execve(exe, argv, envp);
    _exit(WK_EXIT_EXEC);
}

/* Moves *fd out of the way of 0..3. */
static int raise_fd(int *fd)
{
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, FD_FLOOR);

    if (high < 0) {
        return -1;
    }
    (void)close(*fd);
    *fd = high;
    return 0;
}

int wk_spawn(const char *exe, char *const argv[], const wk_child_limits_t *limits, wk_proc_t *proc,
             media_err_t *ei)
{
    int pair[2] = {-1, -1}, err[2] = {-1, -1}, null_fd = -1, size = SOCKET_BUFFER;
    int ends[END_COUNT];
    int rc = MEDIA_E_RETRY;

    *proc = (wk_proc_t){-1, -1, -1};
    null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || pipe2(err, O_CLOEXEC) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || raise_fd(&null_fd) != 0 ||
        raise_fd(&err[1]) != 0 || raise_fd(&pair[1]) != 0 ||
        fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(err[0], F_SETFL, O_NONBLOCK) != 0) {
        (void)media_err_set(ei, rc, "no descriptors for a child: %s", strerror(errno));
        goto done;
    }
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    ends[END_NULL] = null_fd;
    ends[END_ERR] = err[1];
    ends[END_SOCK] = pair[1];
    proc->pid = fork();
    if (proc->pid == 0) {
        child_exec(exe, argv, limits, ends);
    }
    if (proc->pid < 0) {
        (void)media_err_set(ei, rc, "no child process: %s", strerror(errno));
        goto done;
    }
    proc->sock = pair[0];
    proc->stderr_fd = err[0];
    pair[0] = err[0] = -1;
    rc = 0;
done:
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) {
            (void)close(pair[i]);
        }
        if (err[i] >= 0) {
            (void)close(err[i]);
        }
    }
    if (null_fd >= 0) {
        (void)close(null_fd);
    }
    return rc;
}

int wk_spawn_end(wk_proc_t *proc)
{
    int status = 0;

    if (proc->pid > 0) {
        /* the status of a child that is already dying keeps its own cause */
        (void)kill(proc->pid, SIGKILL);
        while (waitpid(proc->pid, &status, 0) < 0 && errno == EINTR) {
        }
        proc->pid = -1;
    }
    if (proc->sock >= 0) {
        (void)close(proc->sock);
        proc->sock = -1;
    }
    if (proc->stderr_fd >= 0) {
        (void)close(proc->stderr_fd);
        proc->stderr_fd = -1;
    }
    return status;
}

int wk_spawn_beside(const char *name, char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap);
    size_t len = strlen(name) + 1;
    char *slash;

    if (n <= 0 || (size_t)n + len >= cap) {
        return -1;
    }
    path[n] = '\0';
    slash = strrchr(path, '/');
    memcpy(slash != NULL ? slash + 1 : path, name, len);
    return 0;
}
