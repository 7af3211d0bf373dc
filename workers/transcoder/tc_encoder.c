/* Choosing and opening the encoder. */
#include "tc_output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tc_compat.h"

/* Layouts every encoder here takes, by number of channels. */
static int default_layout(AVChannelLayout *layout, int channels)
{
    static const uint64_t masks[TC_CHANNELS_MAX + 1] = {0,
                                                        AV_CH_LAYOUT_MONO,
                                                        AV_CH_LAYOUT_STEREO,
                                                        AV_CH_LAYOUT_SURROUND,
                                                        AV_CH_LAYOUT_QUAD,
                                                        AV_CH_LAYOUT_5POINT0_BACK,
                                                        AV_CH_LAYOUT_5POINT1_BACK,
                                                        AV_CH_LAYOUT_6POINT1,
                                                        AV_CH_LAYOUT_7POINT1};

    return av_channel_layout_from_mask(layout, masks[channels]);
}

static int choose_layout(AVCodecContext *enc, const tc_params_t *p, const AVFrame *first,
                         tc_fail_t *f)
{
    int channels = p->channels > 0 ? p->channels : first->ch_layout.nb_channels;
    int rc;

    if (p->channels > p->format->channels_max) {
        return tc_fail(f, "params_invalid", "The format %s takes at most %d channels.",
                       p->format->name, p->format->channels_max);
    }
    if (channels > p->format->channels_max) {
        channels = p->format->channels_max;
    }
    if (p->format->lossless && channels == first->ch_layout.nb_channels &&
        first->ch_layout.order == AV_CHANNEL_ORDER_NATIVE) {
        rc = av_channel_layout_copy(&enc->ch_layout, &first->ch_layout);
    } else {
        rc = default_layout(&enc->ch_layout, channels);
    }
    return rc < 0 ? tc_fail_av(f, rc, "") : 0;
}

/* The supported rate next to the wanted one, the higher of two equally near. */
static int nearest_rate(const int *list, int want)
{
    int best = list[0];

    for (; *list != 0; list++) {
        int d = abs(*list - want), best_d = abs(best - want);
        if (d < best_d || (d == best_d && *list > best)) {
            best = *list;
        }
    }
    return best;
}

static int choose_rate(const AVCodec *codec, const tc_params_t *p, const AVFrame *first)
{
    static const int usual[] = {8000,  11025, 12000, 16000, 22050,  24000,  32000,
                                44100, 48000, 88200, 96000, 176400, 192000, 0};
    int want = p->sample_rate > 0 ? p->sample_rate : first->sample_rate;
    const int *rates = tc_sample_rates(codec);

    if (rates != NULL) {
        return nearest_rate(rates, want);
    }
    /* rates above 65535 must be multiples of ten to fit FLAC's frame header */
    if (want >= 8000 && want <= 192000 && (want <= 65535 || want % 10 == 0)) {
        return want;
    }
    return nearest_rate(usual, want);
}

/* Bits per sample that a lossless copy needs: those of a lossless source, else 16. */
static int source_bits(const AVCodecContext *dec, const AVFrame *first)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get(dec->codec_id);
    int bits = dec->bits_per_raw_sample;

    if (d == NULL || !(d->props & AV_CODEC_PROP_LOSSLESS)) {
        return 16;
    }
    return bits > 0 ? bits : 8 * av_get_bytes_per_sample(first->format);
}

static enum AVSampleFormat choose_fmt(const AVCodec *codec, enum AVSampleFormat want)
{
    const enum AVSampleFormat *list = tc_sample_fmts(codec);
    enum AVSampleFormat packed = av_get_packed_sample_fmt(want);
    const enum AVSampleFormat *s;

    for (s = list; *s != AV_SAMPLE_FMT_NONE; s++) {
        if (av_get_packed_sample_fmt(*s) == packed) {
            return *s;
        }
    }
    /* more than 16 bits: float keeps them best */
    for (s = list; *s != AV_SAMPLE_FMT_NONE; s++) {
        if (av_get_packed_sample_fmt(*s) == AV_SAMPLE_FMT_FLT) {
            return *s;
        }
    }
    return list[0];
}

static void choose_bitrate(AVCodecContext *enc, const tc_params_t *p)
{
    int kbps = p->bitrate_kbps;

    if (p->has_quality) {
        enc->flags |= AV_CODEC_FLAG_QSCALE;
        enc->global_quality = (int)lround(FF_QP2LAMBDA * p->quality);
        return;
    }
    if (enc->codec_id == AV_CODEC_ID_OPUS && kbps > 256 * enc->ch_layout.nb_channels) {
        kbps = 256 * enc->ch_layout.nb_channels; /* libopus takes no more */
    }
    enc->bit_rate = (int64_t)kbps * 1000;
}

static AVCodecContext *encoder_try(const AVCodec *codec, const tc_params_t *p, const AVFrame *first,
                                   int bits, int global_header, int *rc, tc_fail_t *f)
{
    AVCodecContext *enc = avcodec_alloc_context3(codec);

    *rc = AVERROR(ENOMEM);
    if (enc == NULL || choose_layout(enc, p, first, f) != 0) {
        avcodec_free_context(&enc);
        return NULL;
    }
    enc->sample_rate = choose_rate(codec, p, first);
    enc->time_base = (AVRational){1, enc->sample_rate};
    enc->sample_fmt =
        choose_fmt(codec, p->format->lossless ? (bits > 16 ? AV_SAMPLE_FMT_S32 : AV_SAMPLE_FMT_S16)
                                              : (enum AVSampleFormat)first->format);
    if (p->format->lossless && bits > 16) {
        enc->bits_per_raw_sample = 24;
    }
    enc->thread_count = 1;
    if (global_header) {
        enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    choose_bitrate(enc, p);
    *rc = avcodec_open2(enc, codec, NULL);
    if (*rc < 0) {
        avcodec_free_context(&enc);
    }
    return enc;
}

AVCodecContext *tc_encoder_open(const tc_params_t *params, const AVCodecContext *decoder,
                                const AVFrame *first, int global_header, tc_fail_t *f)
{
    int bits = source_bits(decoder, first);
    const char *name = bits > 16 && params->format->encoder_24 != NULL ? params->format->encoder_24
                                                                       : params->format->encoder;
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    tc_params_t by_quality = *params;
    AVCodecContext *enc;
    int rc = AVERROR(ENOMEM);

    if (codec == NULL) {
        (void)tc_fail(f, "internal", "The encoder %s is not installed.", name);
        return NULL;
    }
    enc = encoder_try(codec, params, first, bits, global_header, &rc, f);
    if (enc == NULL && codec->id == AV_CODEC_ID_VORBIS && !params->has_quality) {
        /* libvorbis has no such bit rate for this rate and number of channels */
        by_quality.has_quality = 1;
        by_quality.quality = 5;
        enc = encoder_try(codec, &by_quality, first, bits, global_header, &rc, f);
    }
    if (enc == NULL && rc == AVERROR(ENOMEM)) {
        (void)tc_fail_av(f, rc, "");
    } else if (enc == NULL) {
        (void)tc_fail(f, "params_invalid",
                      "The encoder does not take these parameters for %d Hz and %d channels.",
                      first->sample_rate, first->ch_layout.nb_channels);
    }
    return enc;
}
