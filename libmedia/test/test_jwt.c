/* Keys, vectors of the RFCs, claims, issuing, the cross-check with libjwt, use by threads. */
#include <pthread.h>

#include <jwt.h>

#include "jwt_util.h"

#define PRIVATE_PEM VECTORS "/rfc7515_a2_private.pem"
#define PUBLIC_PEM VECTORS "/rfc7515_a2_public.pem"

/* ---- vectors ---- */

static void check_rfc_token(const media_jwt_key_t *key, const char *path)
{
    size_t len;
    char *text = test_read(path, &len);
    media_jwt_policy_t policy = {.keys = &key, .nkeys = 1, .iss = MEDIA_STR("joe")};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    media_str_t token = {text, len};
    CHECK_INT(media_jwt_verify(token, &policy, 1300819379, &c, &why, NULL), 0);
    CHECK_INT(c.exp_s, 1300819380);
    CHECK(media_str_eq(media_jwt_claim(&c, "iss"), MEDIA_STR("joe")));
    CHECK(media_jwt_claim_holds(&c, MEDIA_STR("http://example.com/is_root"), MEDIA_STR("true")));
    media_jwt_claims_free(&c);
    CHECK_INT(media_jwt_verify(token, &policy, 1300819380, &c, &why, NULL), MEDIA_E_AUTH);
    CHECK_INT(why, MEDIA_JWT_EXPIRED);
    int accepted = 0;
    for (size_t i = 0; i < len; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        accepted += media_jwt_verify(token, &policy, 1300819379, &c, &why, NULL) != MEDIA_E_AUTH;
        text[i] = was;
    }
    CHECK_INT(accepted, 0);
    free(text);
}

static void test_jwt_rfc7515_a1_hs256(void)
{
    unsigned char secret[64];
    size_t len;
    char *text = test_read(VECTORS "/rfc7515_a1.key", &len);
    CHECK_INT(media_b64url_decode((media_str_t){text, len}, secret, sizeof(secret)), 64);
    media_jwt_key_t *key = test_key(MEDIA_JWT_HS256, "", (media_str_t){(char *)secret, 64});
    check_rfc_token(key, VECTORS "/rfc7515_a1.jwt");
    media_jwt_key_free(key);
    free(text);
}

static void test_jwt_rfc7515_a2_rs256(void)
{
    media_jwt_key_t *key = test_key_file(MEDIA_JWT_RS256, "", PUBLIC_PEM);
    CHECK(!media_jwt_key_can_issue(key));
    check_rfc_token(key, VECTORS "/rfc7515_a2.jwt");
    media_jwt_key_free(key);
    key = test_key_file(MEDIA_JWT_RS256, "", PRIVATE_PEM);
    CHECK(media_jwt_key_can_issue(key));
    check_rfc_token(key, VECTORS "/rfc7515_a2.jwt");
    media_jwt_key_free(key);
}

/* ---- keys ---- */

static void check_no_key(enum media_jwt_alg alg, media_str_t kid, media_str_t material)
{
    media_jwt_key_t *key = (media_jwt_key_t *)&key;
    media_err_t ei = {""};
    CHECK_INT(media_jwt_key_new(alg, kid, material, &key, &ei), MEDIA_E_REJECT);
    CHECK(key == NULL && ei.text[0] != '\0');
    CHECK_INT(ERR_peek_error(), 0);
}

static void check_no_key_file(enum media_jwt_alg alg, const char *path)
{
    size_t len;
    char *pem = test_read(path, &len);
    check_no_key(alg, MEDIA_STR(""), (media_str_t){pem, len});
    free(pem);
}

static void test_jwt_key_refuses_weak_and_wrong_material(void)
{
    check_no_key(MEDIA_JWT_HS256, MEDIA_STR(""), MEDIA_STR(""));
    check_no_key(MEDIA_JWT_HS256, MEDIA_STR(""), MEDIA_STR("0123456789abcdef0123456789abcde"));
    check_no_key(MEDIA_JWT_HS256, MEDIA_STR(""), MEDIA_STR("0123456789abcdef0123456789abcde\n"));
    check_no_key(MEDIA_JWT_HS256, MEDIA_STR("a\0b"), MEDIA_STR(SECRET));
    check_no_key(MEDIA_JWT_HS256, MEDIA_STR("\xff"), MEDIA_STR(SECRET));
    check_no_key_file(MEDIA_JWT_HS256, PUBLIC_PEM);
    check_no_key_file(MEDIA_JWT_HS256, PRIVATE_PEM);
    check_no_key_file(MEDIA_JWT_RS256, VECTORS "/rsa1024_public.pem");
    check_no_key_file(MEDIA_JWT_RS256, VECTORS "/ec_public.pem");
    check_no_key_file(MEDIA_JWT_RS256, VECTORS "/rsa_pss_public.pem");
    check_no_key_file(MEDIA_JWT_RS256, VECTORS "/rsa_encrypted_private.pem");
    check_no_key(MEDIA_JWT_RS256, MEDIA_STR(""), MEDIA_STR(SECRET));
    check_no_key(MEDIA_JWT_RS256, MEDIA_STR(""),
                 MEDIA_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    media_jwt_key_free(NULL);
}

static void test_jwt_key_newline_is_not_part_of_the_secret(void)
{
    media_jwt_key_t *one = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET "\n"));
    media_jwt_key_t *two = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET "\n\n"));
    CHECK_GOOD(one, test_hs256(HS_HEADER, GOOD_CLAIMS));
    CHECK_REFUSED(two, test_hs256(HS_HEADER, GOOD_CLAIMS), MEDIA_JWT_SIGNATURE);
    media_jwt_key_free(one);
    media_jwt_key_free(two);
}

static void test_jwt_alg_parse_knows_its_list_only(void)
{
    CHECK_INT(media_jwt_alg_parse(MEDIA_STR("HS256")), MEDIA_JWT_HS256);
    CHECK_INT(media_jwt_alg_parse(MEDIA_STR("RS256")), MEDIA_JWT_RS256);
    CHECK_INT(media_jwt_alg_parse(MEDIA_STR("EdDSA")), MEDIA_JWT_EDDSA);
    static const char *const bad[] = {"none",  "None",   "NONE",  "nOnE",   "",    "hs256",
                                      "HS224", "RS256 ", "EDDSA", "ES256K", "RS1", "ECDH-ES"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_jwt_alg_parse(media_str(bad[i])), MEDIA_E_REJECT);
    }
}

/* ---- claims ---- */

static void check_claims(const media_jwt_policy_t *policy, const char *claims, int64_t now,
                         enum media_jwt_why want)
{
    media_jwt_claims_t c;
    enum media_jwt_why why;
    int rc = media_jwt_verify(test_hs256(HS_HEADER, claims), policy, now, &c, &why, NULL);
    if (rc != (want == MEDIA_JWT_OK ? 0 : MEDIA_E_AUTH) || why != want) {
        printf("claims %s at %lld: rc %d why %d\n", claims, (long long)now, rc, (int)why);
    }
    CHECK_INT(rc, want == MEDIA_JWT_OK ? 0 : MEDIA_E_AUTH);
    CHECK_INT(why, want);
    media_jwt_claims_free(&c);
}

static void test_jwt_dates_and_leeway(void)
{
    media_jwt_key_t *key = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    const media_jwt_key_t *keys[] = {key};
    media_jwt_policy_t strict = {.keys = keys, .nkeys = 1};
    media_jwt_policy_t lax = {.keys = keys, .nkeys = 1, .leeway_s = 10};
    media_jwt_policy_t huge = {.keys = keys, .nkeys = 1, .leeway_s = INT64_MAX};
    media_jwt_policy_t negative = {.keys = keys, .nkeys = 1, .leeway_s = -5};
    check_claims(&strict, "{\"exp\":100}", 99, MEDIA_JWT_OK);
    check_claims(&strict, "{\"exp\":100}", 100, MEDIA_JWT_EXPIRED);
    check_claims(&negative, "{\"exp\":100}", 99, MEDIA_JWT_OK);
    check_claims(&lax, "{\"exp\":100}", 109, MEDIA_JWT_OK);
    check_claims(&lax, "{\"exp\":100}", 110, MEDIA_JWT_EXPIRED);
    check_claims(&huge, "{\"exp\":100,\"nbf\":9007199254740991}", INT64_MAX, MEDIA_JWT_OK);
    check_claims(&strict, "{\"exp\":9007199254740991}", INT64_MAX, MEDIA_JWT_EXPIRED);
    check_claims(&strict, "{\"exp\":100.9}", 99, MEDIA_JWT_OK);
    check_claims(&strict, "{\"exp\":100.9}", 100, MEDIA_JWT_EXPIRED);
    check_claims(&strict, "{\"exp\":100,\"nbf\":50}", 50, MEDIA_JWT_OK);
    check_claims(&strict, "{\"exp\":100,\"nbf\":51}", 50, MEDIA_JWT_CLAIMS);
    check_claims(&strict, "{\"exp\":100,\"nbf\":50.1}", 50, MEDIA_JWT_CLAIMS);
    check_claims(&lax, "{\"exp\":100,\"nbf\":60}", 50, MEDIA_JWT_OK);
    check_claims(&lax, "{\"exp\":100,\"nbf\":61}", 50, MEDIA_JWT_CLAIMS);
    check_claims(&strict, "{\"exp\":100,\"iat\":50}", 50, MEDIA_JWT_OK);
    check_claims(&strict, "{\"exp\":100,\"iat\":51}", 50, MEDIA_JWT_CLAIMS);
    check_claims(&lax, "{\"exp\":100,\"iat\":60}", 50, MEDIA_JWT_OK);
    media_jwt_claims_t c;
    enum media_jwt_why why;
    CHECK_INT(media_jwt_verify(test_hs256(HS_HEADER, GOOD_CLAIMS), &strict, -1, &c, &why, NULL),
              MEDIA_E_BUG);
    media_jwt_key_free(key);
}

static void test_jwt_issuer_and_audience(void)
{
    media_jwt_key_t *key = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    const media_jwt_key_t *keys[] = {key};
    media_jwt_policy_t iss = {.keys = keys, .nkeys = 1, .iss = MEDIA_STR("https://a")};
    media_jwt_policy_t aud = {.keys = keys, .nkeys = 1, .aud = MEDIA_STR("media")};
    check_claims(&iss, "{\"exp\":100,\"iss\":\"https://a\"}", 1, MEDIA_JWT_OK);
    check_claims(&iss, "{\"exp\":100,\"iss\":\"https://a/\"}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&iss, "{\"exp\":100,\"iss\":\"HTTPS://a\"}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&iss, "{\"exp\":100}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&iss, "{\"exp\":100,\"iss\":null}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&iss, "{\"exp\":100,\"iss\":[\"https://a\"]}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100,\"aud\":\"media\"}", 1, MEDIA_JWT_OK);
    check_claims(&aud, "{\"exp\":100,\"aud\":[\"x\",\"media\"]}", 1, MEDIA_JWT_OK);
    check_claims(&aud, "{\"exp\":100,\"aud\":\"media-play\"}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100,\"aud\":[]}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100,\"aud\":[\"media\",7]}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100,\"aud\":[[\"media\"]]}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100,\"aud\":{\"media\":1}}", 1, MEDIA_JWT_CLAIMS);
    check_claims(&aud, "{\"exp\":100}", 1, MEDIA_JWT_CLAIMS);
    media_jwt_key_free(key);
}

#define CLAIMS_TO_ASK                                                                              \
    "{\"exp\":1700000100,\"iat\":1600000000.5,\"sub\":\"u\\u00fc\\/"                               \
    "1\",\"roles\":[\"user\",7,null,"                                                              \
    "[\"deep\"],\"admin\"],\"n\":3,\"neg\":-2.50,\"yes\":true,\"no\":false,\"nil\":null,"          \
    "\"scope\":\" read  write "                                                                    \
    "\",\"/x\":\"slash\",\"realm\":{\"a/b\":{\"m~n\":[\"op\"]},\"\":\"empty\"}}"

static const char *const holds[][2] = {
    {"sub", "u\xc3\xbc/1"},
    {"roles", "user"},
    {"roles", "admin"},
    {"roles", "7"},
    {"n", "3"},
    {"neg", "-2.50"},
    {"yes", "true"},
    {"no", "false"},
    {"scope", "read"},
    {"scope", "write"},
    {"/realm/a~1b/m~0n", "op"},
    {"/realm/", "empty"},
    {"/~1x", "slash"},
    {"/sub", "u\xc3\xbc/1"},
};
static const char *const lacks[][2] = {
    {"sub", "u"},
    {"roles", "adm"},
    {"roles", ""},
    {"roles", "null"},
    {"roles", "deep"},
    {"n", "3.0"},
    {"n", "03"},
    {"yes", "1"},
    {"nil", "null"},
    {"nil", ""},
    {"scope", "read  write"},
    {"scope", ""},
    {"absent", ""},
    {"realm", "a/b"},
    {"/realm/a~1b", "m~n"},
    {"/realm/a~2b", "x"},
    {"/x", "slash"},
    {"", "slash"},
    {"/", "x"},
    {"/sub/u", "x"},
    {"/roles/0", "user"},
    {"/realm/a~", "x"},
};

static void test_jwt_claim_access(void)
{
    media_jwt_key_t *key = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    const media_jwt_key_t *keys[] = {key};
    media_jwt_policy_t policy = {.keys = keys, .nkeys = 1};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    CHECK_INT(media_jwt_verify(test_hs256(HS_HEADER, CLAIMS_TO_ASK), &policy, NOW, &c, &why, NULL),
              0);
    CHECK(media_str_eq(media_jwt_claim(&c, "sub"), MEDIA_STR("u\xc3\xbc/1")));
    CHECK_INT(media_jwt_claim(&c, "n").len, 0);
    CHECK_INT(media_jwt_claim(&c, "absent").len, 0);
    CHECK(media_jwt_claim(&c, "absent").p != NULL);
    CHECK_INT(c.iat_s, 1600000000);
    CHECK(c.size > sizeof(CLAIMS_TO_ASK) / 2 && c.size < 1024);
    for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
        if (!media_jwt_claim_holds(&c, media_str(holds[i][0]), media_str(holds[i][1]))) {
            printf("%s lacks %s\n", holds[i][0], holds[i][1]);
            CHECK(!"held");
        }
    }
    for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
        CHECK_INT(media_jwt_claim_holds(&c, media_str(lacks[i][0]), media_str(lacks[i][1])), 0);
    }
    media_jwt_claims_free(&c);
    CHECK(!media_jwt_claim_holds(&c, MEDIA_STR("roles"), MEDIA_STR("admin")));
    CHECK_INT(media_jwt_claim(&c, "sub").len, 0);
    media_jwt_claims_free(&c);
    media_jwt_key_free(key);
}

/* ---- key choice ---- */

static void test_jwt_kid_chooses_the_key(void)
{
    media_jwt_key_t *a = test_key(MEDIA_JWT_HS256, "a", MEDIA_STR(SECRET));
    media_jwt_key_t *b =
        test_key(MEDIA_JWT_HS256, "b", MEDIA_STR("another secret another secret 32"));
    media_jwt_key_t *nameless = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    const media_jwt_key_t *both[] = {b, a};
    media_jwt_policy_t policy = {.keys = both, .nkeys = 2};
    media_jwt_policy_t nobody = {.keys = NULL, .nkeys = 0};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    check_claims(&policy, GOOD_CLAIMS, NOW, MEDIA_JWT_OK);
    check_claims(&nobody, GOOD_CLAIMS, NOW, MEDIA_JWT_KEY);
    CHECK_GOOD(a, test_hs256("{\"alg\":\"HS256\",\"kid\":\"a\"}", GOOD_CLAIMS));
    CHECK_REFUSED(a, test_hs256("{\"alg\":\"HS256\",\"kid\":\"b\"}", GOOD_CLAIMS), MEDIA_JWT_KEY);
    CHECK_REFUSED(a, test_hs256("{\"alg\":\"HS256\",\"kid\":\"\"}", GOOD_CLAIMS), MEDIA_JWT_KEY);
    CHECK_REFUSED(nameless, test_hs256("{\"alg\":\"HS256\",\"kid\":\"a\"}", GOOD_CLAIMS),
                  MEDIA_JWT_KEY);
    /* b is meant, a signed */
    media_str_t t = test_hs256("{\"alg\":\"HS256\",\"kid\":\"b\",\"typ\":\"JWT\"}", GOOD_CLAIMS);
    CHECK_INT(media_jwt_verify(t, &policy, NOW, &c, &why, NULL), MEDIA_E_AUTH);
    CHECK_INT(why, MEDIA_JWT_SIGNATURE);
    t = test_hs256("{\"alg\":\"HS256\",\"kid\":\"a\",\"typ\":\"JWT\"}", GOOD_CLAIMS);
    CHECK_INT(media_jwt_verify(t, &policy, NOW, &c, &why, NULL), 0);
    media_jwt_claims_free(&c);
    media_jwt_key_free(a);
    media_jwt_key_free(b);
    media_jwt_key_free(nameless);
}

/* A forged token without a kid costs a bounded number of checks, whatever an issuer publishes. */
static void test_jwt_tries_are_bounded(void)
{
    media_jwt_key_t *keys[MEDIA_JWT_TRIES_MAX + 1];
    char secret[] = "?nother secret another secret 32";
    for (int i = 0; i < MEDIA_JWT_TRIES_MAX; i++) {
        char kid[] = {(char)('a' + i), '\0'};
        secret[0] = kid[0];
        keys[i] = test_key(MEDIA_JWT_HS256, kid, media_str(secret));
    }
    media_jwt_key_t *last = test_key(MEDIA_JWT_HS256, "last", MEDIA_STR(SECRET));
    keys[MEDIA_JWT_TRIES_MAX] = last;
    media_jwt_policy_t policy = {.keys = (const media_jwt_key_t *const *)keys,
                                 .nkeys = MEDIA_JWT_TRIES_MAX + 1};
    check_claims(&policy, GOOD_CLAIMS, NOW, MEDIA_JWT_SIGNATURE);
    policy.keys++;
    policy.nkeys--;
    check_claims(&policy, GOOD_CLAIMS, NOW, MEDIA_JWT_OK);
    policy.keys--;
    policy.nkeys++;
    media_jwt_claims_t c;
    enum media_jwt_why why;
    media_str_t t = test_hs256("{\"alg\":\"HS256\",\"kid\":\"last\"}", GOOD_CLAIMS);
    CHECK_INT(media_jwt_verify(t, &policy, NOW, &c, &why, NULL), 0);
    media_jwt_claims_free(&c);
    for (int i = 0; i <= MEDIA_JWT_TRIES_MAX; i++) {
        media_jwt_key_free(keys[i]);
    }
}

/* ---- issuing and libjwt ---- */

static json_t *some_claims(void)
{
    return json_pack("{s:s,s:s,s:[s,s],s:I,s:I,s:I,s:s,s:s,s:s}", "sub", "u\"1\xc3\xbc", "email",
                     "a@example.org", "roles", "user", "admin", "iat", (json_int_t)NOW, "nbf",
                     (json_int_t)NOW, "exp", (json_int_t)(NOW + 900), "iss", "https://a", "aud",
                     "media", "jti", "j/1");
}

static void check_payload(const char *token, const json_t *claims)
{
    char text[2048];
    const char *p = strchr(token, '.') + 1;
    media_str_t part = {p, strcspn(p, ".")};
    ssize_t n = media_b64url_decode(part, text, sizeof(text));
    json_t *got = json_loadb(text, n < 0 ? 0 : (size_t)n, 0, NULL);
    CHECK(json_equal(got, claims));
    json_decref(got);
}

static void check_issue_round_trip(const media_jwt_key_t *key, const char *want_header)
{
    char one[2048];
    char two[2048];
    char header[256];
    json_t *claims = some_claims();
    ssize_t n = media_jwt_issue(key, claims, one, sizeof(one), NULL);
    CHECK(n > 0 && strlen(one) == (size_t)n);
    CHECK_INT(media_jwt_issue(key, claims, two, sizeof(two), NULL), n);
    CHECK_STR(two, one);
    size_t dot = strcspn(one, ".");
    ssize_t h = media_b64url_decode((media_str_t){one, dot}, header, sizeof(header));
    CHECK_MEM(header, h, want_header);
    media_jwt_policy_t policy = {
        .keys = &key, .nkeys = 1, .iss = MEDIA_STR("https://a"), .aud = MEDIA_STR("media")};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    CHECK_INT(media_jwt_verify(media_str(one), &policy, NOW, &c, &why, NULL), 0);
    check_payload(one, claims);
    CHECK_INT(c.exp_s, NOW + 900);
    media_jwt_claims_free(&c);
    CHECK_INT(media_jwt_issue(key, claims, one, (size_t)n + 1, NULL), n);
    CHECK_INT(media_jwt_issue(key, claims, one, (size_t)n, NULL), MEDIA_E_TOOBIG);
    CHECK_INT(media_jwt_issue(key, claims, one, 0, NULL), MEDIA_E_TOOBIG);
    json_decref(claims);
}

static void test_jwt_issue_round_trips(void)
{
    media_jwt_key_t *hs = test_key(MEDIA_JWT_HS256, "k\"1", MEDIA_STR(SECRET));
    media_jwt_key_t *rs = test_key_file(MEDIA_JWT_RS256, "", PRIVATE_PEM);
    check_issue_round_trip(hs, "{\"alg\":\"HS256\",\"kid\":\"k\\\"1\",\"typ\":\"JWT\"}");
    check_issue_round_trip(rs, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}");
    media_jwt_key_free(hs);
    media_jwt_key_free(rs);
}

static void test_jwt_issue_refuses_misuse(void)
{
    char out[16384];
    media_jwt_key_t *hs = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    media_jwt_key_t *pub = test_key_file(MEDIA_JWT_RS256, "", PUBLIC_PEM);
    json_t *claims = some_claims();
    json_t *array = json_array();
    CHECK_INT(media_jwt_issue(pub, claims, out, sizeof(out), NULL), MEDIA_E_BUG);
    CHECK_INT(media_jwt_issue(hs, array, out, sizeof(out), NULL), MEDIA_E_BUG);
    char *big = malloc(7001);
    memset(big, 'x', 7000);
    big[7000] = '\0';
    json_object_set_new(claims, "big", json_string(big));
    CHECK_INT(media_jwt_issue(hs, claims, out, sizeof(out), NULL), MEDIA_E_TOOBIG);
    free(big);
    json_decref(array);
    json_decref(claims);
    media_jwt_key_free(hs);
    media_jwt_key_free(pub);
}

/* What libjwt signs with the key's bytes, we accept; what we issue, libjwt accepts. */
static void check_libjwt_agrees(const media_jwt_key_t *signer, const media_jwt_key_t *verifier,
                                jwt_alg_t alg, media_str_t sign_key, media_str_t verify_key)
{
    char ours[2048];
    jwt_t *jwt = NULL;
    json_t *claims = some_claims();
    CHECK_INT(jwt_new(&jwt), 0);
    CHECK_INT(jwt_add_grant(jwt, "sub", "u1"), 0);
    CHECK_INT(jwt_add_grant_int(jwt, "exp", NOW + 1), 0);
    CHECK_INT(jwt_set_alg(jwt, alg, (const unsigned char *)sign_key.p, (int)sign_key.len), 0);
    char *theirs = jwt_encode_str(jwt);
    CHECK(theirs != NULL);
    CHECK_GOOD(verifier, media_str(theirs));
    free(theirs);
    jwt_free(jwt);
    jwt = NULL;
    CHECK(media_jwt_issue(signer, claims, ours, sizeof(ours), NULL) > 0);
    CHECK_INT(jwt_decode(&jwt, ours, (const unsigned char *)verify_key.p, (int)verify_key.len), 0);
    CHECK_STR(jwt_get_grant(jwt, "sub"), "u\"1\xc3\xbc");
    CHECK_INT(jwt_get_grant_int(jwt, "exp"), NOW + 900);
    CHECK_INT(jwt_get_alg(jwt), alg);
    jwt_free(jwt);
    jwt = NULL;
    ours[strlen(ours) - 5] ^= 1;
    CHECK(jwt_decode(&jwt, ours, (const unsigned char *)verify_key.p, (int)verify_key.len) != 0);
    ERR_clear_error(); /* libjwt leaves its failures in the queue */
    CHECK(test_verify(verifier, media_str(ours), &(enum media_jwt_why){0}) == MEDIA_E_AUTH);
    json_decref(claims);
}

static void test_jwt_libjwt_agrees(void)
{
    size_t priv_len;
    size_t pub_len;
    char *priv = test_read(PRIVATE_PEM, &priv_len);
    char *pub = test_read(PUBLIC_PEM, &pub_len);
    media_jwt_key_t *hs = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    media_jwt_key_t *rs = test_key(MEDIA_JWT_RS256, "", (media_str_t){priv, priv_len});
    media_jwt_key_t *rs_pub = test_key(MEDIA_JWT_RS256, "", (media_str_t){pub, pub_len});
    check_libjwt_agrees(hs, hs, JWT_ALG_HS256, MEDIA_STR(SECRET), MEDIA_STR(SECRET));
    check_libjwt_agrees(rs, rs_pub, JWT_ALG_RS256, (media_str_t){priv, priv_len},
                        (media_str_t){pub, pub_len});
    media_jwt_key_free(hs);
    media_jwt_key_free(rs);
    media_jwt_key_free(rs_pub);
    free(priv);
    free(pub);
}

/* ---- threads ---- */

typedef struct {
    const media_jwt_key_t *keys[2];
    char tokens[2][1024];
    int wrong[4];
} shared_t;

typedef struct {
    shared_t *shared;
    int number;
} thread_arg_t;

static void *verify_many(void *arg)
{
    thread_arg_t *a = arg;
    media_jwt_policy_t policy = {.keys = a->shared->keys, .nkeys = 2};
    for (int i = 0; i < 200; i++) {
        media_jwt_claims_t c;
        enum media_jwt_why why;
        char token[1024];
        memcpy(token, a->shared->tokens[i % 2], sizeof(token));
        a->shared->wrong[a->number] +=
            media_jwt_verify(media_str(token), &policy, NOW, &c, &why, NULL) != 0;
        media_jwt_claims_free(&c);
        char *sig = strrchr(token, '.') + 1;
        *sig = *sig == 'A' ? 'B' : 'A';
        a->shared->wrong[a->number] +=
            media_jwt_verify(media_str(token), &policy, NOW, &c, &why, NULL) != MEDIA_E_AUTH;
    }
    return NULL;
}

static void test_jwt_keys_are_shared_by_threads(void)
{
    shared_t shared = {.keys = {test_key(MEDIA_JWT_HS256, "h", MEDIA_STR(SECRET)),
                                test_key_file(MEDIA_JWT_RS256, "r", PRIVATE_PEM)}};
    thread_arg_t args[4];
    pthread_t threads[4];
    json_t *claims = some_claims();
    for (int i = 0; i < 2; i++) {
        CHECK(media_jwt_issue(shared.keys[i], claims, shared.tokens[i], sizeof(shared.tokens[i]),
                              NULL) > 0);
    }
    for (int i = 0; i < 4; i++) {
        args[i] = (thread_arg_t){&shared, i};
        CHECK_INT(pthread_create(&threads[i], NULL, verify_many, &args[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(shared.wrong[i], 0);
    }
    json_decref(claims);
    media_jwt_key_free((media_jwt_key_t *)(uintptr_t)shared.keys[0]);
    media_jwt_key_free((media_jwt_key_t *)(uintptr_t)shared.keys[1]);
}

int main(void)
{
    test_jwt_rfc7515_a1_hs256();
    test_jwt_rfc7515_a2_rs256();
    test_jwt_key_refuses_weak_and_wrong_material();
    test_jwt_key_newline_is_not_part_of_the_secret();
    test_jwt_alg_parse_knows_its_list_only();
    test_jwt_dates_and_leeway();
    test_jwt_issuer_and_audience();
    test_jwt_claim_access();
    test_jwt_kid_chooses_the_key();
    test_jwt_tries_are_bounded();
    test_jwt_issue_round_trips();
    test_jwt_issue_refuses_misuse();
    test_jwt_libjwt_agrees();
    test_jwt_keys_are_shared_by_threads();
    return test_report();
}
