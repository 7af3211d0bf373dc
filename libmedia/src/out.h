/* Bounded text output for the builders of libmedia (private): writes into (p, cap), counts on past
 * the end, and tells once, at out_end(), whether everything fitted. */
#ifndef MEDIA_OUT_H
#define MEDIA_OUT_H

#include <string.h>

#include "media/err.h"
#include "media/str.h"

typedef struct {
    char *p;
    size_t len; /* of everything added; >= cap: it did not fit */
    size_t cap;
} out_t;

static inline void out_str(out_t *o, media_str_t s)
{
    if (s.len != 0 && o->len < o->cap && s.len < o->cap - o->len) {
        memcpy(o->p + o->len, s.p, s.len);
    }
    o->len += s.len;
}

static inline void out_cstr(out_t *o, const char *s)
{
    out_str(o, media_str(s));
}

/* `s` percent-encoded (RFC 3986). */
static inline void out_pct(out_t *o, media_str_t s, int keep_slash)
{
    ssize_t n = MEDIA_E_TOOBIG;

    if (o->len < o->cap) {
        n = media_pct_encode(s, keep_slash, o->p + o->len, o->cap - o->len);
    }
    o->len = n < 0 ? o->cap : o->len + (size_t)n;
}

/* The length of the NUL-terminated text, or MEDIA_E_TOOBIG. */
static inline ssize_t out_end(out_t *o)
{
    if (o->len >= o->cap) {
        return MEDIA_E_TOOBIG;
    }
    o->p[o->len] = '\0';
    return (ssize_t)o->len;
}

#endif
