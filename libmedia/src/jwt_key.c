/* Keys of JSON Web Tokens and what is done with their secret half: issuing, through libjwt. */
#define _GNU_SOURCE /* memmem */
#include "jwt_key.h"

#include <stdlib.h>
#include <string.h>

#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#define MATERIAL_MAX 16384
#define SECRET_MIN 32
#define RSA_BITS_MIN 2048

static const char *const alg_names[] = {
#define X(name, text) text,
    MEDIA_JWT_ALGS(X)
#undef X
};

static const jwt_alg_t libjwt_algs[] = {
#define X(name, text) JWT_ALG_##name,
    MEDIA_JWT_ALGS(X)
#undef X
};

int media_jwt_alg_parse(media_str_t name)
{
    for (int i = 0; i < MEDIA_JWT_ALG_COUNT; i++) {
        if (media_str_eq(name, media_str(alg_names[i]))) {
            return i;
        }
    }
    return MEDIA_E_REJECT;
}

void media_jwt_key_free(media_jwt_key_t *key)
{
    if (key == NULL) {
        return;
    }
    OPENSSL_clear_free(key->secret, key->secret_len);
    EVP_MAC_CTX_free(key->mac);
    EVP_MD_CTX_free(key->verify);
    OPENSSL_free(key->header);
    OPENSSL_free(key);
}

int media_jwt_key_can_issue(const media_jwt_key_t *key)
{
    return key->secret != NULL;
}

static int key_keep_secret(media_jwt_key_t *key, media_str_t material)
{
    /* libjwt reads a PEM as text: one more byte for the NUL */
    key->secret = OPENSSL_zalloc(material.len + 1);
    if (key->secret == NULL) {
        return MEDIA_E_NOMEM;
    }
    memcpy(key->secret, material.p, material.len);
    key->secret_len = material.len;
    return 0;
}

static int key_init_hmac(media_jwt_key_t *key, media_str_t material, media_err_t *ei)
{
    if (material.len > 0 && material.p[material.len - 1] == '\n') {
        material.len--;
    }
    if (material.len < SECRET_MIN) {
        return media_err_set(ei, MEDIA_E_REJECT, "the secret is shorter than %d bytes", SECRET_MIN);
    }
    if (memmem(material.p, material.len, "-----BEGIN", 10) != NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "the secret of an HMAC key is a PEM text");
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->mac = mac == NULL ? NULL : EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (key->mac == NULL ||
        EVP_MAC_init(key->mac, (const unsigned char *)material.p, material.len, params) != 1) {
        return media_err_set(ei, MEDIA_E_NOMEM, "HMAC-SHA256 cannot be set up");
    }
    return key_keep_secret(key, material);
}

/* Without this OpenSSL would ask for the pass phrase on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static EVP_PKEY *pem_read(media_str_t material, int *is_private)
{
    EVP_PKEY *pkey = NULL;
    BIO *bio = BIO_new_mem_buf(material.p, (int)material.len);
    if (bio == NULL) {
        return NULL;
    }
    *is_private = memmem(material.p, material.len, "PRIVATE KEY-----", 16) != NULL;
    if (*is_private) {
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    } else {
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    }
    BIO_free(bio);
    return pkey;
}

static int rsa_check(EVP_PKEY *pkey, media_err_t *ei)
{
    if (!EVP_PKEY_is_a(pkey, "RSA")) {
        return media_err_set(ei, MEDIA_E_REJECT, "the key is not an RSA key");
    }
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < RSA_BITS_MIN || bits > MEDIA_JWT_RSA_BITS_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "the RSA key has %d bits, not %d to %d", bits,
                             RSA_BITS_MIN, MEDIA_JWT_RSA_BITS_MAX);
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    int ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok ? 0 : media_err_set(ei, MEDIA_E_REJECT, "the RSA key is not sound");
}

static int key_init_rsa(media_jwt_key_t *key, media_str_t material, media_err_t *ei)
{
    int is_private = 0;
    EVP_PKEY *pkey = pem_read(material, &is_private);
    if (pkey == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "not an unencrypted PEM public or private key");
    }
    int rc = rsa_check(pkey, ei);
    if (rc == 0) {
        key->verify = EVP_MD_CTX_new();
        if (key->verify == NULL ||
            EVP_DigestVerifyInit(key->verify, NULL, EVP_sha256(), NULL, pkey) != 1) {
            rc = media_err_set(ei, MEDIA_E_NOMEM, "RSA verification cannot be set up");
        }
    }
    EVP_PKEY_free(pkey);
    if (rc == 0 && is_private) {
        rc = key_keep_secret(key, material);
    }
    return rc;
}

/* What libjwt writes: members sorted, no spaces. */
static int key_init_header(media_jwt_key_t *key)
{
    json_t *h = json_pack("{s:s, s:s}", "alg", alg_names[key->alg], "typ", "JWT");
    if (h != NULL && key->kid_len > 0) {
        json_object_set_new(h, "kid", json_stringn(key->kid, key->kid_len));
    }
    char *text = h == NULL ? NULL : json_dumps(h, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(h);
    if (text == NULL) {
        return MEDIA_E_NOMEM;
    }
    size_t len = strlen(text);
    size_t cap = len * 4 / 3 + 4;
    key->header = OPENSSL_malloc(cap);
    ssize_t n =
        key->header == NULL ? MEDIA_E_NOMEM : media_b64url_encode(text, len, key->header, cap);
    free(text);
    if (n < 0) {
        return (int)n;
    }
    key->header_len = (size_t)n;
    return 0;
}

static int key_init(media_jwt_key_t *key, media_str_t material, media_err_t *ei)
{
    switch (key->alg) {
    case MEDIA_JWT_HS256:
        return key_init_hmac(key, material, ei);
    case MEDIA_JWT_RS256:
        return key_init_rsa(key, material, ei);
    default:
        return media_err_set(ei, MEDIA_E_BUG, "no such algorithm");
    }
}

int media_jwt_key_new(enum media_jwt_alg alg, media_str_t kid, media_str_t material,
                      media_jwt_key_t **out, media_err_t *ei)
{
    *out = NULL;
    if (kid.len > MEDIA_JWT_KID_MAX || !media_utf8_valid(kid) ||
        (kid.len > 0 && memchr(kid.p, '\0', kid.len) != NULL)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the kid is not UTF-8 of at most %d bytes",
                             MEDIA_JWT_KID_MAX);
    }
    if (material.len == 0 || material.len > MATERIAL_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "the key is empty or longer than %d bytes",
                             MATERIAL_MAX);
    }
    media_jwt_key_t *key = OPENSSL_zalloc(sizeof(*key));
    if (key == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    key->alg = alg;
    if (kid.len > 0) {
        memcpy(key->kid, kid.p, kid.len);
    }
    key->kid_len = kid.len;
    ERR_set_mark();
    int rc = key_init(key, material, ei);
    if (rc == 0) {
        rc = key_init_header(key);
    }
    ERR_pop_to_mark();
    if (rc != 0) {
        media_jwt_key_free(key);
        return rc;
    }
    *out = key;
    return 0;
}

static char *libjwt_encode(const media_jwt_key_t *key, const json_t *claims)
{
    char *token = NULL;
    jwt_t *jwt = NULL;
    char *text = json_dumps(claims, JSON_COMPACT);
    if (text != NULL && jwt_new(&jwt) == 0 && jwt_add_grants_json(jwt, text) == 0 &&
        (key->kid_len == 0 || jwt_add_header(jwt, "kid", key->kid) == 0) &&
        jwt_set_alg(jwt, libjwt_algs[key->alg], key->secret, (int)key->secret_len) == 0) {
        token = jwt_encode_str(jwt);
    }
    jwt_free(jwt);
    free(text);
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
    ERR_set_mark();
    char *token = libjwt_encode(key, claims);
    ERR_pop_to_mark();
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
