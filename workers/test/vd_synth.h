/* Clips made by libav in memory: a moving pattern with noise, one encoder, one container. */
#ifndef VD_SYNTH_H
#define VD_SYNTH_H

#include <libavutil/display.h>

#include "tc_compat.h"
#include "vd_clip.h"

#define SYNTH_MAX (96u << 20)

typedef struct {
    const char *name;
    const char *muxer, *encoder;
    const char *options, *mux_options; /* "a=b:c=d" of AVDictionary */
    int width, height, frames;
    int vary;      /* 1: times jump, as a phone's do */
    int64_t start; /* pts of the first picture, in pictures */
    int noise;     /* amplitude */
    int lies;      /* two scenes in turn, and every intra picture is called a key frame */
} synth_t;

/* For all clips that a test makes: who draws instead of synth_draw, and by how many degrees
 * clockwise whoever shows it is to turn it. */
static void (*synth_painter)(AVFrame *f, int n, const synth_t *t);
static int synth_rotation;

typedef struct {
    uint8_t *p;
    int64_t size, pos;
} synth_out_t;

static int synth_write(void *data, tc_written_t *buf, int len)
{
    synth_out_t *o = data;

    if (o->pos + len > SYNTH_MAX) {
        return AVERROR(ENOSPC);
    }
    memcpy(o->p + o->pos, buf, (size_t)len);
    o->pos += len;
    o->size = o->pos > o->size ? o->pos : o->size;
    return len;
}

static int64_t synth_seek(void *data, int64_t off, int whence)
{
    synth_out_t *o = data;

    if (whence & AVSEEK_SIZE) {
        return o->size;
    }
    o->pos = off + (whence == SEEK_CUR ? o->pos : whence == SEEK_END ? o->size : 0);
    return o->pos;
}

static inline void synth_draw(AVFrame *f, int n, const synth_t *t)
{
    uint32_t x = t->lies ? 0 : 12345u + (uint32_t)n;
    int second = t->lies && n / 30 % 2;

    for (int plane = 0; plane < 3; plane++) {
        int w = plane > 0 ? f->width / 2 : f->width, h = plane > 0 ? f->height / 2 : f->height;
        for (int y = 0; y < h; y++) {
            uint8_t *row = f->data[plane] + (ptrdiff_t)y * f->linesize[plane];
            for (int i = 0; i < w; i++) {
                int v = second ? (i * 7) ^ (y * 13) : i * (plane + 1) + y + 3 * n;
                x = x * 1664525u + 1013904223u;
                row[i] = (uint8_t)(64 + (v & 127) +
                                   (t->noise > 0 ? (int)((x >> 16) % (uint32_t)t->noise) : 0));
            }
        }
    }
}

typedef struct {
    AVFormatContext *mux;
    AVCodecContext *enc;
    AVPacket *packet;
} synth_run_t;

static inline int synth_is_intra(const AVPacket *p)
{
    const uint8_t *stats = av_packet_get_side_data(p, AV_PKT_DATA_QUALITY_STATS, NULL);

    return stats != NULL && stats[4] == AV_PICTURE_TYPE_I;
}

static inline void synth_drain(synth_run_t *r, const synth_t *t)
{
    while (avcodec_receive_packet(r->enc, r->packet) >= 0) {
        if (t->lies && synth_is_intra(r->packet)) {
            r->packet->flags |= AV_PKT_FLAG_KEY;
        }
        r->packet->stream_index = 0;
        if (r->packet->duration == 0) {
            r->packet->duration = 1;
        }
        av_packet_rescale_ts(r->packet, r->enc->time_base, r->mux->streams[0]->time_base);
        CHECK(av_interleaved_write_frame(r->mux, r->packet) >= 0);
    }
}

static inline void synth_encode(synth_run_t *r, const synth_t *t)
{
    AVFrame *f = av_frame_alloc();
    int64_t pts = t->start;

    f->format = AV_PIX_FMT_YUV420P;
    f->width = t->width;
    f->height = t->height;
    CHECK_INT(av_frame_get_buffer(f, 0), 0);
    for (int n = 0; n < t->frames; n++) {
        CHECK_INT(av_frame_make_writable(f), 0);
        (synth_painter != NULL ? synth_painter : synth_draw)(f, n, t);
        f->pts = pts;
        pts += t->vary ? 1 + (n * 7 % 5) + (n == 40 ? 60 : 0) : 1;
        CHECK(avcodec_send_frame(r->enc, f) >= 0);
        synth_drain(r, t);
    }
    (void)avcodec_send_frame(r->enc, NULL);
    synth_drain(r, t);
    av_frame_free(&f);
}

static inline int synth_open(synth_run_t *r, const synth_t *t, AVIOContext *io)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(t->encoder);
    AVDictionary *options = NULL, *mux_options = NULL;
    int rc;

    r->packet = av_packet_alloc();
    if (codec == NULL || avformat_alloc_output_context2(&r->mux, NULL, t->muxer, NULL) < 0) {
        return -1;
    }
    r->mux->pb = io;
    r->enc = avcodec_alloc_context3(codec);
    r->enc->width = t->width;
    r->enc->height = t->height;
    r->enc->pix_fmt = AV_PIX_FMT_YUV420P;
    r->enc->time_base = (AVRational){1, 25};
    r->enc->framerate = (AVRational){25, 1};
    r->enc->thread_count = 1;
    r->enc->gop_size = 25;
    if (r->mux->oformat->flags & AVFMT_GLOBALHEADER) {
        r->enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    (void)av_dict_parse_string(&options, t->options, "=", ";", 0);
    (void)av_dict_parse_string(&mux_options, t->mux_options, "=", ";", 0);
    rc = avcodec_open2(r->enc, codec, &options);
    if (rc >= 0) {
        AVStream *st = avformat_new_stream(r->mux, NULL);
        st->time_base = r->enc->time_base;
        st->avg_frame_rate = r->enc->framerate;
        CHECK(avcodec_parameters_from_context(st->codecpar, r->enc) >= 0);
        if (synth_rotation != 0) {
            av_display_rotation_set((int32_t *)(void *)tc_side_data_new(
                                        st, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t)),
                                    synth_rotation);
        }
        rc = avformat_write_header(r->mux, &mux_options);
    }
    CHECK_INT(av_dict_count(options) + av_dict_count(mux_options), 0); /* all understood */
    av_dict_free(&options);
    av_dict_free(&mux_options);
    return rc;
}

/* Makes the clip; 0, or -1 where this libav has not got the encoder or the muxer. */
static inline int synth_make(const synth_t *t, clip_t *c)
{
    synth_out_t out = {.p = malloc(SYNTH_MAX)};
    AVIOContext *io =
        avio_alloc_context(av_malloc(65536), 65536, 1, &out, NULL, synth_write, synth_seek);
    synth_run_t r = {NULL, NULL, NULL};
    int rc = synth_open(&r, t, io);

    if (rc >= 0) {
        synth_encode(&r, t);
        CHECK(av_write_trailer(r.mux) >= 0);
        avio_flush(io);
    }
    avcodec_free_context(&r.enc);
    avformat_free_context(r.mux);
    av_packet_free(&r.packet);
    av_freep(&io->buffer);
    avio_context_free(&io);
    *c = (clip_t){.fd = -1,
                  .p = realloc(out.p, (size_t)(out.size > 0 ? out.size : 1)),
                  .size = out.size,
                  .least_read = INT64_MAX};
    return rc < 0 ? -1 : 0;
}

static inline void synth_free(clip_t *c)
{
    free((void *)(uintptr_t)c->p);
}

#endif
