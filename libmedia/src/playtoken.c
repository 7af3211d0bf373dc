#include "media/playtoken.h"

#include <string.h>

ssize_t media_playtoken_issue(const media_jwt_key_t *key, const media_playtoken_t *t, char *dst,
                              size_t cap, media_err_t *ei)
{
    if (!media_uuid_valid(media_str(t->media_id)) || t->epoch < 0 || t->exp_s < 0 ||
        (t->sid[0] != '\0' && !media_uuid_valid(media_str(t->sid)))) {
        return media_err_set(ei, MEDIA_E_BUG, "not the fields of a playback token");
    }
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I, s:s*}", "aud", MEDIA_PLAY_AUD, "sub",
                               t->media_id, "epoch", (json_int_t)t->epoch, "exp",
                               (json_int_t)t->exp_s, "sid", t->sid[0] != '\0' ? t->sid : NULL);
    if (claims == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    ssize_t rc = media_jwt_issue(key, claims, dst, cap, ei);
    if (rc >= MEDIA_PLAY_TOKEN_MAX) {
        dst[0] = '\0';
        rc = media_err_set(ei, MEDIA_E_TOOBIG, "the kid is too long for a playback token");
    }
    json_decref(claims);
    return rc;
}

int media_playtoken_verify(const media_jwt_key_t *key, media_str_t token, int64_t now_s,
                           media_playtoken_t *out, enum media_jwt_why *why, media_err_t *ei)
{
    const media_jwt_policy_t policy = {.keys = &key, .nkeys = 1, .aud = MEDIA_STR(MEDIA_PLAY_AUD)};
    media_jwt_claims_t c;
    memset(out, 0, sizeof(*out));
    if (token.len >= MEDIA_PLAY_TOKEN_MAX) {
        *why = MEDIA_JWT_MALFORMED;
        return media_err_set(ei, MEDIA_E_AUTH, "too long for a playback token");
    }
    int rc = media_jwt_verify(token, &policy, now_s, &c, why, ei);
    if (rc != 0) {
        return rc;
    }
    media_str_t sub = media_jwt_claim(&c, "sub");
    media_str_t sid = media_jwt_claim(&c, "sid");
    if (!media_uuid_valid(sub) ||
        (media_jsondoc_get(&c.doc, 0, MEDIA_STR("sid")) != 0 && !media_uuid_valid(sid)) ||
        media_jwt_claim_int(&c, "epoch", 0, INT64_MAX, &out->epoch) != 0) {
        *why = MEDIA_JWT_CLAIMS;
        rc = media_err_set(ei, MEDIA_E_AUTH, "not the claims of a playback token");
    } else {
        memcpy(out->media_id, sub.p, sub.len);
        memcpy(out->sid, sid.p, sid.len);
        out->exp_s = c.exp_s;
    }
    media_jwt_claims_free(&c);
    return rc;
}
