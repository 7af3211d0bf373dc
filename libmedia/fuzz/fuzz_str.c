/* Decoders and encoders of str.h and buf.h: what one side accepts the other must give back. */
#include "fuzz.h"

#include <jansson.h>

#include "media/buf.h"
#include "media/err.h"
#include "media/str.h"

#define TEXT_MAX 4096

static void base64_round_trip(media_str_t s)
{
    char bin[TEXT_MAX];
    char text[2 * TEXT_MAX];
    ssize_t n = media_b64_decode(s, bin, sizeof(bin));
    if (n >= 0) {
        ssize_t m = media_b64_encode(bin, (size_t)n, text, sizeof(text));
        MUST(m == (ssize_t)s.len && memcmp(text, s.p, s.len) == 0);
    }
    n = media_b64url_decode(s, bin, sizeof(bin));
    if (n >= 0) {
        ssize_t m = media_b64url_encode(bin, (size_t)n, text, sizeof(text));
        MUST(m == (ssize_t)s.len && memcmp(text, s.p, s.len) == 0);
    }
    n = media_b64url_encode(s.p, s.len, text, sizeof(text));
    MUST(n >= 0 &&
         media_b64url_decode((media_str_t){text, (size_t)n}, bin, sizeof(bin)) == (ssize_t)s.len);
    MUST(memcmp(bin, s.p, s.len) == 0);
}

static void hex_and_percent_round_trip(media_str_t s)
{
    char bin[TEXT_MAX];
    char text[3 * TEXT_MAX + 1];
    ssize_t n = media_hex_decode(s, bin, sizeof(bin));
    if (n >= 0) {
        ssize_t m = media_hex_encode(bin, (size_t)n, text, sizeof(text));
        MUST(m == (ssize_t)s.len && media_str_ieq((media_str_t){text, (size_t)m}, s));
    }
    media_pct_decode(s, bin, sizeof(bin));
    n = media_pct_encode(s, 0, text, sizeof(text));
    MUST(n >= 0);
    n = media_pct_decode((media_str_t){text, (size_t)n}, bin, sizeof(bin));
    if (memchr(s.p, '\0', s.len) == NULL) {
        MUST(n == (ssize_t)s.len && memcmp(bin, s.p, s.len) == 0);
    } else {
        MUST(n == MEDIA_E_REJECT);
    }
}

static void dates_and_numbers(media_str_t s)
{
    int64_t v;
    char text[32];
    if (media_str_to_i64(s, &v) == 0) {
        MUST(v >= 0);
        media_rfc3339(v, text, sizeof(text));
        media_http_date(-v, text, sizeof(text));
    }
    if (media_http_date_parse(s, &v) == 0 && s.p[23] != '6') { /* :60 is the next minute's :00 */
        MUST(media_http_date(v, text, sizeof(text)) == s.len && memcmp(text, s.p, s.len) == 0);
    }
    media_uuid_valid(s);
}

static void json_string_parses(media_str_t s)
{
    media_buf_t b;
    media_buf_init(&b, 6 * TEXT_MAX + 2);
    MUST(media_buf_json(&b, s) == 0);
    json_t *v = json_loadb(b.p, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    MUST(v != NULL && json_is_string(v));
    if (media_utf8_valid(s)) {
        MUST(json_string_length(v) == s.len && memcmp(json_string_value(v), s.p, s.len) == 0);
    }
    json_decref(v);
    media_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_err_t ei;
    if (size > TEXT_MAX) {
        return 0;
    }
    media_str_t s = {size > 0 ? (const char *)data : "", size};
    base64_round_trip(s);
    hex_and_percent_round_trip(s);
    dates_and_numbers(s);
    json_string_parses(s);
    media_err_set(&ei, -1, "%.*s", (int)s.len, s.p);
    MUST(!media_utf8_valid(s) || media_utf8_valid(media_str(ei.text)));
    return 0;
}
