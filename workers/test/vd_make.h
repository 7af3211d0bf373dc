/* Packets made by real encoders, and what libav reads back from bytes in memory. */
#ifndef VD_MAKE_H
#define VD_MAKE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <math.h>

#include "media/buf.h"
#include "test.h"

#define MADE_MAX 4096

typedef struct {
    AVCodecContext *encoder;
    AVPacket *packets[MADE_MAX];
    int n;
} made_t;

static inline void must(int ok, const char *what)
{
    if (!ok) {
        printf("%s failed\n", what);
        exit(1);
    }
}

static inline void made_free(made_t *m)
{
    for (int i = 0; i < m->n; i++) {
        av_packet_free(&m->packets[i]);
    }
    avcodec_free_context(&m->encoder);
}

static inline void made_feed(made_t *m, AVFrame *frame)
{
    must(avcodec_send_frame(m->encoder, frame) == 0, "avcodec_send_frame");
    for (;;) {
        AVPacket *p = av_packet_alloc();
        if (avcodec_receive_packet(m->encoder, p) != 0) {
            av_packet_free(&p);
            return;
        }
        must(m->n < MADE_MAX, "room for packets");
        m->packets[m->n++] = p;
    }
}

typedef struct {
    int width, height;
    AVRational time_base;
    int gop;                   /* frames of a closed GOP */
    int64_t (*pts)(int index); /* of a frame */
    const char *profile;
} video_t;

/* Frames first..last-1 of a moving picture; an IDR at every multiple of `gop`. */
static inline void made_video(made_t *m, const video_t *v, int first, int last)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    AVFrame *f = av_frame_alloc();
    memset(m, 0, sizeof(*m));
    must(codec != NULL, "libx264");
    m->encoder = avcodec_alloc_context3(codec);
    m->encoder->width = f->width = v->width;
    m->encoder->height = f->height = v->height;
    m->encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    f->format = AV_PIX_FMT_YUV420P;
    m->encoder->time_base = v->time_base;
    m->encoder->framerate = (AVRational){25, 1}; /* x264 chooses a level by it */
    m->encoder->gop_size = 10000;
    m->encoder->thread_count = 1;
    m->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    m->encoder->color_primaries = AVCOL_PRI_BT709;
    m->encoder->color_trc = AVCOL_TRC_BT709;
    m->encoder->colorspace = AVCOL_SPC_BT709;
    must(av_opt_set(m->encoder->priv_data, "forced-idr", "1", 0) == 0 &&
             av_opt_set(m->encoder->priv_data, "profile", v->profile, 0) == 0 &&
             avcodec_open2(m->encoder, codec, NULL) == 0 && av_frame_get_buffer(f, 0) == 0,
         "opening libx264");
    for (int i = first; i < last; i++) {
        must(av_frame_make_writable(f) == 0, "a frame");
        for (int p = 0; p < 3; p++) {
            for (int y = 0; y < v->height / (p > 0 ? 2 : 1); y++) {
                for (int x = 0; x < v->width / (p > 0 ? 2 : 1); x++) {
                    f->data[p][y * f->linesize[p] + x] =
                        (uint8_t)(x * (p + 1) + y + i * 3 + (x * y * i) % 7);
                }
            }
        }
        f->pts = v->pts(i);
        f->pict_type = i % v->gop == 0 ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
        made_feed(m, f);
    }
    made_feed(m, NULL);
    av_frame_free(&f);
}

/* 1 if packet i is the last of segment `number`, from 1, of GOP frames each. A change of scene
 * makes keys within a segment, too. */
static inline int made_is_last(const made_t *m, int i, const video_t *v, int number)
{
    return i + 1 == m->n || m->packets[i + 1]->pts == v->pts(number * v->gop);
}

static inline int made_keys(const made_t *m)
{
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        n += (m->packets[i]->flags & AV_PKT_FLAG_KEY) != 0;
    }
    return n;
}

/* Mono AAC at 48 kHz: silence, and one short burst that begins at sample `at`. */
static inline void made_audio(made_t *m, int samples, int at)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("aac");
    AVFrame *f = av_frame_alloc();
    memset(m, 0, sizeof(*m));
    m->encoder = avcodec_alloc_context3(codec);
    m->encoder->sample_rate = f->sample_rate = 48000;
    m->encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
    f->format = AV_SAMPLE_FMT_FLTP;
    av_channel_layout_default(&m->encoder->ch_layout, 1);
    av_channel_layout_default(&f->ch_layout, 1);
    m->encoder->bit_rate = 128000;
    m->encoder->time_base = (AVRational){1, 48000};
    m->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    f->nb_samples = 1024;
    must(avcodec_open2(m->encoder, codec, NULL) == 0 && av_frame_get_buffer(f, 0) == 0,
         "opening aac");
    for (int pos = 0; pos < samples; pos += 1024) {
        must(av_frame_make_writable(f) == 0, "a frame");
        for (int i = 0; i < 1024; i++) {
            int k = pos + i - at;
            ((float *)(void *)f->data[0])[i] =
                k >= 0 && k < 64 ? 0.8f * sinf((float)k * 0.6f) * (float)(64 - k) / 64 : 0.0f;
        }
        f->pts = pos;
        made_feed(m, f);
    }
    made_feed(m, NULL);
    av_frame_free(&f);
}

static inline AVCodecParameters *made_par(const made_t *m)
{
    AVCodecParameters *par = avcodec_parameters_alloc();
    must(avcodec_parameters_from_context(par, m->encoder) == 0, "parameters");
    return par;
}

/* ---- reading back ---- */

typedef struct {
    const media_buf_t *b;
    size_t pos;
} memory_t;

static inline int memory_read(void *opaque, uint8_t *dst, int len)
{
    memory_t *m = opaque;
    size_t left = m->b->len - m->pos;
    size_t n = left < (size_t)len ? left : (size_t)len;
    if (n == 0) {
        return AVERROR_EOF;
    }
    memcpy(dst, m->b->p + m->pos, n);
    m->pos += n;
    return (int)n;
}

static inline int64_t memory_seek(void *opaque, int64_t off, int whence)
{
    memory_t *m = opaque;
    if ((whence & ~AVSEEK_FORCE) == AVSEEK_SIZE) {
        return (int64_t)m->b->len;
    }
    if ((whence & ~AVSEEK_FORCE) != SEEK_SET || off < 0 || off > (int64_t)m->b->len) {
        return AVERROR(EINVAL);
    }
    m->pos = (size_t)off;
    return off;
}

typedef struct {
    AVRational time_base;
    int64_t duration;
    char language[8];
    int keys; /* packets */
    int npackets;
    int64_t dts[MADE_MAX];
    int64_t packet_pts[MADE_MAX];
    int nframes;
    int64_t pts[MADE_MAX];
    uint64_t sum[MADE_MAX]; /* of a frame's luma */
    int loudest;            /* sample of the time line where sound begins: > 1/10 */
} track_read_t;

static inline void take_frames(track_read_t *r, AVCodecContext *d, AVFrame *f)
{
    while (avcodec_receive_frame(d, f) == 0) {
        must(r->nframes < MADE_MAX, "room for frames");
        r->pts[r->nframes] = f->pts;
        r->sum[r->nframes] = 0;
        if (d->codec_type == AVMEDIA_TYPE_VIDEO) {
            for (int y = 0; y < f->height; y++) {
                for (int x = 0; x < f->width; x++) {
                    r->sum[r->nframes] =
                        r->sum[r->nframes] * 31 + f->data[0][y * f->linesize[0] + x];
                }
            }
        } else {
            for (int i = 0; i < f->nb_samples && r->loudest < 0; i++) {
                if (fabsf(((float *)(void *)f->data[0])[i]) > 0.1f) {
                    r->loudest = (int)f->pts + i;
                }
            }
        }
        r->nframes++;
    }
}

/* All streams of a file in memory; their number. */
static inline int read_back(const media_buf_t *file, track_read_t *tracks, int max)
{
    memory_t m = {file, 0};
    AVFormatContext *in = avformat_alloc_context();
    AVCodecContext *decoders[8] = {NULL};
    AVPacket *p = av_packet_alloc();
    AVFrame *f = av_frame_alloc();
    in->pb = avio_alloc_context(av_malloc(65536), 65536, 0, &m, memory_read, NULL, memory_seek);
    must(avformat_open_input(&in, NULL, NULL, NULL) == 0, "avformat_open_input");
    must(avformat_find_stream_info(in, NULL) >= 0, "avformat_find_stream_info");
    int n = (int)in->nb_streams;
    must(n <= max && n <= 8, "the number of streams");
    for (int i = 0; i < n; i++) {
        AVStream *st = in->streams[i];
        const AVDictionaryEntry *lang = av_dict_get(st->metadata, "language", NULL, 0);
        memset(&tracks[i], 0, sizeof(tracks[i]));
        tracks[i].time_base = st->time_base;
        tracks[i].duration = st->duration;
        tracks[i].loudest = -1;
        (void)snprintf(tracks[i].language, sizeof(tracks[i].language), "%s",
                       lang != NULL ? lang->value : "");
        decoders[i] = avcodec_alloc_context3(avcodec_find_decoder(st->codecpar->codec_id));
        must(avcodec_parameters_to_context(decoders[i], st->codecpar) == 0, "decoder");
        decoders[i]->pkt_timebase = st->time_base;
        must(avcodec_open2(decoders[i], NULL, NULL) == 0, "avcodec_open2");
    }
    while (av_read_frame(in, p) == 0) {
        track_read_t *r = &tracks[p->stream_index];
        must(r->npackets < MADE_MAX, "room for packets");
        r->keys += (p->flags & AV_PKT_FLAG_KEY) != 0;
        r->dts[r->npackets] = p->dts;
        r->packet_pts[r->npackets++] = p->pts;
        CHECK_INT(avcodec_send_packet(decoders[p->stream_index], p), 0);
        take_frames(r, decoders[p->stream_index], f);
        av_packet_unref(p);
    }
    for (int i = 0; i < n; i++) {
        (void)avcodec_send_packet(decoders[i], NULL);
        take_frames(&tracks[i], decoders[i], f);
        avcodec_free_context(&decoders[i]);
    }
    av_packet_free(&p);
    av_frame_free(&f);
    av_freep(&in->pb->buffer);
    avio_context_free(&in->pb);
    avformat_close_input(&in);
    return n;
}

#endif
