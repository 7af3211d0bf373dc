/* Parameters of header values; see param.h. */
#include <string.h>

#include "param.h"

static void advance(media_str_t *s, size_t n)
{
    s->p += n;
    s->len -= n;
}

static void skip_blanks(media_str_t *s)
{
    while (s->len != 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
        advance(s, 1);
    }
}

static int take(media_str_t *s, char c)
{
    skip_blanks(s);
    if (s->len == 0 || s->p[0] != c) {
        return 0;
    }
    advance(s, 1);
    return 1;
}

static int is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

media_str_t param_token(media_str_t *s)
{
    media_str_t t;

    skip_blanks(s);
    t = (media_str_t){s->p, 0};
    while (t.len < s->len && is_token_char(t.p[t.len])) {
        t.len++;
    }
    advance(s, t.len);
    return t;
}

/* Behind the opening quote: up to the closing one, which is taken, too. */
static int take_quoted(media_str_t *s, media_str_t *inside)
{
    for (size_t i = 0; i < s->len; i++) {
        if (s->p[i] == '\\' && i + 1 < s->len && (s->p[i + 1] == '"' || s->p[i + 1] == '\\')) {
            i++;
        } else if (s->p[i] == '"') {
            *inside = (media_str_t){s->p, i};
            advance(s, i + 1);
            return 0;
        }
    }
    return MEDIA_E_REJECT;
}

int param_next(media_str_t *s, param_t *p)
{
    do {
        skip_blanks(s);
        if (s->len == 0) {
            return 0;
        }
        if (!take(s, ';')) {
            return MEDIA_E_REJECT;
        }
        skip_blanks(s);
    } while (s->len == 0 || s->p[0] == ';');
    p->name = param_token(s);
    if (p->name.len == 0 || !take(s, '=')) {
        return MEDIA_E_REJECT;
    }
    p->quoted = take(s, '"');
    if (p->quoted) {
        return take_quoted(s, &p->value) == 0 ? 1 : MEDIA_E_REJECT;
    }
    p->value = param_token(s);
    return p->value.len != 0 ? 1 : MEDIA_E_REJECT;
}

ssize_t param_unquote(const param_t *p, char *dst, size_t cap)
{
    media_str_t v = p->value;
    size_t n = 0;

    for (size_t i = 0; i < v.len; i++, n++) {
        if (p->quoted && v.p[i] == '\\' && i + 1 < v.len &&
            (v.p[i + 1] == '"' || v.p[i + 1] == '\\')) {
            i++;
        }
        if (n + 1 >= cap) {
            return MEDIA_E_TOOBIG;
        }
        dst[n] = v.p[i];
    }
    if (cap == 0) {
        return MEDIA_E_TOOBIG;
    }
    dst[n] = '\0';
    return (ssize_t)n;
}

ssize_t param_ext_decode(media_str_t value, char *dst, size_t cap)
{
    static const media_str_t utf8 = {"UTF-8'", 6};
    const char *quote;
    ssize_t n;

    if (cap == 0) {
        return MEDIA_E_TOOBIG;
    }
    if (value.len < utf8.len || !media_str_ieq((media_str_t){value.p, utf8.len}, utf8)) {
        return MEDIA_E_REJECT;
    }
    advance(&value, utf8.len);
    quote = value.len == 0 ? NULL : memchr(value.p, '\'', value.len);
    if (quote == NULL) {
        return MEDIA_E_REJECT;
    }
    advance(&value, (size_t)(quote - value.p) + 1);
    n = media_pct_decode(value, dst, cap - 1);
    if (n < 0) {
        return n;
    }
    dst[n] = '\0';
    return media_utf8_valid((media_str_t){dst, (size_t)n}) ? n : MEDIA_E_REJECT;
}
