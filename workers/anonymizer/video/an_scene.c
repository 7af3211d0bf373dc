#include "an_scene.h"

#include <math.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#define SAMPLES 8     /* of a cell's side */
#define LIKE_MAX 0.5  /* correlation of two scenes, at most */
#define TONES_MIN 0.3 /* of the pixels change their tone, at least */
#define FLAT 1e-4     /* variance of a picture that shows nothing */

/* One sample of the first component, 0..1. */
static float sample(const AVFrame *frame, const AVPixFmtDescriptor *d, int x, int y)
{
    const AVComponentDescriptor *c = &d->comp[0];
    const uint8_t *p = frame->data[c->plane] + (ptrdiff_t)y * frame->linesize[c->plane] +
                       (ptrdiff_t)x * c->step + c->offset;
    unsigned v = *p;

    if (c->depth > 8) {
        v |= (unsigned)p[1] << 8;
        v >>= c->shift;
    }
    v &= (1u << c->depth) - 1;
    return (float)v / (float)((1u << c->depth) - 1);
}

int an_scene_see(an_scene_t *s, const AVFrame *frame)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);
    const int columns = AN_SCENE_COLUMNS * SAMPLES, rows = AN_SCENE_ROWS * SAMPLES;

    if (d == NULL || d->comp[0].depth < 8 || d->comp[0].depth > 16 ||
        (d->flags & (AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BE))) {
        return -1;
    }
    memset(s, 0, sizeof(*s));
    for (int y = 0; y < rows; y++) {
        for (int x = 0; x < columns; x++) {
            float v = sample(frame, d, (int)((int64_t)x * frame->width / columns),
                             (int)((int64_t)y * frame->height / rows));
            int tone = (int)(v * AN_SCENE_TONES);

            s->cells[y / SAMPLES * AN_SCENE_COLUMNS + x / SAMPLES] += v / (SAMPLES * SAMPLES);
            s->tones[tone < AN_SCENE_TONES ? tone : AN_SCENE_TONES - 1] +=
                1.0f / (float)(rows * columns);
        }
    }
    return 0;
}

int an_scene_is_cut(const an_scene_t *before, const an_scene_t *after)
{
    const int n = AN_SCENE_ROWS * AN_SCENE_COLUMNS;
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0, tones = 0, va, vb;

    for (int i = 0; i < n; i++) {
        double a = (double)before->cells[i], b = (double)after->cells[i];
        sa += a;
        sb += b;
        saa += a * a;
        sbb += b * b;
        sab += a * b;
    }
    for (int i = 0; i < AN_SCENE_TONES; i++) {
        tones += fabs((double)(before->tones[i] - after->tones[i])) / 2;
    }
    va = saa / n - sa / n * sa / n;
    vb = sbb / n - sb / n * sb / n;
    if (va < FLAT || vb < FLAT) {
        /* to or from black: only where it happens at once */
        return tones > 0.8 && (va > 10 * FLAT || vb > 10 * FLAT);
    }
    return (sab / n - sa / n * sb / n) / sqrt(va * vb) < LIKE_MAX && tones > TONES_MIN;
}
