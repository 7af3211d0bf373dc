#include "gw_keys.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gw_conf.h"
#include "media/jwt.h"

#define PLAIN_KEY "jwt-key"

/* What stands behind the algorithm; "" for jwt-key, which is older than any. */
static const char *kid_of(const char *file)
{
    const char *dot = strchr(file, '.');

    return dot != NULL ? dot + 1 : "";
}

static int name_valid(const char *file)
{
    const char *dot = strchr(file, '.');

    if (strcmp(file, PLAIN_KEY) == 0) {
        return 1;
    }
    return dot != NULL && dot[1] != '\0' && strlen(file) < GW_KEY_NAME && gw_conf_is_word(file) &&
           media_jwt_alg_parse((media_str_t){file, (size_t)(dot - file)}) >= 0;
}

/* Newest first; of one kid by algorithm. */
static int by_name(const void *a, const void *b)
{
    const gw_key_t *x = a, *y = b;
    int order = strcmp(kid_of(y->file), kid_of(x->file));

    return order != 0 ? order : strcmp(x->file, y->file);
}

static int key_note(gw_keys_t *keys, const char *file, int64_t now_ms, media_err_t *ei)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->key[i].file, file) == 0) {
            keys->key[i].there = 1;
            return 0;
        }
    }
    if (keys->count == GW_KEYS_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "more than %d keys", GW_KEYS_MAX);
    }
    (void)snprintf(keys->key[keys->count].file, GW_KEY_NAME, "%s", file);
    keys->key[keys->count].seen_ms = now_ms;
    keys->key[keys->count].there = 1;
    keys->count++;
    return 0;
}

/* Those that are there, in order. Of the first time all but the newest count as old, and that, too,
 * if it is alone. */
static void keys_settle(gw_keys_t *keys)
{
    size_t n = 0;

    for (size_t i = 0; i < keys->count; i++) {
        if (keys->key[i].there) {
            keys->key[n++] = keys->key[i];
        }
    }
    keys->count = n;
    qsort(keys->key, keys->count, sizeof(keys->key[0]), by_name);
    for (size_t i = keys->begun ? n : n > 1; i < n; i++) {
        keys->key[i].seen_ms -= keys->settle_ms;
    }
    keys->begun = 1;
}

static int file_note(gw_keys_t *keys, const char *dir, const char *file, int64_t now_ms,
                     media_err_t *ei)
{
    char path[PATH_MAX];
    struct stat st;

    if (!name_valid(file)) {
        return media_err_set(
            ei, MEDIA_E_REJECT,
            "%s: \"%s\" is no name of a key, expected ALG.kid (HS256.2026-11) or " PLAIN_KEY, dir,
            file);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s: is no regular file", path);
    }
    return key_note(keys, file, now_ms, ei);
}

int gw_keys_read(gw_keys_t *keys, const char *dir, int64_t now_ms, media_err_t *ei)
{
    gw_keys_t next = *keys;
    struct dirent *entry;
    size_t found = 0;
    int rc = 0;
    DIR *d = opendir(dir);

    if (d == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s: %s", dir, strerror(errno));
    }
    for (size_t i = 0; i < next.count; i++) {
        next.key[i].there = 0;
    }
    while (rc == 0 && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.') {
            rc = file_note(&next, dir, entry->d_name, now_ms, ei);
            found++;
        }
    }
    (void)closedir(d);
    if (rc == 0 && found == 0) {
        rc = media_err_set(ei, MEDIA_E_REJECT,
                           "%s: is empty, expected keys named ALG.kid or " PLAIN_KEY, dir);
    }
    if (rc == 0) {
        keys_settle(&next);
        *keys = next;
    }
    return rc;
}

static int is_settled(const gw_keys_t *keys, size_t i, int64_t now_ms)
{
    return now_ms - keys->key[i].seen_ms >= keys->settle_ms;
}

static void key_line(const char *dir, const char *file, media_buf_t *out)
{
    const char *dot = strchr(file, '.');

    if (dot == NULL) {
        (void)media_buf_fmt(out, "media_auth_key HS256 %s/%s;\n", dir, file);
    } else {
        (void)media_buf_fmt(out, "media_auth_key %.*s %s/%s kid=%s;\n", (int)(dot - file), file,
                            dir, file, dot + 1);
    }
}

int gw_keys_lines(const gw_keys_t *keys, const char *dir, int64_t now_ms, media_buf_t *out)
{
    for (int fresh = 0; fresh <= 1; fresh++) {
        for (size_t i = 0; i < keys->count; i++) {
            if (is_settled(keys, i, now_ms) == !fresh) {
                key_line(dir, keys->key[i].file, out);
            }
        }
    }
    return out->failed;
}

int64_t gw_keys_next_ms(const gw_keys_t *keys, int64_t now_ms)
{
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < keys->count; i++) {
        int64_t at = keys->key[i].seen_ms + keys->settle_ms;
        if (at > now_ms && at < next) {
            next = at;
        }
    }
    return next;
}
