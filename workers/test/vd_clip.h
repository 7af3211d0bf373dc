/* What the tests of vd_* share: a file or memory as a source, and the decode of a whole file by
 * libav alone, with its own I/O and its own order, to compare with. */
#ifndef VD_CLIP_H
#define VD_CLIP_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/imgutils.h>
#include <libavutil/murmur3.h>
#include <libavutil/pixdesc.h>

#include "test.h"
#include "vd_index.h"

#define CLIP_FRAMES_MAX 4096

/* ---- sources ---- */

typedef struct {
    int fd; /* -1: memory */
    const uint8_t *p;
    int64_t size;
    int64_t least_read; /* shortest read that did not end at the end of the file */
} clip_t;

static ssize_t clip_read(void *ctx, int64_t off, void *dst, size_t len)
{
    clip_t *c = ctx;

    if (off + (int64_t)len < c->size && (int64_t)len < c->least_read) {
        c->least_read = (int64_t)len;
    }
    if (c->fd >= 0) {
        return pread(c->fd, dst, len, off);
    }
    len = (int64_t)len < c->size - off ? len : (size_t)(c->size - off);
    memcpy(dst, c->p + off, len);
    return (ssize_t)len;
}

/* 0, or -1 where there is no such file. */
static inline int clip_open(clip_t *c, const char *path)
{
    struct stat st;

    *c = (clip_t){.fd = open(path, O_RDONLY | O_CLOEXEC), .least_read = INT64_MAX};
    if (c->fd < 0) {
        return -1;
    }
    CHECK_INT(fstat(c->fd, &st), 0);
    c->size = st.st_size;
    return 0;
}

static inline void clip_close(clip_t *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
}

static inline vd_source_t clip_source(clip_t *c)
{
    return (vd_source_t){.ctx = c, .size = c->size, .read = clip_read};
}

/* The directory of the shared clips. */
static inline const char *clip_dir(void)
{
    const char *dir = getenv("MEDIA_SHARED");

    return dir != NULL ? dir : MEDIA_SHARED_DEFAULT;
}

/* ---- the whole file, decoded ---- */

typedef struct {
    uint64_t hash;
    int64_t pts;
} clip_frame_t;

typedef struct {
    clip_frame_t frames[CLIP_FRAMES_MAX];
    uint32_t n;
} clip_decoded_t;

static inline uint64_t clip_hash(const AVFrame *frame)
{
    struct AVMurMur3 *m = av_murmur3_alloc();
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);
    uint8_t sum[16];
    uint64_t hash;

    av_murmur3_init(m);
    av_murmur3_update(m, (const uint8_t *)&frame->width, sizeof(frame->width));
    av_murmur3_update(m, (const uint8_t *)&frame->format, sizeof(frame->format));
    for (int plane = 0; plane < av_pix_fmt_count_planes(frame->format); plane++) {
        int bytes = av_image_get_linesize(frame->format, frame->width, plane);
        int rows = plane == 1 || plane == 2 ? AV_CEIL_RSHIFT(frame->height, d->log2_chroma_h)
                                            : frame->height;
        for (int y = 0; y < rows; y++) {
            av_murmur3_update(m, frame->data[plane] + (ptrdiff_t)y * frame->linesize[plane],
                              (size_t)bytes);
        }
    }
    av_murmur3_final(m, sum);
    av_free(m);
    memcpy(&hash, sum, sizeof(hash));
    return hash;
}

static inline void clip_take(AVCodecContext *dec, AVFrame *frame, clip_decoded_t *out)
{
    while (avcodec_receive_frame(dec, frame) >= 0) {
        if (out->n < CLIP_FRAMES_MAX) {
            out->frames[out->n].hash = clip_hash(frame);
            out->frames[out->n++].pts = frame->best_effort_timestamp;
        }
        av_frame_unref(frame);
    }
}

typedef struct {
    clip_t *clip;
    int64_t pos;
} clip_pb_t;

static int clip_pb_read(void *data, uint8_t *buf, int len)
{
    clip_pb_t *pb = data;
    ssize_t n = pb->pos < pb->clip->size ? clip_read(pb->clip, pb->pos, buf, (size_t)len) : 0;

    pb->pos += n;
    return n > 0 ? (int)n : AVERROR_EOF;
}

static int64_t clip_pb_seek(void *data, int64_t off, int whence)
{
    clip_pb_t *pb = data;

    if ((whence & ~AVSEEK_FORCE) == AVSEEK_SIZE) {
        return pb->clip->size;
    }
    pb->pos = off + (whence == SEEK_CUR ? pb->pos : whence == SEEK_END ? pb->clip->size : 0);
    return pb->pos;
}

/* Decodes stream `track` from the first packet to the last with libav's defaults. */
static inline void clip_decode(clip_t *c, int track, clip_decoded_t *out)
{
    clip_pb_t pb = {.clip = c};
    AVFormatContext *s = avformat_alloc_context();
    AVCodecContext *dec = avcodec_alloc_context3(NULL);
    AVPacket *p = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    const AVCodec *codec;
    AVIOContext *io =
        avio_alloc_context(av_malloc(65536), 65536, 0, &pb, clip_pb_read, NULL, clip_pb_seek);

    out->n = 0;
    s->pb = io;
    CHECK_INT(avformat_open_input(&s, "", NULL, NULL), 0);
    CHECK(s != NULL && avformat_find_stream_info(s, NULL) >= 0);
    codec = avcodec_find_decoder(s->streams[track]->codecpar->codec_id);
    CHECK(avcodec_parameters_to_context(dec, s->streams[track]->codecpar) >= 0);
    dec->pkt_timebase = s->streams[track]->time_base;
    dec->thread_count = 1;
    CHECK_INT(avcodec_open2(dec, codec, NULL), 0);
    while (av_read_frame(s, p) >= 0) {
        if (p->stream_index == track) {
            (void)avcodec_send_packet(dec, p);
            clip_take(dec, frame, out);
        }
        av_packet_unref(p);
    }
    (void)avcodec_send_packet(dec, NULL);
    clip_take(dec, frame, out);
    av_frame_free(&frame);
    av_packet_free(&p);
    avcodec_free_context(&dec);
    avformat_close_input(&s);
    av_freep(&io->buffer);
    avio_context_free(&io);
}

/* Indexes the clip and passes the index through its serialized form. 0 or -1. */
static inline int clip_index(clip_t *c, vd_indexed_t *x, tc_fail_t *f)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    const vd_source_t source = clip_source(c);
    media_vindex_t again;
    media_buf_t buf;
    int rc = vd_index(&source, &limits, x, f);

    if (rc != 0) {
        return rc;
    }
    media_buf_init(&buf, MEDIA_VINDEX_BYTES_MAX);
    CHECK_INT(media_vindex_write(&x->index, &buf, NULL), 0);
    rc = media_vindex_read(buf.p, buf.len, &again, NULL);
    CHECK_INT(rc, 0);
    if (rc == 0) {
        media_vindex_free(&x->index);
        x->index = again;
    }
    media_buf_free(&buf);
    return rc;
}

#endif
