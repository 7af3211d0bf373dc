/* Recursive descent over the text (RFC 8259), as strict as jansson with JSON_REJECT_DUPLICATES.
 * Numbers end at a character that is none (the root's closing brace at the latest), so strtod() and
 * strtoll() stop within the text. */
#include "media/jsondoc.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32
#define SAFE_DIGITS 18 /* always within int64_t */

typedef struct {
    char *text;
    size_t len;
    size_t pos;
    media_jsonnode_t *nodes;
    size_t nnodes;
    size_t cap;
    int depth;
} reader_t;

static int read_value(reader_t *r);

static inline int peek(const reader_t *r)
{
    return r->pos < r->len ? (unsigned char)r->text[r->pos] : -1;
}

static inline void skip_space(reader_t *r)
{
    int c = peek(r);
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        r->pos++;
        c = peek(r);
    }
}

/* The next character that is no space, taken if it is `c`. */
static inline int take(reader_t *r, char c)
{
    skip_space(r);
    if (peek(r) != c) {
        return 0;
    }
    r->pos++;
    return 1;
}

static int add_node(reader_t *r, enum media_jsondoc_type type, size_t off, size_t len)
{
    if (r->nnodes >= r->cap) {
        return MEDIA_E_TOOBIG;
    }
    r->nodes[r->nnodes] =
        (media_jsonnode_t){(uint16_t)off, (uint16_t)len, (uint16_t)(r->nnodes + 1), (uint16_t)type};
    r->nnodes++;
    return 0;
}

/* Four hex digits, or -1. */
static int read_hex4(const char *p, size_t left)
{
    unsigned char b[2];
    if (left < 4 || media_hex_decode((media_str_t){p, 4}, b, sizeof(b)) != 2) {
        return -1;
    }
    return b[0] << 8 | b[1];
}

static size_t write_utf8(char *dst, unsigned c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xc0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
        dst[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    dst[0] = (char)(0xf0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
    dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
    dst[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* \uXXXX or a surrogate pair, pos behind the 'u'. Returns the bytes written to dst, 0 if refused.
 */
static size_t unescape_unicode(reader_t *r, char *dst)
{
    int c = read_hex4(r->text + r->pos, r->len - r->pos);
    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return 0;
    }
    r->pos += 4;
    if (c < 0xd800 || c > 0xdbff) {
        return write_utf8(dst, (unsigned)c);
    }
    if (r->len - r->pos < 6 || r->text[r->pos] != '\\' || r->text[r->pos + 1] != 'u') {
        return 0;
    }
    int low = read_hex4(r->text + r->pos + 2, 4);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    r->pos += 6;
    return write_utf8(dst, 0x10000U + (((unsigned)c & 0x3ff) << 10) + ((unsigned)low & 0x3ff));
}

/* What stands behind a backslash; dst is before it. Returns the bytes written, 0 if refused. */
static size_t unescape(reader_t *r, char *dst)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    int c = peek(r);
    const char *p = c > 0 ? strchr(from, c) : NULL;
    if (c < 0) {
        return 0;
    }
    r->pos++;
    if (c == 'u') {
        return unescape_unicode(r, dst);
    }
    if (p == NULL) {
        return 0;
    }
    *dst = to[p - from];
    return 1;
}

/* Bytes that stand for themselves: no quote, backslash, control or non-ASCII character. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (signed char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') {
        i++;
    }
    return i;
}

/* A string, pos behind its opening quote. */
static int read_string(reader_t *r)
{
    size_t start = r->pos;
    r->pos += plain_run(r->text + start, r->len - start);
    size_t end = r->pos;
    for (;;) {
        int c = peek(r);
        size_t n = 1;
        if (c == '"') {
            r->pos++;
            return add_node(r, MEDIA_JSON_STRING, start, end - start);
        }
        if (c < 0x20) {
            return MEDIA_E_REJECT; /* the end as well */
        }
        if (c == '\\') {
            r->pos++;
            n = unescape(r, r->text + end);
        } else {
            if (c >= 0x80) {
                n = media_utf8_next((media_str_t){r->text + r->pos, r->len - r->pos});
            }
            if (end != r->pos) {
                memmove(r->text + end, r->text + r->pos, n);
            }
            r->pos += n;
        }
        if (n == 0) {
            return MEDIA_E_REJECT;
        }
        end += n;
    }
}

static size_t read_digits(reader_t *r)
{
    size_t start = r->pos;
    while (peek(r) >= '0' && peek(r) <= '9') {
        r->pos++;
    }
    return r->pos - start;
}

/* Whether the number just passed fits the type jansson would give it. */
static int number_fits(const reader_t *r, size_t start, int is_real)
{
    if (is_real) {
        return !isinf(strtod(r->text + start, NULL));
    }
    if (r->pos - start <= SAFE_DIGITS) {
        return 1;
    }
    errno = 0;
    (void)strtoll(r->text + start, NULL, 10);
    return errno == 0;
}

static int read_number(reader_t *r)
{
    size_t start = r->pos;
    int is_real = 0;
    if (peek(r) == '-') {
        r->pos++;
    }
    if (peek(r) == '0') {
        r->pos++;
    } else if (read_digits(r) == 0) {
        return MEDIA_E_REJECT;
    }
    if (peek(r) == '.') {
        is_real = 1;
        r->pos++;
        if (read_digits(r) == 0) {
            return MEDIA_E_REJECT;
        }
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        is_real = 1;
        r->pos++;
        if (peek(r) == '+' || peek(r) == '-') {
            r->pos++;
        }
        if (read_digits(r) == 0) {
            return MEDIA_E_REJECT;
        }
    }
    /* at the end of the text the object is not closed; strtod() must not run on */
    if (r->pos == r->len || !number_fits(r, start, is_real)) {
        return MEDIA_E_REJECT;
    }
    return add_node(r, is_real ? MEDIA_JSON_REAL : MEDIA_JSON_INTEGER, start, r->pos - start);
}

static int read_word(reader_t *r, media_str_t word, enum media_jsondoc_type type)
{
    if (r->len - r->pos < word.len || memcmp(r->text + r->pos, word.p, word.len) != 0) {
        return MEDIA_E_REJECT;
    }
    r->pos += word.len;
    return add_node(r, type, r->pos - word.len, word.len);
}

static int read_array(reader_t *r)
{
    size_t at = r->nnodes;
    int rc = add_node(r, MEDIA_JSON_ARRAY, 0, 0);
    if (rc == 0 && !take(r, ']')) {
        do {
            rc = read_value(r);
        } while (rc == 0 && take(r, ','));
        if (rc == 0 && !take(r, ']')) {
            rc = MEDIA_E_REJECT;
        }
    }
    if (rc == 0) {
        r->nodes[at].next = (uint16_t)r->nnodes;
    }
    return rc;
}

/* Most names of one length differ in their first byte: no call for those. */
static inline int same_bytes(const char *a, const char *b, size_t n)
{
    return n == 0 || (a[0] == b[0] && memcmp(a, b, n) == 0);
}

/* Whether the name at `name`, the last node, stands among the members before it already. */
static int is_duplicate(const reader_t *r, size_t object, size_t name)
{
    const media_jsonnode_t *last = &r->nodes[name];
    for (size_t i = object + 1; i < name; i = r->nodes[i].next) {
        const media_jsonnode_t *n = &r->nodes[i];
        if (n->len == last->len && same_bytes(r->text + n->off, r->text + last->off, n->len)) {
            return 1;
        }
    }
    return 0;
}

static int read_member(reader_t *r, size_t object)
{
    if (!take(r, '"')) {
        return MEDIA_E_REJECT;
    }
    size_t name = r->nnodes;
    int rc = read_string(r);
    if (rc == 0 && (is_duplicate(r, object, name) || !take(r, ':'))) {
        rc = MEDIA_E_REJECT;
    }
    if (rc == 0) {
        rc = read_value(r);
    }
    if (rc == 0) {
        r->nodes[name].next = (uint16_t)r->nnodes;
    }
    return rc;
}

static int read_object(reader_t *r)
{
    size_t at = r->nnodes;
    int rc = add_node(r, MEDIA_JSON_OBJECT, 0, 0);
    if (rc == 0 && !take(r, '}')) {
        do {
            rc = read_member(r, at);
        } while (rc == 0 && take(r, ','));
        if (rc == 0 && !take(r, '}')) {
            rc = MEDIA_E_REJECT;
        }
    }
    if (rc == 0) {
        r->nodes[at].next = (uint16_t)r->nnodes;
    }
    return rc;
}

static int read_value(reader_t *r)
{
    int rc;
    skip_space(r);
    int c = peek(r);
    switch (c) {
    case '"':
        r->pos++;
        return read_string(r);
    case 't':
        return read_word(r, MEDIA_STR("true"), MEDIA_JSON_TRUE);
    case 'f':
        return read_word(r, MEDIA_STR("false"), MEDIA_JSON_FALSE);
    case 'n':
        return read_word(r, MEDIA_STR("null"), MEDIA_JSON_NULL);
    case '{':
    case '[':
        if (r->depth == DEPTH_MAX) {
            return MEDIA_E_REJECT;
        }
        r->pos++;
        r->depth++;
        rc = c == '{' ? read_object(r) : read_array(r);
        r->depth--;
        return rc;
    default:
        return read_number(r);
    }
}

int media_jsondoc_parse(char *text, size_t len, media_jsonnode_t *nodes, size_t cap,
                        media_jsondoc_t *doc)
{
    reader_t r = {text, len, 0, nodes, 0, cap, 0};
    *doc = (media_jsondoc_t){NULL, NULL, 0};
    if (len > MEDIA_JSONDOC_TEXT_MAX) {
        return MEDIA_E_TOOBIG;
    }
    if (r.cap > MEDIA_JSONDOC_NODES_MAX) {
        r.cap = MEDIA_JSONDOC_NODES_MAX;
    }
    skip_space(&r);
    if (peek(&r) != '{') {
        return MEDIA_E_REJECT;
    }
    int rc = read_value(&r);
    if (rc != 0) {
        return rc;
    }
    skip_space(&r);
    if (r.pos != len) {
        return MEDIA_E_REJECT;
    }
    *doc = (media_jsondoc_t){text, nodes, r.nnodes};
    return 0;
}

size_t media_jsondoc_get(const media_jsondoc_t *doc, size_t at, media_str_t name)
{
    if (at >= doc->nnodes || doc->nodes[at].type != MEDIA_JSON_OBJECT) {
        return 0;
    }
    for (size_t i = at + 1; i < doc->nodes[at].next; i = doc->nodes[i].next) {
        const media_jsonnode_t *n = &doc->nodes[i];
        if (n->len == name.len && same_bytes(doc->text + n->off, name.p, name.len)) {
            return i + 1;
        }
    }
    return 0;
}

void media_jsondoc_find(const media_jsondoc_t *doc, const media_str_t *names, size_t n, size_t *at)
{
    memset(at, 0, n * sizeof(*at));
    for (size_t i = 1; i < doc->nnodes; i = doc->nodes[i].next) {
        media_str_t name = media_jsondoc_text(doc, i);
        for (size_t k = 0; k < n; k++) {
            if (name.len == names[k].len && same_bytes(name.p, names[k].p, name.len)) {
                at[k] = i + 1;
                break;
            }
        }
    }
}

int64_t media_jsondoc_int(const media_jsondoc_t *doc, size_t at)
{
    int64_t value;
    media_str_t s = media_jsondoc_text(doc, at);
    return media_str_to_i64(s, &value) == 0 ? value : strtoll(s.p, NULL, 10);
}

double media_jsondoc_real(const media_jsondoc_t *doc, size_t at)
{
    return strtod(doc->text + doc->nodes[at].off, NULL);
}
