/* A growing byte buffer with a hard cap given at init (curl's dynbuf idea): everything that grows
 * with input from outside uses it, so no input can make us grow without bound. */
#ifndef MEDIA_BUF_H
#define MEDIA_BUF_H

#include "media/str.h"

typedef struct {
    char *p; /* owned; NUL-terminated once anything was added */
    size_t len;
    size_t size;
    size_t cap; /* never more than this many bytes */
    int failed; /* sticky: MEDIA_E_TOOBIG or MEDIA_E_NOMEM of the first failed add */
} media_buf_t;

/* [any] all of them. The adders return 0 or the sticky failure; after a failure nothing is added,
 * so a caller may test only once, at the end. */
void media_buf_init(media_buf_t *b, size_t cap);
void media_buf_free(media_buf_t *b); /* cleanses, frees, leaves an empty buffer of the same cap */
void media_buf_reset(media_buf_t *b);
int media_buf_add(media_buf_t *b, const void *p, size_t n);
int media_buf_str(media_buf_t *b, media_str_t s);
int media_buf_cstr(media_buf_t *b, const char *s);
int media_buf_fmt(media_buf_t *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* `s` as a JSON string with its quotes; invalid UTF-8 bytes become U+FFFD. */
int media_buf_json(media_buf_t *b, media_str_t s);
media_str_t media_buf_view(const media_buf_t *b); /* borrowed until the next call on b */

#endif
