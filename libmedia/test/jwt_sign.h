/* Fresh asymmetric keys and tokens signed by them, with OpenSSL alone: any algorithm over any key.
 */
#ifndef MEDIA_TEST_JWT_SIGN_H
#define MEDIA_TEST_JWT_SIGN_H

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "jwt_util.h"

/* "RSA", "P-256", "ED25519", ... */
static inline EVP_PKEY *test_pkey(const char *kind)
{
    EVP_PKEY *pkey = strcmp(kind, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                     : strncmp(kind, "ED", 2) == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
                                                   : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    if (pkey == NULL) {
        printf("no %s key\n", kind);
        exit(1);
    }
    ERR_clear_error(); /* OpenSSL tries more than one way */
    return pkey;
}

/* The key through a PEM, as from a file; `secret`: the private one. */
static inline media_jwt_key_t *test_key_of(enum media_jwt_alg alg, const char *kid, EVP_PKEY *pkey,
                                           int secret)
{
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    int ok = secret ? PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)
                    : PEM_write_bio_PUBKEY(bio, pkey);
    long n = BIO_get_mem_data(bio, &pem);
    media_jwt_key_t *key = ok == 1 ? test_key(alg, kid, (media_str_t){pem, (size_t)n}) : NULL;
    BIO_free(bio);
    return key;
}

/* DER to r || s of `half` bytes each. */
static inline size_t test_der_to_raw(const unsigned char *der, size_t n, unsigned char *raw,
                                     int half)
{
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)n);
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), raw, half);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), raw + half, half);
    ECDSA_SIG_free(parts);
    return 2 * (size_t)half;
}

/* hash: NULL for Ed*. half: bytes of a coordinate, 0: the signature as OpenSSL makes it (DER with
 * EC). salt: 0 for no PSS, else its length or RSA_PSS_SALTLEN_DIGEST. */
static inline media_str_t test_sign(const char *header, const char *payload, EVP_PKEY *pkey,
                                    const char *hash, int half, int salt)
{
    unsigned char sig[1024];
    unsigned char raw[1024];
    size_t len = sizeof(sig);
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char *token = test_signing_input(media_str(header), media_str(payload));
    int ok = EVP_DigestSignInit_ex(ctx, &pctx, hash, NULL, NULL, pkey, NULL) == 1;
    if (ok && salt != 0) {
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) == 1;
    }
    ok = ok && EVP_DigestSign(ctx, sig, &len, (unsigned char *)token, strlen(token)) == 1;
    if (!ok) {
        printf("cannot sign\n");
        exit(1);
    }
    EVP_MD_CTX_free(ctx);
    if (half > 0) {
        len = test_der_to_raw(sig, len, raw, half);
        return test_append_signature(token, raw, len);
    }
    return test_append_signature(token, sig, len);
}

#endif
