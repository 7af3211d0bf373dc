/* Key sets from an issuer: what is read can be written and read again; a token that looks as if it
 * were signed by one of the keys is refused. */
#include "fuzz.h"

#include "media/jwks.h"

#define NOW 1700000000

static void write_and_read(const media_jwks_t *set)
{
    media_buf_t b;
    media_jwks_t again;
    size_t nsecrets = 0;
    media_buf_init(&b, 1 << 20);
    MUST(media_jwks_write((const media_jwt_key_t *const *)set->keys, set->nkeys, &b) == 0);
    for (size_t i = 0; i < set->nkeys; i++) {
        char print[MEDIA_JWK_THUMBPRINT_LEN + 1];
        nsecrets += media_jwk_thumbprint(set->keys[i], print) == MEDIA_E_BUG;
    }
    int rc = media_jwks_parse(media_buf_view(&b), 0, &again, NULL);
    if (set->nkeys <= MEDIA_JWKS_KEYS_MAX && b.len <= MEDIA_JWKS_TEXT_MAX) {
        MUST(rc == 0 && again.nkeys == set->nkeys - nsecrets && again.nskipped == 0);
    }
    media_jwks_free(&again);
    media_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tokens[] = {
        /* HS256, RS256, ES256 over {"exp":1700000100} with a signature of zeros */
        "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAxMDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3MDAwMDAxMDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3MDAwMDAxMDB9."
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    media_jwks_t set;
    media_err_t ei = {""};
    int secrets = size > 0 && data[0] == ' ';
    int rc = media_jwks_parse((media_str_t){(const char *)data, size}, secrets, &set, &ei);
    if (rc != 0) {
        MUST(set.keys == NULL && ei.text[0] != '\0');
        return 0;
    }
    MUST(set.njwks <= MEDIA_JWKS_KEYS_MAX && set.nkeys >= set.njwks && set.nkeys <= 6 * set.njwks);
    media_jwt_policy_t policy = {.keys = (const media_jwt_key_t *const *)set.keys,
                                 .nkeys = set.nkeys};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        media_jwt_claims_t c;
        enum media_jwt_why why;
        MUST(media_jwt_verify(media_str(tokens[i]), &policy, NOW, &c, &why, NULL) == MEDIA_E_AUTH);
        MUST(why == MEDIA_JWT_KEY || why == MEDIA_JWT_SIGNATURE);
    }
    write_and_read(&set);
    media_jwks_free(&set);
    return 0;
}
