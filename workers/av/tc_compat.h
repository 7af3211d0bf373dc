/*
 * What differs between FFmpeg 5.1 (Debian 12) and 7.1 (Debian 13): the only place that asks for its
 * version.
 */
#ifndef TC_COMPAT_H
#define TC_COMPAT_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

/* what a write callback of avio_alloc_context() is given */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t tc_written_t;
#else
typedef uint8_t tc_written_t;
#endif

/* Side data of a stream, borrowed; NULL without. size: may be NULL. */
static inline const uint8_t *tc_side_data(const AVStream *st, enum AVPacketSideDataType type,
                                          size_t *size)
{
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *sd = av_packet_side_data_get(st->codecpar->coded_side_data,
                                                         st->codecpar->nb_coded_side_data, type);

    if (size != NULL) {
        *size = sd != NULL ? sd->size : 0;
    }
    return sd != NULL ? sd->data : NULL;
#else
    return av_stream_get_side_data(st, type, size);
#endif
}

/* Room for side data of a stream that is to be muxed; NULL: no memory. */
static inline uint8_t *tc_side_data_new(AVStream *st, enum AVPacketSideDataType type, size_t size)
{
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    AVPacketSideData *sd = av_packet_side_data_new(
        &st->codecpar->coded_side_data, &st->codecpar->nb_coded_side_data, type, size, 0);

    return sd != NULL ? sd->data : NULL;
#else
    return av_stream_new_side_data(st, type, size);
#endif
}

static inline int tc_interlaced(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return (frame->flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
    return frame->interlaced_frame;
#endif
}

/* in the time base of the stream */
static inline int64_t *tc_frame_duration(AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return &frame->duration;
#else
    return &frame->pkt_duration;
#endif
}

/* What an audio encoder takes; ends with 0, NULL: any. */
static inline const int *tc_sample_rates(const AVCodec *codec)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *list = NULL;

    (void)avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_SAMPLE_RATE, 0, &list, NULL);
    return list;
#else
    return codec->supported_samplerates;
#endif
}

/* ends with AV_SAMPLE_FMT_NONE, NULL: any */
static inline const enum AVSampleFormat *tc_sample_fmts(const AVCodec *codec)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *list = NULL;

    (void)avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_SAMPLE_FORMAT, 0, &list, NULL);
    return list;
#else
    return codec->sample_fmts;
#endif
}

#endif
