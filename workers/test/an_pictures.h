/* Pictures for tests: made and read by libav, libjpeg and libheif, not by what is tested. */
#ifndef AN_PICTURES_H
#define AN_PICTURES_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <libheif/heif.h>
#include <libswscale/swscale.h>

#include "an_image.h"
#include "media/buf.h"
#include "tc_compat.h"

typedef struct {
    uint8_t *p;
    size_t n;
} bytes_t;

static inline void die(const char *what)
{
    printf("cannot make a test picture: %s\n", what);
    exit(1);
}

static inline bytes_t bytes_of(const void *p, size_t n)
{
    bytes_t b = {malloc(n + 1), n};

    if (n > 0) {
        memcpy(b.p, p, n);
    }
    return b;
}

static inline AVFrame *picture_new(int w, int h)
{
    AVFrame *f = av_frame_alloc();

    f->format = AV_PIX_FMT_RGBA;
    f->width = w;
    f->height = h;
    if (av_frame_get_buffer(f, 0) < 0) {
        die("memory");
    }
    return f;
}

static inline uint8_t *px(const AVFrame *f, int x, int y)
{
    return f->data[0] + y * f->linesize[0] + 4 * x;
}

/* Smooth colours, and a "face" of stripes in the box; shift moves all of it. */
static inline AVFrame *picture_make(int w, int h, const int box[4], int shift)
{
    AVFrame *f = picture_new(w, h);

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int in = x >= box[0] && x < box[0] + box[2] && y >= box[1] && y < box[1] + box[3];
            uint8_t v[4] = {(uint8_t)(40 + (x + shift) * 150 / w), (uint8_t)(220 - y * 150 / h),
                            (uint8_t)(60 + (x + y) * 60 / (w + h)), 255};

            if (in) {
                memset(v, (x / 4 + y / 4) % 2 != 0 ? 250 : 180, 3);
            }
            memcpy(px(f, x, y), v, 4);
        }
    }
    return f;
}

static inline AVFrame *converted(const AVFrame *from, enum AVPixelFormat format)
{
    AVFrame *to = av_frame_alloc();
    struct SwsContext *sws;

    to->format = format;
    to->width = from->width;
    to->height = from->height;
    if (av_frame_get_buffer(to, 0) < 0) {
        die("memory");
    }
    sws = sws_getContext(from->width, from->height, from->format, to->width, to->height, format,
                         SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP,
                         NULL, NULL, NULL);
    (void)sws_scale(sws, (const uint8_t *const *)from->data, from->linesize, 0, from->height,
                    to->data, to->linesize);
    sws_freeContext(sws);
    return to;
}

/* ---- encoding by libav ---- */

typedef struct {
    const char *muxer, *codec;
    enum AVPixelFormat format;
    const char *options;
    int loop; /* as the muxer has it; INT32_MIN: not set */
    const char *loop_option;
    AVRational frame_s; /* how long each frame is shown */
} make_t;

static inline AVCodecContext *encoder_new(const make_t *m, const AVFrame *like)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(m->codec);
    AVCodecContext *c = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    AVDictionary *options = NULL;

    if (c == NULL) {
        die(m->codec);
    }
    c->width = like->width;
    c->height = like->height;
    c->pix_fmt = m->format;
    c->time_base = (AVRational){1, 1000};
    c->thread_count = 1;
    c->color_range = AVCOL_RANGE_JPEG;
    av_dict_parse_string(&options, m->options != NULL ? m->options : "", "=", ";", 0);
    if (avcodec_open2(c, codec, &options) < 0) {
        die(m->codec);
    }
    av_dict_free(&options);
    return c;
}

static inline void drain(AVCodecContext *c, AVFormatContext *s)
{
    AVPacket *packet = av_packet_alloc();

    while (avcodec_receive_packet(c, packet) >= 0) {
        packet->stream_index = 0;
        av_packet_rescale_ts(packet, c->time_base, s->streams[0]->time_base);
        if (av_write_frame(s, packet) < 0) {
            die("muxing");
        }
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
}

typedef struct {
    bytes_t b;
    size_t at, size;
} made_t;

static inline int on_write(void *ctx, tc_written_t *p, int n)
{
    made_t *m = ctx;
    size_t end = m->at + (size_t)n;

    if (end > m->size) {
        m->size = 2 * end;
        m->b.p = realloc(m->b.p, m->size);
    }
    memcpy(m->b.p + m->at, p, (size_t)n);
    m->at = end;
    m->b.n = end > m->b.n ? end : m->b.n;
    return n;
}

static inline int64_t on_write_seek(void *ctx, int64_t off, int whence)
{
    made_t *m = ctx;

    if (whence == AVSEEK_SIZE) {
        return (int64_t)m->b.n;
    }
    m->at = (size_t)(whence == SEEK_CUR ? (int64_t)m->at + off : off);
    return (int64_t)m->at;
}

static inline bytes_t encode(const make_t *m, AVFrame *const *frames, int n)
{
    AVFormatContext *s = NULL;
    AVCodecContext *c = encoder_new(m, frames[0]);
    AVDictionary *options = NULL;
    made_t made = {{NULL, 0}, 0, 0};

    if (avformat_alloc_output_context2(&s, NULL, m->muxer, NULL) < 0) {
        die(m->muxer);
    }
    s->pb = avio_alloc_context(av_malloc(4096), 4096, 1, &made, NULL, on_write, on_write_seek);
    (void)avformat_new_stream(s, NULL);
    avcodec_parameters_from_context(s->streams[0]->codecpar, c);
    s->streams[0]->time_base = c->time_base;
    if (m->loop_option != NULL) {
        av_dict_set_int(&options, m->loop_option, m->loop, 0);
    }
    if (n > 1 && strcmp(m->muxer, "gif") == 0) {
        /* FFmpeg 7.1 shows the last frame for 10 ms else */
        av_dict_set_int(&options, "final_delay", av_rescale(100, m->frame_s.num, m->frame_s.den),
                        0);
    }
    if (avformat_write_header(s, &options) < 0) {
        die(m->muxer);
    }
    for (int i = 0; i < n; i++) {
        AVFrame *f = converted(frames[i], m->format);
        f->pts = av_rescale(i * 1000, m->frame_s.num, m->frame_s.den);
        *tc_frame_duration(f) = av_rescale(1000, m->frame_s.num, m->frame_s.den);
        f->quality = FF_QP2LAMBDA;
        if (avcodec_send_frame(c, f) < 0) {
            die("encoding");
        }
        drain(c, s);
        av_frame_free(&f);
    }
    (void)avcodec_send_frame(c, NULL);
    drain(c, s);
    (void)av_write_trailer(s);
    avio_flush(s->pb);
    av_freep(&s->pb->buffer);
    avio_context_free(&s->pb);
    av_dict_free(&options);
    avcodec_free_context(&c);
    avformat_free_context(s);
    return made.b;
}

/* ---- JPEG by libjpeg: what libav does not make ---- */

/* rgba as the space has it: CMYK takes all four parts as they are. */
static inline bytes_t encode_jpeg(const AVFrame *f, J_COLOR_SPACE in, J_COLOR_SPACE coded)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned char *p = NULL;
    unsigned long n = 0;
    bytes_t b;

    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &p, &n);
    c.image_width = (JDIMENSION)f->width;
    c.image_height = (JDIMENSION)f->height;
    c.input_components = 4;
    c.in_color_space = in;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, coded);
    jpeg_set_quality(&c, 98, TRUE);
    c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < f->height; y++) {
        JSAMPROW row = px(f, 0, y);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    b = bytes_of(p, n);
    free(p);
    return b;
}

/* ---- AVIF by libheif ---- */

static inline struct heif_error heif_collect(struct heif_context *c, const void *p, size_t n,
                                             void *data)
{
    struct heif_error ok = {heif_error_Ok, heif_suberror_Unspecified, ""};

    (void)c;
    *(bytes_t *)data = bytes_of(p, n);
    return ok;
}

/* `n` pictures in one file. */
static inline bytes_t encode_avif(const AVFrame *f, int n)
{
    struct heif_context *c = heif_context_alloc();
    struct heif_encoder *e = NULL;
    struct heif_image *image = NULL;
    struct heif_writer writer = {1, heif_collect};
    bytes_t b = {NULL, 0};
    int stride;
    uint8_t *p;

    if (heif_context_get_encoder_for_format(c, heif_compression_AV1, &e).code != heif_error_Ok) {
        die("AV1 (Debian 13: libheif-plugin-aomenc)");
    }
    heif_encoder_set_lossy_quality(e, 95);
    heif_image_create(f->width, f->height, heif_colorspace_RGB, heif_chroma_interleaved_RGBA,
                      &image);
    heif_image_add_plane(image, heif_channel_interleaved, f->width, f->height, 8);
    p = heif_image_get_plane(image, heif_channel_interleaved, &stride);
    for (int y = 0; y < f->height; y++) {
        memcpy(p + (ptrdiff_t)y * stride, px(f, 0, y), (size_t)f->width * 4);
    }
    for (int i = 0; i < n; i++) {
        struct heif_image_handle *h = NULL;
        if (heif_context_encode_image(c, image, e, NULL, &h).code == heif_error_Ok) {
            heif_image_handle_release(h);
        }
    }
    heif_context_write(c, &writer, &b);
    heif_image_release(image);
    heif_encoder_release(e);
    heif_context_free(c);
    return b;
}

/* ---- decoding by libav ---- */

#define FRAMES_MAX 64

typedef struct {
    AVFrame *frames[FRAMES_MAX];
    double shown_s[FRAMES_MAX];
    int n;
} decoded_t;

typedef struct {
    bytes_t b;
    size_t at;
} cursor_t;

static inline int on_read(void *ctx, uint8_t *dst, int n)
{
    cursor_t *c = ctx;
    size_t left = c->b.n - c->at, take = (size_t)n < left ? (size_t)n : left;

    memcpy(dst, c->b.p + c->at, take);
    c->at += take;
    return take > 0 ? (int)take : AVERROR_EOF;
}

static inline int64_t on_seek(void *ctx, int64_t off, int whence)
{
    cursor_t *c = ctx;

    if (whence == AVSEEK_SIZE) {
        return (int64_t)c->b.n;
    }
    c->at = (size_t)(whence == SEEK_SET ? off : whence == SEEK_CUR ? (int64_t)c->at + off : off);
    return (int64_t)c->at;
}

static inline void receive(AVCodecContext *c, AVFormatContext *s, decoded_t *d)
{
    AVFrame *f = av_frame_alloc();

    while (d->n < FRAMES_MAX && avcodec_receive_frame(c, f) >= 0) {
        d->shown_s[d->n] = (double)*tc_frame_duration(f) * av_q2d(s->streams[0]->time_base);
        d->frames[d->n++] = converted(f, AV_PIX_FMT_RGBA);
        av_frame_unref(f);
    }
    av_frame_free(&f);
}

static inline decoded_t decode(bytes_t b)
{
    cursor_t cursor = {b, 0};
    AVFormatContext *s = avformat_alloc_context();
    AVCodecContext *c = NULL;
    AVDictionary *options = NULL;
    AVPacket *packet = av_packet_alloc();
    decoded_t d = {.n = 0};
    AVIOContext *pb = avio_alloc_context(av_malloc(4096), 4096, 0, &cursor, on_read, NULL, on_seek);

    s->pb = pb;
    av_dict_set(&options, "min_delay", "0", 0);
    if (avformat_open_input(&s, "", NULL, &options) >= 0 && s->nb_streams == 1) {
        c = avcodec_alloc_context3(avcodec_find_decoder(s->streams[0]->codecpar->codec_id));
        avcodec_parameters_to_context(c, s->streams[0]->codecpar);
        if (avcodec_open2(c, NULL, NULL) >= 0) {
            while (av_read_frame(s, packet) >= 0) {
                (void)avcodec_send_packet(c, packet);
                av_packet_unref(packet);
                receive(c, s, &d);
            }
            (void)avcodec_send_packet(c, NULL);
            receive(c, s, &d);
        }
    }
    av_dict_free(&options);
    av_packet_free(&packet);
    avcodec_free_context(&c);
    avformat_close_input(&s);
    av_freep(&pb->buffer);
    avio_context_free(&pb);
    return d;
}

static inline void decoded_free(decoded_t *d)
{
    for (int i = 0; i < d->n; i++) {
        av_frame_free(&d->frames[i]);
    }
    d->n = 0;
}

/* ---- running ---- */

typedef struct {
    float box[4]; /* of the picture: x, y, w, h in fractions */
    int only;     /* the frame it is found in; -1: every one */
    int asked;
    int fails;
    int crowds; /* as many things as there is room for, everywhere */
} finder_t;

static inline int ask_box(void *ctx, enum an_kind kind, const an_picture_t *p, an_hit_t *hits,
                          int max)
{
    finder_t *fd = ctx;
    int now = fd->asked++;

    if (fd->fails) {
        return -1;
    }
    if ((fd->only >= 0 && fd->only != now) || max < 1) {
        return 0;
    }
    for (int i = 0; fd->crowds && i < max; i++) {
        hits[i] = (an_hit_t){(float)i, 0, 1, 1, 0.9F, AN_FACE};
    }
    if (fd->crowds) {
        return max;
    }
    hits[0] = (an_hit_t){fd->box[0] * (float)p->width,
                         fd->box[1] * (float)p->height,
                         fd->box[2] * (float)p->width,
                         fd->box[3] * (float)p->height,
                         0.9F,
                         kind == AN_KIND_YUNET ? AN_FACE : AN_PERSON};
    return fd->box[2] > 0;
}

typedef struct {
    bytes_t out, kept;
    char name[32], type[32];
    int width, height, puts;
    json_t *report;
    tc_fail_t f;
    int rc;
} ran_t;

static inline int put_out(void *ctx, const char *name, const char *type, int width, int height,
                          const void *p, size_t n)
{
    ran_t *r = ctx;

    r->out = bytes_of(p, n);
    r->width = width;
    r->height = height;
    r->puts++;
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    (void)snprintf(r->type, sizeof(r->type), "%s", type);
    return 0;
}

static inline int keep_out(void *ctx, const void *p, size_t n)
{
    ran_t *r = ctx;

    r->kept = bytes_of(p, n);
    return 0;
}

static inline int ignore_progress(void *ctx, double done)
{
    (void)ctx;
    return done >= 0 && done <= 1 ? 0 : -1;
}

static inline ssize_t read_bytes(void *ctx, int64_t off, void *dst, size_t len)
{
    const bytes_t *b = ctx;
    size_t left = (size_t)off < b->n ? b->n - (size_t)off : 0;

    len = len < left ? len : left;
    memcpy(dst, b->p + off, len);
    return (ssize_t)len;
}

/* params: JSON text; kept: of the run before. */
static inline ran_t run_edit(bytes_t in, bytes_t kept, const char *params, finder_t *finder)
{
    ran_t r = {.report = json_object()};
    tc_limits_t limits = TC_LIMITS_DEFAULT;
    vd_source_t source = {&in, (int64_t)in.n, read_bytes};
    an_ask_t ask = {finder, ask_box};
    an_image_sink_t sink = {&r, put_out, keep_out, ignore_progress};
    json_t *o = json_loads(params, 0, NULL);
    an_params_t p;
    an_image_job_t job = {.source = &source,
                          .params = &p,
                          .ask = &ask,
                          .limits = &limits,
                          .kept = {(const char *)kept.p, kept.n}};

    if (an_params_read(o, &p, &r.f) != 0) {
        die(r.f.detail);
    }
    r.rc = an_image(&job, &sink, r.report, &r.f);
    an_params_free(&p);
    json_decref(o);
    return r;
}

static inline ran_t run(bytes_t in, const char *params, finder_t *finder)
{
    return run_edit(in, (bytes_t){NULL, 0}, params, finder);
}

static inline void ran_free(ran_t *r)
{
    free(r->kept.p);
    free(r->out.p);
    json_decref(r->report);
}

#endif
