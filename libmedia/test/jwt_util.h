/* Tokens for tests, made with OpenSSL alone: any header, any payload, right or wrong signature. */
#ifndef MEDIA_TEST_JWT_UTIL_H
#define MEDIA_TEST_JWT_UTIL_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "media/jwt.h"
#include "test.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000
#define GOOD_CLAIMS "{\"sub\":\"u1\",\"exp\":1700000100}"
#define HS_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define RS_HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"

static inline media_jwt_key_t *test_key(enum media_jwt_alg alg, const char *kid,
                                        media_str_t material)
{
    media_jwt_key_t *key = NULL;
    media_err_t ei = {""};
    if (media_jwt_key_new(alg, media_str(kid), material, &key, &ei) != 0) {
        printf("no key: %s\n", ei.text);
        exit(1);
    }
    return key;
}

static inline media_jwt_key_t *test_key_file(enum media_jwt_alg alg, const char *kid,
                                             const char *path)
{
    size_t len;
    char *pem = test_read(path, &len);
    media_jwt_key_t *key = test_key(alg, kid, (media_str_t){pem, len});
    free(pem);
    return key;
}

/* base64url(header).base64url(payload) in a static buffer; room for a signature is left. */
static inline char *test_signing_input(media_str_t header, media_str_t payload)
{
    static char token[4 * MEDIA_JWT_MAX_TOKEN];
    ssize_t n = media_b64url_encode(header.p, header.len, token, sizeof(token));
    token[n++] = '.';
    n += media_b64url_encode(payload.p, payload.len, token + n, sizeof(token) - (size_t)n);
    return token;
}

static inline media_str_t test_append_signature(char *token, const unsigned char *sig, size_t len)
{
    size_t n = strlen(token);
    token[n++] = '.';
    n += (size_t)media_b64url_encode(sig, len, token + n, 2048);
    return (media_str_t){token, n};
}

static inline media_str_t test_hs256_raw(media_str_t header, media_str_t payload,
                                         media_str_t secret)
{
    unsigned char mac[32];
    char *token = test_signing_input(header, payload);
    HMAC(EVP_sha256(), secret.p, (int)secret.len, (unsigned char *)token, strlen(token), mac, NULL);
    return test_append_signature(token, mac, sizeof(mac));
}

static inline media_str_t test_hs256(const char *header, const char *payload)
{
    return test_hs256_raw(media_str(header), media_str(payload), MEDIA_STR(SECRET));
}

static inline media_str_t test_rs256(const char *header, const char *payload, const char *pem_path)
{
    unsigned char sig[1024];
    size_t len = sizeof(sig);
    char *token = test_signing_input(media_str(header), media_str(payload));
    FILE *f = fopen(pem_path, "r");
    EVP_PKEY *pkey = f == NULL ? NULL : PEM_read_PrivateKey(f, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (pkey == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) != 1 ||
        EVP_DigestSign(ctx, sig, &len, (unsigned char *)token, strlen(token)) != 1) {
        printf("cannot sign with %s\n", pem_path);
        exit(1);
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    fclose(f);
    return test_append_signature(token, sig, len);
}

/* The verdict of one key without further demands; the claims are thrown away. */
static inline int test_verify(const media_jwt_key_t *key, media_str_t token,
                              enum media_jwt_why *why)
{
    media_jwt_policy_t policy = {.keys = &key, .nkeys = 1};
    media_jwt_claims_t c;
    media_err_t ei = {""};
    int rc = media_jwt_verify(token, &policy, NOW, &c, why, &ei);
    if ((rc == 0) != (c.block != NULL) || (rc == MEDIA_E_AUTH) != (*why != MEDIA_JWT_OK) ||
        (rc != 0 && ei.text[0] == '\0') || ERR_peek_error() != 0) {
        CHECK(!"verify left its outputs in disagreement");
    }
    media_jwt_claims_free(&c);
    return rc;
}

#define CHECK_GOOD(key, token)                                                                     \
    do {                                                                                           \
        enum media_jwt_why why_;                                                                   \
        CHECK_INT(test_verify(key, token, &why_), 0);                                              \
    } while (0)

#define CHECK_REFUSED(key, token, reason)                                                          \
    do {                                                                                           \
        enum media_jwt_why why_;                                                                   \
        CHECK_INT(test_verify(key, token, &why_), MEDIA_E_AUTH);                                   \
        CHECK_INT(why_, reason);                                                                   \
    } while (0)

#endif
