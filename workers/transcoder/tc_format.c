/* Target formats and the parameters of a job. */
#include "tc_format.h"

#include <string.h>

#include "media/json.h"

/* clang-format off */
static const tc_format_t formats[] = {
    {"mp3", "audio.mp3", "audio/mpeg", "mp3", "libmp3lame", NULL, 0, 2, 192, 8, 320, 0, 9, 1},
    {"aac", "audio.m4a", "audio/mp4", "ipod", "aac", NULL, 0, 8, 192, 8, 576, 0.1, 10, 1},
    {"opus", "audio.opus", "audio/ogg", "opus", "libopus", NULL, 0, 8, 128, 6, 510, 0, 0, 2},
    {"vorbis", "audio.ogg", "audio/ogg", "ogg", "libvorbis", NULL, 0, 8, 192, 32, 500, -1, 10, 2},
    {"flac", "audio.flac", "audio/flac", "flac", "flac", NULL, 1, 8, 0, 0, 0, 0, 0, 1},
    {"wav", "audio.wav", "audio/wav", "wav", "pcm_s16le", "pcm_s24le", 1, 8, 0, 0, 0, 0, 0, 0},
};
/* clang-format on */

static const tc_format_t *format_find(media_str_t name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (media_str_eq(name, media_str(formats[i].name))) {
            return &formats[i];
        }
    }
    return NULL;
}

static int bad(tc_fail_t *f, const char *name, const char *want)
{
    return tc_fail(f, "params_invalid", "The parameter \"%s\" must be %s.", name, want);
}

static int read_format(const json_t *json, tc_params_t *p, tc_fail_t *f)
{
    media_str_t s = MEDIA_STR("mp3");
    int rc = media_json_str(json, "format", 16, &s, NULL);

    if (rc == 0 || rc == MEDIA_E_GONE) {
        p->format = format_find(rc == 0 ? s : MEDIA_STR("mp3"));
    }
    return p->format != NULL ? 0 : bad(f, "format", "mp3, aac, opus, flac, wav or vorbis");
}

static int read_int(const json_t *json, const char *name, int lo, int hi, int *out, tc_fail_t *f)
{
    int64_t n = 0;
    int rc = media_json_int(json, name, lo, hi, &n, NULL);

    if (rc != 0 && rc != MEDIA_E_GONE) {
        return tc_fail(f, "params_invalid",
                       "The parameter \"%s\" must be a whole number from %d to %d.", name, lo, hi);
    }
    *out = rc == 0 ? (int)n : 0;
    return 0;
}

/* Quality wins over bit rate: a pipeline may set the one, an upload the other. Lossless formats
 * have neither, and a pipeline's default for another format is no mistake of the upload. */
static int read_rate(const json_t *json, tc_params_t *p, tc_fail_t *f)
{
    const tc_format_t *t = p->format;
    json_t *q = json_object_get(json, "quality");

    if (t->lossless) {
        return 0;
    }
    if (q != NULL && !json_is_null(q)) {
        p->has_quality = 1;
        p->quality = json_number_value(q);
        if (t->quality_min >= t->quality_max) {
            return tc_fail(f, "params_invalid",
                           "The format %s has no \"quality\", use \"bitrate\".", t->name);
        }
        if (!json_is_number(q) || p->quality < t->quality_min || p->quality > t->quality_max) {
            return tc_fail(f, "params_invalid",
                           "The parameter \"quality\" must be a number from %g to %g for %s.",
                           t->quality_min, t->quality_max, t->name);
        }
        return 0;
    }
    if (read_int(json, "bitrate", t->bitrate_min_kbps, t->bitrate_max_kbps, &p->bitrate_kbps, f)) {
        return -1;
    }
    if (p->bitrate_kbps == 0) {
        p->bitrate_kbps = t->bitrate_kbps;
    }
    return 0;
}

static int read_cover(const json_t *json, tc_params_t *p, tc_fail_t *f)
{
    media_str_t s;
    int rc = media_json_str(json, "cover", 16, &s, NULL);

    p->keep_cover = 1;
    if (rc == 0 && media_str_eq(s, MEDIA_STR("drop"))) {
        p->keep_cover = 0;
    } else if (rc != MEDIA_E_GONE && (rc != 0 || !media_str_eq(s, MEDIA_STR("keep")))) {
        return bad(f, "cover", "keep or drop");
    }
    return 0;
}

int tc_params_read(const json_t *json, tc_params_t *out, tc_fail_t *f)
{
    static const char *const names[] = {"format",      "bitrate", "quality", "channels",
                                        "sample_rate", "cover",   NULL};
    media_err_t ei = {""};

    memset(out, 0, sizeof(*out));
    if (json != NULL && media_json_only(json, names, &ei) != 0) {
        return tc_fail(f, "params_invalid", "%s", ei.text);
    }
    return read_format(json, out, f) != 0 || read_rate(json, out, f) != 0 ||
                   read_int(json, "channels", 1, TC_CHANNELS_MAX, &out->channels, f) != 0 ||
                   read_int(json, "sample_rate", 8000, 192000, &out->sample_rate, f) != 0 ||
                   read_cover(json, out, f) != 0
               ? -1
               : 0;
}
