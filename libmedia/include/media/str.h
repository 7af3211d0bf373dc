/* Counted strings, checked numbers and the small codecs (hex, base64url, percent) everything
 * else uses. A media_str_t borrows its bytes and need not end in NUL. */
#ifndef MEDIA_STR_H
#define MEDIA_STR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    const char *p;
    size_t len;
} media_str_t;

#define MEDIA_STR(lit) ((media_str_t){(lit), sizeof(lit) - 1})
#define MEDIA_STR_NULL ((media_str_t){NULL, 0})

/* A counted view of a C string (NULL -> empty). [any] */
media_str_t media_str(const char *cstr);
/* Byte equality; the second compares ASCII case-insensitively. 1 or 0. [any] */
int media_str_eq(media_str_t a, media_str_t b);
int media_str_ieq(media_str_t a, media_str_t b);
/* Equality in time that depends on the lengths only. [any] */
int media_str_eq_consttime(media_str_t a, media_str_t b);
/* `s` without leading and trailing spaces and tabs. [any] */
media_str_t media_str_trim(media_str_t s);

/* Decimal digits only, no sign, no space: 0 and *out, or MEDIA_E_REJECT (also on overflow). [any]
 */
int media_str_to_i64(media_str_t s, int64_t *out);

/* Encoders write into (dst, cap), NUL-terminate, and return the length without the NUL, or
 * MEDIA_E_TOOBIG. Decoders return the number of bytes written (no NUL), MEDIA_E_REJECT on a bad
 * character or MEDIA_E_TOOBIG. [any] */
ssize_t media_hex_encode(const void *src, size_t n, char *dst, size_t cap); /* lower case */
ssize_t media_hex_decode(media_str_t s, void *dst, size_t cap);
ssize_t media_b64_encode(const void *src, size_t n, char *dst, size_t cap); /* RFC 4648 4 */
ssize_t media_b64_decode(media_str_t s, void *dst, size_t cap);             /* strict, padded */
ssize_t media_b64url_encode(const void *src, size_t n, char *dst,
                            size_t cap);                           /* RFC 4648 5, no pad */
ssize_t media_b64url_decode(media_str_t s, void *dst, size_t cap); /* strict, no pad */
/* RFC 3986 percent-encoding of everything but A-Za-z0-9-._~ (and '/', where keep_slash). */
ssize_t media_pct_encode(media_str_t s, int keep_slash, char *dst, size_t cap);
/* RFC 3986 decoding; '+' stays '+'. Refuses %00 and cut escapes. */
ssize_t media_pct_decode(media_str_t s, char *dst, size_t cap);

/* 1 if `s` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). [any] */
int media_utf8_valid(media_str_t s);
/* Length (1..4) of the well-formed UTF-8 sequence `s` begins with, 0 if it begins with none. [any]
 */
size_t media_utf8_next(media_str_t s);

/* An HTTP date (RFC 9110 5.6.7, IMF-fixdate) and RFC 3339 UTC time of unix seconds. `dst` holds at
 * least 32 bytes. Returns the length. [any] */
size_t media_http_date(int64_t unix_s, char *dst, size_t cap);
size_t media_rfc3339(int64_t unix_ms, char *dst, size_t cap);
/* Parses an IMF-fixdate: 0 and *unix_s, or MEDIA_E_REJECT. [any] */
int media_http_date_parse(media_str_t s, int64_t *unix_s);
/* Parses an RFC 3339 time in UTC ("2013-05-24T00:00:00Z", a fraction is cut off): as above. [any]
 */
int media_rfc3339_parse(media_str_t s, int64_t *unix_s);

/* UUID version 7 (RFC 9562 5.7) from a time in ms and 10 random bytes, lower case, 36 chars + NUL.
 * [any] */
#define MEDIA_UUID_LEN 36
void media_uuid7(int64_t unix_ms, const uint8_t rnd[10], char dst[MEDIA_UUID_LEN + 1]);
/* 1 if `s` is a UUID in its canonical lower- or upper-case text form. [any] */
int media_uuid_valid(media_str_t s);
/* Its 16 bytes; MEDIA_E_REJECT for another text. [any] */
int media_uuid_parse(media_str_t s, uint8_t dst[16]);
/* When a UUIDv7 was made, unix milliseconds; -1 for a UUID of another version. [any] */
int64_t media_uuid7_ms(const uint8_t id[16]);

#endif
