#define _GNU_SOURCE
#include "gw_nginx.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENV_MAX 64
#define TEST_S 60 /* names in routes are looked up by it */

typedef struct {
    char *at[ENV_MAX + 1];
    size_t count;
} env_t;

static void env_add(env_t *env, media_str_t name)
{
    char key[128];
    const char *value;
    size_t size;

    (void)snprintf(key, sizeof(key), "%.*s", (int)name.len, name.p);
    value = getenv(key);
    if (value == NULL || *value == '\0' || env->count == ENV_MAX) {
        return;
    }
    size = strlen(key) + strlen(value) + 2;
    env->at[env->count] = malloc(size);
    if (env->at[env->count] != NULL) {
        (void)snprintf(env->at[env->count++], size, "%s=%s", key, value);
    }
}

/* Of our environment what lines "env NAME;" of the configuration ask for, and no more. */
static void env_make(env_t *env, media_str_t text)
{
    const char *end = text.p + text.len;

    memset(env, 0, sizeof(*env));
    for (const char *line = text.p, *nl; line < end; line = nl + 1) {
        const char *semi;
        nl = memchr(line, '\n', (size_t)(end - line));
        nl = nl != NULL ? nl : end;
        semi = memchr(line, ';', (size_t)(nl - line));
        if (semi != NULL && semi - line > 4 && memcmp(line, "env ", 4) == 0) {
            env_add(env, (media_str_t){line + 4, (size_t)(semi - line) - 4});
        }
    }
}

static void env_free(env_t *env)
{
    for (size_t i = 0; i < env->count; i++) {
        explicit_bzero(env->at[i], strlen(env->at[i]));
        free(env->at[i]);
    }
}

__attribute__((noreturn)) static void child_exec(const char *exe, const char *const argv[],
                                                 const env_t *env, int out)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (out >= 0) {
        (void)dup2(out, STDERR_FILENO);
    }
    /* execve() changes nothing of them, its type is older than const */
    (void)execve(exe, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env->at);
    fprintf(stderr, "media-gateway: %s: %s\n", exe, strerror(errno));
    _exit(127);
}

/* Waits for a child, TEST_S at most. SIGCHLD is blocked; the main loop looks for its other children
 * whenever it turns. */
static int child_wait(pid_t pid)
{
    struct timespec left = {TEST_S, 0};
    sigset_t chld;
    int status;

    (void)sigemptyset(&chld);
    (void)sigaddset(&chld, SIGCHLD);
    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (sigtimedwait(&chld, NULL, &left) < 0 && errno == EAGAIN) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return -1;
        }
    }
}

int gw_nginx_version(const gw_conf_t *conf, int *version, media_err_t *ei)
{
    static const char *const argv[] = {"nginx", "-v", NULL};
    static const env_t none;
    char text[512];
    size_t len = 0;
    ssize_t n;
    int fds[2], v[3];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        return media_err_set(ei, MEDIA_E_RETRY, "fork: %s", strerror(errno));
    }
    if (pid == 0) {
        child_exec(conf->nginx, argv, &none, fds[1]);
    }
    (void)close(fds[1]);
    while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    (void)close(fds[0]);
    if (child_wait(pid) != 0 ||
        sscanf(text, "nginx version: nginx/%d.%d.%d", &v[0], &v[1], &v[2]) != 3) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s -v does not say which nginx it is",
                             conf->nginx);
    }
    *version = v[0] * 1000000 + v[1] * 1000 + v[2];
    return 0;
}

/* `test`: "-t" or NULL. */
static pid_t nginx_run(const gw_conf_t *conf, const char *path, media_str_t text, const char *test)
{
    const char *const argv[] = {"nginx",       "-e", "stderr", "-p",
                                conf->run_dir, "-c", path,     test == NULL ? NULL : "-q",
                                test,          NULL};
    pid_t pid, parent = getpid();
    env_t env;

    env_make(&env, text);
    pid = fork();
    if (pid == 0) {
        if (test == NULL) {
            (void)setpgid(0, 0);
            if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0 || getppid() != parent) {
                _exit(127);
            }
        }
        child_exec(conf->nginx, argv, &env, -1);
    }
    env_free(&env);
    return pid;
}

int gw_nginx_test(const gw_conf_t *conf, const char *path, media_str_t text, media_err_t *ei)
{
    pid_t pid = nginx_run(conf, path, text, "-t");
    int rc = pid < 0 ? -1 : child_wait(pid);

    if (rc == 0) {
        return 0;
    }
    return media_err_set(ei, MEDIA_E_REJECT,
                         rc < 0 ? "nginx -t does not end"
                                : "nginx -t refuses it, see its lines above");
}

pid_t gw_nginx_start(const gw_conf_t *conf, const char *path, media_str_t text)
{
    pid_t pid = nginx_run(conf, path, text, NULL);

    if (pid > 0) {
        (void)setpgid(pid, pid);
    }
    return pid;
}
