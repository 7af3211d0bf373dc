/* Every algorithm: issuing and checking, the vectors of its RFC, libjwt; and that a key takes its
 * own algorithm alone, in its own encoding. */
#include <jwt.h>

#include "jwt_sign.h"
#include "media/jwks.h"

#define LONG_SECRET SECRET SECRET

static const struct {
    enum media_jwt_alg alg;
    const char *name;
    const char *kind;
    const char *hash;
    int half;
    int salt;
} algs[] = {
    {MEDIA_JWT_HS256, "HS256", NULL, NULL, 0, 0},
    {MEDIA_JWT_HS384, "HS384", NULL, NULL, 0, 0},
    {MEDIA_JWT_HS512, "HS512", NULL, NULL, 0, 0},
    {MEDIA_JWT_RS256, "RS256", "RSA", "SHA256", 0, 0},
    {MEDIA_JWT_RS384, "RS384", "RSA", "SHA384", 0, 0},
    {MEDIA_JWT_RS512, "RS512", "RSA", "SHA512", 0, 0},
    {MEDIA_JWT_PS256, "PS256", "RSA", "SHA256", 0, RSA_PSS_SALTLEN_DIGEST},
    {MEDIA_JWT_PS384, "PS384", "RSA", "SHA384", 0, RSA_PSS_SALTLEN_DIGEST},
    {MEDIA_JWT_PS512, "PS512", "RSA", "SHA512", 0, RSA_PSS_SALTLEN_DIGEST},
    {MEDIA_JWT_ES256, "ES256", "P-256", "SHA256", 32, 0},
    {MEDIA_JWT_ES384, "ES384", "P-384", "SHA384", 48, 0},
    {MEDIA_JWT_ES512, "ES512", "P-521", "SHA512", 66, 0},
    {MEDIA_JWT_EDDSA, "EdDSA", "ED25519", NULL, 0, 0},
    {MEDIA_JWT_EDDSA, "EdDSA", "ED448", NULL, 0, 0},
};

#define ALGS (sizeof(algs) / sizeof(algs[0]))

static EVP_PKEY *pkeys[ALGS]; /* the RSA algorithms share one */
static media_jwt_key_t *signers[ALGS];
static media_jwt_key_t *verifiers[ALGS];

static void keys_make(void)
{
    for (size_t i = 0; i < ALGS; i++) {
        if (algs[i].kind == NULL) {
            signers[i] = test_key(algs[i].alg, "", MEDIA_STR(LONG_SECRET));
            verifiers[i] = test_key(algs[i].alg, "", MEDIA_STR(LONG_SECRET));
            continue;
        }
        if (i > 3 && strcmp(algs[i].kind, "RSA") == 0) {
            pkeys[i] = pkeys[3];
            EVP_PKEY_up_ref(pkeys[i]);
        } else {
            pkeys[i] = test_pkey(algs[i].kind);
        }
        signers[i] = test_key_of(algs[i].alg, "", pkeys[i], 1);
        verifiers[i] = test_key_of(algs[i].alg, "", pkeys[i], 0);
    }
}

static void keys_free(void)
{
    for (size_t i = 0; i < ALGS; i++) {
        EVP_PKEY_free(pkeys[i]);
        media_jwt_key_free(signers[i]);
        media_jwt_key_free(verifiers[i]);
    }
}

static const char *header_of(size_t i)
{
    static char header[64];
    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algs[i].name);
    return header;
}

static media_str_t sign_as(size_t i, const char *header, EVP_PKEY *pkey)
{
    return test_sign(header, GOOD_CLAIMS, pkey, algs[i].hash, algs[i].half, algs[i].salt);
}

static char *issue(const media_jwt_key_t *key)
{
    static char token[4096];
    json_t *claims = json_pack("{s:s,s:I}", "sub", "u1", "exp", (json_int_t)(NOW + 100));
    CHECK(media_jwt_issue(key, claims, token, sizeof(token), NULL) > 0);
    json_decref(claims);
    return token;
}

static void test_jwt_every_alg_issues_and_verifies(void)
{
    for (size_t i = 0; i < ALGS; i++) {
        CHECK(media_jwt_key_can_issue(signers[i]));
        CHECK_INT(media_jwt_key_can_issue(verifiers[i]), algs[i].kind == NULL);
        char *token = issue(signers[i]);
        char *dot = strrchr(token, '.');
        char header[256];
        ssize_t n = media_b64url_decode((media_str_t){token, strcspn(token, ".")}, header, 255);
        CHECK_MEM(header, n, header_of(i));
        for (size_t k = 0; k < ALGS; k++) {
            enum media_jwt_why why;
            int same = algs[k].alg == algs[i].alg;
            CHECK_INT(test_verify(verifiers[k], media_str(token), &why), k == i ? 0 : MEDIA_E_AUTH);
            CHECK_INT(why, k == i ? MEDIA_JWT_OK : same ? MEDIA_JWT_SIGNATURE : MEDIA_JWT_KEY);
        }
        /* cut, longer, one bit */
        size_t len = strlen(token);
        for (size_t cut = 1; cut < (size_t)(token + len - dot); cut++) {
            CHECK_INT(test_verify(verifiers[i], (media_str_t){token, len - cut},
                                  &(enum media_jwt_why){0}),
                      MEDIA_E_AUTH);
        }
        memcpy(token + len, "AAAA", 5);
        CHECK_REFUSED(verifiers[i], media_str(token), MEDIA_JWT_SIGNATURE);
        token[len] = '\0';
        dot[9] = dot[9] == 'A' ? 'B' : 'A';
        CHECK_REFUSED(verifiers[i], media_str(token), MEDIA_JWT_SIGNATURE);
    }
}

/* A token made without our code; the other algorithms of the same key and its other encodings. */
static void test_jwt_every_alg_takes_its_own_form_alone(void)
{
    for (size_t i = 0; i < ALGS; i++) {
        if (algs[i].kind == NULL) {
            continue;
        }
        CHECK_GOOD(verifiers[i], sign_as(i, header_of(i), pkeys[i]));
        if (algs[i].half > 0) {
            CHECK_REFUSED(verifiers[i],
                          test_sign(header_of(i), GOOD_CLAIMS, pkeys[i], algs[i].hash, 0, 0),
                          MEDIA_JWT_SIGNATURE); /* DER */
            CHECK_REFUSED(
                verifiers[i],
                test_sign(header_of(i), GOOD_CLAIMS, pkeys[i], algs[i].hash, algs[i].half + 1, 0),
                MEDIA_JWT_SIGNATURE);
        }
        for (size_t k = 0; k < ALGS; k++) {
            /* the header says i, the signature is made as k by the same key */
            if (k != i && pkeys[k] == pkeys[i]) {
                CHECK_REFUSED(verifiers[i], sign_as(k, header_of(i), pkeys[i]),
                              MEDIA_JWT_SIGNATURE);
            }
        }
    }
    /* PSS with a salt of another length than the hash (RFC 7518 3.5) */
    CHECK_REFUSED(verifiers[6], test_sign(header_of(6), GOOD_CLAIMS, pkeys[6], "SHA256", 0, 20),
                  MEDIA_JWT_SIGNATURE);
}

/* CVE-2022-21449, "psychic signatures", and other values r and s must not have. */
static void test_jwt_es_parts_out_of_range_refused(void)
{
    static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    unsigned char n[32];
    CHECK_INT(media_hex_decode(MEDIA_STR(order), n, sizeof(n)), 32);
    unsigned char zero[32] = {0};
    unsigned char one[32] = {[31] = 1};
    unsigned char full[32];
    memset(full, 0xff, sizeof(full));
    const unsigned char *values[] = {zero, one, n, full};
    size_t es256 = 9;
    for (size_t r = 0; r < 4; r++) {
        for (size_t s = 0; s < 4; s++) {
            unsigned char sig[64];
            memcpy(sig, values[r], 32);
            memcpy(sig + 32, values[s], 32);
            char *token = test_signing_input(media_str(header_of(es256)), MEDIA_STR(GOOD_CLAIMS));
            CHECK_REFUSED(verifiers[es256], test_append_signature(token, sig, sizeof(sig)),
                          MEDIA_JWT_SIGNATURE);
        }
    }
}

/* A key file of another kind than the algorithm it is configured for. */
static void test_jwt_key_of_another_kind_refused(void)
{
    static const char *const kinds[] = {"RSA",     "P-256", "P-384",    "P-521",
                                        "ED25519", "ED448", "secp256k1"};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        char *pem;
        EVP_PKEY *pkey = test_pkey(kinds[k]);
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PUBKEY(bio, pkey);
        long n = BIO_get_mem_data(bio, &pem);
        for (size_t i = 0; i < ALGS; i++) {
            media_err_t ei = {""};
            media_jwt_key_t *key;
            int fits = algs[i].kind != NULL &&
                       (strcmp(algs[i].kind, kinds[k]) == 0 ||
                        (algs[i].alg == MEDIA_JWT_EDDSA && strncmp(kinds[k], "ED", 2) == 0));
            int rc = media_jwt_key_new(algs[i].alg, MEDIA_STR(""), (media_str_t){pem, (size_t)n},
                                       &key, &ei);
            CHECK_INT(rc, fits ? 0 : MEDIA_E_REJECT);
            CHECK_INT(ei.text[0] != '\0', !fits);
            CHECK_INT(ERR_peek_error(), 0);
            media_jwt_key_free(key);
        }
        BIO_free(bio);
        EVP_PKEY_free(pkey);
    }
}

static void test_jwt_secret_is_as_long_as_the_hash(void)
{
    char secret[64];
    memset(secret, 'k', sizeof(secret));
    for (size_t i = 0; i < 3; i++) {
        size_t need = 32 + 16 * i;
        media_jwt_key_t *key;
        CHECK_INT(media_jwt_key_new(algs[i].alg, MEDIA_STR(""), (media_str_t){secret, need - 1},
                                    &key, NULL),
                  MEDIA_E_REJECT);
        CHECK_INT(
            media_jwt_key_new(algs[i].alg, MEDIA_STR(""), (media_str_t){secret, need}, &key, NULL),
            0);
        media_jwt_key_free(key);
    }
}

/* A kid of NULL: an asymmetric key is called by its thumbprint, a secret has no name. */
static void test_jwt_kid_by_thumbprint(void)
{
    char *pem;
    char want[MEDIA_JWK_THUMBPRINT_LEN + 1];
    media_jwt_key_t *key;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, pkeys[9], NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &pem);
    CHECK_INT(media_jwt_key_new(MEDIA_JWT_ES256, MEDIA_STR_NULL, (media_str_t){pem, (size_t)n},
                                &key, NULL),
              0);
    CHECK_INT(media_jwk_thumbprint(key, want), 0);
    char *token = issue(key);
    char header[256];
    ssize_t len = media_b64url_decode((media_str_t){token, strcspn(token, ".")}, header, 255);
    header[len < 0 ? 0 : len] = '\0';
    CHECK(strstr(header, want) != NULL);
    CHECK_GOOD(key, media_str(token));
    CHECK_REFUSED(verifiers[9], media_str(token), MEDIA_JWT_KEY);
    media_jwt_key_free(key);
    CHECK_INT(media_jwt_key_new(MEDIA_JWT_HS256, MEDIA_STR_NULL, MEDIA_STR(SECRET), &key, NULL), 0);
    CHECK_GOOD(key, test_hs256(HS_HEADER, GOOD_CLAIMS));
    CHECK_INT(media_jwk_thumbprint(key, want), MEDIA_E_BUG);
    media_jwt_key_free(key);
    BIO_free(bio);
}

/* ---- vectors ---- */

/* Tokens whose payload is no JSON: a right signature is told by the next complaint. */
static void check_vector(const char *jwks, const char *token, int is_json)
{
    static char bent[2048];
    media_jwks_t set;
    enum media_jwt_why why;
    media_jwt_claims_t c;
    CHECK_INT(media_jwks_parse(media_str(jwks), 1, &set, NULL), 0);
    media_jwt_policy_t policy = {.keys = (const media_jwt_key_t *const *)set.keys,
                                 .nkeys = set.nkeys};
    int rc = media_jwt_verify(media_str(token), &policy, 1300819379, &c, &why, NULL);
    CHECK_INT(rc, is_json ? 0 : MEDIA_E_AUTH);
    CHECK_INT(why, is_json ? MEDIA_JWT_OK : MEDIA_JWT_MALFORMED);
    media_jwt_claims_free(&c);
    snprintf(bent, sizeof(bent), "%s", token);
    char *sig = strrchr(bent, '.') + 20;
    *sig = *sig == 'A' ? 'B' : 'A';
    CHECK_INT(media_jwt_verify(media_str(bent), &policy, 1300819379, &c, &why, NULL), MEDIA_E_AUTH);
    CHECK_INT(why, MEDIA_JWT_SIGNATURE);
    media_jwks_free(&set);
}

static void test_jwt_rfc7515_a1_a3_a4_rfc8037(void)
{
    static const char *const names[] = {"rfc7515_a1", "rfc7515_a3", "rfc7515_a4", "rfc8037_a4"};
    for (size_t i = 0; i < 4; i++) {
        char path[256];
        size_t len;
        snprintf(path, sizeof(path), VECTORS "/%s.jwks", names[i]);
        char *jwks = test_read(path, NULL);
        snprintf(path, sizeof(path), VECTORS "/%s.jwt", names[i]);
        char *token = test_read(path, &len);
        token[len - (token[len - 1] == '\n')] = '\0';
        check_vector(jwks, token, i < 2);
        free(jwks);
        free(token);
    }
}

/* ---- libjwt ---- */

static void test_jwt_libjwt_takes_what_it_can(void)
{
    for (size_t i = 0; i < ALGS; i++) {
        jwt_alg_t alg = jwt_str_alg(algs[i].name);
        jwt_t *jwt = NULL;
        if (alg == JWT_ALG_INVAL || algs[i].salt != 0) {
            continue; /* PS*: 1.10 has none of it, 1.17 refuses it with an RSA key */
        }
        char *pem = (char *)(uintptr_t)LONG_SECRET;
        long n = (long)strlen(pem);
        BIO *bio = BIO_new(BIO_s_mem());
        if (pkeys[i] != NULL) {
            PEM_write_bio_PUBKEY(bio, pkeys[i]);
            BIO_write(bio, "", 1);
            n = BIO_get_mem_data(bio, &pem) - 1;
        }
        CHECK_INT(jwt_decode(&jwt, issue(signers[i]), (unsigned char *)pem, (int)n), 0);
        if (jwt != NULL) {
            CHECK_STR(jwt_get_grant(jwt, "sub"), "u1");
            CHECK_INT(jwt_get_alg(jwt), alg);
        }
        jwt_free(jwt);
        BIO_free(bio);
    }
}

int main(void)
{
    keys_make();
    test_jwt_every_alg_issues_and_verifies();
    test_jwt_every_alg_takes_its_own_form_alone();
    test_jwt_es_parts_out_of_range_refused();
    test_jwt_key_of_another_kind_refused();
    test_jwt_secret_is_as_long_as_the_hash();
    test_jwt_kid_by_thumbprint();
    test_jwt_rfc7515_a1_a3_a4_rfc8037();
    test_jwt_libjwt_takes_what_it_can();
    keys_free();
    return test_report();
}
