/* JSON Web Tokens, in two ways: the input as a token, which reaches header and signature; and, when
 * it has a line break, as "header LF payload" signed properly, which reaches the claims. */
#include "fuzz.h"

#include <openssl/hmac.h>

#include "media/jwt.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000

static const char public_pem[] = /* RFC 7515 A.2 */
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
    "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
    "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
    "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
    "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
    "oQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static media_jwt_key_t *keys[2];

static void keys_make(void)
{
    if (keys[0] == NULL) {
        MUST(media_jwt_key_new(MEDIA_JWT_HS256, MEDIA_STR("k1"), MEDIA_STR(SECRET), &keys[0],
                               NULL) == 0);
        MUST(media_jwt_key_new(MEDIA_JWT_RS256, MEDIA_STR(""), MEDIA_STR(public_pem), &keys[1],
                               NULL) == 0);
    }
}

static void verify(media_str_t token, media_str_t aud)
{
    media_jwt_policy_t policy = {
        .keys = (const media_jwt_key_t *const *)keys, .nkeys = 2, .aud = aud, .leeway_s = 5};
    media_jwt_claims_t c;
    enum media_jwt_why why;
    media_err_t ei = {""};
    int rc = media_jwt_verify(token, &policy, NOW, &c, &why, &ei);
    if (rc != 0) {
        MUST(c.block == NULL && ei.text[0] != '\0');
        MUST(rc == MEDIA_E_AUTH && why != MEDIA_JWT_OK);
        return;
    }
    MUST(why == MEDIA_JWT_OK && c.block != NULL && c.exp_s + 5 > NOW);
    media_jwt_claim_holds(&c, MEDIA_STR("roles"), MEDIA_STR("admin"));
    media_jwt_claim_holds(&c, MEDIA_STR("/a/b~1"), MEDIA_STR("1"));
    media_str_t sub = media_jwt_claim(&c, "sub");
    MUST(sub.p != NULL && media_utf8_valid(sub));
    media_jwt_claims_free(&c);
}

static void verify_signed(const uint8_t *data, size_t size, const uint8_t *lf)
{
    char token[2 * MEDIA_JWT_MAX_TOKEN];
    unsigned char mac[32];
    size_t head = (size_t)(lf - data);
    ssize_t n = media_b64url_encode(data, head, token, sizeof(token));
    token[n++] = '.';
    n += media_b64url_encode(lf + 1, size - head - 1, token + n, sizeof(token) - (size_t)n);
    HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (unsigned char *)token, (size_t)n, mac, NULL);
    token[n++] = '.';
    n += media_b64url_encode(mac, sizeof(mac), token + n, sizeof(token) - (size_t)n);
    verify((media_str_t){token, (size_t)n}, MEDIA_STR(""));
    verify((media_str_t){token, (size_t)n}, MEDIA_STR("media"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    keys_make();
    verify((media_str_t){(const char *)data, size}, MEDIA_STR(""));
    const uint8_t *lf = size > 0 ? memchr(data, '\n', size) : NULL;
    if (lf != NULL && size < MEDIA_JWT_MAX_TOKEN) {
        verify_signed(data, size, lf);
    }
    return 0;
}
