/* JSON Web Tokens (RFC 7519, 7515, 7518, 8037; RFC 8725 as the list of attacks).
 *
 * Verification is ours, on OpenSSL EVP, with duplicate members rejected: a key has exactly one
 * algorithm, and the algorithm is a property of the KEY, never of the token, so an HS256 token
 * signed with a public RSA key cannot pass. Issuing goes through libjwt where it can. */
#ifndef MEDIA_JWT_H
#define MEDIA_JWT_H

#include <jansson.h>
#include "media/err.h"
#include "media/jsondoc.h"
#include "media/str.h"

/* id, name in the `alg` header, family, bits of its SHA-2 (and with ES of its curve: P-521 for 512)
 */
#define MEDIA_JWT_ALGS(X)                                                                          \
    X(HS256, "HS256", HMAC, 256)                                                                   \
    X(HS384, "HS384", HMAC, 384)                                                                   \
    X(HS512, "HS512", HMAC, 512)                                                                   \
    X(RS256, "RS256", RSA, 256)                                                                    \
    X(RS384, "RS384", RSA, 384)                                                                    \
    X(RS512, "RS512", RSA, 512)                                                                    \
    X(PS256, "PS256", PSS, 256)                                                                    \
    X(PS384, "PS384", PSS, 384)                                                                    \
    X(PS512, "PS512", PSS, 512)                                                                    \
    X(ES256, "ES256", EC, 256)                                                                     \
    X(ES384, "ES384", EC, 384)                                                                     \
    X(ES512, "ES512", EC, 512)                                                                     \
    X(EDDSA, "EdDSA", OKP, 0) /* Ed25519 and Ed448 */

enum media_jwt_alg {
#define X(id, name, family, bits) MEDIA_JWT_##id,
    MEDIA_JWT_ALGS(X)
#undef X
        MEDIA_JWT_ALG_COUNT
};

#define MEDIA_JWT_MAX_TOKEN 8192 /* bytes; longer tokens are refused unread */
#define MEDIA_JWT_KID_MAX 128
#define MEDIA_JWT_TRIES_MAX 8 /* keys tried for one token: a forged one costs no more */

typedef struct media_jwt_key_s media_jwt_key_t; /* immutable once made; may be shared by threads */

/* A key from the bytes of a key file. HS*: the raw secret, at least as long as the hash (RFC 7518
 * 3.2), one trailing newline is not part of it; a PEM text is refused, it would be a public key
 * taken for a secret. Others: a PEM public key (verify) or unencrypted private key (verify and
 * issue); RSA of 2048 to 8192 bits, EC on the curve of its algorithm. `kid` may be empty, which
 * matches tokens without a kid only; a kid of NULL is the RFC 7638 thumbprint of an asymmetric key
 * and empty for a secret. Owned result in *out. MEDIA_E_REJECT with the cause. [conf] */
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

/* The claims of a verified token; zeroed: none. */
typedef struct {
    void *block; /* owned: media_jwt_claims_free */
    size_t size; /* of block, bytes */
    media_jsondoc_t doc;
    int64_t exp_s;
    int64_t iat_s; /* 0: none */
} media_jwt_claims_t;

/* Why a token was refused, beside the code: */
enum media_jwt_why {
    MEDIA_JWT_OK,
    MEDIA_JWT_MALFORMED,
    MEDIA_JWT_KEY, /* no key has its algorithm and kid */
    MEDIA_JWT_SIGNATURE,
    MEDIA_JWT_EXPIRED,
    MEDIA_JWT_CLAIMS
};

/* Verifies a compact JWS and its exp (required, NumericDate), nbf, iat, iss, aud. 0 and owned
 * claims; MEDIA_E_AUTH with *why and a cause without any part of the token; `crit` and `b64`
 * headers, nested tokens, unknown algs and types other than JWT and at+jwt are refused. Keys that
 * the token brings or points to (jwk, jku, x5c, x5u) are not looked at. Fractions of a second are
 * rounded against the token. now_s is unix time. MEDIA_E_NOMEM and MEDIA_E_BUG say nothing about
 * the token. OpenSSL's error queue is left as it was. [any] */
int media_jwt_verify(media_str_t token, const media_jwt_policy_t *policy, int64_t now_s,
                     media_jwt_claims_t *out, enum media_jwt_why *why, media_err_t *ei);
void media_jwt_claims_free(media_jwt_claims_t *c);

/* The string claim `name`, borrowed from c; empty when absent or no string. [any] */
media_str_t media_jwt_claim(const media_jwt_claims_t *c, const char *name);
/* The integer claim `name` within lo..hi: 0, MEDIA_E_GONE or MEDIA_E_REJECT. [any] */
int media_jwt_claim_int(const media_jwt_claims_t *c, const char *name, int64_t lo, int64_t hi,
                        int64_t *out);
/* 1 if the claim is `value` or, being an array, holds it. `claim` is a name, or a JSON pointer (RFC
 * 6901) through objects when it begins with '/'. Strings and numbers are compared as they are
 * written, true and false by name; a string `scope` is a list separated by spaces (RFC 8693 4.2).
 * [any] */
int media_jwt_claim_holds(const media_jwt_claims_t *c, media_str_t claim, media_str_t value);

/* Signs `claims` (borrowed) with key, header {alg, kid, typ: JWT}. Returns the token's length,
 * written NUL-terminated into (dst, cap), or a negative code. Same input, same bytes, save with PS*
 * and ES*, whose signatures are random. [any] */
ssize_t media_jwt_issue(const media_jwt_key_t *key, const json_t *claims, char *dst, size_t cap,
                        media_err_t *ei);

#endif
