#include "media/filename.h"

#include <stdio.h>
#include <string.h>

#include "media/buf.h"

#define EXT_MAX 32 /* a longer "extension" is a part of the name, not worth keeping in a cut */

/* ---- a name's safe characters, one by one ---- */

/* C0, DEL, C1 and the directional overrides, which make "gpj.exe" look like "exe.jpg". */
static int is_control(const unsigned char *p, size_t n)
{
    if (n == 1) {
        return p[0] < 0x20 || p[0] == 0x7f;
    }
    if (n == 2) {
        return p[0] == 0xc2 && p[1] < 0xa0;
    }
    return n == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* Takes the next character off *s; controls are skipped, a byte that is no UTF-8 is U+FFFD. Empty
 * at the end. The view is into *s or static. */
static media_str_t next_char(media_str_t *s)
{
    while (s->len > 0) {
        media_str_t c = {s->p, media_utf8_next(*s)};
        size_t taken = c.len > 0 ? c.len : 1;
        s->p += taken;
        s->len -= taken;
        if (c.len == 0) {
            return MEDIA_STR("\xef\xbf\xbd");
        }
        if (!is_control((const unsigned char *)c.p, c.len)) {
            return c;
        }
    }
    return MEDIA_STR("");
}

/* Bytes of `s` once cleaned. */
static size_t clean_len(media_str_t s)
{
    size_t n = 0;
    for (media_str_t c = next_char(&s); c.len > 0; c = next_char(&s)) {
        n += c.len;
    }
    return n;
}

/* Appends the cleaned `s`, stopping before the character that would pass `max`. */
static size_t clean_append(media_str_t s, char *dst, size_t at, size_t max)
{
    for (media_str_t c = next_char(&s); c.len > 0 && at + c.len <= max; c = next_char(&s)) {
        memcpy(dst + at, c.p, c.len);
        at += c.len;
    }
    return at;
}

/* The part from the last dot on; empty without a dot, or when the dot is the first character. */
static media_str_t extension(media_str_t name)
{
    for (size_t i = name.len; i > 1; i--) {
        if (name.p[i - 1] == '.') {
            return (media_str_t){name.p + i - 1, name.len - i + 1};
        }
    }
    return MEDIA_STR("");
}

ssize_t media_filename_clean(media_str_t raw, char *dst, size_t cap)
{
    char name[MEDIA_FILENAME_MAX];
    for (size_t i = raw.len; i > 0; i--) {
        if (raw.p[i - 1] == '/' || raw.p[i - 1] == '\\') {
            raw = (media_str_t){raw.p + i, raw.len - i};
            break;
        }
    }
    media_str_t ext = extension(raw);
    size_t ext_len = clean_len(ext);
    size_t n;
    if (ext_len > EXT_MAX || clean_len(raw) <= sizeof(name)) {
        n = clean_append(raw, name, 0, sizeof(name));
    } else {
        raw.len -= ext.len;
        n = clean_append(raw, name, 0, sizeof(name) - ext_len);
        n = clean_append(ext, name, n, sizeof(name));
    }
    media_str_t s = {name, n};
    if (n == 0 || media_str_eq(s, MEDIA_STR(".")) || media_str_eq(s, MEDIA_STR(".."))) {
        s = MEDIA_STR("file");
    }
    if (s.len >= cap) {
        return MEDIA_E_TOOBIG;
    }
    memcpy(dst, s.p, s.len);
    dst[s.len] = '\0';
    return (ssize_t)s.len;
}

/* ---- Content-Disposition, written ---- */

static int is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The name with everything a quoted-string cannot carry safely as '_' (RFC 6266 appendix D: also
 * "%41", which some readers decode). Returns 1 when something was replaced. */
static int write_fallback(media_buf_t *b, media_str_t name)
{
    int replaced = 0;
    for (media_str_t c = next_char(&name); c.len > 0; c = next_char(&name)) {
        int escape = c.p[0] == '%' && name.len >= 2 && is_hex(name.p[0]) && is_hex(name.p[1]);
        if (c.len > 1 || c.p[0] == '"' || c.p[0] == '\\' || escape) {
            media_buf_add(b, "_", 1);
            replaced = 1;
        } else {
            media_buf_str(b, c);
        }
    }
    return replaced;
}

static void write_ext_value(media_buf_t *b, media_str_t name)
{
    char enc[16];
    for (media_str_t c = next_char(&name); c.len > 0; c = next_char(&name)) {
        ssize_t n = media_pct_encode(c, 0, enc, sizeof(enc));
        media_buf_add(b, enc, n > 0 ? (size_t)n : 0);
    }
}

ssize_t media_content_disposition(const char *type, media_str_t name, media_str_t ext, char *dst,
                                  size_t cap)
{
    media_buf_t b;
    if (cap == 0) {
        return MEDIA_E_TOOBIG;
    }
    if (ext.len > 0) {
        name.len -= extension(name).len;
    }
    if (clean_len(name) == 0) {
        name = MEDIA_STR("file");
    }
    media_buf_init(&b, cap - 1);
    media_buf_fmt(&b, "%s; filename=\"", type);
    int replaced = write_fallback(&b, name) | write_fallback(&b, ext);
    media_buf_cstr(&b, "\"");
    if (replaced) {
        media_buf_cstr(&b, "; filename*=UTF-8''");
        write_ext_value(&b, name);
        write_ext_value(&b, ext);
    }
    ssize_t rc = b.failed;
    if (rc == 0) {
        memcpy(dst, b.p, b.len + 1);
        rc = (ssize_t)b.len;
    }
    media_buf_free(&b);
    return rc;
}

/* ---- Content-Disposition, read ---- */

static int is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip_space(media_str_t *s)
{
    while (s->len > 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
        s->p++;
        s->len--;
    }
}

static int take(media_str_t *s, char c)
{
    skip_space(s);
    if (s->len == 0 || s->p[0] != c) {
        return 0;
    }
    s->p++;
    s->len--;
    return 1;
}

static media_str_t take_token(media_str_t *s)
{
    media_str_t t = {s->p, 0};
    while (t.len < s->len && is_token(t.p[t.len])) {
        t.len++;
    }
    s->p += t.len;
    s->len -= t.len;
    return t;
}

/* After the opening quote: the raw inside, escapes and all. */
static int take_quoted(media_str_t *s, media_str_t *inside)
{
    for (size_t i = 0; i < s->len; i++) {
        if (s->p[i] == '\\') {
            i++;
        } else if (s->p[i] == '"') {
            *inside = (media_str_t){s->p, i};
            s->p += i + 1;
            s->len -= i + 1;
            return 0;
        }
    }
    return MEDIA_E_REJECT;
}

typedef struct {
    media_str_t name;
    media_str_t value;
    int quoted;
} param_t;

/* The next ";name=value": 1 and *p, 0 at the end, MEDIA_E_REJECT. */
static int take_param(media_str_t *s, param_t *p)
{
    do {
        skip_space(s);
        if (s->len == 0) {
            return 0;
        }
        if (!take(s, ';')) {
            return MEDIA_E_REJECT;
        }
        skip_space(s);
    } while (s->len == 0 || s->p[0] == ';');
    p->name = take_token(s);
    if (p->name.len == 0 || !take(s, '=')) {
        return MEDIA_E_REJECT;
    }
    p->quoted = take(s, '"');
    if (p->quoted) {
        return take_quoted(s, &p->value) == 0 ? 1 : MEDIA_E_REJECT;
    }
    p->value = take_token(s);
    return p->value.len > 0 ? 1 : MEDIA_E_REJECT;
}

/* A backslash escapes a quote or a backslash; before anything else it is itself, since browsers
 * have sent "C:\dir\file" unescaped. */
static ssize_t unquote(const param_t *p, char *dst, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < p->value.len; i++) {
        char c = p->value.p[i];
        if (p->quoted && c == '\\' && i + 1 < p->value.len &&
            (p->value.p[i + 1] == '"' || p->value.p[i + 1] == '\\')) {
            c = p->value.p[++i];
        }
        if (n + 1 >= cap) {
            return MEDIA_E_TOOBIG;
        }
        dst[n++] = c;
    }
    dst[n] = '\0';
    return (ssize_t)n;
}

/* charset'language'percent-encoded (RFC 8187); UTF-8 is the only charset everybody must know. */
static ssize_t ext_value_decode(media_str_t v, char *dst, size_t cap)
{
    media_str_t charset = MEDIA_STR("UTF-8'");
    if (v.len < charset.len || !media_str_ieq((media_str_t){v.p, charset.len}, charset)) {
        return MEDIA_E_REJECT;
    }
    const char *quote = memchr(v.p + charset.len, '\'', v.len - charset.len);
    if (quote == NULL) {
        return MEDIA_E_REJECT;
    }
    quote++;
    v = (media_str_t){quote, v.len - (size_t)(quote - v.p)};
    ssize_t n = media_pct_decode(v, dst, cap - 1);
    if (n < 0) {
        return n;
    }
    dst[n] = '\0';
    return media_utf8_valid((media_str_t){dst, (size_t)n}) ? n : MEDIA_E_REJECT;
}

ssize_t media_content_disposition_parse(media_str_t value, char *dst, size_t cap)
{
    param_t plain = {0};
    param_t extended = {0};
    param_t p;
    int rc;
    if (cap == 0) {
        return MEDIA_E_TOOBIG;
    }
    skip_space(&value);
    if (take_token(&value).len == 0) {
        return MEDIA_E_REJECT;
    }
    while ((rc = take_param(&value, &p)) == 1) {
        param_t *to = media_str_ieq(p.name, MEDIA_STR("filename"))    ? &plain
                      : media_str_ieq(p.name, MEDIA_STR("filename*")) ? &extended
                                                                      : NULL;
        if (to == NULL) {
            continue;
        }
        if (to->name.len > 0) {
            return MEDIA_E_REJECT;
        }
        *to = p;
    }
    if (rc < 0) {
        return rc;
    }
    if (extended.name.len > 0 && !extended.quoted) {
        ssize_t n = ext_value_decode(extended.value, dst, cap);
        if (n != MEDIA_E_REJECT) {
            return n;
        }
    }
    return plain.name.len > 0 ? unquote(&plain, dst, cap) : MEDIA_E_GONE;
}
