/* The attacks of RFC 8725 and their relatives: each token here must be refused. */
#include "jwt_util.h"

#define PRIVATE_PEM VECTORS "/rfc7515_a2_private.pem"
#define PUBLIC_PEM VECTORS "/rfc7515_a2_public.pem"

static media_jwt_key_t *hs;
static media_jwt_key_t *rs;

static void test_jwt_alg_none_in_any_case_refused(void)
{
    static const char *const names[] = {"none", "None", "NONE", "nOnE", "NoNe", "nonE", ""};
    char header[64];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", names[i]);
        CHECK_REFUSED(hs, test_hs256(header, GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
        CHECK_REFUSED(rs, test_hs256(header, GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
        char *token = test_signing_input(media_str(header), MEDIA_STR(GOOD_CLAIMS));
        size_t n = strlen(token);
        token[n] = '.';
        CHECK_REFUSED(hs, ((media_str_t){token, n + 1}), MEDIA_JWT_MALFORMED);
        CHECK_REFUSED(hs, ((media_str_t){token, n}), MEDIA_JWT_MALFORMED);
    }
    size_t len;
    char *rfc = test_read(VECTORS "/rfc7519_6_1.jwt", &len);
    CHECK_REFUSED(hs, ((media_str_t){rfc, len}), MEDIA_JWT_MALFORMED);
    free(rfc);
}

static void test_jwt_empty_signature_refused(void)
{
    char *token = test_signing_input(MEDIA_STR(HS_HEADER), MEDIA_STR(GOOD_CLAIMS));
    size_t n = strlen(token);
    token[n] = '.';
    CHECK_REFUSED(hs, ((media_str_t){token, n + 1}), MEDIA_JWT_SIGNATURE);
    token = test_signing_input(MEDIA_STR(RS_HEADER), MEDIA_STR(GOOD_CLAIMS));
    n = strlen(token);
    token[n] = '.';
    CHECK_REFUSED(rs, ((media_str_t){token, n + 1}), MEDIA_JWT_SIGNATURE);
}

/* The attack libjwt 1.10 falls for: the public key is no secret. */
static void test_jwt_hs256_with_the_public_pem_refused(void)
{
    size_t len;
    char *pem = test_read(PUBLIC_PEM, &len);
    media_str_t secret = {pem, len};
    const media_jwt_key_t *both[] = {rs, hs};
    media_jwt_policy_t policy = {.keys = both, .nkeys = 2};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    for (int cut = 0; cut < 2; cut++) {
        media_str_t t = test_hs256_raw(MEDIA_STR(HS_HEADER), MEDIA_STR(GOOD_CLAIMS), secret);
        CHECK_REFUSED(rs, t, MEDIA_JWT_KEY);
        CHECK_INT(media_jwt_verify(t, &policy, NOW, &c, &why, NULL), MEDIA_E_AUTH);
        t = test_hs256_raw(MEDIA_STR(RS_HEADER), MEDIA_STR(GOOD_CLAIMS), secret);
        CHECK_REFUSED(rs, t, MEDIA_JWT_SIGNATURE);
        secret.len--; /* without the last newline */
    }
    free(pem);
}

static void test_jwt_signature_of_another_kind_refused(void)
{
    CHECK_GOOD(rs, test_rs256(RS_HEADER, GOOD_CLAIMS, PRIVATE_PEM));
    CHECK_REFUSED(rs, test_rs256(HS_HEADER, GOOD_CLAIMS, PRIVATE_PEM), MEDIA_JWT_KEY);
    CHECK_REFUSED(hs, test_rs256(RS_HEADER, GOOD_CLAIMS, PRIVATE_PEM), MEDIA_JWT_KEY);
    CHECK_REFUSED(rs, test_rs256("{\"alg\":\"RS384\"}", GOOD_CLAIMS, PRIVATE_PEM), MEDIA_JWT_KEY);
    CHECK_REFUSED(rs, test_rs256("{\"alg\":\"PS256\"}", GOOD_CLAIMS, PRIVATE_PEM), MEDIA_JWT_KEY);
    CHECK_REFUSED(hs, test_hs256("{\"alg\":\"HS512\"}", GOOD_CLAIMS), MEDIA_JWT_KEY);
    CHECK_REFUSED(hs, test_hs256("{\"alg\":\"hs256\"}", GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
}

/* A cut, longer or empty MAC never matches, whatever it begins with. */
static void test_jwt_signature_of_wrong_length_refused(void)
{
    unsigned char mac[64] = {0};
    for (size_t len = 0; len <= sizeof(mac); len++) {
        char *token = test_signing_input(MEDIA_STR(HS_HEADER), MEDIA_STR(GOOD_CLAIMS));
        HMAC(EVP_sha256(), SECRET, 32, (unsigned char *)token, strlen(token), mac, NULL);
        media_str_t t = test_append_signature(token, mac, len);
        if (len == 32) {
            CHECK_GOOD(hs, t);
        } else {
            CHECK_REFUSED(hs, t, MEDIA_JWT_SIGNATURE);
        }
    }
    unsigned char zeros[1100] = {0};
    static const size_t lens[] = {1, 255, 256, 257, 512, 1024, 1100};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        char *token = test_signing_input(MEDIA_STR(RS_HEADER), MEDIA_STR(GOOD_CLAIMS));
        CHECK_REFUSED(rs, test_append_signature(token, zeros, lens[i]), MEDIA_JWT_SIGNATURE);
    }
}

static void test_jwt_header_extensions_refused(void)
{
    static const char *const bad[] = {
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":null}",
        "{\"alg\":\"HS256\",\"b64\":false}",
        "{\"alg\":\"HS256\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}",
        "{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":7}",
        "{\"alg\":\"HS256\",\"typ\":null}",
        "{\"alg\":\"HS256\",\"typ\":\"\"}",
        "{\"alg\":\"HS256\",\"typ\":\"application/\"}",
        "{\"alg\":\"HS256\",\"kid\":7}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\",\"kid\":[\"a\"]}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":null}",
        "{\"alg\":256}",
        "{\"alg\":\"HS256\\u0000\"}",
        "{\"typ\":\"JWT\"}",
        "{}",
        "[]",
        "[\"HS256\"]",
        "\"HS256\"",
        "null",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"HS256\",\"x\":{\"y\":1,\"y\":2}}",
        "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_REFUSED(hs, test_hs256(bad[i], GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
    }
    static const char *const good[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"typ\":\"jwt\"}",
                                       "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
                                       "{\"alg\":\"HS256\",\"typ\":\"application/at+JWT\"}",
                                       " { \"typ\" : \"JWT\" ,\r\n \"alg\" : \"HS256\" } "};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_GOOD(hs, test_hs256(good[i], GOOD_CLAIMS));
    }
}

/* Keys offered by the token itself (jwk, jku, x5c, x5u) are never used. */
static void test_jwt_embedded_key_is_ignored(void)
{
    static const char header[] =
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":"
        "\"YXR0YWNrZXIgYXR0YWNrZXIgYXR0YWNrZXIgMzIhISE\"},"
        "\"jku\":\"http://127.0.0.1/keys\",\"x5u\":\"http://127.0.0.1/c\",\"x5c\":[\"AAAA\"]}";
    media_str_t t = test_hs256_raw(media_str(header), MEDIA_STR(GOOD_CLAIMS),
                                   MEDIA_STR("attacker attacker attacker 32!!!"));
    CHECK_REFUSED(hs, t, MEDIA_JWT_SIGNATURE);
    CHECK_GOOD(hs, test_hs256(header, GOOD_CLAIMS));
}

static void test_jwt_kid_too_long_refused(void)
{
    char header[512];
    char kid[201];
    memset(kid, 'k', 200);
    kid[200] = '\0';
    snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    CHECK_REFUSED(hs, test_hs256(header, GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
}

static void test_jwt_claims_of_wrong_type_refused(void)
{
    static const char *const bad[] = {
        "{}",
        "{\"sub\":\"u\"}",
        "{\"exp\":null}",
        "{\"exp\":\"1700000100\"}",
        "{\"exp\":true}",
        "{\"exp\":[1700000100]}",
        "{\"exp\":{}}",
        "{\"exp\":-1}",
        "{\"exp\":-0.5}",
        "{\"exp\":1e300}",
        "{\"exp\":9007199254740992}",
        "{\"exp\":9007199254740993.0}",
        "{\"exp\":1700000100,\"nbf\":\"0\"}",
        "{\"exp\":1700000100,\"nbf\":null}",
        "{\"exp\":1700000100,\"nbf\":-1}",
        "{\"exp\":1700000100,\"nbf\":[]}",
        "{\"exp\":1700000100,\"iat\":\"0\"}",
        "{\"exp\":1700000100,\"iat\":null}",
        "{\"exp\":1700000100,\"iat\":1e18}",
        "{\"exp\":1700000100,\"aud\":1}",
        "{\"exp\":1700000100,\"aud\":null}",
        "{\"exp\":1700000100,\"aud\":[1]}",
        "{\"exp\":1700000100,\"sub\":1}",
        "{\"exp\":1700000100,\"sub\":null}",
        "{\"exp\":1700000100,\"iss\":{}}",
        "{\"exp\":1700000100,\"jti\":[\"x\"]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_REFUSED(hs, test_hs256(HS_HEADER, bad[i]), MEDIA_JWT_CLAIMS);
    }
}

static void test_jwt_payload_that_is_no_clean_object_refused(void)
{
    static const char *const bad[] = {
        "x",
        "1700000100",
        "null",
        "[{\"exp\":1700000100}]",
        "\"{}\"",
        "{\"exp\":1700000100}{",
        "{\"exp\":1700000100,}",
        "{\"exp\":1700000100,\"exp\":1}",
        "{\"exp\":1,\"exp\":1700000100}",
        "{\"sub\":\"admin\",\"exp\":1700000100,\"sub\":\"me\"}",
        "{\"exp\":1700000100,\"roles\":{\"a\":1,\"a\":2}}",
        "{\"exp\":1e400}",
        "{\"exp\":99999999999999999999}",
        "{\"exp\":1700000100,\"sub\":\"\xc3\"}",
        "{\"exp\":1700000100,\"sub\":\"a\\u0000b\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_REFUSED(hs, test_hs256(HS_HEADER, bad[i]), MEDIA_JWT_MALFORMED);
    }
    CHECK_REFUSED(hs,
                  test_hs256_raw(MEDIA_STR(HS_HEADER), MEDIA_STR("{\"exp\":1700000100}\0"),
                                 MEDIA_STR(SECRET)),
                  MEDIA_JWT_MALFORMED);
}

static void test_jwt_deep_nesting_refused(void)
{
    char claims[5000];
    size_t n = (size_t)snprintf(claims, sizeof(claims), "{\"exp\":1700000100,\"x\":");
    memset(claims + n, '[', 2000);
    memset(claims + n + 2000, ']', 2000);
    memcpy(claims + n + 4000, "}", 2);
    CHECK_REFUSED(hs, test_hs256(HS_HEADER, claims), MEDIA_JWT_MALFORMED);
    n = (size_t)snprintf(claims, sizeof(claims), "{\"alg\":\"HS256\",\"x\":");
    memset(claims + n, '[', 300);
    memset(claims + n + 300, ']', 300);
    memcpy(claims + n + 600, "}", 2);
    CHECK_REFUSED(hs, test_hs256(claims, GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
}

static void test_jwt_size_limit_is_8192(void)
{
    char claims[8192];
    for (size_t pad = 6000; pad < 6150; pad++) {
        size_t n = (size_t)snprintf(claims, sizeof(claims), "{\"exp\":1700000100,\"x\":\"");
        memset(claims + n, 'x', pad);
        memcpy(claims + n + pad, "\"}", 3);
        media_str_t t = test_hs256(HS_HEADER, claims);
        if (t.len <= MEDIA_JWT_MAX_TOKEN) {
            CHECK_GOOD(hs, t);
        } else {
            CHECK_REFUSED(hs, t, MEDIA_JWT_MALFORMED);
        }
    }
    char *huge = malloc(1 << 24);
    memset(huge, 'A', 1 << 24);
    CHECK_REFUSED(hs, ((media_str_t){huge, 1 << 24}), MEDIA_JWT_MALFORMED);
    memset(huge, '.', 1 << 24);
    CHECK_REFUSED(hs, ((media_str_t){huge, MEDIA_JWT_MAX_TOKEN}), MEDIA_JWT_MALFORMED);
    free(huge);
    char header[2048];
    size_t n = (size_t)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"x\":\"");
    memset(header + n, 'x', 1500);
    memcpy(header + n + 1500, "\"}", 3);
    CHECK_REFUSED(hs, test_hs256(header, GOOD_CLAIMS), MEDIA_JWT_MALFORMED);
}

/* The compact form bent: `with` replaces one character class of a good token. */
static void check_bent(const char *before, const char *after)
{
    static char bent[MEDIA_JWT_MAX_TOKEN];
    media_str_t t = test_hs256(HS_HEADER, GOOD_CLAIMS);
    int n = snprintf(bent, sizeof(bent), "%s%.*s%s", before, (int)t.len, t.p, after);
    media_str_t b = {bent, (size_t)n};
    enum media_jwt_why why;
    CHECK_INT(test_verify(hs, b, &why), MEDIA_E_AUTH);
}

static void test_jwt_dots_padding_and_space_refused(void)
{
    static const char *const tails[] = {".",    "..",   "=", "==",  " ",  "\n",
                                        "\r\n", ".e30", "A", "%3D", "\t", ","};
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        check_bent("", tails[i]);
        check_bent(tails[i], "");
    }
    char *dotted = test_signing_input(MEDIA_STR(HS_HEADER), MEDIA_STR(GOOD_CLAIMS));
    memcpy(dotted + strlen(dotted), ".AAAA.", 7);
    CHECK_REFUSED(hs, media_str(dotted), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR(""), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR_NULL, MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR("."), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR(".."), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR("..."), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR("e30.e30."), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR("a.b.c.d.e"), MEDIA_JWT_MALFORMED);
    CHECK_REFUSED(hs, MEDIA_STR("eyJhbGciOiJIUzI1NiJ9..AAAA"), MEDIA_JWT_MALFORMED);
}

/* One token has one spelling: unused bits of a last digit must be zero, also where the MAC is right
 * over the spelling used (header and payload are signed as they are written). */
static void test_jwt_second_spelling_refused(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    media_str_t t = test_hs256(HS_HEADER, GOOD_CLAIMS);
    char copy[1024];
    int accepted = 0;
    memcpy(copy, t.p, t.len);
    for (int i = 0; i < 64; i++) {
        copy[t.len - 1] = digits[i];
        accepted += test_verify(hs, (media_str_t){copy, t.len}, &(enum media_jwt_why){0}) == 0;
    }
    CHECK_INT(accepted, 1);
    /* {"exp":1700000100,"a":1} has 24 bytes, one more leaves four unused bits */
    char *token =
        test_signing_input(MEDIA_STR(HS_HEADER), MEDIA_STR("{\"exp\":1700000100,\"a\":11}"));
    size_t n = strlen(token);
    unsigned char mac[32];
    token[n - 1]++;
    HMAC(EVP_sha256(), SECRET, 32, (unsigned char *)token, n, mac, NULL);
    CHECK_REFUSED(hs, test_append_signature(token, mac, 32), MEDIA_JWT_MALFORMED);
}

/* No part of a token may come back in the cause. */
static void test_jwt_cause_does_not_quote_the_token(void)
{
    static const char *const payloads[] = {"{\"sub\":\"hunter2\"}", "{\"hunter2\":1,\"hunter2\":2}",
                                           "{\"exp\":\"hunter2\"}", "hunter2"};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        const media_jwt_key_t *key = hs;
        media_jwt_policy_t policy = {.keys = &key, .nkeys = 1};
        media_jwt_claims_t c;
        enum media_jwt_why why;
        media_err_t ei = {""};
        media_str_t t = test_hs256(HS_HEADER, payloads[i]);
        CHECK_INT(media_jwt_verify(t, &policy, NOW, &c, &why, &ei), MEDIA_E_AUTH);
        CHECK(ei.text[0] != '\0' && strstr(ei.text, "hunter2") == NULL);
    }
}

int main(void)
{
    hs = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    rs = test_key_file(MEDIA_JWT_RS256, "", PUBLIC_PEM);
    CHECK_GOOD(hs, test_hs256(HS_HEADER, GOOD_CLAIMS));
    test_jwt_alg_none_in_any_case_refused();
    test_jwt_empty_signature_refused();
    test_jwt_hs256_with_the_public_pem_refused();
    test_jwt_signature_of_another_kind_refused();
    test_jwt_signature_of_wrong_length_refused();
    test_jwt_header_extensions_refused();
    test_jwt_embedded_key_is_ignored();
    test_jwt_kid_too_long_refused();
    test_jwt_claims_of_wrong_type_refused();
    test_jwt_payload_that_is_no_clean_object_refused();
    test_jwt_deep_nesting_refused();
    test_jwt_size_limit_is_8192();
    test_jwt_dots_padding_and_space_refused();
    test_jwt_second_spelling_refused();
    test_jwt_cause_does_not_quote_the_token();
    media_jwt_key_free(hs);
    media_jwt_key_free(rs);
    return test_report();
}
