/* The JSON document of a set into one struct; whatever is accepted here can be written into a
 * playlist without another look. */
#include "media/cmafset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/json.h"

typedef struct {
    media_err_t *ei;
    media_err_t cause;
    size_t segments; /* of all tracks read so far */
} reader_t;

static const char *const kinds[] = {
#define X(name, text) text,
    MEDIA_TRACK_KINDS(X)
#undef X
};

const char *media_track_kind_name(enum media_track_kind kind)
{
    return (size_t)kind < MEDIA_TRACK_KIND_COUNT ? kinds[kind] : "unknown";
}

static int holds_only(media_str_t s, const char *marks)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            strchr(marks, c) == NULL) {
            return 0;
        }
    }
    return 1;
}

/* A string into dst; `marks` NULL: any text. Absent is empty, which the caller may refuse. */
static int read_text(reader_t *r, const json_t *obj, const char *name, const char *marks, char *dst,
                     size_t cap)
{
    media_str_t s;
    int rc = media_json_str(obj, name, cap - 1, &s, &r->cause);
    dst[0] = '\0';
    if (rc == MEDIA_E_GONE) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (marks != NULL && !holds_only(s, marks)) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"%s\" holds a bad character",
                             name);
    }
    memcpy(dst, s.p, s.len);
    dst[s.len] = '\0';
    return 0;
}

static int read_int(reader_t *r, const json_t *obj, const char *name, int64_t hi, int *out)
{
    int64_t v;
    int rc = media_json_int(obj, name, 1, hi, &v, &r->cause);
    *out = rc == 0 ? (int)v : 0;
    return rc;
}

static int read_bool(reader_t *r, const json_t *obj, const char *name, int *out)
{
    const json_t *v = json_object_get(obj, name);
    *out = json_is_true(v);
    if (v != NULL && !json_is_boolean(v)) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"%s\" is not a boolean", name);
    }
    return 0;
}

static int read_fps(reader_t *r, const json_t *obj, media_track_t *t)
{
    const json_t *v = json_object_get(obj, "fps");
    const json_t *num = json_array_get(v, 0);
    const json_t *den = json_array_get(v, 1);
    json_int_t n = json_integer_value(num);
    json_int_t d = json_integer_value(den);
    if (json_array_size(v) != 2 || n < 1 || d < 1 || n > 1000000000 || d > 1000000000) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"fps\" is not [num,den]");
    }
    t->fps_num = (int)n;
    t->fps_den = (int)d;
    return 0;
}

static int read_kind(reader_t *r, const json_t *obj, media_track_t *t)
{
    char kind[8];
    if (read_text(r, obj, "kind", "", kind, sizeof(kind)) != 0) {
        return MEDIA_E_REJECT;
    }
    for (int i = 0; i < MEDIA_TRACK_KIND_COUNT; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            t->kind = (enum media_track_kind)i;
            return 0;
        }
    }
    return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"kind\" is not video, audio or text");
}

/* What only one kind has. */
static int read_special(reader_t *r, const json_t *obj, media_track_t *t)
{
    switch (t->kind) {
    case MEDIA_TRACK_VIDEO:
        return read_int(r, obj, "width", 32768, &t->width) != 0 ||
               read_int(r, obj, "height", 32768, &t->height) != 0 || read_fps(r, obj, t) != 0;
    case MEDIA_TRACK_AUDIO:
        return read_int(r, obj, "channels", 64, &t->channels) != 0 ||
               read_int(r, obj, "rate", 768000, &t->rate) != 0;
    default:
        return read_bool(r, obj, "forced", &t->is_forced);
    }
}

/* One [duration, bytes] or [duration, bytes, iframe_offset, iframe_bytes]. */
static int read_segment(const json_t *v, enum media_track_kind kind, media_segment_t *s)
{
    json_int_t n[4] = {0, 0, 0, 0};
    size_t count = json_array_size(v);
    if (count != 2 && !(count == 4 && kind == MEDIA_TRACK_VIDEO)) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(v, i);
        n[i] = json_integer_value(item);
        if (!json_is_integer(item) || n[i] < 0) {
            return MEDIA_E_REJECT;
        }
    }
    if (n[0] < 1 || n[0] > MEDIA_TRACK_TICKS_MAX || n[1] < 1 || n[1] > MEDIA_SEGMENT_BYTES_MAX ||
        n[2] > n[1] || n[3] > n[1] - n[2]) {
        return MEDIA_E_REJECT;
    }
    *s = (media_segment_t){n[0], n[1], n[2], n[3]};
    return 0;
}

static int read_segments(reader_t *r, const json_t *obj, media_track_t *t)
{
    const json_t *list = json_object_get(obj, "segments");
    size_t n = json_array_size(list);
    int64_t end = t->start;
    if (n == 0 || (t->kind == MEDIA_TRACK_TEXT && n != 1)) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"segments\" has %zu items", n);
    }
    r->segments += n;
    if (r->segments > MEDIA_CMAFSET_SEGMENTS_MAX) {
        return media_err_set(&r->cause, MEDIA_E_TOOBIG, "more than %d segments",
                             MEDIA_CMAFSET_SEGMENTS_MAX);
    }
    t->segments = calloc(n, sizeof(t->segments[0]));
    if (t->segments == NULL) {
        return media_err_set(&r->cause, MEDIA_E_NOMEM, "out of memory");
    }
    for (t->nsegments = 0; t->nsegments < n; t->nsegments++) {
        media_segment_t *s = &t->segments[t->nsegments];
        if (read_segment(json_array_get(list, t->nsegments), t->kind, s) != 0 ||
            s->duration > MEDIA_TRACK_TICKS_MAX - end) {
            return media_err_set(&r->cause, MEDIA_E_REJECT, "segment %zu is wrong",
                                 t->nsegments + 1);
        }
        end += s->duration;
    }
    return 0;
}

static int read_name(reader_t *r, const json_t *obj, const media_cmafset_t *set, media_track_t *t)
{
    if (read_text(r, obj, "name", "_-", t->name, sizeof(t->name)) != 0) {
        return MEDIA_E_REJECT;
    }
    for (const char *p = t->name; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"name\" is not lower case");
        }
    }
    /* "master" is the name of the playlist of all */
    if (t->name[0] == '\0' || strcmp(t->name, "master") == 0 ||
        media_cmafset_track(set, media_str(t->name)) != NULL) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"name\" is missing or not unique");
    }
    return 0;
}

static int read_track(reader_t *r, const json_t *obj, const media_cmafset_t *set, media_track_t *t)
{
    static const char *const members[] = {
        "name",  "kind",     "revision", "codecs",   "timescale", "start",
        "width", "height",   "fps",      "title",    "forced",    "channels",
        "rate",  "language", "default",  "segments", NULL};
    int rc;
    if (!json_is_object(obj)) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "not an object");
    }
    if (media_json_only(obj, members, &r->cause) != 0 || read_name(r, obj, set, t) != 0 ||
        read_kind(r, obj, t) != 0 ||
        media_json_int(obj, "revision", 0, INT32_MAX, &t->revision, &r->cause) != 0 ||
        media_json_int(obj, "timescale", 1, UINT32_MAX, &t->timescale, &r->cause) != 0 ||
        read_text(r, obj, "codecs", ".", t->codecs, sizeof(t->codecs)) != 0 ||
        read_text(r, obj, "language", "-", t->language, sizeof(t->language)) != 0 ||
        read_text(r, obj, "title", NULL, t->title, sizeof(t->title)) != 0 ||
        read_bool(r, obj, "default", &t->is_default) != 0 || read_special(r, obj, t) != 0) {
        return MEDIA_E_REJECT;
    }
    rc = media_json_int(obj, "start", 0, MEDIA_TRACK_TICKS_MAX, &t->start, &r->cause);
    if (rc != 0 && rc != MEDIA_E_GONE) {
        return rc;
    }
    if ((t->kind == MEDIA_TRACK_TEXT) != (t->codecs[0] == '\0')) {
        return media_err_set(&r->cause, MEDIA_E_REJECT, "member \"codecs\" is missing or too much");
    }
    return read_segments(r, obj, t);
}

static int read_set(reader_t *r, const json_t *obj, media_cmafset_t *set)
{
    static const char *const members[] = {"segments", "tracks", NULL};
    const json_t *tracks = json_object_get(obj, "tracks");
    size_t n = json_array_size(tracks);
    if (media_json_only(obj, members, r->ei) != 0) {
        return MEDIA_E_REJECT;
    }
    if (read_text(r, obj, "segments", "./_-", set->segments, sizeof(set->segments)) != 0) {
        return media_err_set(r->ei, MEDIA_E_REJECT, "%s", r->cause.text);
    }
    if (n == 0) {
        return media_err_set(r->ei, MEDIA_E_REJECT, "member \"tracks\" is missing or empty");
    }
    if (n > MEDIA_CMAFSET_TRACKS_MAX) {
        return media_err_set(r->ei, MEDIA_E_TOOBIG, "more than %d tracks",
                             MEDIA_CMAFSET_TRACKS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        media_track_t *t = &set->tracks[i];
        int rc = read_track(r, json_array_get(tracks, i), set, t);
        set->ntracks = i + 1; /* what it holds so far is freed with the set */
        if (rc != 0) {
            return media_err_set(r->ei, rc, "track %zu: %s", i + 1, r->cause.text);
        }
    }
    return 0;
}

int media_cmafset_read(media_str_t text, media_cmafset_t **out, media_err_t *ei)
{
    reader_t r = {.ei = ei};
    json_t *obj = NULL;
    media_cmafset_t *set = NULL;
    *out = NULL;
    int rc = media_json_parse_max(text, MEDIA_CMAFSET_JSON_MAX, &obj, ei);
    if (rc != 0) {
        return rc;
    }
    set = calloc(1, sizeof(*set));
    if (set == NULL) {
        rc = media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
        goto done;
    }
    rc = read_set(&r, obj, set);
    if (rc == 0) {
        *out = set;
        set = NULL;
    }
done:
    media_cmafset_free(set);
    json_decref(obj);
    return rc;
}

void media_cmafset_free(media_cmafset_t *set)
{
    if (set != NULL) {
        for (size_t i = 0; i < set->ntracks; i++) {
            free(set->tracks[i].segments);
        }
        free(set);
    }
}
