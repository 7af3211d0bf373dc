/* Structured field values (RFC 9651), as much of them as our request headers need: dictionaries
 * (Content-Digest, Repr-Digest: RFC 9530) and one string (Idempotency-Key). */
#ifndef MEDIA_SFV_H
#define MEDIA_SFV_H

#include "media/err.h"
#include "media/str.h"

enum media_sf_type {
    MEDIA_SF_TRUE,  /* a key without a value */
    MEDIA_SF_BYTES, /* value: the base64 between the colons, of its alphabet but not decoded */
    MEDIA_SF_OTHER  /* number, string, token, boolean, date, inner list: value is its text */
};

typedef struct {
    media_str_t key;
    enum media_sf_type type;
    media_str_t value; /* without parameters */
} media_sf_member_t;

/* Takes the next member off the dictionary *rest. 1 with *out (views), 0 at the end, MEDIA_E_REJECT
 * when the field is malformed. [any] */
int media_sf_next(media_str_t *rest, media_sf_member_t *out);

/* A header that holds one string, in quotes or, since many clients send it so, bare: visible ASCII
 * without quotes, backslash, comma and semicolon. NUL-terminated in dst; its length, MEDIA_E_REJECT
 * when malformed or empty, MEDIA_E_TOOBIG when it does not fit. [any] */
ssize_t media_sf_string(media_str_t s, char *dst, size_t cap);

/* The sha-256 in a Content-Digest or Repr-Digest: 0 and 32 bytes; MEDIA_E_GONE: none, other
 * algorithms only; MEDIA_E_REJECT with the cause: malformed, or two that differ. [any] */
int media_sf_sha256(media_str_t field, uint8_t out[32], media_err_t *ei);

#endif
