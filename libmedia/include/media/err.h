/* Error codes of libmedia. Every function returns 0 (or a length) on success and one of these,
 * all negative, on failure. The code tells the caller what to DO; text for people goes into a
 * caller-owned media_err_t. */
#ifndef MEDIA_ERR_H
#define MEDIA_ERR_H

#include <stddef.h>

#define MEDIA_ERRORS(X)                                                                            \
    X(AGAIN, -1, "again")   /* more input needed */                                                \
    X(RETRY, -2, "retry")   /* our side failed, try again later */                                 \
    X(REJECT, -3, "reject") /* the input is wrong, do not try again */                             \
    X(GONE, -4, "gone")     /* the thing does not exist any more */                                \
    X(AUTH, -5, "auth")     /* not allowed */                                                      \
    X(NOMEM, -6, "nomem")   /* out of memory */                                                    \
    X(TOOBIG, -7, "toobig") /* a limit or the given buffer is too small */                         \
    X(BUG, -8, "bug")       /* called wrongly */

enum media_err {
    MEDIA_OK = 0,
#define X(name, value, text) MEDIA_E_##name = value,
    MEDIA_ERRORS(X)
#undef X
};

/* Caller-owned cause of a failure: `text` is one plain sentence without secrets. */
typedef struct {
    char text[200];
} media_err_t;

/* The name of a code ("reject"), for logs. Borrowed, static. [any] */
const char *media_err_name(int rc);

/* Formats `ei->text` (NULL ei is allowed; control characters become '?') and returns rc, so that a
 * failure is one line: return media_err_set(ei, MEDIA_E_REJECT, "no %s", x). [any] */
int media_err_set(media_err_t *ei, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
