/* Keys of JSON Web Tokens. A key carries everything that can be made beforehand, because tokens are
 * checked per request in nginx's event loop: a keyed HMAC, or an initialised verify context, which
 * each call duplicates (the shared one is only read). */
#define _GNU_SOURCE /* memmem */
#include "jwt_key.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "media/jwks.h"

#define MATERIAL_MAX 16384

static const media_jwt_alg_row_t alg_rows[] = {
#define X(id, name, family, bits)                                                                  \
    {name, MEDIA_JWT_FAMILY_##family, (bits) / 8, (bits) == 0 ? NULL : "SHA" #bits},
    MEDIA_JWT_ALGS(X)
#undef X
};

static const media_jwt_curve_t curves[] = {
    {MEDIA_JWT_ES256, "P-256", "prime256v1", 32}, {MEDIA_JWT_ES384, "P-384", "secp384r1", 48},
    {MEDIA_JWT_ES512, "P-521", "secp521r1", 66},  {MEDIA_JWT_EDDSA, "Ed25519", "ED25519", 32},
    {MEDIA_JWT_EDDSA, "Ed448", "ED448", 57},
};

#define CURVES (sizeof(curves) / sizeof(curves[0]))

const media_jwt_alg_row_t *media_jwt_alg_row(enum media_jwt_alg alg)
{
    return &alg_rows[alg];
}

int media_jwt_alg_parse(media_str_t name)
{
    for (int i = 0; i < MEDIA_JWT_ALG_COUNT; i++) {
        if (media_str_eq(name, media_str(alg_rows[i].name))) {
            return i;
        }
    }
    return MEDIA_E_REJECT;
}

const media_jwt_curve_t *media_jwt_curve_named(media_str_t crv)
{
    for (size_t i = 0; i < CURVES; i++) {
        if (media_str_eq(crv, media_str(curves[i].crv))) {
            return &curves[i];
        }
    }
    return NULL;
}

const media_jwt_curve_t *media_jwt_curve_of(const EVP_PKEY *pkey)
{
    char group[64] = "";
    size_t len;
    if (EVP_PKEY_is_a(pkey, "EC")) {
        (void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len);
    }
    for (size_t i = 0; i < CURVES; i++) {
        if (curves[i].alg == MEDIA_JWT_EDDSA ? EVP_PKEY_is_a(pkey, curves[i].group)
                                             : strcmp(group, curves[i].group) == 0) {
            return &curves[i];
        }
    }
    return NULL;
}

void media_jwt_key_free(media_jwt_key_t *key)
{
    if (key == NULL) {
        return;
    }
    OPENSSL_clear_free(key->secret, key->secret_len);
    OPENSSL_cleanse(&key->hmac, sizeof(key->hmac));
    EVP_MD_CTX_free(key->verify);
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key);
}

int media_jwt_key_can_issue(const media_jwt_key_t *key)
{
    return key->secret != NULL;
}

static int key_alloc(enum media_jwt_alg alg, media_str_t kid, media_jwt_key_t **out,
                     media_err_t *ei)
{
    if (kid.len > MEDIA_JWT_KID_MAX || !media_utf8_valid(kid) ||
        (kid.len > 0 && memchr(kid.p, '\0', kid.len) != NULL)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the kid is not UTF-8 of at most %d bytes",
                             MEDIA_JWT_KID_MAX);
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
    *out = key;
    return 0;
}

static int key_keep_secret(media_jwt_key_t *key, media_str_t material, media_err_t *ei)
{
    /* libjwt reads a PEM as text: one more byte for the NUL */
    key->secret = OPENSSL_zalloc(material.len + 1);
    if (key->secret == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    memcpy(key->secret, material.p, material.len);
    key->secret_len = material.len;
    return 0;
}

/* ---- secrets ---- */

static int secret_check(const media_jwt_alg_row_t *row, media_str_t secret, media_err_t *ei)
{
    if (secret.len < row->hash_len) {
        return media_err_set(ei, MEDIA_E_REJECT, "the secret is shorter than %zu bytes",
                             row->hash_len);
    }
    if (memmem(secret.p, secret.len, "-----BEGIN", 10) != NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "the secret of an HMAC key is a PEM text");
    }
    return 0;
}

int media_jwt_key_from_secret(enum media_jwt_alg alg, media_str_t kid, media_str_t secret,
                              media_jwt_key_t **out, media_err_t *ei)
{
    *out = NULL;
    media_jwt_key_t *key = NULL;
    int rc = secret_check(media_jwt_alg_row(alg), secret, ei);
    if (rc == 0) {
        rc = key_alloc(alg, kid, &key, ei);
    }
    if (rc == 0) {
        rc = key_keep_secret(key, secret, ei);
    }
    if (rc != 0) {
        media_jwt_key_free(key);
        return rc;
    }
    media_hmac_key(&key->hmac, media_jwt_alg_row(alg)->hash_len, secret);
    *out = key;
    return 0;
}

/* ---- asymmetric keys ---- */

static int pkey_check_rsa(const EVP_PKEY *pkey, media_err_t *ei)
{
    if (!EVP_PKEY_is_a(pkey, "RSA")) {
        return media_err_set(ei, MEDIA_E_REJECT, "the key is not an RSA key");
    }
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < MEDIA_JWT_RSA_BITS_MIN || bits > MEDIA_JWT_RSA_BITS_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "the RSA key has %d bits, not %d to %d", bits,
                             MEDIA_JWT_RSA_BITS_MIN, MEDIA_JWT_RSA_BITS_MAX);
    }
    return 0;
}

static int pkey_check_curve(enum media_jwt_alg alg, const EVP_PKEY *pkey, media_err_t *ei)
{
    const media_jwt_curve_t *curve = media_jwt_curve_of(pkey);
    if (curve != NULL && curve->alg == alg) {
        return 0;
    }
    if (alg == MEDIA_JWT_EDDSA) {
        return media_err_set(ei, MEDIA_E_REJECT, "the key is not an Ed25519 or Ed448 key");
    }
    for (curve = curves; curve->alg != alg; curve++) {
    }
    return media_err_set(ei, MEDIA_E_REJECT, "the key is not an EC key on the curve %s",
                         curve->crv);
}

static int key_init_verify(media_jwt_key_t *key, EVP_PKEY *pkey, media_err_t *ei)
{
    const media_jwt_alg_row_t *row = media_jwt_alg_row(key->alg);
    EVP_PKEY_CTX *pctx = NULL;
    key->verify = EVP_MD_CTX_new();
    int ok = key->verify != NULL &&
             EVP_DigestVerifyInit_ex(key->verify, &pctx, row->hash, NULL, NULL, pkey, NULL) == 1;
    if (ok && row->family == MEDIA_JWT_FAMILY_PSS) {
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    if (!ok || EVP_PKEY_up_ref(pkey) != 1) {
        return media_err_set(ei, MEDIA_E_NOMEM, "the verification cannot be set up");
    }
    key->pkey = pkey;
    return 0;
}

int media_jwt_key_from_pkey(enum media_jwt_alg alg, media_str_t kid, EVP_PKEY *pkey,
                            media_jwt_key_t **out, media_err_t *ei)
{
    *out = NULL;
    media_jwt_key_t *key = NULL;
    enum media_jwt_family family = media_jwt_alg_row(alg)->family;
    int rc = family == MEDIA_JWT_FAMILY_RSA || family == MEDIA_JWT_FAMILY_PSS
                 ? pkey_check_rsa(pkey, ei)
                 : pkey_check_curve(alg, pkey, ei);
    if (rc == 0) {
        rc = key_alloc(alg, kid, &key, ei);
    }
    if (rc == 0) {
        rc = key_init_verify(key, pkey, ei);
    }
    if (rc == 0 && kid.p == NULL) {
        rc = media_jwk_thumbprint(key, key->kid);
        key->kid_len = MEDIA_JWK_THUMBPRINT_LEN;
    }
    if (rc != 0) {
        media_jwt_key_free(key);
        return rc;
    }
    *out = key;
    return 0;
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

static int pkey_is_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    int ok = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static int key_from_pem(enum media_jwt_alg alg, media_str_t kid, media_str_t material,
                        media_jwt_key_t **out, media_err_t *ei)
{
    int is_private = 0;
    EVP_PKEY *pkey = pem_read(material, &is_private);
    if (pkey == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "not an unencrypted PEM public or private key");
    }
    int rc = media_jwt_key_from_pkey(alg, kid, pkey, out, ei);
    if (rc == 0 && !pkey_is_sound(pkey)) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "the key is not sound");
    }
    if (rc == 0 && is_private) {
        rc = key_keep_secret(*out, material, ei);
    }
    EVP_PKEY_free(pkey);
    if (rc != 0) {
        media_jwt_key_free(*out);
        *out = NULL;
    }
    return rc;
}

int media_jwt_key_new(enum media_jwt_alg alg, media_str_t kid, media_str_t material,
                      media_jwt_key_t **out, media_err_t *ei)
{
    int rc;
    *out = NULL;
    if (material.len == 0 || material.len > MATERIAL_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "the key is empty or longer than %d bytes",
                             MATERIAL_MAX);
    }
    ERR_set_mark();
    if (media_jwt_alg_row(alg)->family == MEDIA_JWT_FAMILY_HMAC) {
        material.len -= material.p[material.len - 1] == '\n';
        rc = media_jwt_key_from_secret(alg, kid, material, out, ei);
    } else {
        rc = key_from_pem(alg, kid, material, out, ei);
    }
    ERR_pop_to_mark();
    return rc;
}
