/* Signatures of tokens (RFC 7518 3, RFC 8037 3.1): checking, which only reads the key, and making.
 * Tokens are issued through libjwt where version 1.10 can: not with PS* and EdDSA. */
#include "jwt_key.h"

#include <stdlib.h>
#include <string.h>

#include <jwt.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define ES_LEN_MAX (2 * 66)
#define ES_DER_MAX (ES_LEN_MAX + 16)

/* ---- checking ---- */

static int hmac_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                       size_t sig_len)
{
    unsigned char mac[MEDIA_HMAC_LEN_MAX];
    media_hmac_make(&key->hmac, input, mac);
    int rc = sig_len == key->hmac.len && CRYPTO_memcmp(mac, sig, sig_len) == 0 ? 0 : MEDIA_E_AUTH;
    OPENSSL_cleanse(mac, sizeof(mac));
    return rc;
}

/* r || s, both of the curve's length, into the DER that OpenSSL takes; its length, 0 if refused. */
static size_t es_to_der(const media_jwt_key_t *key, const unsigned char *sig, size_t sig_len,
                        unsigned char der[ES_DER_MAX])
{
    const media_jwt_curve_t *curve = media_jwt_curve_of(key->pkey);
    if (curve == NULL || sig_len != 2 * curve->len) {
        return 0;
    }
    int n = 0;
    int half = (int)curve->len;
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, half, NULL);
    BIGNUM *s = BN_bin2bn(sig + half, half, NULL);
    if (parts != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(parts, r, s) == 1) {
        n = i2d_ECDSA_SIG(parts, &der); /* at most two integers with a leading zero: it fits */
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(parts);
    return n > 0 ? (size_t)n : 0;
}

static int pkey_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                       size_t sig_len)
{
    unsigned char der[ES_DER_MAX];
    int rc = MEDIA_E_NOMEM;
    if (media_jwt_alg_row(key->alg)->family == MEDIA_JWT_FAMILY_EC) {
        sig_len = es_to_der(key, sig, sig_len, der);
        sig = der;
        if (sig_len == 0) {
            return MEDIA_E_AUTH;
        }
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_MD_CTX_copy_ex(ctx, key->verify) == 1) {
        rc = EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)input.p, input.len) == 1
                 ? 0
                 : MEDIA_E_AUTH;
    }
    EVP_MD_CTX_free(ctx);
    return rc;
}

int media_jwt_sig_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                         size_t len)
{
    if (key->hmac.len > 0) {
        return hmac_verify(key, input, sig, len);
    }
    /* a refused signature leaves entries that nginx would report as a stale SSL error */
    ERR_set_mark();
    int rc = pkey_verify(key, input, sig, len);
    ERR_pop_to_mark();
    return rc;
}

/* ---- issuing ---- */

/* JWT_ALG_NONE: libjwt cannot. */
static jwt_alg_t libjwt_alg(enum media_jwt_alg alg)
{
    const media_jwt_alg_row_t *row = media_jwt_alg_row(alg);
    if (row->family == MEDIA_JWT_FAMILY_PSS || row->family == MEDIA_JWT_FAMILY_OKP) {
        return JWT_ALG_NONE;
    }
    return jwt_str_alg(row->name);
}

static char *issue_libjwt(const media_jwt_key_t *key, jwt_alg_t alg, const char *claims)
{
    char *token = NULL;
    jwt_t *jwt = NULL;
    if (jwt_new(&jwt) == 0 && jwt_add_grants_json(jwt, claims) == 0 &&
        (key->kid_len == 0 || jwt_add_header(jwt, "kid", key->kid) == 0) &&
        jwt_set_alg(jwt, alg, key->secret, (int)key->secret_len) == 0) {
        token = jwt_encode_str(jwt);
    }
    jwt_free(jwt);
    return token;
}

static int pkey_sign(const media_jwt_key_t *key, const char *input, size_t n, unsigned char *sig,
                     size_t *sig_len)
{
    const media_jwt_alg_row_t *row = media_jwt_alg_row(key->alg);
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL &&
             EVP_DigestSignInit_ex(ctx, &pctx, row->hash, NULL, NULL, key->pkey, NULL) == 1;
    if (ok && row->family == MEDIA_JWT_FAMILY_PSS) {
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    ok = ok && EVP_DigestSign(ctx, sig, sig_len, (const unsigned char *)input, n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* header.claims, to be freed, with room for `room` bytes behind. */
static char *signing_input(const media_jwt_key_t *key, const char *claims, size_t room, size_t *len)
{
    char *token = NULL;
    json_t *h = json_pack("{s:s, s:s}", "alg", media_jwt_alg_row(key->alg)->name, "typ", "JWT");
    if (h != NULL && key->kid_len > 0) {
        json_object_set_new(h, "kid", json_stringn(key->kid, key->kid_len));
    }
    /* what libjwt writes: members sorted, no spaces */
    char *header = h == NULL ? NULL : json_dumps(h, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(h);
    if (header != NULL) {
        size_t cap = (strlen(header) + strlen(claims)) * 4 / 3 + 8 + room;
        token = malloc(cap);
        if (token != NULL) {
            ssize_t n = media_b64url_encode(header, strlen(header), token, cap);
            token[n++] = '.';
            n += media_b64url_encode(claims, strlen(claims), token + n, cap - (size_t)n);
            *len = (size_t)n;
        }
    }
    free(header);
    return token;
}

static char *issue_evp(const media_jwt_key_t *key, const char *claims)
{
    unsigned char sig[MEDIA_JWT_SIG_MAX];
    size_t sig_len = sizeof(sig);
    size_t room = sizeof(sig) * 4 / 3 + 8;
    size_t n;
    char *token = signing_input(key, claims, room, &n);
    if (token == NULL) {
        return NULL;
    }
    if (!pkey_sign(key, token, n, sig, &sig_len)) {
        free(token);
        return NULL;
    }
    token[n] = '.';
    (void)media_b64url_encode(sig, sig_len, token + n + 1, room - 1);
    return token;
}

ssize_t media_jwt_issue(const media_jwt_key_t *key, const json_t *claims, char *dst, size_t cap,
                        media_err_t *ei)
{
    if (!media_jwt_key_can_issue(key)) {
        return media_err_set(ei, MEDIA_E_BUG, "the key can verify only");
    }
    if (!json_is_object(claims)) {
        return media_err_set(ei, MEDIA_E_BUG, "the claims are not an object");
    }
    char *token = NULL;
    char *text = json_dumps(claims, JSON_COMPACT);
    jwt_alg_t alg = libjwt_alg(key->alg);
    ERR_set_mark();
    if (text != NULL) {
        token = alg == JWT_ALG_NONE ? issue_evp(key, text) : issue_libjwt(key, alg, text);
    }
    ERR_pop_to_mark();
    free(text);
    if (token == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "the token cannot be made");
    }
    size_t len = strlen(token);
    ssize_t rc = (ssize_t)len;
    if (len >= cap || len > MEDIA_JWT_MAX_TOKEN) {
        rc = media_err_set(ei, MEDIA_E_TOOBIG, "the token has %zu bytes", len);
    } else {
        memcpy(dst, token, len + 1);
    }
    OPENSSL_cleanse(token, len);
    free(token);
    return rc;
}
