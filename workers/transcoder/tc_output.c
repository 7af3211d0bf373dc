/* Encoder and muxer. The muxer may go back and overwrite (Xing header, WAV sizes, FLAC's stream
 * info) and reads its own output to move an MP4's index to the front: the parent keeps the file.
 * Muxers run in bit-exact mode, so that two attempts at one job make the same bytes. */
#include "tc_output.h"

#include <math.h>
#include <string.h>

#include "tc_compat.h"

#define PCM_FRAME 4096 /* for encoders without a frame size */

typedef struct {
    wk_peer_t *peer;
    int64_t pos;
} reread_t;

static int on_write(void *data, tc_written_t *buf, int len)
{
    tc_output_t *o = data;

    if (wk_peer_write(o->peer, o->pos, buf, (size_t)len) != 0) {
        return AVERROR(EIO);
    }
    o->pos += len;
    if (o->pos > o->end) {
        o->end = o->pos;
    }
    return len;
}

static int64_t on_seek(void *data, int64_t offset, int whence)
{
    tc_output_t *o = data;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return o->end;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        offset += o->pos;
        break;
    case SEEK_END:
        offset += o->end;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) {
        return AVERROR(EINVAL);
    }
    o->pos = offset;
    return offset;
}

static int on_reread(void *data, uint8_t *buf, int len)
{
    reread_t *r = data;
    ssize_t n = wk_peer_reread(r->peer, r->pos, buf, (size_t)len);

    if (n <= 0) {
        return n < 0 ? AVERROR(EIO) : AVERROR_EOF;
    }
    r->pos += n;
    return (int)n;
}

static int64_t on_reread_seek(void *data, int64_t offset, int whence)
{
    reread_t *r = data;

    if (whence != SEEK_SET || offset < 0) {
        return AVERROR(EINVAL);
    }
    r->pos = offset;
    return offset;
}

static AVIOContext *io_new(void *data, int writing, int (*read)(void *, uint8_t *, int),
                           int (*write)(void *, tc_written_t *, int),
                           int64_t (*seek)(void *, int64_t, int))
{
    uint8_t *buffer = av_malloc(TC_IO_BUFFER);
    AVIOContext *pb = NULL;

    if (buffer != NULL) {
        pb = avio_alloc_context(buffer, TC_IO_BUFFER, writing, data, read, write, seek);
    }
    if (pb == NULL) {
        av_free(buffer);
    }
    return pb;
}

static void io_free(AVIOContext **pb)
{
    if (*pb != NULL) {
        av_freep(&(*pb)->buffer);
        avio_context_free(pb);
    }
}

/* The one thing a muxer may open: its own output, for reading. */
static int io_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                   AVDictionary **options)
{
    tc_output_t *o = s->opaque;
    reread_t *r;

    (void)options;
    if (flags != AVIO_FLAG_READ || strcmp(url, s->url) != 0) {
        return AVERROR(EACCES);
    }
    r = av_mallocz(sizeof(*r));
    if (r == NULL) {
        return AVERROR(ENOMEM);
    }
    r->peer = o->peer;
    *pb = io_new(r, 0, on_reread, NULL, on_reread_seek);
    if (*pb == NULL) {
        av_free(r);
        return AVERROR(ENOMEM);
    }
    return 0;
}

static int io_close(AVFormatContext *s, AVIOContext *pb)
{
    (void)s;
    av_free(pb->opaque);
    io_free(&pb);
    return 0;
}

static int open_muxer(tc_output_t *o, tc_fail_t *f)
{
    const tc_format_t *t = o->params->format;
    int rc = avformat_alloc_output_context2(&o->format, NULL, t->muxer, t->output);

    if (rc < 0) {
        return tc_fail_av(f, rc, "The output cannot be made");
    }
    o->pb = io_new(o, 1, NULL, on_write, on_seek);
    if (o->pb == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    o->format->pb = o->pb;
    o->format->opaque = o;
    o->format->io_open = io_open;
    o->format->io_close2 = io_close;
    o->format->flush_packets =
        0; /* else every packet of a few hundred bytes is a frame to the parent */
    o->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    o->stream = avformat_new_stream(o->format, NULL);
    return o->stream != NULL ? 0 : tc_fail_av(f, AVERROR(ENOMEM), "");
}

static int add_cover(tc_output_t *o, const AVFormatContext *from)
{
    const AVStream *st = NULL;
    int rc;

    if (!o->params->keep_cover || o->params->format->cover == 0) {
        return 0;
    }
    o->cover = tc_cover_find(from, &st);
    if (o->cover == NULL) {
        return 0;
    }
    if (o->params->format->cover == 2) {
        rc = tc_cover_comment(o->stream, st, o->cover);
        o->cover = NULL;
        return rc;
    }
    o->cover_stream = avformat_new_stream(o->format, NULL);
    if (o->cover_stream == NULL) {
        return AVERROR(ENOMEM);
    }
    rc = avcodec_parameters_copy(o->cover_stream->codecpar, st->codecpar);
    o->cover_stream->codecpar->codec_tag = 0;
    o->cover_stream->disposition = AV_DISPOSITION_ATTACHED_PIC;
    o->cover_stream->time_base = (AVRational){1, 90000};
    (void)av_dict_set(&o->cover_stream->metadata, "comment", "Cover (front)", 0);
    return rc;
}

static int write_cover(tc_output_t *o)
{
    int rc;

    if (o->cover == NULL) {
        return 0;
    }
    rc = av_packet_ref(o->packet, o->cover);
    if (rc >= 0) {
        o->packet->stream_index = o->cover_stream->index;
        o->packet->pts = o->packet->dts = 0;
        o->packet->duration = 0;
        o->packet->flags |= AV_PKT_FLAG_KEY;
        rc = av_write_frame(o->format, o->packet);
        av_packet_unref(o->packet);
    }
    return rc;
}

static int write_header(tc_output_t *o, const tc_input_t *in, tc_fail_t *f)
{
    AVDictionary *options = NULL;
    int rc = tc_tags_copy(o->format, o->stream, in->format, in->stream);

    if (rc >= 0) {
        rc = add_cover(o, in->format);
    }
    if (rc >= 0) {
        /* each muxer takes its own and leaves the other: ID3v2.3 is read everywhere */
        (void)av_dict_set(&options, "id3v2_version", "3", 0);
        (void)av_dict_set(&options, "movflags", "+faststart", 0);
        rc = avformat_write_header(o->format, &options);
        av_dict_free(&options);
    }
    if (rc >= 0) {
        rc = write_cover(o);
    }
    return rc < 0 ? tc_fail_av(f, rc, "The output cannot be written") : 0;
}

static int open_pcm(tc_output_t *o, const tc_input_t *in, tc_fail_t *f)
{
    int exact;
    tc_pcm_conf_t conf = {.sample_fmt = o->encoder->sample_fmt,
                          .sample_rate = o->encoder->sample_rate,
                          .layout = o->encoder->ch_layout,
                          .time_base = in->stream->time_base,
                          .timed = tc_input_timed(in),
                          .limit_s = in->limits.duration_s,
                          .duration_s = tc_input_duration(in, &exact)};

    return tc_pcm_open(&o->pcm, &conf, f);
}

int tc_output_open(tc_output_t *o, wk_peer_t *peer, const tc_params_t *params, const tc_input_t *in,
                   const AVFrame *first, tc_fail_t *f)
{
    int rc;

    memset(o, 0, sizeof(*o));
    o->peer = peer;
    o->params = params;
    o->frame = av_frame_alloc();
    o->packet = av_packet_alloc();
    if (o->frame == NULL || o->packet == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (open_muxer(o, f) != 0) {
        return -1;
    }
    o->encoder = tc_encoder_open(params, in->decoder, first,
                                 (o->format->oformat->flags & AVFMT_GLOBALHEADER) != 0, f);
    if (o->encoder == NULL) {
        return -1;
    }
    rc = avcodec_parameters_from_context(o->stream->codecpar, o->encoder);
    if (rc < 0) {
        return tc_fail_av(f, rc, "");
    }
    o->stream->time_base = o->encoder->time_base;
    return write_header(o, in, f) != 0 || open_pcm(o, in, f) != 0 ? -1 : 0;
}

/* Writes what the encoder has ready. */
static int drain(tc_output_t *o, tc_fail_t *f)
{
    int rc;

    while ((rc = avcodec_receive_packet(o->encoder, o->packet)) >= 0) {
        av_packet_rescale_ts(o->packet, o->encoder->time_base, o->stream->time_base);
        o->packet->stream_index = o->stream->index;
        rc = av_write_frame(o->format, o->packet);
        av_packet_unref(o->packet);
        if (rc < 0) {
            return tc_fail_av(f, rc, "The output cannot be written");
        }
    }
    return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF ? 0 : tc_fail_av(f, rc, "Encoding failed");
}

/* Encodes n samples of the fifo. */
static int encode(tc_output_t *o, int n, tc_fail_t *f)
{
    AVFrame *fr = o->frame;
    int rc;

    av_frame_unref(fr);
    fr->nb_samples = n;
    fr->format = o->encoder->sample_fmt;
    fr->sample_rate = o->encoder->sample_rate;
    rc = av_channel_layout_copy(&fr->ch_layout, &o->encoder->ch_layout);
    if (rc >= 0) {
        rc = av_frame_get_buffer(fr, 0);
    }
    if (rc < 0 || av_audio_fifo_read(o->pcm.fifo, (void **)fr->extended_data, n) < n) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    fr->pts = o->samples;
    o->samples += n;
    rc = avcodec_send_frame(o->encoder, fr);
    return rc < 0 ? tc_fail_av(f, rc, "Encoding failed") : drain(o, f);
}

static int encode_full(tc_output_t *o, tc_fail_t *f)
{
    int size = o->encoder->frame_size > 0 ? o->encoder->frame_size : PCM_FRAME;

    while (av_audio_fifo_size(o->pcm.fifo) >= size) {
        if (encode(o, size, f) != 0) {
            return -1;
        }
    }
    return 0;
}

int tc_output_frame(tc_output_t *o, const AVFrame *frame, tc_fail_t *f)
{
    return tc_pcm_frame(&o->pcm, frame, f) != 0 || encode_full(o, f) != 0 ? -1 : 0;
}

static json_t *describe(const tc_output_t *o)
{
    double duration = (double)o->samples / o->encoder->sample_rate;
    double bitrate = duration > 0 ? 8.0 * (double)o->end / duration : 0;

    return json_pack("{s:s,s:s,s:s,s:f,s:I}", "name", o->params->format->output, "kind", "audio",
                     "content_type", o->params->format->content_type, "duration",
                     round(duration * 1000) / 1000, "bitrate", (json_int_t)llround(bitrate));
}

int tc_output_finish(tc_output_t *o, tc_fail_t *f)
{
    int rc, rest;

    if (tc_pcm_flush(&o->pcm, f) != 0 || encode_full(o, f) != 0) {
        return -1;
    }
    rest = av_audio_fifo_size(o->pcm.fifo);
    if (rest > 0 && encode(o, rest, f) != 0) {
        return -1;
    }
    if (o->samples == 0) {
        return tc_fail(f, "unreadable_media", "The sound track is empty.");
    }
    rc = avcodec_send_frame(o->encoder, NULL);
    if (rc < 0 || drain(o, f) != 0) {
        return tc_fail_av(f, rc, "Encoding failed");
    }
    rc = av_write_trailer(o->format);
    if (rc >= 0) {
        avio_flush(o->pb);
        rc = o->pb->error;
    }
    if (rc < 0) {
        return tc_fail_av(f, rc, "The output cannot be written");
    }
    if (wk_peer_output(o->peer, describe(o)) != 0) {
        return tc_fail(f, "internal", "The output could not be handed over.");
    }
    return 0;
}

void tc_output_close(tc_output_t *o)
{
    tc_pcm_close(&o->pcm);
    avcodec_free_context(&o->encoder);
    av_frame_free(&o->frame);
    av_packet_free(&o->packet);
    io_free(&o->pb);
    avformat_free_context(o->format);
    o->format = NULL;
}
