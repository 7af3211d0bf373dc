#include "media/str.h"

#include <stdio.h>
#include <string.h>

#include "media/err.h"

media_str_t media_str(const char *cstr)
{
    return cstr == NULL ? MEDIA_STR("") : (media_str_t){cstr, strlen(cstr)};
}

int media_str_eq(media_str_t a, media_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

int media_str_ieq(media_str_t a, media_str_t b)
{
    if (a.len != b.len) {
        return 0;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) {
            return 0;
        }
    }
    return 1;
}

/* By words: it compares tokens per request, and CRYPTO_memcmp() goes byte by byte. */
int media_str_eq_consttime(media_str_t a, media_str_t b)
{
    uint64_t x = 0;
    uint64_t y = 0;
    uint64_t differ = 0;
    size_t i = 0;
    if (a.len != b.len) {
        return 0;
    }
    for (; i + sizeof(x) <= a.len; i += sizeof(x)) {
        memcpy(&x, a.p + i, sizeof(x));
        memcpy(&y, b.p + i, sizeof(y));
        differ |= x ^ y;
        __asm__("" : "+r"(differ)); /* not to be left early */
    }
    for (; i < a.len; i++) {
        differ |= (uint64_t)(uint8_t)(a.p[i] ^ b.p[i]);
    }
    return differ == 0;
}

media_str_t media_str_trim(media_str_t s)
{
    while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

int media_str_to_i64(media_str_t s, int64_t *out)
{
    int64_t v = 0;
    if (s.len == 0) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(s.p[i] - '0'), &v)) {
            return MEDIA_E_REJECT;
        }
    }
    *out = v;
    return 0;
}

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t media_hex_encode(const void *src, size_t n, char *dst, size_t cap)
{
    const uint8_t *s = src;
    if (cap == 0 || n > (cap - 1) / 2) {
        return MEDIA_E_TOOBIG;
    }
    for (size_t i = 0; i < n; i++) {
        dst[2 * i] = hex_lower[s[i] >> 4];
        dst[2 * i + 1] = hex_lower[s[i] & 15];
    }
    dst[2 * n] = '\0';
    return (ssize_t)(2 * n);
}

ssize_t media_hex_decode(media_str_t s, void *dst, size_t cap)
{
    uint8_t *d = dst;
    if (s.len % 2 != 0) {
        return MEDIA_E_REJECT;
    }
    if (s.len / 2 > cap) {
        return MEDIA_E_TOOBIG;
    }
    for (size_t i = 0; i < s.len / 2; i++) {
        int hi = hex_value(s.p[2 * i]);
        int lo = hex_value(s.p[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return MEDIA_E_REJECT;
        }
        d[i] = (uint8_t)(hi << 4 | lo);
    }
    return (ssize_t)(s.len / 2);
}

static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value + 1 of each digit, 0 elsewhere; tables, since every request decodes a token. */
#define B64_LETTERS_AND_DIGITS                                                                     \
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,        \
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, \
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23,            \
    ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,            \
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37,            \
    ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,            \
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51,            \
    ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58,            \
    ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,

static const uint8_t b64_std_values[256] = {B64_LETTERS_AND_DIGITS['+'] = 63, ['/'] = 64};
static const uint8_t b64_url_values[256] = {B64_LETTERS_AND_DIGITS['-'] = 63, ['_'] = 64};

/* Negative for what is no digit. */
static inline int b64_value(char c, const uint8_t *values)
{
    return (int)values[(uint8_t)c] - 1;
}

static ssize_t b64_encode(const uint8_t *s, size_t n, const char *digits, int pad, char *dst,
                          size_t cap)
{
    if (cap == 0 || n > (cap - 1) / 4 * 3 + 2) {
        return MEDIA_E_TOOBIG;
    }
    size_t len = pad ? (n + 2) / 3 * 4 : n / 3 * 4 + (n % 3 ? n % 3 + 1 : 0);
    if (len >= cap) {
        return MEDIA_E_TOOBIG;
    }
    char *d = dst;
    for (; n >= 3; n -= 3, s += 3) {
        *d++ = digits[s[0] >> 2];
        *d++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
        *d++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
        *d++ = digits[s[2] & 63];
    }
    if (n > 0) {
        uint8_t second = n == 2 ? s[1] : 0;
        *d++ = digits[s[0] >> 2];
        *d++ = digits[(s[0] & 3) << 4 | second >> 4];
        if (n == 2) {
            *d++ = digits[(second & 15) << 2];
        }
    }
    while (d < dst + len) {
        *d++ = '=';
    }
    *d = '\0';
    return (ssize_t)len;
}

/* Strict: one text for every byte string, so bits left over in the last digit must be zero. */
static ssize_t b64_decode(media_str_t s, const uint8_t *values, uint8_t *dst, size_t cap)
{
    size_t n = s.len / 4 * 3 + (s.len % 4 ? s.len % 4 - 1 : 0);
    if (s.len % 4 == 1) {
        return MEDIA_E_REJECT;
    }
    if (n > cap) {
        return MEDIA_E_TOOBIG;
    }
    const char *p = s.p;
    uint8_t *d = dst;
    for (size_t left = s.len; left >= 4; left -= 4, p += 4) {
        uint32_t v = (uint32_t)b64_value(p[0], values) << 18 |
                     (uint32_t)b64_value(p[1], values) << 12 |
                     (uint32_t)b64_value(p[2], values) << 6 | (uint32_t)b64_value(p[3], values);
        if (v >> 24 != 0) { /* a negative value */
            return MEDIA_E_REJECT;
        }
        *d++ = (uint8_t)(v >> 16);
        *d++ = (uint8_t)(v >> 8);
        *d++ = (uint8_t)v;
    }
    if (s.len % 4 == 0) {
        return (ssize_t)n;
    }
    int v0 = b64_value(p[0], values);
    int v1 = b64_value(p[1], values);
    int v2 = s.len % 4 == 3 ? b64_value(p[2], values) : 0;
    int unused = s.len % 4 == 3 ? v2 & 3 : v1 & 15;
    if ((v0 | v1 | v2) < 0 || unused != 0) {
        return MEDIA_E_REJECT;
    }
    *d++ = (uint8_t)(v0 << 2 | v1 >> 4);
    if (s.len % 4 == 3) {
        *d = (uint8_t)(v1 << 4 | v2 >> 2);
    }
    return (ssize_t)n;
}

ssize_t media_b64_encode(const void *src, size_t n, char *dst, size_t cap)
{
    return b64_encode(src, n, b64_std, 1, dst, cap);
}

ssize_t media_b64url_encode(const void *src, size_t n, char *dst, size_t cap)
{
    return b64_encode(src, n, b64_url, 0, dst, cap);
}

ssize_t media_b64_decode(media_str_t s, void *dst, size_t cap)
{
    if (s.len % 4 != 0) {
        return MEDIA_E_REJECT;
    }
    for (int i = 0; i < 2 && s.len > 0 && s.p[s.len - 1] == '='; i++) {
        s.len--;
    }
    return b64_decode(s, b64_std_values, dst, cap);
}

ssize_t media_b64url_decode(media_str_t s, void *dst, size_t cap)
{
    return b64_decode(s, b64_url_values, dst, cap);
}

static int pct_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

ssize_t media_pct_encode(media_str_t s, int keep_slash, char *dst, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        int plain = pct_unreserved(c) || (keep_slash && c == '/');
        size_t width = plain ? 1 : 3;
        if (cap < width + 1 || n > cap - width - 1) {
            return MEDIA_E_TOOBIG;
        }
        if (plain) {
            dst[n] = c;
        } else {
            dst[n] = '%';
            dst[n + 1] = hex_upper[(uint8_t)c >> 4];
            dst[n + 2] = hex_upper[(uint8_t)c & 15];
        }
        n += width;
    }
    if (n >= cap) {
        return MEDIA_E_TOOBIG;
    }
    dst[n] = '\0';
    return (ssize_t)n;
}

ssize_t media_pct_decode(media_str_t s, char *dst, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++, n++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = s.len - i > 2 ? hex_value(s.p[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(s.p[i + 2]) : -1;
            if (lo < 0) {
                return MEDIA_E_REJECT;
            }
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (c == '\0') {
            return MEDIA_E_REJECT;
        }
        if (n >= cap) {
            return MEDIA_E_TOOBIG;
        }
        dst[n] = c;
    }
    return (ssize_t)n;
}

/* Table 3-7 of the Unicode standard: what the second byte may be depends on the first. */
size_t media_utf8_next(media_str_t s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    if (s.len == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (p[0] < 0xc2 || p[0] > 0xf4 || s.len < n) {
        return 0;
    }
    uint8_t lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

int media_utf8_valid(media_str_t s)
{
    while (s.len > 0) {
        size_t n = media_utf8_next(s);
        if (n == 0) {
            return 0;
        }
        s.p += n;
        s.len -= n;
    }
    return 1;
}

/* ---- time: libc's gmtime is not used, the module runs where it must not take locks ---- */

#define DAY_S 86400
#define TIME_MIN_S (-62167219200LL) /* 0000-01-01 */
#define TIME_MAX_S 253402300799LL   /* 9999-12-31T23:59:59 */

typedef struct {
    int year, month, day, hour, minute, second, weekday; /* month 1..12, weekday 0 = Sunday */
} civil_t;

static const char weekdays[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, counted in eras of 400 years
 * that begin in March, so that the leap day is the last of its year. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static civil_t civil_from_unix(int64_t t)
{
    t = t < TIME_MIN_S ? TIME_MIN_S : t > TIME_MAX_S ? TIME_MAX_S : t;
    int64_t rest = (t % DAY_S + DAY_S) % DAY_S;
    int64_t z = (t - rest) / DAY_S;
    int64_t wday = ((z + 4) % 7 + 7) % 7;
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    return (civil_t){.year = (int)(yoe + era * 400 + (month <= 2)),
                     .month = (int)month,
                     .day = (int)(doy - (153 * mp + 2) / 5 + 1),
                     .hour = (int)(rest / 3600),
                     .minute = (int)(rest / 60 % 60),
                     .second = (int)(rest % 60),
                     .weekday = (int)wday};
}

size_t media_http_date(int64_t unix_s, char *dst, size_t cap)
{
    civil_t c = civil_from_unix(unix_s);
    int n = snprintf(dst, cap, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", weekdays + 3 * c.weekday,
                     c.day, months + 3 * (c.month - 1), c.year, c.hour, c.minute, c.second);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

size_t media_rfc3339(int64_t unix_ms, char *dst, size_t cap)
{
    int64_t ms = (unix_ms % 1000 + 1000) % 1000;
    civil_t c = civil_from_unix(unix_ms / 1000 - (unix_ms % 1000 < 0));
    int n = snprintf(dst, cap, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day,
                     c.hour, c.minute, c.second, (int)ms);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static int name3_index(const char *table, const char *p)
{
    for (int i = 0; table[3 * i] != '\0'; i++) {
        if (memcmp(table + 3 * i, p, 3) == 0) {
            return i;
        }
    }
    return -1;
}

#define TWO(s, i) (((s).p[i] - '0') * 10 + (s).p[(i) + 1] - '0')

/* 'd' stands for a digit, 'w' for any byte, another byte for itself. */
static int has_shape(media_str_t s, const char *shape)
{
    for (size_t i = 0; shape[i] != '\0'; i++) {
        int digit = i < s.len && s.p[i] >= '0' && s.p[i] <= '9';

        if (i >= s.len || (shape[i] == 'd' ? !digit : shape[i] != 'w' && s.p[i] != shape[i])) {
            return 0;
        }
    }
    return 1;
}

/* Unix seconds of a date that exists; its weekday is set. */
static int civil_to_unix(civil_t *c, int64_t *unix_s)
{
    if (c->month <= 0 || c->month > 12 || c->day == 0 || c->hour > 23 || c->minute > 59 ||
        c->second > 60) {
        return MEDIA_E_REJECT;
    }
    int64_t days = days_from_civil(c->year, c->month, c->day);
    civil_t back = civil_from_unix(days * DAY_S);
    if (back.day != c->day || back.month != c->month) {
        return MEDIA_E_REJECT;
    }
    c->weekday = back.weekday;
    *unix_s = days * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
    return 0;
}

int media_http_date_parse(media_str_t s, int64_t *unix_s)
{
    static const char shape[] = "www, dd www dddd dd:dd:dd GMT";
    int64_t t;

    if (s.len != sizeof(shape) - 1 || !has_shape(s, shape)) {
        return MEDIA_E_REJECT;
    }
    civil_t c = {.year = TWO(s, 12) * 100 + TWO(s, 14),
                 .month = name3_index(months, s.p + 8) + 1,
                 .day = TWO(s, 5),
                 .hour = TWO(s, 17),
                 .minute = TWO(s, 20),
                 .second = TWO(s, 23)};
    if (civil_to_unix(&c, &t) != 0 || c.weekday != name3_index(weekdays, s.p)) {
        return MEDIA_E_REJECT;
    }
    *unix_s = t;
    return 0;
}

int media_rfc3339_parse(media_str_t s, int64_t *unix_s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    size_t i = sizeof(shape) - 1;

    if (!has_shape(s, shape)) {
        return MEDIA_E_REJECT;
    }
    if (i < s.len && s.p[i] == '.') {
        for (i++; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        }
    }
    if (i + 1 != s.len || s.p[i] != 'Z' || s.p[i - 1] == '.') {
        return MEDIA_E_REJECT;
    }
    civil_t c = {.year = TWO(s, 0) * 100 + TWO(s, 2),
                 .month = TWO(s, 5),
                 .day = TWO(s, 8),
                 .hour = TWO(s, 11),
                 .minute = TWO(s, 14),
                 .second = TWO(s, 17)};
    return civil_to_unix(&c, unix_s);
}

void media_uuid7(int64_t unix_ms, const uint8_t rnd[10], char dst[MEDIA_UUID_LEN + 1])
{
    uint8_t b[16];
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
    }
    memcpy(b + 6, rnd, 10);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *d = dst;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *d++ = '-';
        }
        *d++ = hex_lower[b[i] >> 4];
        *d++ = hex_lower[b[i] & 15];
    }
    *d = '\0';
}

int media_uuid_valid(media_str_t s)
{
    if (s.len != MEDIA_UUID_LEN) {
        return 0;
    }
    for (size_t i = 0; i < s.len; i++) {
        int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s.p[i] != '-' : hex_value(s.p[i]) < 0) {
            return 0;
        }
    }
    return 1;
}

int media_uuid_parse(media_str_t s, uint8_t dst[16])
{
    char hex[32];
    size_t n = 0;
    if (!media_uuid_valid(s)) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] != '-') {
            hex[n++] = s.p[i];
        }
    }
    return media_hex_decode((media_str_t){hex, n}, dst, 16) == 16 ? 0 : MEDIA_E_REJECT;
}

int64_t media_uuid7_ms(const uint8_t id[16])
{
    int64_t ms = 0;
    for (size_t i = 0; i < 6; i++) {
        ms = ms << 8 | id[i];
    }
    return id[6] >> 4 == 7 ? ms : -1;
}
