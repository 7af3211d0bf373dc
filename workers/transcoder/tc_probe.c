/* What a file holds, as JSON for the media row. Texts from the file (language tags) are taken only
 * when they are short, printable ASCII. */
#include "tc_input.h"

#include <math.h>
#include <string.h>

#include <libavutil/display.h>

static void set(json_t *o, const char *name, json_t *v)
{
    (void)json_object_set_new(o, name, v); /* NULL v: refused, the member is left out */
}

static void set_seconds(json_t *o, const char *name, double s)
{
    if (isfinite(s) && s > 0) {
        set(o, name, json_real(round(s * 1000) / 1000));
    }
}

static void set_number(json_t *o, const char *name, int64_t n)
{
    if (n > 0) {
        set(o, name, json_integer(n));
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
    set(o, "language", json_string(e->value));
}

static void set_rotation(json_t *o, const AVStream *st)
{
    size_t size = 0;
    const uint8_t *side = av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);
    double degrees;

    if (side == NULL || size < 9 * sizeof(int32_t)) {
        return;
    }
    degrees = -av_display_rotation_get((const int32_t *)(const void *)side);
    if (isfinite(degrees) && fabs(degrees) >= 1) {
        set(o, "rotation", json_integer(((int)lround(degrees) % 360 + 360) % 360));
    }
}

static void probe_video(json_t *o, const AVStream *st)
{
    double fps = av_q2d(st->avg_frame_rate);

    set_number(o, "width", st->codecpar->width);
    set_number(o, "height", st->codecpar->height);
    if (isfinite(fps) && fps > 0) {
        set(o, "fps", json_real(round(fps * 1000) / 1000));
    }
    set_rotation(o, st);
    if (st->disposition & AV_DISPOSITION_ATTACHED_PIC) {
        set(o, "cover", json_true());
    }
}

static void probe_audio(json_t *o, const AVStream *st)
{
    char layout[64] = "";

    set_number(o, "channels", st->codecpar->ch_layout.nb_channels);
    set_number(o, "sample_rate", st->codecpar->sample_rate);
    if (av_channel_layout_describe(&st->codecpar->ch_layout, layout, sizeof(layout)) > 0) {
        set(o, "layout", json_string(layout));
    }
}

static json_t *probe_stream(const AVStream *st)
{
    const char *type = av_get_media_type_string(st->codecpar->codec_type);
    json_t *o = json_object();

    set(o, "index", json_integer(st->index));
    set(o, "type", json_string(type != NULL ? type : "unknown"));
    set(o, "codec", json_string(avcodec_get_name(st->codecpar->codec_id)));
    if (st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
        probe_video(o, st);
    } else if (st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
        probe_audio(o, st);
    }
    set_number(o, "bitrate", st->codecpar->bit_rate);
    if (st->duration != AV_NOPTS_VALUE) {
        set_seconds(o, "duration", (double)st->duration * av_q2d(st->time_base));
    }
    if (st->disposition & AV_DISPOSITION_DEFAULT) {
        set(o, "default", json_true());
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

json_t *tc_probe(const AVFormatContext *format)
{
    json_t *probe = json_object();
    json_t *streams = json_array();

    set(probe, "container", container(format));
    if (format->duration != AV_NOPTS_VALUE) {
        set_seconds(probe, "duration", (double)format->duration / AV_TIME_BASE);
    }
    set_number(probe, "bitrate", format->bit_rate);
    for (unsigned i = 0; i < format->nb_streams; i++) {
        (void)json_array_append_new(streams, probe_stream(format->streams[i]));
    }
    set(probe, "streams", streams);
    return probe;
}
