#include "an_channel.h"

#include <math.h>

#include <libavutil/pixdesc.h>

#define NEVER                                                                                      \
    (AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |                   \
     AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT)
#define HD_HEIGHT 720 /* pictures from here on mean BT.709 where they name no matrix */

int an_channels(const AVFrame *frame, an_channels_t *out)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);

    memset(out, 0, sizeof(*out));
    if (d == NULL || (d->flags & NEVER) != 0 || d->nb_components < 1) {
        return -1;
    }
    out->n = d->nb_components;
    out->is_rgb = (d->flags & AV_PIX_FMT_FLAG_RGB) != 0;
    out->ncolors = out->n - ((d->flags & AV_PIX_FMT_FLAG_ALPHA) != 0);
    for (int i = 0; i < out->n; i++) {
        const AVComponentDescriptor *from = &d->comp[i];
        int is_chroma = (i == 1 || i == 2) && out->ncolors == 3;
        int sx = is_chroma ? d->log2_chroma_w : 0, sy = is_chroma ? d->log2_chroma_h : 0;

        if (from->shift != 0 || from->depth < 8 || from->depth > 16 ||
            (from->depth > 8 && (d->flags & AV_PIX_FMT_FLAG_BE) != 0)) {
            return -1;
        }
        out->c[i] = (an_channel_t){.p = frame->data[from->plane] + from->offset,
                                   .stride = frame->linesize[from->plane],
                                   .step = from->step,
                                   .is_wide = from->depth > 8,
                                   .sx = sx,
                                   .sy = sy,
                                   .w = AV_CEIL_RSHIFT(frame->width, sx),
                                   .h = AV_CEIL_RSHIFT(frame->height, sy),
                                   .max = (1 << from->depth) - 1};
    }
    return 0;
}

/* Weights of red and blue in luma. */
static void weights(const AVFrame *frame, float *kr, float *kb)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        *kr = 0.2627F;
        *kb = 0.0593F;
        return;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_FCC:
        break;
    case AVCOL_SPC_BT709:
        *kr = 0.2126F;
        *kb = 0.0722F;
        return;
    default:
        if (frame->height >= HD_HEIGHT) {
            *kr = 0.2126F;
            *kb = 0.0722F;
            return;
        }
    }
    *kr = 0.299F;
    *kb = 0.114F;
}

static int is_full_range(const AVFrame *frame)
{
    return frame->color_range == AVCOL_RANGE_JPEG || frame->format == AV_PIX_FMT_YUVJ420P ||
           frame->format == AV_PIX_FMT_YUVJ422P || frame->format == AV_PIX_FMT_YUVJ444P;
}

static int rounded(float v, int max)
{
    return v <= 0 ? 0 : v >= (float)max ? max : (int)lrintf(v);
}

void an_channels_color(const AVFrame *frame, const an_channels_t *ch, const float rgb[3],
                       int out[3])
{
    int max = ch->c[0].max;
    float scale = (float)max / 255, step = (float)(max + 1) / 256;
    float kr, kb, y, part[2];

    if (ch->is_rgb) {
        for (int i = 0; i < 3; i++) {
            out[i] = rounded(rgb[i] * scale, max);
        }
        return;
    }
    weights(frame, &kr, &kb);
    y = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2];
    part[0] = (rgb[2] - y) / (2 * (1 - kb));
    part[1] = (rgb[0] - y) / (2 * (1 - kr));
    if (ch->ncolors == 1 || is_full_range(frame)) {
        out[0] = rounded(y * scale, max);
        out[1] = rounded(part[0] * scale + 128 * step, max);
        out[2] = rounded(part[1] * scale + 128 * step, max);
        return;
    }
    out[0] = rounded((16 + y * 219 / 255) * step, max);
    out[1] = rounded((128 + part[0] * 224 / 255) * step, max);
    out[2] = rounded((128 + part[1] * 224 / 255) * step, max);
}
