/* cpu.max (v2) or cpu.cfs_quota_us and cpu.cfs_period_us (v1) of our cgroup and of those above it,
 * the smallest counts. A container may see its own cgroup as the root (a cgroup namespace, or v1's
 * bind mount) while /proc/self/cgroup still has the host's path, so a path that is not there is
 * left out and the root is always looked at. */
#define _GNU_SOURCE
#include "gw_cpu.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "gw_files.h"

#define CGROUP_TEXT 65536

/* The text of a file, cut at `cap`; empty where there is none. */
static void text_of(const char *path, char *dst, size_t cap)
{
    media_buf_t text;
    media_str_t view;

    media_buf_init(&text, CGROUP_TEXT);
    if (gw_file_read(path, &text, NULL) != 0) {
        media_buf_reset(&text);
    }
    view = media_buf_view(&text);
    (void)snprintf(dst, cap, "%.*s", (int)view.len, view.len > 0 ? view.p : "");
    media_buf_free(&text);
}

/* The first word of `text` as a number; -1 for anything else ("max", "-1"). */
static int64_t number(const char **text)
{
    int64_t n;
    size_t len = strcspn(*text, " \n");
    media_str_t word = {*text, len};

    *text += len + ((*text)[len] != '\0');
    return len > 0 && media_str_to_i64(word, &n) == 0 ? n : -1;
}

/* CPUs that one cgroup directory allows, rounded up; INT_MAX without a quota. */
static int quota_of(const char *dir)
{
    char path[PATH_MAX], text[64], period_text[64];
    const char *at = text, *period_at = period_text;
    int64_t quota, period;

    (void)snprintf(path, sizeof(path), "%s/cpu.max", dir);
    text_of(path, text, sizeof(text));
    if (text[0] == '\0') {
        (void)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
        text_of(path, text, sizeof(text));
        (void)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
        text_of(path, period_text, sizeof(period_text));
        quota = number(&at);
        period = number(&period_at);
    } else {
        quota = number(&at);
        period = number(&at);
    }
    if (quota <= 0 || period <= 0 || quota / period >= INT_MAX - 1) {
        return INT_MAX;
    }
    return (int)((quota + period - 1) / period);
}

/* The least of `mount`/`path` and all directories above it, `mount` included. */
static int quota_above(const char *mount, const char *path)
{
    char dir[PATH_MAX];
    size_t floor = strlen(mount);
    int least = INT_MAX, n = snprintf(dir, sizeof(dir), "%s%s", mount, path);
    char *slash;

    if (n < 0 || (size_t)n >= sizeof(dir)) {
        return quota_of(mount);
    }
    for (;;) {
        int own = quota_of(dir);
        least = own < least ? own : least;
        slash = strrchr(dir, '/');
        if (strlen(dir) <= floor || slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

/* 1 if the controllers of a line of /proc/self/cgroup ("cpu,cpuacct"; none: v2) are ours. */
static int has_cpu(const char *list, size_t len)
{
    size_t n;

    for (const char *p = list; p <= list + len; p += n + 1) {
        n = strcspn(p, ",:");
        if ((n == 0 && len == 0) || (n == 3 && memcmp(p, "cpu", 3) == 0)) {
            return 1;
        }
    }
    return 0;
}

static int least_of(const char *root, char *line)
{
    static const char *const mounts[] = {"", "/cpu,cpuacct", "/cpu"};
    char mount[PATH_MAX];
    char *list = strchr(line, ':');
    char *path = list != NULL ? strchr(list + 1, ':') : NULL;
    int least = INT_MAX;

    if (path == NULL || path[1] != '/' || !has_cpu(list + 1, (size_t)(path - list - 1))) {
        return INT_MAX;
    }
    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        int own;
        (void)snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup%s", root, mounts[i]);
        own = quota_above(mount, path[2] != '\0' ? path + 1 : "");
        least = own < least ? own : least;
    }
    return least;
}

int gw_cpu_count(const char *root, int cpus)
{
    char path[PATH_MAX], text[CGROUP_TEXT];
    char *line, *next;
    int least = cpus;

    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    text_of(path, text, sizeof(text));
    for (line = text; *line != '\0'; line = next) {
        int own;
        next = line + strcspn(line, "\n");
        if (*next == '\n') {
            *next++ = '\0';
        }
        own = least_of(root, line);
        least = own < least ? own : least;
    }
    return least > 0 ? least : 1;
}

int gw_cpu_available(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
