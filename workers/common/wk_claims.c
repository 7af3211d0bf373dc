/* What a decoder child says about its work. The child may be in the hands of whoever made the file:
 * everything is checked and copied member by member. */
#include "wk_host.h"

#include <math.h>
#include <string.h>

#include "media/json.h"
#include "media/objkey.h"

#define TEXT_MAX 127
#define RESULT_MAX WK_FRAME_MAX
#define TRACKS_MAX 64
#define NUMBER_MAX 999999999 /* of a segment: as many digits as its path takes */

static const char *const kinds[] = {"audio",  "video",  "image", "playlist", "manifest",
                                    "poster", "sprite", "vtt",   "report",   NULL};

static int in_list(media_str_t s, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (media_str_eq(s, media_str(*list))) {
            return 1;
        }
    }
    return 0;
}

/* type "/" subtype of RFC 9110 tokens, without parameters */
static int content_type_valid(media_str_t s)
{
    int slashes = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '/') {
            slashes++;
        } else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '+' &&
                   c != '.') {
            return 0;
        }
    }
    return slashes == 1 && s.len > 2 && s.p[0] != '/' && s.p[s.len - 1] != '/';
}

static int copy_string(json_t *to, const json_t *from, const char *name,
                       int (*valid)(media_str_t s), media_err_t *ei)
{
    media_str_t s;
    int rc = media_json_str(from, name, TEXT_MAX, &s, ei);

    if (rc == 0 && !valid(s)) {
        rc = MEDIA_E_REJECT;
    }
    if (rc == 0 && json_object_set_new(to, name, json_stringn(s.p, s.len)) != 0) {
        rc = MEDIA_E_REJECT;
    }
    return rc == 0 ? 0 : media_err_set(ei, MEDIA_E_REJECT, "bad member \"%s\"", name);
}

/* An optional number, integer or real, within 0..hi. */
static int copy_number(json_t *to, json_t *from, const char *name, int integer, double hi,
                       media_err_t *ei)
{
    json_t *v = json_object_get(from, name);
    double d = json_number_value(v);

    if (v == NULL) {
        return 0;
    }
    if (!json_is_number(v) || (integer && !json_is_integer(v)) || !isfinite(d) || d < 0 || d > hi) {
        return media_err_set(ei, MEDIA_E_REJECT, "bad member \"%s\"", name);
    }
    return json_object_set(to, name, v) == 0 ? 0 : MEDIA_E_NOMEM;
}

static int kind_valid(media_str_t s)
{
    return in_list(s, kinds);
}

static int track_valid(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return 0;
        }
    }
    return s.len > 0 && s.len < 64;
}

static int copy_output(json_t *meta, json_t *said, media_err_t *ei)
{
    static const char *const members[] = {"name",   "kind",     "content_type", "width",
                                          "height", "duration", "bitrate",      NULL};

    return media_json_only(said, members, ei) != 0 ||
                   copy_string(meta, said, "kind", kind_valid, ei) != 0 ||
                   copy_number(meta, said, "width", 1, 1 << 20, ei) != 0 ||
                   copy_number(meta, said, "height", 1, 1 << 20, ei) != 0 ||
                   copy_number(meta, said, "duration", 0, 1e9, ei) != 0 ||
                   copy_number(meta, said, "bitrate", 1, 1e12, ei) != 0
               ? MEDIA_E_REJECT
               : 0;
}

static int copy_segment(json_t *meta, json_t *said, media_err_t *ei)
{
    static const char *const members[] = {"name",     "content_type",  "track",        "number",
                                          "duration", "iframe_offset", "iframe_bytes", NULL};

    return media_json_only(said, members, ei) != 0 ||
                   copy_string(meta, said, "track", track_valid, ei) != 0 ||
                   !json_is_integer(json_object_get(said, "number")) ||
                   copy_number(meta, said, "number", 1, NUMBER_MAX, ei) != 0 ||
                   copy_number(meta, said, "duration", 1, 1e15, ei) != 0 ||
                   copy_number(meta, said, "iframe_offset", 1, 1e12, ei) != 0 ||
                   copy_number(meta, said, "iframe_bytes", 1, 1e12, ei) != 0
               ? media_err_set(ei, MEDIA_E_REJECT, "bad segment")
               : 0;
}

static int copy_kept(json_t *meta, json_t *said, media_err_t *ei)
{
    static const char *const members[] = {"name", "content_type", "keep", NULL};

    return media_json_only(said, members, ei) != 0 ||
                   json_object_set_new(meta, "keep", json_true()) != 0
               ? MEDIA_E_REJECT
               : 0;
}

json_t *wk_claims_output(media_str_t text, media_err_t *ei)
{
    json_t *said = NULL;
    json_t *meta = json_object();
    int (*copy)(json_t *, json_t *, media_err_t *) = copy_output;
    int rc = meta != NULL ? media_json_parse(text, &said, ei) : MEDIA_E_NOMEM;

    if (json_object_get(said, "track") != NULL) {
        copy = copy_segment;
    } else if (json_is_true(json_object_get(said, "keep"))) {
        copy = copy_kept;
    }
    if (rc != 0 || copy_string(meta, said, "name", media_output_name_valid, ei) != 0 ||
        copy_string(meta, said, "content_type", content_type_valid, ei) != 0 ||
        copy(meta, said, ei) != 0) {
        json_decref(meta);
        meta = NULL;
    }
    json_decref(said);
    return meta;
}

/* Its info is checked by whoever makes playlists of it (media/cmafset.h). */
static int track_sound(json_t *t)
{
    static const char *const members[] = {"name", "segments", "info", NULL};
    media_str_t name;
    int64_t n;

    return media_json_only(t, members, NULL) == 0 &&
           media_json_str(t, "name", 63, &name, NULL) == 0 && track_valid(name) &&
           media_json_int(t, "segments", 1, NUMBER_MAX, &n, NULL) == 0 &&
           json_is_object(json_object_get(t, "info"));
}

/* What a range holds is read by the next child alone, but which object that one may read is not for
 * this one to say. */
static int job_sound(json_t *j)
{
    static const char *const members[] = {"step", "range", NULL};
    json_t *range = json_object_get(j, "range");
    media_str_t step;

    return media_json_only(j, members, NULL) == 0 &&
           media_json_str(j, "step", 63, &step, NULL) == 0 && json_is_object(range) &&
           json_object_get(range, WK_KEPT) == NULL;
}

static int reuse_sound(json_t *v)
{
    static const char *const members[] = {"track", "from", "to", NULL};
    int64_t from = 0, to = 0;
    media_str_t track;

    return media_json_only(v, members, NULL) == 0 &&
           media_json_str(v, "track", 63, &track, NULL) == 0 && track_valid(track) &&
           media_json_int(v, "from", 0, NUMBER_MAX, &from, NULL) == 0 &&
           media_json_int(v, "to", from, NUMBER_MAX, &to, NULL) == 0;
}

/* An array, absent or of sound members. */
static int list_sound(const json_t *said, const char *name, size_t max, int (*sound)(json_t *v))
{
    const json_t *list = json_object_get(said, name);
    size_t i;
    json_t *v;

    if (list == NULL) {
        return 1;
    }
    if (!json_is_array(list) || json_array_size(list) > max) {
        return 0;
    }
    json_array_foreach(list, i, v)
    {
        if (!json_is_object(v) || !sound(v)) {
            return 0;
        }
    }
    return 1;
}

json_t *wk_claims_result(media_str_t text, media_err_t *ei)
{
    static const char *const members[] = {"probe", "tracks", "fan_out", "reuse", NULL};
    json_t *said = NULL;
    json_t *probe;

    if (media_json_parse_max(text, RESULT_MAX, &said, ei) == 0 &&
        media_json_only(said, members, ei) == 0) {
        probe = json_object_get(said, "probe");
        if ((probe != NULL ? json_is_object(probe) : json_object_get(said, "tracks") != NULL) &&
            list_sound(said, "tracks", TRACKS_MAX, track_sound) &&
            list_sound(said, "fan_out", WK_FAN_OUT_MAX, job_sound) &&
            list_sound(said, "reuse", WK_FAN_OUT_MAX, reuse_sound)) {
            return said;
        }
    }
    json_decref(said);
    return NULL;
}

static int code_valid(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9' && i > 0) && c != '_') {
            return 0;
        }
    }
    return s.len > 0;
}

static int is_text(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return 0;
        }
    }
    return media_utf8_valid(s);
}

int wk_claims_error(media_str_t text, wk_outcome_t *out, int *retry, media_err_t *ei)
{
    static const char *const members[] = {"code", "detail", "retry", NULL};
    json_t *said = NULL;
    media_str_t code, detail;
    int rc = MEDIA_E_REJECT;

    if (media_json_parse(text, &said, ei) == 0 && media_json_only(said, members, ei) == 0 &&
        media_json_str(said, "code", sizeof(out->code) - 1, &code, ei) == 0 &&
        media_json_str(said, "detail", sizeof(out->detail) - 1, &detail, ei) == 0 &&
        code_valid(code) && is_text(detail)) {
        memcpy(out->code, code.p, code.len);
        out->code[code.len] = '\0';
        memcpy(out->detail, detail.p, detail.len);
        out->detail[detail.len] = '\0';
        *retry = json_is_true(json_object_get(said, "retry"));
        rc = 0;
    }
    json_decref(said);
    return rc;
}
