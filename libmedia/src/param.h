/* Parameters of header values, `; name=value; name="value"; name*=UTF-8''value` (private to
 * libmedia; RFC 9110 5.6.6, RFC 2045 5.1, RFC 8187). Views into the value. */
#ifndef MEDIA_PARAM_H
#define MEDIA_PARAM_H

#include "media/err.h"
#include "media/str.h"

typedef struct {
    media_str_t name;
    media_str_t value; /* raw: escapes of a quoted one are still in it */
    int quoted;
} param_t;

/* Takes the token at the start of *s ("form-data"); empty: there is none. [any] */
media_str_t param_token(media_str_t *s);
/* Takes the next ";name=value" off *s: 1, 0 at the end, MEDIA_E_REJECT. [any] */
int param_next(media_str_t *s, param_t *p);
/* The value with its escapes resolved, NUL-terminated; length or MEDIA_E_TOOBIG. A backslash
 * escapes a quote or a backslash only: browsers have sent "C:\dir\file" as it is. [any] */
ssize_t param_unquote(const param_t *p, char *dst, size_t cap);
/* charset'language'percent-encoded, UTF-8 only, NUL-terminated; length, MEDIA_E_REJECT,
 * MEDIA_E_TOOBIG. [any] */
ssize_t param_ext_decode(media_str_t value, char *dst, size_t cap);

#endif
