/* The directory of keys of access tokens (MEDIA_JWT_DIR). A file "ES256.2026-11" holds the key
 * 2026-11 of exactly that algorithm, a file "jwt-key" an HS256 secret without a name. The first
 * that can sign does: the newest by name. */
#ifndef GW_KEYS_H
#define GW_KEYS_H

#include "media/buf.h"
#include "media/err.h"

#define GW_KEYS_MAX 32
#define GW_KEY_NAME 128

typedef struct {
    char file[GW_KEY_NAME];
    int64_t seen_ms; /* monotonic: when it was first there */
    int there;
} gw_key_t;

typedef struct {
    gw_key_t key[GW_KEYS_MAX];
    size_t count;
    int64_t settle_ms;
    int begun; /* the directory was read before */
} gw_keys_t;

/* Reads the directory again. Files whose names begin with a dot are none of ours (Kubernetes'
 * ..data). REJECT for any other that is no regular file with the name of a key, and for an empty
 * directory; what was known stays. [thread] */
int gw_keys_read(gw_keys_t *keys, const char *dir, int64_t now_ms, media_err_t *ei);

/* Adds a media_auth_key line per key: the newest by name first. A key that appeared less than
 * settle_ms ago comes last, where it verifies only: other gateways see it at other moments. Of what
 * lay there when we began only the newest of several may be that new. [any] */
int gw_keys_lines(const gw_keys_t *keys, const char *dir, int64_t now_ms, media_buf_t *out);

/* When gw_keys_lines() says something else by itself; INT64_MAX: never. [any] */
int64_t gw_keys_next_ms(const gw_keys_t *keys, int64_t now_ms);

#endif
