#include "gw_watch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int gw_watch_open(void)
{
    return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

void gw_watch_add(int fd, const char *path)
{
    char dir[PATH_MAX];
    struct stat st;
    char *slash;

    if (fd < 0 || path == NULL) {
        return;
    }
    (void)snprintf(dir, sizeof(dir), "%s", path);
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        slash = strrchr(dir, '/');
        if (slash == NULL || slash == dir) {
            return;
        }
        *slash = '\0';
    }
    /* the same directory again is the same watch */
    (void)inotify_add_watch(
        fd, dir, IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR);
}

void gw_watch_drain(int fd)
{
    char block[4096];

    while (read(fd, block, sizeof(block)) > 0) {
    }
}
