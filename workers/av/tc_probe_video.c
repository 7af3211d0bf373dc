/* The pictures' part of the probe document: how they are coded, coloured, scanned and shown. */
#include "tc_input.h"

#include <math.h>

#include <libavutil/dovi_meta.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>

#include "tc_compat.h"
#include "tc_probe.h"

static void set_rate(json_t *o, const char *name, AVRational rate)
{
    double fps = rate.den != 0 ? av_q2d(rate) : 0;

    if (isfinite(fps) && fps > 0) {
        tc_set(o, name, json_real(round(fps * 1000) / 1000));
    }
}

/* libav's name of a value that the file states. */
static void set_name(json_t *o, const char *member, int stated, const char *name)
{
    if (stated && name != NULL) {
        tc_set(o, member, json_string(name));
    }
}

static void set_colour(json_t *o, const AVCodecParameters *par)
{
    set_name(o, "color_range", par->color_range != AVCOL_RANGE_UNSPECIFIED,
             av_color_range_name(par->color_range));
    set_name(o, "color_primaries", par->color_primaries != AVCOL_PRI_UNSPECIFIED,
             av_color_primaries_name(par->color_primaries));
    set_name(o, "color_transfer", par->color_trc != AVCOL_TRC_UNSPECIFIED,
             av_color_transfer_name(par->color_trc));
    set_name(o, "color_space", par->color_space != AVCOL_SPC_UNSPECIFIED,
             av_color_space_name(par->color_space));
}

static json_t *point(const AVRational xy[2])
{
    return json_pack("[f,f]", av_q2d(xy[0]), av_q2d(xy[1]));
}

static int sound(AVRational q)
{
    return q.den > 0 && q.num >= 0;
}

/* SMPTE ST 2086: the display on which the film was graded. */
static json_t *mastering(const void *side, size_t size)
{
    const AVMasteringDisplayMetadata *m = side;
    int ok = m != NULL && size >= sizeof(*m);
    json_t *o;

    for (int i = 0; ok && m->has_primaries && i < 8; i++) {
        ok = sound(i < 6 ? m->display_primaries[i / 2][i % 2] : m->white_point[i % 2]);
    }
    if (!ok) {
        return NULL;
    }
    o = json_object();
    if (m->has_primaries) {
        tc_set(o, "red", point(m->display_primaries[0]));
        tc_set(o, "green", point(m->display_primaries[1]));
        tc_set(o, "blue", point(m->display_primaries[2]));
        tc_set(o, "white", point(m->white_point));
    }
    if (m->has_luminance && sound(m->min_luminance) && sound(m->max_luminance)) {
        tc_set(o, "min_luminance", json_real(av_q2d(m->min_luminance)));
        tc_set(o, "max_luminance", json_real(av_q2d(m->max_luminance)));
    }
    return o;
}

/* CTA-861.3 */
static void set_light(json_t *hdr, const void *side, size_t size)
{
    const AVContentLightMetadata *light = side;

    if (light != NULL && size >= sizeof(*light)) {
        tc_set_number(hdr, "max_cll", light->MaxCLL);
        tc_set_number(hdr, "max_fall", light->MaxFALL);
    }
}

/* Takes hdr; an empty one is no member. */
static void set_hdr(json_t *o, json_t *hdr)
{
    if (json_object_size(hdr) > 0) {
        tc_set(o, "hdr", hdr);
    } else {
        json_decref(hdr);
    }
}

static json_t *hdr_of_stream(const AVStream *st)
{
    size_t size = 0;
    const AVDOVIDecoderConfigurationRecord *dovi =
        (const void *)tc_side_data(st, AV_PKT_DATA_DOVI_CONF, &size);
    const void *side;
    json_t *hdr = json_object();

    if (st->codecpar->color_trc == AVCOL_TRC_SMPTE2084) {
        tc_set(hdr, "transfer", json_string("pq"));
    } else if (st->codecpar->color_trc == AVCOL_TRC_ARIB_STD_B67) {
        tc_set(hdr, "transfer", json_string("hlg"));
    }
    if (dovi != NULL && size >= sizeof(*dovi)) {
        tc_set(hdr, "dolby_vision_profile", json_integer(dovi->dv_profile));
    }
    side = tc_side_data(st, AV_PKT_DATA_MASTERING_DISPLAY_METADATA, &size);
    tc_set(hdr, "mastering_display", mastering(side, size));
    side = tc_side_data(st, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, &size);
    set_light(hdr, side, size);
    return hdr;
}

void tc_probe_frame(json_t *probe, int track, const AVFrame *frame)
{
    json_t *o = json_array_get(json_object_get(probe, "streams"), (size_t)track);
    json_t *hdr = json_incref(json_object_get(o, "hdr"));
    const AVFrameSideData *d =
        av_frame_get_side_data(frame, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA);

    hdr = hdr != NULL ? hdr : json_object();
    if (d != NULL) {
        tc_set(hdr, "mastering_display", mastering(d->data, d->size));
    }
    d = av_frame_get_side_data(frame, AV_FRAME_DATA_CONTENT_LIGHT_LEVEL);
    if (d != NULL) {
        set_light(hdr, d->data, d->size);
    }
    set_hdr(o, hdr);
    if (json_object_get(o, "interlaced") == NULL) {
        tc_set(o, "interlaced", json_boolean(tc_interlaced(frame)));
    }
}

static void set_scan(json_t *o, enum AVFieldOrder order)
{
    static const char *const names[] = {NULL, "progressive", "tt", "bb", "tb", "bt"};

    if (order > AV_FIELD_UNKNOWN && order <= AV_FIELD_BT) {
        tc_set(o, "field_order", json_string(names[order]));
        tc_set(o, "interlaced", json_boolean(order != AV_FIELD_PROGRESSIVE));
    }
}

void tc_probe_video(json_t *o, const AVStream *st)
{
    const AVCodecParameters *par = st->codecpar;
    AVRational sar =
        st->sample_aspect_ratio.num > 0 ? st->sample_aspect_ratio : par->sample_aspect_ratio;
    int rotation, flip;

    tc_set_number(o, "width", par->width);
    tc_set_number(o, "height", par->height);
    if (sar.num > 0 && sar.den > 0) {
        tc_set(o, "sar", json_sprintf("%d:%d", sar.num, sar.den));
    }
    set_rate(o, "fps", st->avg_frame_rate);
    set_rate(o, "fps_real", st->r_frame_rate);
    set_name(o, "pix_fmt", 1, av_get_pix_fmt_name(par->format));
    set_name(o, "profile", 1, avcodec_profile_name(par->codec_id, par->profile));
    set_scan(o, par->field_order);
    set_colour(o, par);
    set_hdr(o, hdr_of_stream(st));
    tc_stream_rotation(st, &rotation, &flip);
    tc_set_number(o, "rotation", rotation);
    if (flip) {
        tc_set(o, "flip", json_true());
    }
    if (st->disposition & AV_DISPOSITION_ATTACHED_PIC) {
        tc_set(o, "cover", json_true());
    }
}
