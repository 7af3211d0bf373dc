/* JSON Web Keys (RFC 7517 4, 7518 6, 8037 2) to and from OpenSSL. Only public members are read;
 * what is written are the members a thumbprint is made of (RFC 7638 3.2). */
#include "jwk.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "jwt_key.h"
#include "media/json.h"

#define SECRET_MAX 1024
#define RSA_E_BITS_MAX 64 /* a larger one only costs time */
#define EC_POINT_MAX (1 + 2 * 66)
#define MEMBER_MAX 2048 /* base64url of the largest number */

/* ---- reading ---- */

/* The base64url member `name`: its length, or a negative code. */
static ssize_t bytes_get(const json_t *jwk, const char *name, unsigned char *dst, size_t cap)
{
    media_str_t s;
    int rc = media_json_str(jwk, name, MEMBER_MAX, &s, NULL);
    return rc != 0 ? rc : media_b64url_decode(s, dst, cap);
}

static BIGNUM *number_get(const json_t *jwk, const char *name)
{
    unsigned char b[MEDIA_JWT_SIG_MAX + 1]; /* some writers put a zero in front */
    ssize_t n = bytes_get(jwk, name, b, sizeof(b));
    return n <= 0 ? NULL : BN_bin2bn(b, (int)n, NULL);
}

static EVP_PKEY *pkey_build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* n and e are checked here, not by EVP_PKEY_public_check(): it looks for prime factors, and a set
 * of large keys would hold nginx's loop for seconds. */
static EVP_PKEY *rsa_read(const json_t *jwk)
{
    EVP_PKEY *pkey = NULL;
    BIGNUM *n = number_get(jwk, "n");
    BIGNUM *e = number_get(jwk, "e");
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (n != NULL && e != NULL && bld != NULL && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
        BN_num_bits(n) >= MEDIA_JWT_RSA_BITS_MIN && BN_num_bits(n) <= MEDIA_JWT_RSA_BITS_MAX &&
        BN_num_bits(e) <= RSA_E_BITS_MAX &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        pkey = pkey_build("RSA", bld);
    }
    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);
    return pkey;
}

/* OpenSSL refuses a point that is not on the curve. */
static EVP_PKEY *ec_read(const json_t *jwk, const media_jwt_curve_t *curve)
{
    unsigned char point[EC_POINT_MAX] = {4}; /* uncompressed */
    EVP_PKEY *pkey = NULL;
    if (bytes_get(jwk, "x", point + 1, curve->len) != (ssize_t)curve->len ||
        bytes_get(jwk, "y", point + 1 + curve->len, curve->len) != (ssize_t)curve->len) {
        return NULL;
    }
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    if (bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->len) ==
            1) {
        pkey = pkey_build("EC", bld);
    }
    OSSL_PARAM_BLD_free(bld);
    return pkey;
}

static EVP_PKEY *okp_read(const json_t *jwk, const media_jwt_curve_t *curve)
{
    unsigned char x[64];
    if (bytes_get(jwk, "x", x, sizeof(x)) != (ssize_t)curve->len) {
        return NULL;
    }
    return EVP_PKEY_new_raw_public_key_ex(NULL, curve->group, NULL, x, curve->len);
}

/* Whether `use` and `key_ops` (RFC 7517 4.2, 4.3) allow to verify. */
static int may_verify(const json_t *jwk)
{
    const json_t *ops = json_object_get(jwk, "key_ops");
    const json_t *op;
    media_str_t use;
    size_t i;
    int rc = media_json_str(jwk, "use", 64, &use, NULL);
    if (rc != MEDIA_E_GONE && (rc != 0 || !media_str_eq(use, MEDIA_STR("sig")))) {
        return 0;
    }
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0) {
            return 1;
        }
    }
    return ops == NULL;
}

/* One key per algorithm from `first` to `last`, or the given one alone if it is among them. */
static int add_keys(media_jwks_t *set, EVP_PKEY *pkey, media_str_t secret, int alg, int first,
                    int last, media_str_t kid)
{
    size_t before = set->nkeys;
    for (int i = first; i <= last; i++) {
        media_jwt_key_t *key = NULL;
        if (alg >= 0 && i != alg) {
            continue;
        }
        int rc = pkey != NULL
                     ? media_jwt_key_from_pkey((enum media_jwt_alg)i, kid, pkey, &key, NULL)
                     : media_jwt_key_from_secret((enum media_jwt_alg)i, kid, secret, &key, NULL);
        if (rc == MEDIA_E_NOMEM) {
            return rc;
        }
        if (rc == 0) {
            set->keys[set->nkeys++] = key;
        }
    }
    return set->nkeys > before ? 0 : MEDIA_E_REJECT;
}

static int oct_read(const json_t *jwk, int alg, media_str_t kid, media_jwks_t *set)
{
    unsigned char k[SECRET_MAX];
    ssize_t n = bytes_get(jwk, "k", k, sizeof(k));
    int rc = MEDIA_E_REJECT;
    if (n > 0) {
        rc = add_keys(set, NULL, (media_str_t){(char *)k, (size_t)n}, alg, MEDIA_JWT_HS256,
                      MEDIA_JWT_HS512, kid);
    }
    OPENSSL_cleanse(k, sizeof(k));
    return rc;
}

static int public_read(const json_t *jwk, media_str_t kty, int alg, media_str_t kid,
                       media_jwks_t *set)
{
    EVP_PKEY *pkey = NULL;
    const media_jwt_curve_t *curve = NULL;
    media_str_t crv;
    int first = MEDIA_JWT_RS256;
    int last = MEDIA_JWT_PS512;
    if (media_str_eq(kty, MEDIA_STR("RSA"))) {
        pkey = rsa_read(jwk);
    } else if (media_json_str(jwk, "crv", 64, &crv, NULL) == 0) {
        curve = media_jwt_curve_named(crv);
    }
    if (curve != NULL) {
        int is_okp = curve->alg == MEDIA_JWT_EDDSA;
        if (media_str_eq(kty, is_okp ? MEDIA_STR("OKP") : MEDIA_STR("EC"))) {
            pkey = is_okp ? okp_read(jwk, curve) : ec_read(jwk, curve);
        }
        first = last = (int)curve->alg;
    }
    if (pkey == NULL) {
        return MEDIA_E_REJECT;
    }
    int rc = add_keys(set, pkey, MEDIA_STR_NULL, alg, first, last, kid);
    EVP_PKEY_free(pkey);
    return rc;
}

int media_jwk_read(const json_t *jwk, int secrets, media_jwks_t *set)
{
    media_str_t kty;
    media_str_t name;
    media_str_t kid = MEDIA_STR("");
    int alg = -1;
    if (!json_is_object(jwk) || media_json_str(jwk, "kty", 16, &kty, NULL) != 0 ||
        media_json_str(jwk, "kid", MEDIA_JWT_KID_MAX, &kid, NULL) == MEDIA_E_REJECT ||
        !may_verify(jwk)) {
        return MEDIA_E_REJECT;
    }
    int rc = media_json_str(jwk, "alg", 64, &name, NULL);
    if (rc != MEDIA_E_GONE) {
        alg = rc == 0 ? media_jwt_alg_parse(name) : rc;
        if (alg < 0) {
            return MEDIA_E_REJECT;
        }
    }
    if (media_str_eq(kty, MEDIA_STR("oct"))) {
        return secrets ? oct_read(jwk, alg, kid, set) : MEDIA_E_REJECT;
    }
    return public_read(jwk, kty, alg, kid, set);
}

/* ---- writing ---- */

static void add_bytes(media_buf_t *out, const char *name, const unsigned char *p, size_t n)
{
    char text[MEMBER_MAX];
    ssize_t len = media_b64url_encode(p, n, text, sizeof(text));
    media_buf_fmt(out, "\"%s\":\"%.*s\"", name, (int)len, text);
}

/* The number `param` of the key, of `len` bytes or as long as it is when len is 0. */
static int add_number(const media_jwt_key_t *key, media_buf_t *out, const char *name,
                      const char *param, size_t len)
{
    unsigned char b[MEDIA_JWT_SIG_MAX];
    BIGNUM *bn = NULL;
    if (EVP_PKEY_get_bn_param(key->pkey, param, &bn) != 1) {
        return MEDIA_E_NOMEM;
    }
    len = len > 0 ? len : (size_t)BN_num_bytes(bn);
    int n = len > sizeof(b) ? -1 : BN_bn2binpad(bn, b, (int)len);
    BN_free(bn);
    if (n < 0) {
        return MEDIA_E_NOMEM;
    }
    add_bytes(out, name, b, len);
    return 0;
}

static int add_raw(const media_jwt_key_t *key, media_buf_t *out)
{
    unsigned char x[64];
    size_t len = sizeof(x);
    if (EVP_PKEY_get_raw_public_key(key->pkey, x, &len) != 1) {
        return MEDIA_E_NOMEM;
    }
    add_bytes(out, "x", x, len);
    return 0;
}

int media_jwk_write_public(const media_jwt_key_t *key, media_buf_t *out)
{
    int rc;
    const media_jwt_curve_t *curve = key->pkey == NULL ? NULL : media_jwt_curve_of(key->pkey);
    if (key->pkey == NULL) {
        return MEDIA_E_BUG;
    }
    media_buf_cstr(out, "{");
    if (curve == NULL) {
        rc = add_number(key, out, "e", OSSL_PKEY_PARAM_RSA_E, 0);
        media_buf_cstr(out, ",\"kty\":\"RSA\",");
        rc = rc != 0 ? rc : add_number(key, out, "n", OSSL_PKEY_PARAM_RSA_N, 0);
    } else if (curve->alg == MEDIA_JWT_EDDSA) {
        media_buf_fmt(out, "\"crv\":\"%s\",\"kty\":\"OKP\",", curve->crv);
        rc = add_raw(key, out);
    } else {
        media_buf_fmt(out, "\"crv\":\"%s\",\"kty\":\"EC\",", curve->crv);
        rc = add_number(key, out, "x", OSSL_PKEY_PARAM_EC_PUB_X, curve->len);
        media_buf_cstr(out, ",");
        rc = rc != 0 ? rc : add_number(key, out, "y", OSSL_PKEY_PARAM_EC_PUB_Y, curve->len);
    }
    media_buf_cstr(out, "}");
    return rc != 0 ? rc : out->failed;
}

int media_jwk_thumbprint(const media_jwt_key_t *key, char dst[MEDIA_JWK_THUMBPRINT_LEN + 1])
{
    unsigned char hash[32];
    media_buf_t b;
    media_buf_init(&b, 4 * MEMBER_MAX);
    int rc = media_jwk_write_public(key, &b);
    if (rc == 0 && EVP_Digest(b.p, b.len, hash, NULL, EVP_sha256(), NULL) != 1) {
        rc = MEDIA_E_NOMEM;
    }
    media_buf_free(&b);
    if (rc == 0) {
        (void)media_b64url_encode(hash, sizeof(hash), dst, MEDIA_JWK_THUMBPRINT_LEN + 1);
    }
    return rc;
}
