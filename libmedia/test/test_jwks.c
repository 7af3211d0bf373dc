/* Key sets: the RFCs' samples, what is skipped and what refuses the whole, limits, writing. */
#include "jwt_sign.h"
#include "media/jwks.h"

#define RSA_N                                                                                      \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP" \
    "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY" \
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f" \
    "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "\""
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""
#define OCT32 "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"" /* SECRET */

/* How many keys a set of this one member gives. */
static int keys_of(const char *members, int secrets)
{
    static char text[16384];
    media_jwks_t set;
    media_err_t ei = {""};
    snprintf(text, sizeof(text), "{\"keys\":[{%s}]}", members);
    int rc = media_jwks_parse(media_str(text), secrets, &set, &ei);
    if (rc != 0) {
        printf("%s: %s\n", members, ei.text);
        CHECK_INT(rc, 0);
        return -1;
    }
    int n = (int)set.nkeys;
    CHECK_INT(set.njwks, n > 0);
    CHECK_INT(set.nskipped, n == 0);
    CHECK_INT(ERR_peek_error(), 0);
    media_jwks_free(&set);
    return n;
}

#define CHECK_KEYS(members, n) CHECK_INT(keys_of(members, 1), n)

static void test_jwks_algorithms_of_a_key(void)
{
    CHECK_KEYS(RSA, 6);
    CHECK_KEYS(RSA ",\"alg\":\"PS384\"", 1);
    CHECK_KEYS(RSA ",\"alg\":null,\"kid\":null,\"use\":null", 6);
    CHECK_KEYS(EC, 1);
    CHECK_KEYS(EC ",\"alg\":\"ES256\",\"kid\":\"k\",\"x5c\":[\"A\"],\"x\\u0035u\":1", 1);
    CHECK_KEYS(ED ",\"alg\":\"EdDSA\"", 1);
    CHECK_KEYS(OCT32, 1);
    CHECK_KEYS("\"kty\":\"oct\",\"k\":"
               "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm\"",
               2);
    CHECK_KEYS(OCT32 ",\"alg\":\"HS256\"", 1);
    CHECK_INT(keys_of(OCT32, 0), 0);
}

static void test_jwks_key_of_another_purpose_skipped(void)
{
    static const char *const bad[] = {
        RSA ",\"alg\":\"RSA-OAEP\"",
        RSA ",\"alg\":\"ES256\"",
        RSA ",\"alg\":\"HS256\"",
        RSA ",\"alg\":\"none\"",
        RSA ",\"alg\":256",
        RSA ",\"use\":\"enc\"",
        RSA ",\"use\":[\"sig\"]",
        RSA ",\"key_ops\":[\"sign\"]",
        RSA ",\"key_ops\":[]",
        RSA ",\"key_ops\":\"verify\"",
        RSA ",\"key_ops\":[7,null]",
        RSA ",\"kid\":7",
        RSA ",\"kid\":\"a\\u0001\\uffff\",\"kty2\":1,\"use\":\"\"",
        EC ",\"alg\":\"ES384\"",
        EC ",\"alg\":\"RS256\"",
        ED ",\"alg\":\"ES256\"",
        OCT32 ",\"alg\":\"HS384\"",
        OCT32 ",\"alg\":\"RS256\"",
        OCT32 ",\"alg\":\"A128KW\"",
        "\"kty\":\"rsa\",\"e\":\"AQAB\",\"n\":\"" RSA_N "\"",
        "\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"",
        "\"kty\":7",
        "",
    };
    CHECK_KEYS(RSA ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]", 6);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_KEYS(bad[i], 0);
    }
}

static void test_jwks_value_out_of_range_skipped(void)
{
    static const char *const bad[] = {
        "\"kty\":\"RSA\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"n\":\"" RSA_N "\"",
        "\"kty\":\"RSA\",\"e\":\"AQ\",\"n\":\"" RSA_N "\"",   /* 1 */
        "\"kty\":\"RSA\",\"e\":\"AQAA\",\"n\":\"" RSA_N "\"", /* even */
        "\"kty\":\"RSA\",\"e\":\"\",\"n\":\"" RSA_N "\"",
        "\"kty\":\"RSA\",\"e\":\"AQAAAAAAAAAAAQ\",\"n\":\"" RSA_N "\"", /* 73 bits */
        "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "=\"",
        "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"",
        "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":[]",
        "\"kty\":\"RSA\",\"e\":65537,\"n\":\"" RSA_N "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X
        "\"", /* off the curve */
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
        "\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5Q\"",
        "\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"",
        "\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"",
        "\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"",
        "\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"",
        "\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X "\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"",
        "\"kty\":\"OKP\",\"x\":\"" ED_X "\"",
        "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ\"", /* 31 bytes */
        "\"kty\":\"oct\",\"k\":\"\"",
        "\"kty\":\"oct\"",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_KEYS(bad[i], 0);
    }
    /* zeros in front of n, as some write it */
    CHECK_KEYS("\"kty\":\"RSA\",\"e\":\"AAEAAQ\",\"n\":\"" RSA_N "\"", 6);
}

/* A public key taken for a secret. */
static void test_jwks_pem_as_oct_skipped(void)
{
    char text[4096];
    char k[2048];
    size_t len;
    char *pem = test_read(VECTORS "/rfc7515_a2_public.pem", &len);
    media_b64url_encode(pem, len, k, sizeof(k));
    snprintf(text, sizeof(text), "\"kty\":\"oct\",\"k\":\"%s\"", k);
    CHECK_KEYS(text, 0);
    free(pem);
}

static void check_refused(media_str_t text, int code)
{
    media_jwks_t set;
    media_err_t ei = {""};
    CHECK_INT(media_jwks_parse(text, 1, &set, &ei), code);
    CHECK(set.keys == NULL && set.nkeys == 0 && ei.text[0] != '\0');
}

static void test_jwks_that_is_no_set_refused(void)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":\"\"}",
        "{\"keys\":[]",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"oct\",\"kty\":\"RSA\"}]}",
        "<html><title>It works</title></html>",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_refused(media_str(bad[i]), MEDIA_E_REJECT);
    }
}

static void test_jwks_limits(void)
{
    media_jwks_t set;
    char *text = malloc(200000);
    for (int n = MEDIA_JWKS_KEYS_MAX; n <= MEDIA_JWKS_KEYS_MAX + 1; n++) {
        size_t len = (size_t)snprintf(text, 200000, "{\"keys\":[");
        for (int i = 0; i < n; i++) {
            len += (size_t)snprintf(text + len, 200000 - len, "%s{" RSA ",\"kid\":\"%d\"}",
                                    i == 0 ? "" : ",", i);
        }
        len += (size_t)snprintf(text + len, 200000 - len, "]}");
        if (n > MEDIA_JWKS_KEYS_MAX) {
            check_refused((media_str_t){text, len}, MEDIA_E_REJECT);
        } else {
            CHECK_INT(media_jwks_parse((media_str_t){text, len}, 0, &set, NULL), 0);
            CHECK_INT(set.njwks, n);
            CHECK_INT(set.nkeys, 6 * n);
            media_jwks_free(&set);
        }
    }
    memset(text, ' ', 200000);
    memcpy(text, "{\"keys\":[]}", 11);
    CHECK_INT(media_jwks_parse((media_str_t){text, MEDIA_JWKS_TEXT_MAX}, 0, &set, NULL), 0);
    media_jwks_free(&set);
    check_refused((media_str_t){text, MEDIA_JWKS_TEXT_MAX + 1}, MEDIA_E_TOOBIG);
    free(text);
    char kid[MEDIA_JWT_KID_MAX + 2];
    char members[4096];
    memset(kid, 'k', sizeof(kid));
    for (int n = MEDIA_JWT_KID_MAX; n <= MEDIA_JWT_KID_MAX + 1; n++) {
        snprintf(members, sizeof(members), EC ",\"kid\":\"%.*s\"", n, kid);
        CHECK_KEYS(members, n == MEDIA_JWT_KID_MAX);
    }
}

/* One bad member takes nothing from the others. */
static void test_jwks_good_members_beside_bad_ones(void)
{
    media_jwks_t set;
    media_str_t text =
        MEDIA_STR("{\"issuer\":\"x\",\"keys\":[7,null,[],{\"kty\":\"RSA\",\"n\":\"!\"},{" ED
                  ",\"kid\":\"a\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"},{" EC
                  ",\"kid\":\"a\"}]}");
    CHECK_INT(media_jwks_parse(text, 0, &set, NULL), 0);
    CHECK_INT(set.njwks, 2);
    CHECK_INT(set.nskipped, 4);
    CHECK_INT(set.nkeys, 2);
    CHECK(!media_jwt_key_can_issue(set.keys[0])); /* "d" was not looked at */
    media_jwks_free(&set);
    media_jwks_free(&set);
}

static void test_jwks_rfc7517_samples(void)
{
    media_jwks_t set;
    char print[MEDIA_JWK_THUMBPRINT_LEN + 1];
    char *text = test_read(VECTORS "/rfc7517_a1.jwks", NULL);
    CHECK_INT(media_jwks_parse(media_str(text), 0, &set, NULL), 0);
    CHECK_INT(set.njwks, 1);
    CHECK_INT(set.nskipped, 1); /* "use":"enc" */
    CHECK_INT(media_jwk_thumbprint(set.keys[0], print), 0);
    CHECK_STR(print, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"); /* RFC 7638 3.1 */
    media_jwks_free(&set);
    free(text);
    text = test_read(VECTORS "/rfc7517_a3.jwks", NULL);
    CHECK_INT(media_jwks_parse(media_str(text), 1, &set, NULL), 0);
    CHECK_INT(set.njwks, 1);
    CHECK_INT(set.nskipped, 1);
    CHECK_INT(set.nkeys, 3); /* 64 bytes: HS256, HS384, HS512 */
    media_jwks_free(&set);
    free(text);
    CHECK_INT(media_jwks_parse(MEDIA_STR("{\"keys\":[{" ED "}]}"), 0, &set, NULL), 0);
    CHECK_INT(media_jwk_thumbprint(set.keys[0], print), 0);
    CHECK_STR(print, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); /* RFC 8037 A.3 */
    media_jwks_free(&set);
}

/* ---- writing ---- */

static void check_written(const char *kind, enum media_jwt_alg alg, const char *sign)
{
    char token[4096];
    media_buf_t b;
    media_jwks_t set;
    EVP_PKEY *pkey = test_pkey(kind);
    media_jwt_key_t *key = test_key_of(alg, "k\"1", pkey, 1);
    const media_jwt_key_t *const keys[] = {key};
    json_t *claims = json_pack("{s:I}", "exp", (json_int_t)(NOW + 1));
    media_buf_init(&b, 16384);
    CHECK_INT(media_jwks_write(keys, 1, &b), 0);
    CHECK(strstr(b.p, sign) != NULL && strstr(b.p, "\"use\":\"sig\"") != NULL);
    CHECK(strstr(b.p, "\"d\"") == NULL && strstr(b.p, "\"p\"") == NULL);
    CHECK_INT(media_jwks_parse(media_buf_view(&b), 0, &set, NULL), 0);
    CHECK_INT(set.nkeys, 1);
    CHECK(media_jwt_issue(key, claims, token, sizeof(token), NULL) > 0);
    CHECK_GOOD(set.keys[0], media_str(token));
    media_jwks_free(&set);
    media_buf_free(&b);
    json_decref(claims);
    media_jwt_key_free(key);
    EVP_PKEY_free(pkey);
}

static void test_jwks_written_set_verifies(void)
{
    check_written("RSA", MEDIA_JWT_RS256, "\"kty\":\"RSA\"");
    check_written("RSA", MEDIA_JWT_PS512, "\"alg\":\"PS512\"");
    for (int i = 0; i < 20; i++) { /* a coordinate that begins with zeros keeps them */
        check_written("P-256", MEDIA_JWT_ES256, "\"crv\":\"P-256\"");
    }
    check_written("P-384", MEDIA_JWT_ES384, "\"crv\":\"P-384\"");
    check_written("P-521", MEDIA_JWT_ES512, "\"crv\":\"P-521\"");
    check_written("ED25519", MEDIA_JWT_EDDSA, "\"crv\":\"Ed25519\"");
    check_written("ED448", MEDIA_JWT_EDDSA, "\"kid\":\"k\\\"1\"");
}

static void test_jwks_secret_is_not_written(void)
{
    media_buf_t b;
    media_jwt_key_t *key = test_key(MEDIA_JWT_HS256, "k", MEDIA_STR(SECRET));
    const media_jwt_key_t *const keys[] = {key, key};
    media_buf_init(&b, 64);
    CHECK_INT(media_jwks_write(keys, 2, &b), 0);
    CHECK_STR(b.p, "{\"keys\":[]}");
    media_buf_free(&b);
    media_jwt_key_free(key);
}

int main(void)
{
    test_jwks_algorithms_of_a_key();
    test_jwks_key_of_another_purpose_skipped();
    test_jwks_value_out_of_range_skipped();
    test_jwks_pem_as_oct_skipped();
    test_jwks_that_is_no_set_refused();
    test_jwks_limits();
    test_jwks_good_members_beside_bad_ones();
    test_jwks_rfc7517_samples();
    test_jwks_written_set_verifies();
    test_jwks_secret_is_not_written();
    return test_report();
}
