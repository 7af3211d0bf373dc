/* MIME pieces, see mime.h. */
#include "mime.h"

#include <string.h>

#define LINE_MAX_7BIT 900 /* RFC 5321 allows 998 */
#define LINE_MAX_QP 76    /* RFC 2045 6.7 */
#define WORD_BYTES 39     /* of one encoded word, so that "Subject: " and the word fit into 76 */

static int is_plain(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] > 0x7e) {
            return 0;
        }
    }
    return 1;
}

/* How many bytes of s fit into `max` without cutting a UTF-8 character. */
static size_t utf8_fit(const char *s, size_t len, size_t max)
{
    size_t n = len < max ? len : max;

    while (n > 0 && n < len && ((unsigned char)s[n] & 0xc0) == 0x80) {
        n--;
    }
    return n > 0 ? n : (len < max ? len : max);
}

static void add_encoded_words(media_buf_t *out, media_str_t s)
{
    char clean[WORD_BYTES], b64[4 * WORD_BYTES];
    int first = 1;

    while (s.len > 0) {
        size_t n = utf8_fit(s.p, s.len, WORD_BYTES);
        for (size_t i = 0; i < n; i++) {
            clean[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? ' ' : s.p[i];
        }
        (void)media_b64_encode(clean, n, b64, sizeof(b64));
        (void)media_buf_fmt(out, "%s=?UTF-8?B?%s?=", first ? "" : "\r\n ", b64);
        first = 0;
        s.p += n;
        s.len -= n;
    }
}

void mime_header(media_buf_t *out, const char *name, const char *text)
{
    media_str_t s = media_str(text);

    (void)media_buf_fmt(out, "%s: ", name);
    if (is_plain(s) && strlen(name) + 2 + s.len <= LINE_MAX_QP && strstr(text, "=?") == NULL) {
        (void)media_buf_str(out, s);
    } else {
        add_encoded_words(out, s);
    }
    (void)media_buf_cstr(out, "\r\n");
}

/* 1 if every line is short and of printable ASCII. */
static int fits_7bit(media_str_t text)
{
    size_t line = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\n') {
            line = 0;
        } else if ((c < 0x20 && c != '\t') || c > 0x7e || ++line > LINE_MAX_7BIT) {
            return 0;
        }
    }
    return 1;
}

static void add_7bit(media_buf_t *out, media_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        (void)media_buf_cstr(out, text.p[i] == '\n' ? "\r" : "");
        (void)media_buf_add(out, text.p + i, 1);
    }
}

static void add_qp(media_buf_t *out, media_str_t text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t line = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        int at_end = i + 1 == text.len || text.p[i + 1] == '\n';
        int is_literal = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !at_end);
        char code[3] = {'=', hex[c >> 4], hex[c & 15]};
        size_t n = is_literal ? 1 : 3;

        if (c == '\n') {
            (void)media_buf_cstr(out, "\r\n");
            line = 0;
            continue;
        }
        if (line + n > LINE_MAX_QP - 1) {
            (void)media_buf_cstr(out, "=\r\n");
            line = 0;
        }
        (void)media_buf_add(out, is_literal ? text.p + i : code, n);
        line += n;
    }
}

void mime_text_part(media_buf_t *out, const char *subtype, media_str_t text)
{
    int plain = fits_7bit(text);

    (void)media_buf_fmt(out,
                        "Content-Type: text/%s; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: %s\r\n\r\n",
                        subtype, plain ? "7bit" : "quoted-printable");
    if (plain) {
        add_7bit(out, text);
    } else {
        add_qp(out, text);
    }
}

int mime_address_valid(const char *s)
{
    static const char atext[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "!#$%&'*+-/=?^_`{|}~";
    static const char host[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    const char *at = strchr(s, '@');
    size_t len = strlen(s);

    if (at == NULL || at == s || at - s > 64 || len > 254 || at[1] == '\0') {
        return 0;
    }
    for (const char *p = s; p < at; p++) {
        int is_dot = *p == '.' && p != s && p + 1 != at && p[1] != '.';
        if (!is_dot && strchr(atext, *p) == NULL) {
            return 0;
        }
    }
    return strspn(at + 1, host) == strlen(at + 1) && at[1] != '.' && at[1] != '-' &&
           strstr(at, "..") == NULL;
}
