/* Structured field values, see sfv.h. Each take_*() moves *s behind what it has read; false: it is
 * not there. */
#include "media/sfv.h"

#include <ctype.h>
#include <string.h>

static int is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("_-.*", c));
}

static int is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~:/", c));
}

static int is_base64_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("+/=", c));
}

static int take_char(media_str_t *s, char c)
{
    if (s->len == 0 || s->p[0] != c) {
        return 0;
    }
    s->p++;
    s->len--;
    return 1;
}

/* What a run of such characters holds; may be empty. */
static media_str_t take_run(media_str_t *s, int (*is_one)(char))
{
    media_str_t run = {s->p, 0};

    while (s->len > 0 && is_one(s->p[0])) {
        s->p++;
        s->len--;
        run.len++;
    }
    return run;
}

static void skip_spaces(media_str_t *s, const char *which)
{
    while (s->len > 0 && s->p[0] != '\0' && strchr(which, s->p[0]) != NULL) {
        s->p++;
        s->len--;
    }
}

static int take_key(media_str_t *s, media_str_t *key)
{
    *key = take_run(s, is_key_char);
    return key->len > 0 && (key->p[0] == '*' || (key->p[0] >= 'a' && key->p[0] <= 'z'));
}

static int take_quoted(media_str_t *s)
{
    if (!take_char(s, '"')) {
        return 0;
    }
    while (s->len > 0 && s->p[0] >= ' ' && s->p[0] <= '~') {
        if (take_char(s, '"')) {
            return 1;
        }
        if (take_char(s, '\\') && (s->len == 0 || (s->p[0] != '"' && s->p[0] != '\\'))) {
            return 0;
        }
        s->p++;
        s->len--;
    }
    return 0;
}

/* A bare item; inner is what stands between the colons of a byte sequence. */
static int take_item(media_str_t *s, media_str_t *inner, int *is_bytes)
{
    *is_bytes = 0;
    if (s->len > 0 && s->p[0] == '"') {
        return take_quoted(s);
    }
    if (take_char(s, ':')) {
        *is_bytes = 1;
        *inner = take_run(s, is_base64_char);
        return take_char(s, ':');
    }
    if (take_char(s, '?')) {
        return take_char(s, '0') || take_char(s, '1');
    }
    (void)take_char(s, '@'); /* a date is a number */
    return take_run(s, is_token_char).len > 0;
}

static int take_params(media_str_t *s)
{
    media_str_t skipped;
    int is_bytes;

    while (take_char(s, ';')) {
        skip_spaces(s, " ");
        if (!take_key(s, &skipped) || (take_char(s, '=') && !take_item(s, &skipped, &is_bytes))) {
            return 0;
        }
    }
    return 1;
}

static int take_list(media_str_t *s)
{
    media_str_t skipped;
    int is_bytes;

    skip_spaces(s, " ");
    while (!take_char(s, ')')) {
        if (!take_item(s, &skipped, &is_bytes) || !take_params(s) ||
            (s->len > 0 && s->p[0] != ' ' && s->p[0] != ')')) {
            return 0;
        }
        skip_spaces(s, " ");
    }
    return 1;
}

static int take_value(media_str_t *s, media_sf_member_t *out)
{
    media_str_t inner = {NULL, 0};
    const char *begin = s->p;
    int is_bytes = 0;

    if (take_char(s, '(') ? !take_list(s) : !take_item(s, &inner, &is_bytes)) {
        return 0;
    }
    out->type = is_bytes ? MEDIA_SF_BYTES : MEDIA_SF_OTHER;
    out->value = is_bytes ? inner : (media_str_t){begin, (size_t)(s->p - begin)};
    return 1;
}

int media_sf_next(media_str_t *rest, media_sf_member_t *out)
{
    skip_spaces(rest, " \t");
    if (rest->len == 0) {
        return 0;
    }
    out->type = MEDIA_SF_TRUE;
    out->value = MEDIA_STR_NULL;
    if (!take_key(rest, &out->key) || (take_char(rest, '=') && !take_value(rest, out)) ||
        !take_params(rest)) {
        return MEDIA_E_REJECT;
    }
    skip_spaces(rest, " \t");
    if (rest->len > 0) {
        if (!take_char(rest, ',')) {
            return MEDIA_E_REJECT;
        }
        skip_spaces(rest, " \t");
        if (rest->len == 0) { /* a comma that nothing follows */
            return MEDIA_E_REJECT;
        }
    }
    return 1;
}

static int is_bare_char(char c)
{
    return c > ' ' && c <= '~' && strchr("\"\\,;", c) == NULL;
}

ssize_t media_sf_string(media_str_t s, char *dst, size_t cap)
{
    size_t n = 0;

    s = media_str_trim(s);
    if (s.len > 0 && s.p[0] == '"') {
        media_str_t text = s;

        if (!take_quoted(&text) || text.len != 0) {
            return MEDIA_E_REJECT;
        }
        s = (media_str_t){s.p + 1, s.len - 2};
    } else if (take_run(&(media_str_t){s.p, s.len}, is_bare_char).len != s.len) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < s.len; i++) {
        i += s.p[i] == '\\';
        if (n + 1 >= cap) {
            return MEDIA_E_TOOBIG;
        }
        dst[n++] = s.p[i];
    }
    if (n == 0) {
        return MEDIA_E_REJECT;
    }
    dst[n] = '\0';
    return (ssize_t)n;
}

int media_sf_sha256(media_str_t field, uint8_t out[32], media_err_t *ei)
{
    media_sf_member_t m;
    uint8_t digest[32];
    int rc, found = 0;

    while ((rc = media_sf_next(&field, &m)) == 1) {
        if (!media_str_eq(m.key, MEDIA_STR("sha-256"))) {
            continue;
        }
        if (m.type != MEDIA_SF_BYTES ||
            media_b64_decode(m.value, digest, sizeof(digest)) != (ssize_t)sizeof(digest)) {
            return media_err_set(ei, MEDIA_E_REJECT, "sha-256 is not 32 bytes in base64");
        }
        if (found && memcmp(out, digest, sizeof(digest)) != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "two sha-256 that differ");
        }
        memcpy(out, digest, sizeof(digest));
        found = 1;
    }
    if (rc < 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "is not a dictionary of digests");
    }
    return found ? 0 : MEDIA_E_GONE;
}
