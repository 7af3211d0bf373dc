/* The inside of a key: made by jwt_key.c (files) and jwk.c (JWKs), used by jwt_sig.c. */
#ifndef MEDIA_SRC_JWT_KEY_H
#define MEDIA_SRC_JWT_KEY_H

#include "hmac.h"

#include <openssl/evp.h>

#include "media/buf.h"
#include "media/jwt.h"

#define MEDIA_JWT_RSA_BITS_MIN 2048
#define MEDIA_JWT_RSA_BITS_MAX 8192
#define MEDIA_JWT_SIG_MAX (MEDIA_JWT_RSA_BITS_MAX / 8)

enum media_jwt_family {
    MEDIA_JWT_FAMILY_HMAC,
    MEDIA_JWT_FAMILY_RSA,
    MEDIA_JWT_FAMILY_PSS,
    MEDIA_JWT_FAMILY_EC,
    MEDIA_JWT_FAMILY_OKP
};

typedef struct {
    const char *name;
    enum media_jwt_family family;
    size_t hash_len;
    const char *hash; /* EVP's name; NULL: the algorithm brings its own */
} media_jwt_alg_row_t;

/* A curve of JWA: its names, and the bytes of a coordinate. */
typedef struct {
    enum media_jwt_alg alg;
    const char *crv;
    const char *group; /* OpenSSL's: an EC group, or the type of an OKP key */
    size_t len;
} media_jwt_curve_t;

struct media_jwt_key_s {
    enum media_jwt_alg alg;
    char kid[MEDIA_JWT_KID_MAX + 1];
    size_t kid_len;
    unsigned char *secret; /* HMAC secret or private PEM; NULL: verify only */
    size_t secret_len;
    media_hmac_t hmac;  /* HMAC */
    EVP_MD_CTX *verify; /* others: initialised with the key, each call copies it */
    EVP_PKEY *pkey;     /* others */
};

const media_jwt_alg_row_t *media_jwt_alg_row(enum media_jwt_alg alg);
/* By JWA name, by the type and group of a key; NULL when there is none. */
const media_jwt_curve_t *media_jwt_curve_named(media_str_t crv);
const media_jwt_curve_t *media_jwt_curve_of(const EVP_PKEY *pkey);

/* Keys out of parts; as media_jwt_key_new(), which reads files. The secret is copied, a reference
 * is taken on pkey, which must be fit for alg (checked: kind, size, curve). */
int media_jwt_key_from_secret(enum media_jwt_alg alg, media_str_t kid, media_str_t secret,
                              media_jwt_key_t **out, media_err_t *ei);
int media_jwt_key_from_pkey(enum media_jwt_alg alg, media_str_t kid, EVP_PKEY *pkey,
                            media_jwt_key_t **out, media_err_t *ei);

/* jwt_sig.c: whether `sig` over `input` is of this key. 0, MEDIA_E_AUTH or MEDIA_E_NOMEM. */
int media_jwt_sig_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                         size_t len);

/* jwk.c: {"crv":...,"kty":...}, the members RFC 7638 hashes, in its order. */
int media_jwk_write_public(const media_jwt_key_t *key, media_buf_t *out);

#endif
