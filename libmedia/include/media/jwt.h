/* JSON Web Tokens (RFC 7519, 7515; RFC 8725 as the list of attacks).
 *
 * Verification is ours, on OpenSSL EVP and jansson with duplicate members rejected: the algorithm
 * is a property of the KEY, never of the token, so an HS256 token signed with a public RSA key
 * cannot pass. Issuing goes through libjwt. */
#ifndef MEDIA_JWT_H
#define MEDIA_JWT_H

#include <jansson.h>
#include "media/err.h"
#include "media/str.h"

/* name in the `alg` header, family. A family that is not built in yet is not in this list. */
#define MEDIA_JWT_ALGS(X)                                                                          \
    X(HS256, "HS256")                                                                              \
    X(RS256, "RS256")

enum media_jwt_alg {
#define X(name, text) MEDIA_JWT_##name,
    MEDIA_JWT_ALGS(X)
#undef X
        MEDIA_JWT_ALG_COUNT
};

#define MEDIA_JWT_MAX_TOKEN 8192 /* bytes; longer tokens are refused unread */

typedef struct media_jwt_key_s media_jwt_key_t; /* immutable once made; may be shared by threads */

/* A key from the bytes of a key file. HS256: the raw secret, 32 bytes at least, one trailing
 * newline is not part of it; a PEM text is refused, it would be a public key taken for a secret.
 * RS256: a PEM public key (verify) or unencrypted private key (verify and issue), 2048 to 8192
 * bits. `kid` may be empty, which matches tokens without a kid only. Owned result in *out.
 * MEDIA_E_REJECT with the cause. [conf] */
int media_jwt_key_new(enum media_jwt_alg alg, media_str_t kid, media_str_t material,
                      media_jwt_key_t **out, media_err_t *ei);
void media_jwt_key_free(media_jwt_key_t *key);
/* 1 if the key can sign: a secret or a private key. [any] */
int media_jwt_key_can_issue(const media_jwt_key_t *key);
/* "HS256" -> MEDIA_JWT_HS256; MEDIA_E_REJECT for any other text, "none" first of all. [any] */
int media_jwt_alg_parse(media_str_t name);

/* What a verifier demands beside the signature. */
typedef struct {
    const media_jwt_key_t *const *keys; /* tried by kid if the token has one, else all of one alg */
    size_t nkeys;
    media_str_t iss; /* required value; empty: not checked */
    media_str_t aud; /* required member of `aud` (string or array); empty: not checked */
    int64_t leeway_s;
} media_jwt_policy_t;

typedef struct {
    json_t *claims; /* owned: media_jwt_claims_free */
    int64_t exp_s;
} media_jwt_claims_t;

/* Why a token was refused, beside the code: */
enum media_jwt_why {
    MEDIA_JWT_OK,
    MEDIA_JWT_MALFORMED,
    MEDIA_JWT_SIGNATURE,
    MEDIA_JWT_EXPIRED,
    MEDIA_JWT_CLAIMS
};

/* Verifies a compact JWS and its exp (required, NumericDate), nbf, iat, iss, aud. 0 and owned
 * claims; MEDIA_E_AUTH with *why and a cause without any part of the token; `crit` and `b64`
 * headers, unknown algs and types other than JWT and at+jwt are refused. Fractions of a second are
 * rounded against the token. now_s is unix time. MEDIA_E_NOMEM and MEDIA_E_BUG say nothing about
 * the token. OpenSSL's error queue is left as it was. [any] */
int media_jwt_verify(media_str_t token, const media_jwt_policy_t *policy, int64_t now_s,
                     media_jwt_claims_t *out, enum media_jwt_why *why, media_err_t *ei);
void media_jwt_claims_free(media_jwt_claims_t *c);

/* The string claim `name`, borrowed from c; empty when absent or no string. [any] */
media_str_t media_jwt_claim(const media_jwt_claims_t *c, const char *name);
/* 1 if the array claim `roles` holds `role`. [any] */
int media_jwt_has_role(const media_jwt_claims_t *c, media_str_t role);

/* Signs `claims` (borrowed) with key, header {alg, typ: JWT, kid}. Returns the token's length,
 * written NUL-terminated into (dst, cap), or a negative code. Same input, same bytes (HS256,
 * RS256). [any] */
ssize_t media_jwt_issue(const media_jwt_key_t *key, const json_t *claims, char *dst, size_t cap,
                        media_err_t *ei);

#endif
