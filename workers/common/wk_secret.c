#include "wk_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

int wk_secret_given(const wk_secret_t *s)
{
    return s->value != NULL || s->file != NULL;
}

/* The bytes of the file, at most cap. Their number, or -1 with errno. */
static ssize_t read_all(const char *path, char *dst, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = fd >= 0 ? 1 : -1;

    while (n > 0 && len < cap) {
        n = read(fd, dst + len, cap - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return n < 0 ? -1 : (ssize_t)len;
}

/* NULL, or what is wrong with the file. */
static const char *read_file(const char *path, char dst[WK_SECRET_MAX])
{
    char bytes[WK_SECRET_MAX + 1]; /* one more than may be there: text, newline */
    ssize_t len = read_all(path, bytes, sizeof(bytes));
    const char *wrong = NULL;

    if (len < 0) {
        return strerror(errno);
    }
    if (len > 0 && len <= WK_SECRET_MAX && bytes[len - 1] == '\n') {
        len--;
    }
    if (len >= WK_SECRET_MAX) {
        wrong = "too long";
    } else if (len == 0) {
        wrong = "empty";
    } else if (memchr(bytes, '\0', (size_t)len) != NULL) {
        wrong = "no text";
    } else {
        memcpy(dst, bytes, (size_t)len);
        dst[len] = '\0';
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return wrong;
}

int wk_secret_read(const wk_secret_t *s, char dst[WK_SECRET_MAX], media_err_t *ei)
{
    const char *wrong = NULL, *want = NULL;
    int rc = 0;

    if (!wk_secret_given(s)) {
        return media_err_set(ei, MEDIA_E_RETRY, "%s is not set", s->name);
    }
    if (s->file != NULL) {
        wrong = read_file(s->file, dst);
    } else if (strlen(s->value) < WK_SECRET_MAX) {
        memcpy(dst, s->value, strlen(s->value) + 1);
    } else {
        wrong = "too long";
    }
    if (wrong == NULL && s->check != NULL) {
        want = s->check(dst);
    }
    if (wrong != NULL || want != NULL) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "%s%s%s: %s%s", s->name,
                           s->file != NULL ? "_FILE: " : "", s->file != NULL ? s->file : "",
                           wrong != NULL ? wrong : "expected ", want != NULL ? want : "");
        OPENSSL_cleanse(dst, WK_SECRET_MAX);
    }
    return rc;
}
