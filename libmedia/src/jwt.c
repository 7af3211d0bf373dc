/* JSON Web Tokens: verification (RFC 7515 5.2, RFC 7519 7.2). The payload is not looked at before
 * the signature holds. */
#include "media/jwt.h"

#include <stdlib.h>
#include <string.h>

#include "jwt_key.h"

#define HEADER_MAX 1024 /* bytes of the decoded header */
#define HEADER_NODES 128
#define CLAIM_NODES 1024
#define DATE_MAX_S 9007199254740991LL /* 2^53 - 1: exact in every JSON reader */

/* members that mean something here */
enum header_member {
    HEADER_ALG,
    HEADER_KID,
    HEADER_TYP,
    HEADER_CTY,
    HEADER_CRIT,
    HEADER_B64,
    HEADER_MEMBERS
};
enum claim_member {
    CLAIM_EXP,
    CLAIM_NBF,
    CLAIM_IAT,
    CLAIM_AUD,
    CLAIM_SUB,
    CLAIM_JTI,
    CLAIM_ISS, /* the last of the strings */
    CLAIM_MEMBERS
};

typedef struct {
    media_str_t header;
    media_str_t payload;
    media_str_t signature;
    media_str_t signed_part; /* header.payload */
    int alg;
    media_str_t kid; /* in text; p NULL: none */
    char text[HEADER_MAX];
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

/* ---- header ---- */

/* The string at `at`: 0, MEDIA_E_GONE, MEDIA_E_REJECT. */
static int string_get(const media_jsondoc_t *doc, size_t at, media_str_t *out)
{
    if (at == 0) {
        return MEDIA_E_GONE;
    }
    if (media_jsondoc_type(doc, at) != MEDIA_JSON_STRING) {
        return MEDIA_E_REJECT;
    }
    *out = media_jsondoc_text(doc, at);
    return 0;
}

/* Explicit typing (RFC 8725 3.11): a token made for another purpose may be signed by the same key.
 */
static int type_allowed(const media_jsondoc_t *header, size_t typ)
{
    media_str_t s;
    media_str_t prefix = MEDIA_STR("application/");
    int rc = string_get(header, typ, &s);
    if (rc != 0) {
        return rc == MEDIA_E_GONE;
    }
    if (s.len > prefix.len && media_str_ieq((media_str_t){s.p, prefix.len}, prefix)) {
        s.p += prefix.len;
        s.len -= prefix.len;
    }
    return media_str_ieq(s, MEDIA_STR("JWT")) || media_str_ieq(s, MEDIA_STR("at+jwt"));
}

/* Extensions change what a token means (crit, b64), cty makes it a wrapping of another one. */
static int is_extended(const media_jsondoc_t *header, const size_t *at)
{
    media_str_t s = MEDIA_STR_NULL;
    return at[HEADER_CRIT] != 0 || at[HEADER_B64] != 0 ||
           string_get(header, at[HEADER_CTY], &s) == MEDIA_E_REJECT ||
           media_str_ieq(s, MEDIA_STR("JWT"));
}

/* Reads the algorithm the token claims and its kid. */
static int header_read(token_t *t, const char **cause)
{
    static const media_str_t names[] = {{"alg", 3}, {"kid", 3},  {"typ", 3},
                                        {"cty", 3}, {"crit", 4}, {"b64", 3}};
    size_t at[HEADER_MEMBERS];
    media_jsonnode_t nodes[HEADER_NODES];
    media_jsondoc_t doc;
    media_str_t alg;
    *cause = "the header cannot be read";
    ssize_t n = media_b64url_decode(t->header, t->text, sizeof(t->text));
    if (n < 0 || media_jsondoc_parse(t->text, (size_t)n, nodes, HEADER_NODES, &doc) != 0) {
        return MEDIA_E_REJECT;
    }
    media_jsondoc_find(&doc, names, HEADER_MEMBERS, at);
    *cause = "the header has an extension that is not supported";
    if (is_extended(&doc, at)) {
        return MEDIA_E_REJECT;
    }
    *cause = "the token is of another type";
    if (!type_allowed(&doc, at[HEADER_TYP])) {
        return MEDIA_E_REJECT;
    }
    *cause = "the header is not acceptable";
    t->kid = MEDIA_STR_NULL;
    if (string_get(&doc, at[HEADER_KID], &t->kid) == MEDIA_E_REJECT ||
        t->kid.len > MEDIA_JWT_KID_MAX || string_get(&doc, at[HEADER_ALG], &alg) != 0) {
        return MEDIA_E_REJECT;
    }
    *cause = "the algorithm is not supported";
    t->alg = media_jwt_alg_parse(alg);
    return t->alg < 0 ? MEDIA_E_REJECT : 0;
}

/* 0, MEDIA_E_GONE when no key is meant, MEDIA_E_AUTH, MEDIA_E_NOMEM. */
static int signature_verify(const token_t *t, const media_jwt_policy_t *policy)
{
    unsigned char sig[MEDIA_JWT_SIG_MAX];
    int rc = MEDIA_E_GONE;
    int tries = 0;
    ssize_t n = media_b64url_decode(t->signature, sig, sizeof(sig));
    for (size_t i = 0; i < policy->nkeys && rc != 0 && rc != MEDIA_E_NOMEM; i++) {
        const media_jwt_key_t *key = policy->keys[i];
        media_str_t kid = {key->kid, key->kid_len};
        if ((int)key->alg != t->alg || (t->kid.p != NULL && !media_str_eq(t->kid, kid))) {
            continue;
        }
        if (++tries > MEDIA_JWT_TRIES_MAX) {
            break;
        }
        rc = n < 0 ? MEDIA_E_AUTH : media_jwt_sig_verify(key, t->signed_part, sig, (size_t)n);
    }
    return rc;
}

/* ---- claims ---- */

/* A NumericDate within 0..2^53-1, a fraction rounded up or down: 0, MEDIA_E_GONE when absent,
 * MEDIA_E_REJECT for anything else. */
static int date_get(const media_jsondoc_t *claims, size_t at, int round_up, int64_t *out)
{
    if (at == 0) {
        return MEDIA_E_GONE;
    }
    double d;
    switch (media_jsondoc_type(claims, at)) {
    case MEDIA_JSON_INTEGER:
        *out = media_jsondoc_int(claims, at);
        return *out >= 0 && *out <= DATE_MAX_S ? 0 : MEDIA_E_REJECT;
    case MEDIA_JSON_REAL:
        d = media_jsondoc_real(claims, at);
        if (!(d >= 0 && d <= (double)DATE_MAX_S)) {
            return MEDIA_E_REJECT;
        }
        *out = (int64_t)d;
        *out += round_up && (double)*out < d;
        return 0;
    default:
        return MEDIA_E_REJECT;
    }
}

static int dates_check(media_jwt_claims_t *c, const size_t *at, const media_jwt_policy_t *policy,
                       int64_t now_s, enum media_jwt_why *why, media_err_t *ei)
{
    int64_t leeway = policy->leeway_s > 0 ? policy->leeway_s : 0;
    int64_t t;
    if (date_get(&c->doc, at[CLAIM_EXP], 0, &c->exp_s) != 0) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "exp is missing or not a date");
    }
    if (now_s >= c->exp_s && now_s - c->exp_s >= leeway) {
        return refuse(why, MEDIA_JWT_EXPIRED, ei, "the token has expired");
    }
    int rc = date_get(&c->doc, at[CLAIM_NBF], 1, &t);
    if (rc == MEDIA_E_REJECT || (rc == 0 && t > now_s && t - now_s > leeway)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is not valid yet");
    }
    rc = date_get(&c->doc, at[CLAIM_IAT], 0, &t);
    if (rc == MEDIA_E_REJECT || (rc == 0 && t > now_s && t - now_s > leeway)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token was issued in the future");
    }
    c->iat_s = rc == 0 ? t : 0;
    return 0;
}

/* `aud` is a string or an array of strings (RFC 7519 4.1.3), also where nobody asks for a member.
 */
static int audience_check(const media_jsondoc_t *claims, size_t at, media_str_t want)
{
    int found = want.len == 0;
    if (at == 0) {
        return found;
    }
    enum media_jsondoc_type type = media_jsondoc_type(claims, at);
    if (type == MEDIA_JSON_STRING) {
        return found || media_str_eq(media_jsondoc_text(claims, at), want);
    }
    if (type != MEDIA_JSON_ARRAY) {
        return 0;
    }
    size_t end = media_jsondoc_next(claims, at);
    for (size_t i = at + 1; i < end; i = media_jsondoc_next(claims, i)) {
        if (media_jsondoc_type(claims, i) != MEDIA_JSON_STRING) {
            return 0;
        }
        found |= media_str_eq(media_jsondoc_text(claims, i), want);
    }
    return found;
}

static int claims_check(media_jwt_claims_t *c, const media_jwt_policy_t *policy, int64_t now_s,
                        enum media_jwt_why *why, media_err_t *ei)
{
    static const media_str_t names[] = {{"exp", 3}, {"nbf", 3}, {"iat", 3}, {"aud", 3},
                                        {"sub", 3}, {"jti", 3}, {"iss", 3}};
    size_t at[CLAIM_MEMBERS];
    media_str_t s = MEDIA_STR_NULL;
    int rc = 0;
    media_jsondoc_find(&c->doc, names, CLAIM_MEMBERS, at);
    for (int i = CLAIM_SUB; i <= CLAIM_ISS; i++) {
        rc = string_get(&c->doc, at[i], &s);
        if (rc == MEDIA_E_REJECT) {
            return refuse(why, MEDIA_JWT_CLAIMS, ei, "iss, sub or jti is not a string");
        }
    }
    if (policy->iss.len > 0 && (rc != 0 || !media_str_eq(s, policy->iss))) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is of another issuer");
    }
    if (!audience_check(&c->doc, at[CLAIM_AUD], policy->aud)) {
        return refuse(why, MEDIA_JWT_CLAIMS, ei, "the token is for another audience");
    }
    return dates_check(c, at, policy, now_s, why, ei);
}

/* Nodes and text out of the reader's buffers into one block of c. */
static int claims_keep(media_jwt_claims_t *c, size_t text_len)
{
    size_t nodes_size = c->doc.nnodes * sizeof(*c->doc.nodes);
    c->size = nodes_size + text_len;
    c->block = malloc(c->size);
    if (c->block == NULL) {
        return MEDIA_E_NOMEM;
    }
    char *text = (char *)c->block + nodes_size;
    memcpy(c->block, c->doc.nodes, nodes_size);
    memcpy(text, c->doc.text, text_len);
    c->doc.nodes = c->block;
    c->doc.text = text;
    return 0;
}

static int claims_read(const token_t *t, const media_jwt_policy_t *policy, int64_t now_s,
                       media_jwt_claims_t *c, enum media_jwt_why *why, media_err_t *ei)
{
    char text[MEDIA_JWT_MAX_TOKEN * 3 / 4];
    media_jsonnode_t nodes[CLAIM_NODES];
    ssize_t n = media_b64url_decode(t->payload, text, sizeof(text));
    if (n < 0 || media_jsondoc_parse(text, (size_t)n, nodes, CLAIM_NODES, &c->doc) != 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, "the claims cannot be read");
    }
    int rc = claims_check(c, policy, now_s, why, ei);
    if (rc == 0 && claims_keep(c, (size_t)n) != 0) {
        rc = media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    return rc;
}

int media_jwt_verify(media_str_t token, const media_jwt_policy_t *policy, int64_t now_s,
                     media_jwt_claims_t *out, enum media_jwt_why *why, media_err_t *ei)
{
    const char *cause = "";
    token_t t;
    *out = (media_jwt_claims_t){0};
    *why = MEDIA_JWT_OK;
    if (now_s < 0) {
        return media_err_set(ei, MEDIA_E_BUG, "the time is before 1970");
    }
    if (token_split(token, &t) != 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, "not a compact JWS");
    }
    if (header_read(&t, &cause) != 0) {
        return refuse(why, MEDIA_JWT_MALFORMED, ei, cause);
    }
    int rc = signature_verify(&t, policy);
    if (rc == MEDIA_E_NOMEM) {
        return media_err_set(ei, rc, "out of memory");
    }
    if (rc == MEDIA_E_GONE) {
        return refuse(why, MEDIA_JWT_KEY, ei, "no key is known for its alg and kid");
    }
    if (rc != 0) {
        return refuse(why, MEDIA_JWT_SIGNATURE, ei, "no key of ours made the signature");
    }
    rc = claims_read(&t, policy, now_s, out, why, ei);
    if (rc != 0) {
        *out = (media_jwt_claims_t){0};
    }
    return rc;
}
