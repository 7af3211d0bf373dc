/* Scaling, then mirroring and turning, which swscale cannot. */
#include "vd_picture.h"

#include <string.h>

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#define FLAGS (SWS_BICUBIC | SWS_BITEXACT)

static int is_rgb(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);

    return d != NULL && (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
}

enum AVColorSpace vd_picture_space(const media_vindex_t *v)
{
    return v->color_space == AVCOL_SPC_RGB || is_rgb(av_get_pix_fmt(v->pix_fmt))
               ? AVCOL_SPC_SMPTE170M
               : (enum AVColorSpace)v->color_space;
}

static AVFrame *canvas(int width, int height, enum AVPixelFormat format)
{
    AVFrame *f = av_frame_alloc();

    if (f == NULL) {
        return NULL;
    }
    f->width = width;
    f->height = height;
    f->format = format;
    if (av_frame_get_buffer(f, 0) < 0) {
        av_frame_free(&f);
    }
    return f;
}

int vd_picture_open(vd_picture_t *p, const media_vindex_t *v, int width, int height,
                    enum AVPixelFormat format, tc_fail_t *f)
{
    memset(p, 0, sizeof(*p));
    p->turns = (int)(v->rotation + 45) / 90 % 4;
    p->flip = (int)v->flip;
    p->scaled = p->turns % 2 != 0 ? canvas(height, width, format) : canvas(width, height, format);
    if (p->turns != 0 || p->flip) {
        p->upright = canvas(width, height, format);
    }
    if (p->scaled == NULL || ((p->turns != 0 || p->flip) && p->upright == NULL)) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return 0;
}

static int is_full_range(const AVFrame *from)
{
    switch (from->format) {
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ444P:
        return 1;
    default:
        return from->color_range == AVCOL_RANGE_JPEG;
    }
}

/* What is looked at and not shown may be off by one: ten times as fast. */
static int flags_of(const vd_picture_t *p)
{
    return p->scaled->format == AV_PIX_FMT_BGR24 ? FLAGS : FLAGS | SWS_ACCURATE_RND;
}

static int set_options(struct SwsContext *s, const vd_picture_t *p)
{
    return av_opt_set_int(s, "srcw", p->in_width, 0) < 0 ||
                   av_opt_set_int(s, "srch", p->in_height, 0) < 0 ||
                   av_opt_set_int(s, "src_format", p->in_format, 0) < 0 ||
                   av_opt_set_int(s, "src_range", p->in_range, 0) < 0 ||
                   av_opt_set_int(s, "dstw", p->scaled->width, 0) < 0 ||
                   av_opt_set_int(s, "dsth", p->scaled->height, 0) < 0 ||
                   av_opt_set_int(s, "dst_format", p->scaled->format, 0) < 0 ||
                   av_opt_set_int(s, "dst_range", 0, 0) < 0 ||
                   av_opt_set_int(s, "sws_flags", flags_of(p), 0) < 0
               ? -1
               : 0;
}

/* The scaler for pictures like this one; a stream may change its size or format on the way. */
static int follow(vd_picture_t *p, const AVFrame *from, tc_fail_t *f)
{
    int range = is_full_range(from);
    const int *matrix;

    if (p->sws != NULL && p->in_width == from->width && p->in_height == from->height &&
        p->in_format == from->format && p->in_range == range &&
        p->in_space == (int)from->colorspace) {
        return 0;
    }
    p->in_width = from->width;
    p->in_height = from->height;
    p->in_format = from->format;
    p->in_range = range;
    p->in_space = (int)from->colorspace;
    sws_freeContext(p->sws);
    p->sws = sws_alloc_context();
    if (p->sws == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (set_options(p->sws, p) != 0 || sws_init_context(p->sws, NULL, NULL) < 0) {
        return tc_fail(f, "unsupported_format", "Pictures in the format %s cannot be scaled.",
                       av_get_pix_fmt_name(from->format));
    }
    /* from and to the same matrix: the samples keep it */
    matrix = sws_getCoefficients(is_rgb(from->format) ? SWS_CS_ITU601 : p->in_space);
    (void)sws_setColorspaceDetails(p->sws, matrix, range, matrix, 0, 0, 1 << 16, 1 << 16);
    return 0;
}

/* One plane, mirrored and turned; w x h is what comes out. Lines count bytes, a sample has `size`.
 */
static void turn_plane(uint8_t *to, ptrdiff_t to_line, int w, int h, const uint8_t *from,
                       ptrdiff_t from_line, size_t size, int turns, int flip)
{
    int in_w = turns % 2 != 0 ? h : w, in_h = turns % 2 != 0 ? w : h;

    for (int y = 0; y < h; y++) {
        /* where the row's first sample comes from, and the way to the next one */
        int sx = turns == 0 ? 0 : turns == 1 ? y : turns == 2 ? in_w - 1 : in_w - 1 - y;
        int sy = turns == 0 ? y : turns == 1 ? in_h - 1 : turns == 2 ? in_h - 1 - y : 0;
        ptrdiff_t dx = turns == 0 ? 1 : turns == 2 ? -1 : 0;
        ptrdiff_t dy = turns == 1 ? -1 : turns == 3 ? 1 : 0;
        if (flip) {
            sx = in_w - 1 - sx;
            dx = -dx;
        }
        const uint8_t *s = from + sy * from_line + sx * (ptrdiff_t)size;
        ptrdiff_t way = dx * (ptrdiff_t)size + dy * from_line;
        uint8_t *d = to + y * to_line;
        for (int x = 0; x < w; x++) {
            for (size_t i = 0; i < size; i++) {
                *d++ = s[x * way + (ptrdiff_t)i];
            }
        }
    }
}

AVFrame *vd_picture_make(vd_picture_t *p, const AVFrame *from, tc_fail_t *f)
{
    AVFrame *to = p->upright != NULL ? p->upright : p->scaled;

    if (follow(p, from, f) != 0) {
        return NULL;
    }
    if (av_frame_make_writable(p->scaled) < 0 || av_frame_make_writable(to) < 0) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        return NULL;
    }
    if (sws_scale(p->sws, (const uint8_t *const *)from->data, from->linesize, 0, from->height,
                  p->scaled->data, p->scaled->linesize) != p->scaled->height) {
        (void)tc_fail(f, "internal", "A picture could not be scaled.");
        return NULL;
    }
    for (int i = 0; to != p->scaled && i < 3 && to->data[i] != NULL; i++) {
        turn_plane(to->data[i], to->linesize[i], i > 0 ? to->width / 2 : to->width,
                   i > 0 ? to->height / 2 : to->height, p->scaled->data[i], p->scaled->linesize[i],
                   (size_t)av_pix_fmt_desc_get(to->format)->comp[0].step, p->turns, p->flip);
    }
    return to;
}

void vd_picture_close(vd_picture_t *p)
{
    sws_freeContext(p->sws);
    p->sws = NULL;
    av_frame_free(&p->scaled);
    av_frame_free(&p->upright);
}
