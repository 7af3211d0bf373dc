/* Strict pull reader for S3's XML answers; see xml.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include <string.h>

#include "out.h"
#include "xml.h"

#define NAME_MAX_LEN 64

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(xml_t *x)
{
    while (x->p < x->end && is_blank(*x->p)) {
        x->p++;
    }
}

int xml_init(xml_t *x, media_str_t body)
{
    const char *q;

    *x = (xml_t){.p = body.p, .end = body.p + body.len};
    if (body.len == 0 || memchr(body.p, '\0', body.len) != NULL || !media_utf8_valid(body)) {
        return MEDIA_E_REJECT;
    }
    if (body.len >= 3 && memcmp(x->p, "\xef\xbb\xbf", 3) == 0) {
        x->p += 3;
    }
    skip_blanks(x);
    if (x->end - x->p > 6 && memcmp(x->p, "<?xml", 5) == 0 && is_blank(x->p[5])) {
        q = memmem(x->p, (size_t)(x->end - x->p), "?>", 2);
        if (q == NULL) {
            return MEDIA_E_REJECT;
        }
        x->p = q + 2;
    }
    return 0;
}

static int is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static media_str_t xml_name(xml_t *x)
{
    media_str_t name = {x->p, 0};

    while (x->p < x->end && is_name_char(*x->p)) {
        x->p++;
    }
    name.len = (size_t)(x->p - name.p);
    return name;
}

/* `name="value"` pairs up to '>' or "/>", which is consumed. 1: it was "/>". */
static int xml_attributes(xml_t *x)
{
    const char *q;

    for (;;) {
        skip_blanks(x);
        if (x->p < x->end && *x->p == '>') {
            x->p++;
            return 0;
        }
        if (x->end - x->p >= 2 && x->p[0] == '/' && x->p[1] == '>') {
            x->p += 2;
            return 1;
        }
        if (xml_name(x).len == 0 || x->end - x->p < 2 || x->p[0] != '=' ||
            (x->p[1] != '"' && x->p[1] != '\'')) {
            return MEDIA_E_REJECT;
        }
        q = memchr(x->p + 2, x->p[1], (size_t)(x->end - x->p - 2));
        if (q == NULL || memchr(x->p + 2, '<', (size_t)(q - x->p - 2)) != NULL) {
            return MEDIA_E_REJECT;
        }
        x->p = q + 1;
    }
}

static int xml_open(xml_t *x)
{
    media_str_t name = xml_name(x);
    int rc;

    if (name.len == 0 || name.len > NAME_MAX_LEN || x->depth == XML_DEPTH_MAX ||
        (x->depth == 0 && x->has_root)) {
        return MEDIA_E_REJECT;
    }
    rc = xml_attributes(x);
    if (rc < 0) {
        return rc;
    }
    x->stack[x->depth++] = name;
    x->has_root = 1;
    x->closing = rc;
    return XML_OPEN;
}

static int xml_close(xml_t *x)
{
    media_str_t name = xml_name(x);

    skip_blanks(x);
    if (x->depth == 0 || x->p == x->end || *x->p != '>' ||
        !media_str_eq(name, x->stack[x->depth - 1])) {
        return MEDIA_E_REJECT;
    }
    x->p++;
    x->depth--;
    return XML_CLOSE;
}

/* The next event or MEDIA_E_REJECT. Text outside the root element may only be blank. */
int xml_next(xml_t *x)
{
    const char *q;

    if (x->closing) {
        x->closing = 0;
        x->depth--;
        return XML_CLOSE;
    }
    if (x->depth == 0) {
        skip_blanks(x);
    }
    if (x->p == x->end) {
        return x->depth == 0 && x->has_root ? XML_END : MEDIA_E_REJECT;
    }
    if (*x->p != '<') {
        q = memchr(x->p, '<', (size_t)(x->end - x->p));
        if (q == NULL || x->depth == 0) {
            return MEDIA_E_REJECT;
        }
        x->text = (media_str_t){x->p, (size_t)(q - x->p)};
        x->p = q;
        return XML_TEXT;
    }
    x->p++;
    if (x->p < x->end && *x->p == '/') {
        x->p++;
        return xml_close(x);
    }
    return xml_open(x);
}

static ssize_t utf8_put(uint32_t c, char out[4])
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return MEDIA_E_REJECT;
    }
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* "#34", "#x1F600" */
static ssize_t char_ref(media_str_t ref, char out[4])
{
    uint32_t c = 0, base = 10, digit;
    size_t i = 1;

    if (ref.len > 1 && ref.p[1] == 'x') {
        base = 16;
        i = 2;
    }
    if (i == ref.len || ref.len > 9) {
        return MEDIA_E_REJECT;
    }
    for (; i < ref.len; i++) {
        char d = ref.p[i];

        digit = d >= '0' && d <= '9'   ? (uint32_t)(d - '0')
                : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10)
                                       : 99;
        if (digit >= base) {
            return MEDIA_E_REJECT;
        }
        c = c * base + digit;
    }
    return utf8_put(c, out);
}

static ssize_t entity(media_str_t ref, char out[4])
{
    static const struct {
        media_str_t name;
        char c;
    } five[] = {{{"lt", 2}, '<'},
                {{"gt", 2}, '>'},
                {{"amp", 3}, '&'},
                {{"quot", 4}, '"'},
                {{"apos", 4}, '\''}};

    if (ref.len > 1 && ref.p[0] == '#') {
        return char_ref(ref, out);
    }
    for (size_t i = 0; i < sizeof(five) / sizeof(five[0]); i++) {
        if (media_str_eq(ref, five[i].name)) {
            out[0] = five[i].c;
            return 1;
        }
    }
    return MEDIA_E_REJECT;
}

/* Raw text with its references resolved, NUL-terminated. */
ssize_t xml_decode(media_str_t raw, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};
    char c[4];
    ssize_t n;

    while (raw.len != 0) {
        const char *amp = memchr(raw.p, '&', raw.len), *semi;
        size_t plain = amp == NULL ? raw.len : (size_t)(amp - raw.p);

        out_str(&o, (media_str_t){raw.p, plain});
        raw.p += plain;
        raw.len -= plain;
        if (amp == NULL) {
            break;
        }
        semi = memchr(raw.p, ';', raw.len);
        if (semi == NULL) {
            return MEDIA_E_REJECT;
        }
        n = entity((media_str_t){raw.p + 1, (size_t)(semi - raw.p) - 1}, c);
        if (n < 0) {
            return n;
        }
        out_str(&o, (media_str_t){c, (size_t)n});
        raw.len -= (size_t)(semi - raw.p) + 1;
        raw.p = semi + 1;
    }
    return out_end(&o);
}

int xml_walk(media_str_t body, size_t max, xml_close_pt on_close, void *data)
{
    media_str_t raw = MEDIA_STR_NULL;
    xml_t x;
    int ev, rc;

    if (body.len > max) {
        return MEDIA_E_TOOBIG;
    }
    rc = xml_init(&x, body);
    if (rc != 0) {
        return rc;
    }
    while ((ev = xml_next(&x)) >= 0 && ev != XML_END) {
        switch (ev) {
        case XML_OPEN:
            raw = MEDIA_STR("");
            break;
        case XML_TEXT:
            if (xml_decode(x.text, NULL, 0) == MEDIA_E_REJECT) {
                return MEDIA_E_REJECT;
            }
            raw = raw.p == NULL ? raw : x.text;
            break;
        default:
            rc = on_close(data, &x, raw);
            if (rc != 0) {
                return rc;
            }
            raw = MEDIA_STR_NULL;
            break;
        }
    }
    return ev < 0 ? ev : 0;
}
