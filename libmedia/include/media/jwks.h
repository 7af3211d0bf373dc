/* JSON Web Keys and sets of them (RFC 7517, 7518 6, 8037, 7638): what an issuer publishes, and what
 * we publish ourselves. */
#ifndef MEDIA_JWKS_H
#define MEDIA_JWKS_H

#include "media/buf.h"
#include "media/jwt.h"

#define MEDIA_JWKS_TEXT_MAX 65536
#define MEDIA_JWKS_KEYS_MAX 64

typedef struct {
    media_jwt_key_t **keys; /* owned; an RSA key without "alg" is six of them, one per algorithm */
    size_t nkeys;
    size_t njwks; /* usable members of the set */
    size_t nskipped;
} media_jwks_t;

/* Reads a set. A member that cannot verify our algorithms (another kty, curve, alg, use or key_ops,
 * RSA below 2048 bits, a value out of its range) is skipped, as RFC 7517 5 says; private members of
 * a key are not looked at. Without `secrets` symmetric keys (oct) are skipped as well: what comes
 * over a network is no secret. MEDIA_E_REJECT when it is no set, has a duplicate member or more
 * than MEDIA_JWKS_KEYS_MAX keys; MEDIA_E_TOOBIG above MEDIA_JWKS_TEXT_MAX. [any] */
int media_jwks_parse(media_str_t text, int secrets, media_jwks_t *out, media_err_t *ei);
void media_jwks_free(media_jwks_t *set);

/* Appends the set of the public halves of `keys`, secrets left out. 0 or a negative code. [any] */
int media_jwks_write(const media_jwt_key_t *const *keys, size_t nkeys, media_buf_t *out);

#define MEDIA_JWK_THUMBPRINT_LEN 43

/* The SHA-256 thumbprint of the public half (RFC 7638), NUL-terminated; MEDIA_E_BUG for a secret.
 * [any] */
int media_jwk_thumbprint(const media_jwt_key_t *key, char dst[MEDIA_JWK_THUMBPRINT_LEN + 1]);

#endif
