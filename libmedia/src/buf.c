#include "media/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "media/err.h"

void media_buf_init(media_buf_t *b, size_t cap)
{
    *b = (media_buf_t){.cap = cap};
}

void media_buf_free(media_buf_t *b)
{
    if (b->p != NULL) {
        OPENSSL_cleanse(b->p, b->size);
        free(b->p);
    }
    media_buf_init(b, b->cap);
}

void media_buf_reset(media_buf_t *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->p != NULL) {
        b->p[0] = '\0';
    }
}

/* Room for n more bytes and the NUL. The old block may hold secrets, so it is cleansed: no realloc.
 */
static int buf_reserve(media_buf_t *b, size_t n)
{
    if (b->failed) {
        return b->failed;
    }
    if (n > b->cap - b->len || b->cap == SIZE_MAX) {
        return b->failed = MEDIA_E_TOOBIG;
    }
    size_t need = b->len + n + 1;
    if (need <= b->size) {
        return 0;
    }
    size_t size = b->size < 32 ? 64 : b->size;
    while (size < need) {
        size = size > SIZE_MAX / 2 ? need : size * 2;
    }
    if (size > b->cap + 1) {
        size = b->cap + 1;
    }
    char *p = malloc(size);
    if (p == NULL) {
        return b->failed = MEDIA_E_NOMEM;
    }
    if (b->p != NULL) {
        memcpy(p, b->p, b->len);
        OPENSSL_cleanse(b->p, b->size);
        free(b->p);
    }
    b->p = p;
    b->size = size;
    return 0;
}

int media_buf_add(media_buf_t *b, const void *p, size_t n)
{
    int rc = buf_reserve(b, n);
    if (rc != 0) {
        return rc;
    }
    if (n > 0) {
        memcpy(b->p + b->len, p, n);
    }
    b->len += n;
    b->p[b->len] = '\0';
    return 0;
}

int media_buf_str(media_buf_t *b, media_str_t s)
{
    return media_buf_add(b, s.p, s.len);
}

int media_buf_cstr(media_buf_t *b, const char *s)
{
    return media_buf_str(b, media_str(s));
}

int media_buf_fmt(media_buf_t *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return b->failed ? b->failed : (b->failed = MEDIA_E_BUG);
    }
    int rc = buf_reserve(b, (size_t)n);
    if (rc != 0) {
        return rc;
    }
    va_start(ap, fmt);
    vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

/* The same escapes as PostgreSQL's to_json(), so that both write the same job message. */
static int json_escape(media_buf_t *b, unsigned char c)
{
    switch (c) {
    case '"':
        return media_buf_add(b, "\\\"", 2);
    case '\\':
        return media_buf_add(b, "\\\\", 2);
    case '\b':
        return media_buf_add(b, "\\b", 2);
    case '\f':
        return media_buf_add(b, "\\f", 2);
    case '\n':
        return media_buf_add(b, "\\n", 2);
    case '\r':
        return media_buf_add(b, "\\r", 2);
    case '\t':
        return media_buf_add(b, "\\t", 2);
    default:
        return media_buf_fmt(b, "\\u%04x", c);
    }
}

static int json_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

int media_buf_json(media_buf_t *b, media_str_t s)
{
    media_buf_add(b, "\"", 1);
    while (s.len > 0 && !b->failed) {
        size_t run = 0;
        while (run < s.len && json_plain((unsigned char)s.p[run])) {
            run++;
        }
        media_buf_add(b, s.p, run);
        s.p += run;
        s.len -= run;
        if (s.len == 0) {
            break;
        }
        size_t n = media_utf8_next(s);
        if (n == 0) {
            media_buf_add(b, "\xef\xbf\xbd", 3);
            n = 1;
        } else if (n == 1) {
            json_escape(b, (unsigned char)s.p[0]);
        } else {
            media_buf_add(b, s.p, n);
        }
        s.p += n;
        s.len -= n;
    }
    return media_buf_add(b, "\"", 1);
}

media_str_t media_buf_view(const media_buf_t *b)
{
    return b->p == NULL ? MEDIA_STR("") : (media_str_t){b->p, b->len};
}
