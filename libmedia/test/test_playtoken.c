#include "media/playtoken.h"

#include "jwt_util.h"

#define MEDIA_ID "0190c0de-0000-7000-8000-000000000001"
#define SID "0190c0de-0000-7000-8000-000000000002"

static media_jwt_key_t *key;

static void test_playtoken_round_trips(void)
{
    media_playtoken_t t = {MEDIA_ID, 3, NOW + 60, ""};
    media_playtoken_t back;
    enum media_jwt_why why;
    char one[MEDIA_PLAY_TOKEN_MAX];
    char two[MEDIA_PLAY_TOKEN_MAX];
    ssize_t n = media_playtoken_issue(key, &t, one, sizeof(one), NULL);
    CHECK(n > 0 && (size_t)n == strlen(one));
    CHECK_INT(media_playtoken_issue(key, &t, two, sizeof(two), NULL), n);
    CHECK_STR(two, one);
    CHECK_INT(media_playtoken_verify(key, media_str(one), NOW, &back, &why, NULL), 0);
    CHECK_STR(back.media_id, MEDIA_ID);
    CHECK_INT(back.epoch, 3);
    CHECK_INT(back.exp_s, NOW + 60);
    CHECK_STR(back.sid, "");
    CHECK_INT(media_playtoken_verify(key, media_str(one), NOW + 60, &back, &why, NULL),
              MEDIA_E_AUTH);
    CHECK_INT(why, MEDIA_JWT_EXPIRED);
    CHECK_STR(back.media_id, "");
    CHECK_INT(media_playtoken_issue(key, &t, one, (size_t)n, NULL), MEDIA_E_TOOBIG);
    for (const char *p = two; *p != '\0'; p++) {
        CHECK((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
              *p == '-' || *p == '_' || *p == '.');
    }
}

static void test_playtoken_carries_its_login(void)
{
    media_playtoken_t t = {MEDIA_ID, 3, NOW + 60, SID};
    media_playtoken_t back;
    enum media_jwt_why why;
    char text[MEDIA_PLAY_TOKEN_MAX];
    CHECK(media_playtoken_issue(key, &t, text, sizeof(text), NULL) > 0);
    CHECK_INT(media_playtoken_verify(key, media_str(text), NOW, &back, &why, NULL), 0);
    CHECK_STR(back.sid, SID);
    CHECK_STR(back.media_id, MEDIA_ID);
}

static void test_playtoken_issue_refuses_nonsense(void)
{
    media_playtoken_t bad_id = {"../../etc", 3, NOW, ""};
    media_playtoken_t bad_epoch = {MEDIA_ID, -1, NOW, ""};
    media_playtoken_t bad_exp = {MEDIA_ID, 1, -1, ""};
    media_playtoken_t bad_sid = {MEDIA_ID, 1, NOW, "a login"};
    char out[MEDIA_PLAY_TOKEN_MAX];
    CHECK_INT(media_playtoken_issue(key, &bad_id, out, sizeof(out), NULL), MEDIA_E_BUG);
    CHECK_INT(media_playtoken_issue(key, &bad_epoch, out, sizeof(out), NULL), MEDIA_E_BUG);
    CHECK_INT(media_playtoken_issue(key, &bad_exp, out, sizeof(out), NULL), MEDIA_E_BUG);
    CHECK_INT(media_playtoken_issue(key, &bad_sid, out, sizeof(out), NULL), MEDIA_E_BUG);
}

static void check_refused(media_str_t token, enum media_jwt_why want)
{
    media_playtoken_t out;
    enum media_jwt_why why;
    CHECK_INT(media_playtoken_verify(key, token, NOW, &out, &why, NULL), MEDIA_E_AUTH);
    CHECK_INT(why, want);
    CHECK_STR(out.media_id, "");
}

/* An access token is no playback token even under the same key, and the other way round. */
static void test_playtoken_verify_refuses(void)
{
    check_refused(
        test_hs256(HS_HEADER, "{\"sub\":\"" MEDIA_ID "\",\"epoch\":1,\"exp\":1700000100}"),
        MEDIA_JWT_CLAIMS);
    check_refused(test_hs256(HS_HEADER, "{\"aud\":\"media\",\"sub\":\"" MEDIA_ID
                                        "\",\"epoch\":1,\"exp\":1700000100}"),
                  MEDIA_JWT_CLAIMS);
    check_refused(
        test_hs256(HS_HEADER,
                   "{\"aud\":\"media-play\",\"sub\":\"x\",\"epoch\":1,\"exp\":1700000100}"),
        MEDIA_JWT_CLAIMS);
    check_refused(test_hs256(HS_HEADER, "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID
                                        "\",\"exp\":1700000100}"),
                  MEDIA_JWT_CLAIMS);
    check_refused(test_hs256(HS_HEADER, "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID
                                        "\",\"epoch\":\"1\",\"exp\":1700000100}"),
                  MEDIA_JWT_CLAIMS);
    check_refused(test_hs256(HS_HEADER, "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID
                                        "\",\"epoch\":-1,\"exp\":1700000100}"),
                  MEDIA_JWT_CLAIMS);
    check_refused(
        test_hs256(HS_HEADER, "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID "\",\"epoch\":1}"),
        MEDIA_JWT_CLAIMS);
    check_refused(test_hs256(HS_HEADER, "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID
                                        "\",\"epoch\":1,\"exp\":1700000100,\"sid\":7}"),
                  MEDIA_JWT_CLAIMS);
    check_refused(MEDIA_STR(""), MEDIA_JWT_MALFORMED);
    char claims[700];
    snprintf(claims, sizeof(claims),
             "{\"aud\":\"media-play\",\"sub\":\"" MEDIA_ID
             "\",\"epoch\":1,\"exp\":1700000100,\"x\":\"%0400d\"}",
             0);
    check_refused(test_hs256(HS_HEADER, claims), MEDIA_JWT_MALFORMED);
}

int main(void)
{
    key = test_key(MEDIA_JWT_HS256, "", MEDIA_STR(SECRET));
    test_playtoken_round_trips();
    test_playtoken_carries_its_login();
    test_playtoken_issue_refuses_nonsense();
    test_playtoken_verify_refuses();
    media_jwt_key_free(key);
    return test_report();
}
