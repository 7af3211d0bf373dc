/* JSON Web Tokens: verification (RFC 7515 5.2, RFC 7519 7.2) and claims.
 *
 * It runs per request in nginx's event loop, so a key carries everything that can be made
 * beforehand: a keyed MAC or verify context that each call duplicates (the shared one is only read)
 * and the encoded header of the tokens we issue ourselves, whose JSON then needs no parsing. The
 * payload is not looked at before the signature holds. */
#include "media/jwt.h"

#include <string.h>

#include <openssl/err.h>

#include "jwt_key.h"
#include "media/json.h"

#define SIG_MAX (MEDIA_JWT_RSA_BITS_MAX / 8)
#define HS256_LEN 32
#define HEADER_MAX 1024               /* bytes of the decoded header */
#define DATE_MAX_S 9007199254740991LL /* 2^53 - 1: exact in every JSON reader */

typedef struct {
    media_str_t header;
    media_str_t payload;
    media_str_t signature;
    media_str_t signed_part; /* header.payload */
} token_t;

static int refuse(enum media_jwt_why *why, enum media_jwt_why reason, media_err_t *ei,
                  const char *cause)
{
    *why = reason;
    return media_err_set(ei, MEDIA_E_AUTH, "%s", cause);
}

static int token_split(media_str_t token, token_t *t)
{
    if (token.len == 0 || token.len > MEDIA_JWT_MAX_TOKEN) {
        return MEDIA_E_REJECT;
    }
    const char *end = token.p + token.len;
    const char *dot1 = memchr(token.p, '.', token.len);
    const char *dot2 = dot1 == NULL ? NULL : memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1));
    if (dot2 == NULL || memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)) != NULL) {
        return MEDIA_E_REJECT;
    }
    t->header = (media_str_t){token.p, (size_t)(dot1 - token.p)};
    t->payload = (media_str_t){dot1 + 1, (size_t)(dot2 - dot1 - 1)};
    t->signature = (media_str_t){dot2 + 1, (size_t)(end - dot2 - 1)};
    t->signed_part = (media_str_t){token.p, (size_t)(dot2 - token.p)};
    return t->header.len > 0 && t->payload.len > 0 ? 0 : MEDIA_E_REJECT;
}

/* Explicit typing (RFC 8725 3.11): a token made for another purpose may be signed by the same key.
 */
static int type_allowed(const json_t *header)
{
    const json_t *v = json_object_get(header, "typ");
    if (v == NULL) {
        return 1;
    }
    media_str_t s = {json_string_value(v), json_string_length(v)};
    media_str_t prefix = MEDIA_STR("application/");
    if (s.len > prefix.len && media_str_ieq((media_str_t){s.p, prefix.len}, prefix)) {
        s.p += prefix.len;
        s.len -= prefix.len;
    }
    return media_str_ieq(s, MEDIA_STR("JWT")) || media_str_ieq(s, MEDIA_STR("at+jwt"));
}

/* Returns the alg or a negative code; *kid is a copy in kid_buf, p NULL when the header has none.
 */
static int header_read(const json_t *h, char *kid_buf, media_str_t *kid, const char **cause)
{
    media_str_t s;
    *cause = "the header is not acceptable";
    if (json_object_get(h, "crit") != NULL || json_object_get(h, "b64") != NULL) {
        *cause = "the header has an extension that is not supported";
        return MEDIA_E_REJECT;
    }
    if (!type_allowed(h)) {
        *cause = "the token is of another type";
        return MEDIA_E_REJECT;
    }
    if (json_object_get(h, "kid") != NULL) {
        if (media_json_str(h, "kid", MEDIA_JWT_KID_MAX, &s, NULL) != 0) {
            return MEDIA_E_REJECT;
        }
        memcpy(kid_buf, s.p, s.len);
        *kid = (media_str_t){kid_buf, s.len};
    }
    if (media_json_str(h, "alg", 16, &s, NULL) != 0) {
        return MEDIA_E_REJECT;
    }
    *cause = "the algorithm is not supported";
    return media_jwt_alg_parse(s);
}

/* The alg a token claims and its kid. A header equal to the one a key of ours writes is known. */
static int header_decode(media_str_t header, const media_jwt_policy_t *policy, char *kid_buf,
                         media_str_t *kid, const char **cause)
{
    unsigned char text[HEADER_MAX];
    json_t *h;
    *kid = MEDIA_STR_NULL;
    for (size_t i = 0; i < policy->nkeys; i++) {
        const media_jwt_key_t *key = policy->keys[i];
        if (media_str_eq(header, (media_str_t){key->header, key->header_len})) {
            *kid = (media_str_t){key->kid_len > 0 ? key->kid : NULL, key->kid_len};
            return (int)key->alg;
        }
    }
    *cause = "the header cannot be read";
    ssize_t n = media_b64url_decode(header, text, sizeof(text));
    if (n < 0 || media_json_parse((media_str_t){(char *)text, (size_t)n}, &h, NULL) != 0) {
        return MEDIA_E_REJECT;
    }
    int alg = header_read(h, kid_buf, kid, cause);
    json_decref(h);
    return alg;
}

static int hmac_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                       size_t sig_len)
{
    unsigned char mac[HS256_LEN];
    size_t len = 0;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(key->mac);
    if (ctx == NULL) {
        return MEDIA_E_NOMEM;
    }
    int ok = EVP_MAC_update(ctx, (const unsigned char *)input.p, input.len) == 1 &&
             EVP_MAC_final(ctx, mac, &len, sizeof(mac)) == 1 && len == sizeof(mac) &&
             sig_len == sizeof(mac) && CRYPTO_memcmp(mac, sig, sizeof(mac)) == 0;
    EVP_MAC_CTX_free(ctx);
    OPENSSL_cleanse(mac, sizeof(mac));
    return ok ? 0 : MEDIA_E_AUTH;
}

static int pkey_verify(const media_jwt_key_t *key, media_str_t input, const unsigned char *sig,
                       size_t sig_len)
{
    int rc = MEDIA_E_NOMEM;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    /* a refused signature leaves entries that nginx would report as a stale SSL error */
    ERR_set_mark();
    if (ctx != NULL && EVP_MD_CTX_copy_ex(ctx, key->verify) == 1) {
        rc = EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)input.p, input.len) == 1
                 ? 0
                 : MEDIA_E_AUTH;
    }
    ERR_pop_to_mark();
    EVP_MD_CTX_free(ctx);
    return rc;
}

static int signature_verify(const token_t *t, const media_jwt_policy_t *policy, int alg,
                            media_str_t kid)
{
    unsigned char sig[SIG_MAX];
    ssize_t n = media_b64url_decode(t->signature, sig, sizeof(sig));
    if (n < 0) {
        return MEDIA_E_REJECT;
    }
    int rc = MEDIA_E_AUTH;
    for (size_t i = 0; i < policy->nkeys && rc == MEDIA_E_AUTH; i++) {
        const media_jwt_key_t *key = policy->keys[i];
        media_str_t key_kid = {key->kid, key->kid_len};
        if ((int)key->alg != alg || (kid.p != NULL && !media_str_eq(kid, key_kid))) {
            continue;
        }
        rc = key->mac != NULL ? hmac_verify(key, t->signed_part, sig, (size_t)n)
                              : pkey_verify(key, t->signed_part, sig, (size_t)n);
    }
    return rc;
}

/* A NumericDate within 0..2^53-1, a fraction rounded up or down: 0, MEDIA_E_GONE when absent,
 * MEDIA_E_REJECT for anything else. */
static int date_get(const json_t *claims, const char *name, int round_up, int64_t *out)
{
    const json_t *v = json_object_get(claims, name);
    if (v == NULL) {
        return MEDIA_E_GONE;
    }
    if (json_is_real(v)) {
        double d = json_real_value(v);
        if (!(d >= 0 && d <= (double)DATE_MAX_S)) {
            return MEDIA_E_REJECT;
        }
        *out = (int64_t)d;
        *out += round_up && (double)*out < d;
        return 0;
    }
    return media_json_int(claims, name, 0, DATE_MAX_S, out, NULL) == 0 ? 0 : MEDIA_E_REJECT;
}

static int dates_check(const json_t *claims, const media_jwt_policy_t *policy, int64_t now_s,
                       int64_t *exp_s, enum media_jwt_why *why, media_err_t *ei)
{
    int64_t leeway = policy->leeway_s > 0 ? policy->leeway_s : 0;
    int64_t t;
    if (date_get(claims, "exp", 0, exp_s) != 0) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "exp is missing or not a date");
    }
    if (now_s >= *exp_s && now_s - *exp_s >= leeway) {
        return refuse(why, MEDIA_JWT_EXPIRED, ei, "the token has expired");
    }
    int rc = date_get(claims, "nbf", 1, &t);
    if (rc == MEDIA_E_REJECT || (rc == 0 && t > now_s && t - now_s > leeway)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is not valid yet");
    }
    rc = date_get(claims, "iat", 0, &t);
    if (rc == MEDIA_E_REJECT || (rc == 0 && t > now_s && t - now_s > leeway)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token was issued in the future");
    }
    return 0;
}

static int string_is(const json_t *v, media_str_t want)
{
    return media_str_eq((media_str_t){json_string_value(v), json_string_length(v)}, want);
}

/* `aud` is a string or an array of strings (RFC 7519 4.1.3), also where nobody asks for a member.
 */
static int audience_check(const json_t *aud, media_str_t want)
{
    int found = want.len == 0;
    if (aud == NULL) {
        return found;
    }
    if (json_is_string(aud)) {
        return found || string_is(aud, want);
    }
    if (!json_is_array(aud)) {
        return 0;
    }
    size_t i;
    const json_t *v;
    json_array_foreach(aud, i, v)
    {
        if (!json_is_string(v)) {
            return 0;
        }
        found |= string_is(v, want);
    }
    return found;
}

static int claims_check(const json_t *claims, const media_jwt_policy_t *policy, int64_t now_s,
                        int64_t *exp_s, enum media_jwt_why *why, media_err_t *ei)
{
    static const char *const strings[] = {"iss", "sub", "jti"};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        const json_t *v = json_object_get(claims, strings[i]);
        if (v != NULL && !json_is_string(v)) {
            return refuse(why, MEDIA_JWT_CLAIMS, ei, "iss, sub or jti is not a string");
        }
    }
    const json_t *iss = json_object_get(claims, "iss");
    if (policy->iss.len > 0 && (iss == NULL || !string_is(iss, policy->iss))) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is of another issuer");
    }
    if (!audience_check(json_object_get(claims, "aud"), policy->aud)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is for another audience");
    }
    return dates_check(claims, policy, now_s, exp_s, why, ei);
}

int media_jwt_verify(media_str_t token, const media_jwt_policy_t *policy, int64_t now_s,
                     media_jwt_claims_t *out, enum media_jwt_why *why, media_err_t *ei)
{
    unsigned char payload[MEDIA_JWT_MAX_TOKEN * 3 / 4];
    char kid_buf[MEDIA_JWT_KID_MAX];
    const char *cause = "";
    media_str_t kid;
    token_t t;
    json_t *claims;
    *out = (media_jwt_claims_t){NULL, 0};
    *why = MEDIA_JWT_OK;
    if (now_s < 0) {
        return media_err_set(ei, MEDIA_E_BUG, "the time is before 1970");
    }
    if (token_split(token, &t) != 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, "not a compact JWS");
    }
    int alg = header_decode(t.header, policy, kid_buf, &kid, &cause);
    if (alg < 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, cause);
    }
    int rc = signature_verify(&t, policy, alg, kid);
    if (rc == MEDIA_E_NOMEM) {
        return media_err_set(ei, rc, "out of memory");
    }
    if (rc != 0) {
        return refuse(why, MEDIA_JWT_SIGNATURE, ei, "no key of ours made the signature");
    }
    ssize_t n = media_b64url_decode(t.payload, payload, sizeof(payload));
    rc = n < 0 ? MEDIA_E_REJECT
               : media_json_parse((media_str_t){(char *)payload, (size_t)n}, &claims, NULL);
    if (rc == MEDIA_E_NOMEM) {
        return media_err_set(ei, rc, "out of memory");
    }
    if (rc != 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, "the claims cannot be read");
    }
    rc = claims_check(claims, policy, now_s, &out->exp_s, why, ei);
    if (rc != 0) {
        json_decref(claims);
        return rc;
    }
    out->claims = claims;
    return 0;
}

void media_jwt_claims_free(media_jwt_claims_t *c)
{
    json_decref(c->claims);
    *c = (media_jwt_claims_t){NULL, 0};
}

media_str_t media_jwt_claim(const media_jwt_claims_t *c, const char *name)
{
    const json_t *v = json_object_get(c->claims, name);
    return json_is_string(v) ? (media_str_t){json_string_value(v), json_string_length(v)}
                             : MEDIA_STR("");
}

int media_jwt_has_role(const media_jwt_claims_t *c, media_str_t role)
{
    const json_t *roles = json_object_get(c->claims, "roles");
    size_t i;
    const json_t *v;
    json_array_foreach(roles, i, v)
    {
        if (json_is_string(v) && string_is(v, role)) {
            return 1;
        }
    }
    return 0;
}
