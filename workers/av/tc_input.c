/* The input of a job: one sound track of a container, one decoder without threads. */
#include "tc_input.h"

#include <string.h>

#define ENCRYPTED "The sound track is encrypted (copy protection)."

static int has_audio(const AVFormatContext *s)
{
    for (unsigned i = 0; i < s->nb_streams; i++) {
        if (s->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
            return 1;
        }
    }
    return 0;
}

static int choose_stream(tc_input_t *in, int track, const AVCodec **codec, tc_fail_t *f)
{
    AVFormatContext *s = in->format;
    int i = av_find_best_stream(s, AVMEDIA_TYPE_AUDIO, track, -1, codec, 0);
    const AVStream *any;
    char tag[AV_FOURCC_MAX_STRING_SIZE];

    if (i < 0 && !has_audio(s)) {
        return tc_fail(f, "no_audio",
                       "The file has no sound track, so there is nothing to convert to %s.",
                       in->target);
    }
    if (i < 0) {
        i = av_find_best_stream(s, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
        any = i >= 0 ? s->streams[i] : NULL;
        if (any != NULL && tc_stream_encrypted(any)) {
            return tc_fail(f, "encrypted_media", ENCRYPTED);
        }
        return tc_fail(f, "unsupported_codec",
                       "The sound track is in a coding that cannot be decoded here (%s).",
                       any != NULL ? tc_coding_name(any->codecpar, tag) : "unknown");
    }
    in->stream = s->streams[i];
    if (tc_stream_encrypted(in->stream)) {
        return tc_fail(f, "encrypted_media", ENCRYPTED);
    }
    for (unsigned k = 0; k < s->nb_streams; k++) {
        s->streams[k]->discard = (int)k == i ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    return 0;
}

static int open_decoder(tc_input_t *in, const AVCodec *codec, tc_fail_t *f)
{
    int rc;

    in->decoder = avcodec_alloc_context3(codec);
    if (in->decoder == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    rc = avcodec_parameters_to_context(in->decoder, in->stream->codecpar);
    if (rc >= 0) {
        in->decoder->pkt_timebase = in->stream->time_base;
        in->decoder->thread_count = 1;
        rc = avcodec_open2(in->decoder, codec, NULL);
    }
    return rc < 0 ? tc_fail_av(f, rc, "The sound track cannot be decoded") : 0;
}

int tc_input_open(tc_input_t *in, const vd_source_t *source, const tc_limits_t *limits, int track,
                  const char *target, tc_fail_t *f)
{
    const AVCodec *codec = NULL;

    memset(in, 0, sizeof(*in));
    in->target = target;
    in->limits = *limits;
    in->packet = av_packet_alloc();
    if (in->packet == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return vd_io_open(&in->io, source, f) != 0 ||
                   tc_container_open(&in->io, 0, &in->format, f) != 0 ||
                   tc_container_streams(in->format, &in->io, f) != 0 ||
                   tc_container_limits(in->format, source->size, limits->streams,
                                       limits->duration_s, f) != 0 ||
                   choose_stream(in, track, &codec, f) != 0 ||
                   tc_limits_codec(limits, in->stream->codecpar, "sound", f) != 0 ||
                   tc_container_whole(in->format, &in->io, f) != 0 ||
                   open_decoder(in, codec, f) != 0
               ? -1
               : 0;
}

/* Feeds the decoder one packet of the track, or its end. */
static int feed(tc_input_t *in, tc_fail_t *f)
{
    int rc;

    do {
        av_packet_unref(in->packet);
        rc = av_read_frame(in->format, in->packet);
    } while (rc >= 0 && in->packet->stream_index != in->stream->index);
    if (in->io.lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    if (rc < 0) {
        in->read_error = rc == AVERROR_EOF ? 0 : rc;
        in->draining = 1;
        (void)avcodec_send_packet(in->decoder, NULL);
        return 0;
    }
    if (av_packet_get_side_data(in->packet, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL) {
        return tc_fail(f, "encrypted_media", ENCRYPTED);
    }
    rc = avcodec_send_packet(in->decoder, in->packet);
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    in->errors += rc < 0;
    return 0;
}

int tc_input_frame(tc_input_t *in, AVFrame *frame, tc_fail_t *f)
{
    for (;;) {
        int rc = avcodec_receive_frame(in->decoder, frame);

        if (rc >= 0) {
            in->frames++;
            return 1;
        }
        if (rc == AVERROR(ENOMEM)) {
            return tc_fail_av(f, rc, "");
        }
        if (rc == AVERROR_EOF || (rc != AVERROR(EAGAIN) && in->draining)) {
            return 0;
        }
        in->errors += rc != AVERROR(EAGAIN);
        if (feed(in, f) != 0) {
            return -1;
        }
    }
}

double tc_input_duration(const tc_input_t *in, int *exact)
{
    static const char *const trusted[] = {
        "mov,mp4,m4a,3gp,3g2,mj2", "flac", "wav", "w64", "aiff", "caf", "mp3", "tta", "wv"};
    const AVStream *st = in->stream;
    const char *name = in->format->iformat->name;

    *exact = 0;
    for (size_t i = 0; i < sizeof(trusted) / sizeof(trusted[0]); i++) {
        *exact |= strcmp(name, trusted[i]) == 0;
    }
    *exact = *exact && st->duration > 0 && !tc_check_fragmented(in->format) &&
             in->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
    if (st->duration > 0) {
        return (double)st->duration * av_q2d(st->time_base);
    }
    return in->format->duration > 0 ? (double)in->format->duration / AV_TIME_BASE : 0;
}

int tc_input_timed(const tc_input_t *in)
{
    static const char *const timed[] = {
        "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "mpeg", "flv", "asf", "ogg"};

    for (size_t i = 0; i < sizeof(timed) / sizeof(timed[0]); i++) {
        if (strcmp(in->format->iformat->name, timed[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

void tc_input_close(tc_input_t *in)
{
    avcodec_free_context(&in->decoder);
    av_packet_free(&in->packet);
    avformat_close_input(&in->format);
    vd_io_close(&in->io);
}
