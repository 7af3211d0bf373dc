/* BMP by libav's decoder, without a demuxer. */
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>

#include "an_reader.h"

#define HEADER_OLD 12
#define PLAIN 0
#define BIT_FIELDS 3
#define ALPHA_BIT_FIELDS 6

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int open_bmp(an_reader_t *r, tc_fail_t *f)
{
    int64_t w, h, row;
    uint32_t coding = PLAIN, bits;

    if (r->size < 30 || (u32(r->p + 14) != HEADER_OLD && (u32(r->p + 14) < 40 || r->size < 54))) {
        return an_reader_damaged(r, f);
    }
    if (u32(r->p + 14) == HEADER_OLD) {
        w = r->p[18] | r->p[19] << 8;
        h = r->p[20] | r->p[21] << 8;
        bits = r->p[24];
    } else {
        w = (int32_t)u32(r->p + 18);
        h = (int32_t)u32(r->p + 22);
        bits = r->p[28];
        coding = u32(r->p + 30);
    }
    h = h < 0 ? -h : h;
    if (coding != PLAIN && coding != BIT_FIELDS && coding != ALPHA_BIT_FIELDS) {
        return tc_fail(f, "unsupported_media",
                       "The BMP file is compressed in a way that is not read here.");
    }
    row = (w * bits + 31) / 32 * 4;
    if (w <= 0 || h <= 0 || w > INT32_MAX || h > INT32_MAX || bits == 0) {
        return an_reader_damaged(r, f);
    }
    r->width = (int)w;
    r->height = (int)h;
    r->is_lossless = 1;
    return w * h <= r->limits.pixels && (int64_t)u32(r->p + 10) + row * h > (int64_t)r->size
               ? an_reader_damaged(r, f)
               : 0;
}

/* One packet in, one picture out: 0 or a libav error. */
static int decode(const an_reader_t *r, AVFrame *picture)
{
    AVCodecContext *c = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_BMP));
    AVPacket *packet = av_packet_alloc();
    int rc = AVERROR(ENOMEM);

    if (c != NULL && packet != NULL && av_new_packet(packet, (int)r->size) == 0) {
        memcpy(packet->data, r->p, r->size);
        c->err_recognition = AV_EF_EXPLODE;
        c->max_pixels = r->limits.pixels;
        c->thread_count = 1;
        rc = avcodec_open2(c, NULL, NULL);
        rc = rc < 0 ? rc : avcodec_send_packet(c, packet);
        rc = rc < 0 ? rc : avcodec_receive_frame(c, picture);
    }
    av_packet_free(&packet);
    avcodec_free_context(&c);
    return rc < 0 ? rc : 0;
}

/* One part of a row, 0..255. */
static void read_part(const AVFrame *from, const AVPixFmtDescriptor *d, int y, int part,
                      uint16_t *line)
{
    int is_palette = (d->flags & AV_PIX_FMT_FLAG_PAL) != 0;
    int c = d->nb_components < 3 && !is_palette ? 0 : part,
        depth = is_palette ? 8 : d->comp[c].depth;
    int most = (1 << depth) - 1;

    /* entries of a palette are words, their least byte is blue */
    av_read_image_line2(line, (const uint8_t **)from->data, from->linesize, d, 0, y,
                        is_palette ? 2 - part : c, from->width, is_palette, sizeof(*line));
    for (int x = 0; x < from->width; x++) {
        line[x] = (uint16_t)((line[x] * 255 + most / 2) / most);
    }
}

static int to_rgba(const AVFrame *from, AVFrame *to)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(from->format);
    uint16_t *line = malloc((size_t)from->width * sizeof(*line));
    int has_alpha = d != NULL && d->nb_components == 4 && (d->flags & AV_PIX_FMT_FLAG_PAL) == 0;

    for (int y = 0; line != NULL && d != NULL && y < from->height; y++) {
        uint8_t *row = to->data[0] + y * to->linesize[0];

        for (int part = 0; part < 4; part++) {
            if (part < 3 || has_alpha) {
                read_part(from, d, y, part, line);
            }
            for (int x = 0; x < from->width; x++) {
                row[4 * x + part] = part < 3 || has_alpha ? (uint8_t)line[x] : 255;
            }
        }
    }
    free(line);
    return line != NULL && d != NULL ? 0 : -1;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    AVFrame *picture = av_frame_alloc();
    int rc = picture != NULL ? decode(r, picture) : AVERROR(ENOMEM);

    (void)delay;
    if (rc == 0 && (picture->width != r->width || picture->height != r->height)) {
        rc = AVERROR_INVALIDDATA;
    }
    if (rc == 0) {
        *out = an_frame_new(r->width, r->height, 0);
        rc = *out == NULL || to_rgba(picture, *out) != 0 ? AVERROR(ENOMEM) : 0;
    }
    av_frame_free(&picture);
    return rc == 0                 ? 0
           : rc == AVERROR(ENOMEM) ? an_reader_no_memory(r, f)
                                   : an_reader_damaged(r, f);
}

static void nothing_to_close(an_reader_t *r)
{
    (void)r;
}

const an_coder_t an_coder_bmp = {AN_BMP, "BMP", open_bmp, next, nothing_to_close};
