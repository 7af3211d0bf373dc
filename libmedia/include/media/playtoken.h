/* Playback tokens: what a mail link or a <video> tag carries instead of an Authorization header.
 * A JWT of its own audience, under a key of its own, bound to one media and to the epoch in its
 * row: raising the epoch (delete, change of visibility) ends every token made before. One that was
 * made in a login ends with it. */
#ifndef MEDIA_PLAYTOKEN_H
#define MEDIA_PLAYTOKEN_H

#include "media/jwt.h"

#define MEDIA_PLAY_AUD "media-play"
#define MEDIA_PLAY_TOKEN_MAX 512

typedef struct {
    char media_id[MEDIA_UUID_LEN + 1];
    int64_t epoch;
    int64_t exp_s;
    char sid[MEDIA_UUID_LEN + 1]; /* the login it was made in; empty: none, as in a mail */
} media_playtoken_t;

/* Writes the token, NUL-terminated; returns its length or a negative code. Deterministic. [any] */
ssize_t media_playtoken_issue(const media_jwt_key_t *key, const media_playtoken_t *t, char *dst,
                              size_t cap, media_err_t *ei);
/* Verifies and fills *out; MEDIA_E_AUTH with *why. The caller still compares the epoch and
 * asks whether the login has ended. [any] */
int media_playtoken_verify(const media_jwt_key_t *key, media_str_t token, int64_t now_s,
                           media_playtoken_t *out, enum media_jwt_why *why, media_err_t *ei);

#endif
