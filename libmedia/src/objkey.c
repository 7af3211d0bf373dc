/* Object keys. Ids are UUIDs in one spelling (lower case), so one object has one key. */
#include <stdio.h>

#include "media/objkey.h"
#include "out.h"

#define ORIGINAL "/original"

static int out_uuid(out_t *o, media_str_t id)
{
    char low[MEDIA_UUID_LEN];

    if (!media_uuid_valid(id)) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < sizeof(low); i++) {
        low[i] = id.p[i] >= 'A' && id.p[i] <= 'F' ? (char)(id.p[i] | 0x20) : id.p[i];
    }
    out_str(o, (media_str_t){low, sizeof(low)});
    return 0;
}

int media_output_name_valid(media_str_t name)
{
    int at_start = 1; /* of a part */

    if (name.len == 0 || name.len > MEDIA_OUTPUT_NAME_MAX) {
        return 0;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (at_start && (c == '.' || c == '/')) {
            return 0;
        }
        at_start = c == '/';
        if (!at_start && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' &&
            c != '_' && c != '-') {
            return 0;
        }
    }
    return !at_start;
}

int media_objkey_prefix_valid(media_str_t s)
{
    size_t begin = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (c == '/') {
            size_t n = i - begin;

            if (n == 0 || (n <= 2 && memcmp(s.p + begin, "..", n) == 0)) {
                return 0;
            }
            begin = i + 1;
        } else if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
                   (c == '\0' || strchr("!$&'()*+,-.:;=@_|~", c) == NULL)) {
            return 0;
        }
    }
    return begin == s.len && s.len <= MEDIA_OBJKEY_PREFIX_MAX;
}

/* "{prefix}media/{media}" */
static int out_media(out_t *o, media_str_t prefix, media_str_t media_id)
{
    if (!media_objkey_prefix_valid(prefix)) {
        return MEDIA_E_REJECT;
    }
    out_str(o, prefix);
    out_cstr(o, "media/");
    return out_uuid(o, media_id);
}

ssize_t media_objkey_original(media_str_t prefix, media_str_t media_id, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};

    if (out_media(&o, prefix, media_id) != 0) {
        return MEDIA_E_REJECT;
    }
    out_cstr(&o, ORIGINAL);
    return out_end(&o);
}

enum media_store media_objkey_store(media_str_t key)
{
    const size_t id = strlen("media/"), tail = id + MEDIA_UUID_LEN + strlen(ORIGINAL);
    const char *end;

    if (key.len < tail) {
        return MEDIA_STORE_OUTPUT;
    }
    end = key.p + key.len - tail;
    return (end == key.p || end[-1] == '/') && memcmp(end, "media/", id) == 0 &&
                   media_uuid_valid((media_str_t){end + id, MEDIA_UUID_LEN}) &&
                   memcmp(end + id + MEDIA_UUID_LEN, ORIGINAL, strlen(ORIGINAL)) == 0
               ? MEDIA_STORE_INPUT
               : MEDIA_STORE_OUTPUT;
}

ssize_t media_objkey_output(media_str_t prefix, media_str_t media_id, media_str_t job_id,
                            int64_t fence, media_str_t name, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};
    char num[24];
    ssize_t n;

    if (fence < 0 || !media_output_name_valid(name) || out_media(&o, prefix, media_id) != 0) {
        return MEDIA_E_REJECT;
    }
    out_cstr(&o, "/");
    if (out_uuid(&o, job_id) != 0) {
        return MEDIA_E_REJECT;
    }
    snprintf(num, sizeof(num), "/%lld/", (long long)fence);
    out_cstr(&o, num);
    out_str(&o, name);
    n = out_end(&o);
    if (n >= 0 && media_objkey_store((media_str_t){dst, (size_t)n}) != MEDIA_STORE_OUTPUT) {
        return MEDIA_E_REJECT; /* a name that ends as originals do */
    }
    return n;
}
