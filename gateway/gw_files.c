#include "gw_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(media_err_t *ei, const char *path, const char *what)
{
    return media_err_set(ei, MEDIA_E_REJECT, "%s: %s: %s", path, what, strerror(errno));
}

int gw_file_read(const char *path, media_buf_t *out, media_err_t *ei)
{
    char block[4096];
    struct stat st;
    ssize_t n;
    int rc;
    /* a FIFO would keep open(2) waiting */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return failed(ei, path, "cannot be opened");
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "%s: is no regular file", path);
        goto done;
    }
    do {
        n = read(fd, block, sizeof(block));
        rc = n < 0 ? failed(ei, path, "cannot be read") : media_buf_add(out, block, (size_t)n);
    } while (n > 0 && rc == 0);
    if (out->failed != 0) {
        rc = media_err_set(ei, out->failed, "%s: is larger than %zu bytes", path, out->cap);
    }
    explicit_bzero(block, sizeof(block));

done:
    (void)close(fd);
    return rc;
}

int gw_file_write(const char *path, media_str_t text, media_err_t *ei)
{
    char fresh[PATH_MAX];
    size_t at = 0;
    ssize_t n;
    int fd;

    (void)snprintf(fresh, sizeof(fresh), "%s.part", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return failed(ei, fresh, "cannot be made");
    }
    while (at < text.len) {
        n = write(fd, text.p + at, text.len - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            (void)failed(ei, fresh, "cannot be written");
            (void)close(fd);
            (void)unlink(fresh);
            return MEDIA_E_REJECT;
        }
        at += (size_t)n;
    }
    (void)close(fd);
    return rename(fresh, path) == 0 ? 0 : failed(ei, path, "cannot be replaced");
}

int gw_dir_make(const char *path, media_err_t *ei)
{
    struct stat st;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return failed(ei, path, "cannot be made");
    }
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s: is no directory of ours", path);
    }
    return 0;
}
