/* What a file holds, as JSON for the media row. Texts from the file are taken only when they are
 * short: language tags of printable ASCII, titles of chapters without control characters. */
#include "tc_input.h"

#include <math.h>
#include <string.h>

#include <libavutil/display.h>

#include "media/str.h"
#include "tc_compat.h"
#include "tc_probe.h"

#define CHAPTERS_MAX 1000
#define TITLE_MAX 200

void tc_set(json_t *o, const char *name, json_t *v)
{
    (void)json_object_set_new(o, name, v); /* NULL v: refused, the member is left out */
}

static void set_seconds(json_t *o, const char *name, double s)
{
    if (isfinite(s) && s > 0) {
        tc_set(o, name, json_real(round(s * 1000) / 1000));
    }
}

void tc_set_number(json_t *o, const char *name, int64_t n)
{
    if (n > 0) {
        tc_set(o, name, json_integer(n));
    }
}

static void set_language(json_t *o, const AVStream *st)
{
    const AVDictionaryEntry *e = av_dict_get(st->metadata, "language", NULL, 0);

    if (e == NULL || e->value[0] == '\0' || strlen(e->value) > 16) {
        return;
    }
    for (const char *p = e->value; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~') {
            return;
        }
    }
    tc_set(o, "language", json_string(e->value));
}

void tc_stream_rotation(const AVStream *st, int *rotation, int *flip)
{
    size_t size = 0;
    const uint8_t *side = tc_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);
    int32_t m[9];
    double degrees;

    *rotation = *flip = 0;
    if (side == NULL || size < sizeof(m)) {
        return;
    }
    memcpy(m, side, sizeof(m));
    if ((double)m[0] * m[4] < (double)m[1] * m[3]) {
        *flip = 1;
        for (int i = 0; i < 2; i++) {
            m[i] = m[i] > INT32_MIN ? -m[i] : INT32_MAX;
        }
    }
    degrees = -av_display_rotation_get(m);
    if (isfinite(degrees)) {
        *rotation = ((int)lround(degrees) % 360 + 360) % 360;
    }
}

static void probe_audio(json_t *o, const AVStream *st)
{
    char layout[64] = "";

    tc_set_number(o, "channels", st->codecpar->ch_layout.nb_channels);
    tc_set_number(o, "sample_rate", st->codecpar->sample_rate);
    if (av_channel_layout_describe(&st->codecpar->ch_layout, layout, sizeof(layout)) > 0) {
        tc_set(o, "layout", json_string(layout));
    }
}

static json_t *probe_stream(const AVStream *st)
{
    const char *type = av_get_media_type_string(st->codecpar->codec_type);
    json_t *o = json_object();

    tc_set(o, "index", json_integer(st->index));
    tc_set(o, "type", json_string(type != NULL ? type : "unknown"));
    tc_set(o, "codec", json_string(avcodec_get_name(st->codecpar->codec_id)));
    if (st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
        tc_probe_video(o, st);
    } else if (st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
        probe_audio(o, st);
    }
    tc_set_number(o, "bitrate", st->codecpar->bit_rate);
    if (st->duration != AV_NOPTS_VALUE) {
        set_seconds(o, "duration", (double)st->duration * av_q2d(st->time_base));
    }
    if (st->disposition & AV_DISPOSITION_DEFAULT) {
        tc_set(o, "default", json_true());
    }
    set_language(o, st);
    return o;
}

static json_t *container(const AVFormatContext *format)
{
    const char *name = format->iformat->name;
    const AVDictionaryEntry *brand = av_dict_get(format->metadata, "major_brand", NULL, 0);

    if (strstr(name, "mp4") != NULL) {
        return json_string(brand != NULL && strncmp(brand->value, "qt", 2) == 0 ? "mov" : "mp4");
    }
    return json_stringn(name, strcspn(name, ","));
}

static int is_title(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            return 0;
        }
    }
    return text[0] != '\0' && strlen(text) <= TITLE_MAX && media_utf8_valid(media_str(text));
}

static json_t *probe_chapters(const AVFormatContext *format)
{
    json_t *chapters = format->nb_chapters > 0 ? json_array() : NULL;

    for (unsigned i = 0; i < format->nb_chapters && i < CHAPTERS_MAX; i++) {
        const AVChapter *c = format->chapters[i];
        const AVDictionaryEntry *title = av_dict_get(c->metadata, "title", NULL, 0);
        json_t *o = json_object();

        tc_set(o, "start", json_real(0));
        set_seconds(o, "start", (double)c->start * av_q2d(c->time_base));
        if (c->end != AV_NOPTS_VALUE) {
            set_seconds(o, "end", (double)c->end * av_q2d(c->time_base));
        }
        if (title != NULL && is_title(title->value)) {
            tc_set(o, "title", json_string(title->value));
        }
        (void)json_array_append_new(chapters, o);
    }
    return chapters;
}

json_t *tc_probe(const AVFormatContext *format)
{
    json_t *probe = json_object();
    json_t *streams = json_array();

    tc_set(probe, "container", container(format));
    if (format->duration != AV_NOPTS_VALUE) {
        set_seconds(probe, "duration", (double)format->duration / AV_TIME_BASE);
    }
    tc_set_number(probe, "bitrate", format->bit_rate);
    for (unsigned i = 0; i < format->nb_streams; i++) {
        (void)json_array_append_new(streams, probe_stream(format->streams[i]));
    }
    tc_set(probe, "streams", streams);
    tc_set(probe, "chapters", probe_chapters(format));
    return probe;
}
