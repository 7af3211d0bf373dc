/* Painting: first all that is asked of the picture (the colours around masks), then the masks one
 * after the other; so no order of masks lets what lies under one into another. */
#include "an_mask.h"

#include <math.h>
#include <stdlib.h>

#include "an_blur.h"
#include "an_cells.h"
#include "an_cover.h"

#define BLUR 8 /* a pass's radius is this part of the mask's smaller side */

typedef struct {
    AVFrame *frame;
    const an_paint_t *paint;
    an_channels_t ch;
    int solid[3];
    an_cells_t *cells; /* per mask; NULL: the style has none */
} job_t;

/* ---- what is painted ---- */

/* One component of the operator's image at a point of 0..1, between its pixels. */
static float image_part(const AVFrame *image, float u, float v, int part)
{
    float x = u * (float)image->width - 0.5F, y = v * (float)image->height - 0.5F;
    int x0 = (int)floorf(x), y0 = (int)floorf(y);
    float fx = x - (float)x0, fy = y - (float)y0, sum = 0;

    for (int i = 0; i < 4; i++) {
        int px = x0 + (i & 1), py = y0 + (i >> 1);

        px = px < 0 ? 0 : px >= image->width ? image->width - 1 : px;
        py = py < 0 ? 0 : py >= image->height ? image->height - 1 : py;
        sum += (float)image->data[0][py * image->linesize[0] + px * 4 + part] *
               ((i & 1) != 0 ? fx : 1 - fx) * ((i >> 1) != 0 ? fy : 1 - fy);
    }
    return sum;
}

/* The image over the plain colour. */
static int image_value(const job_t *j, const an_mask_t *m, int c, float x, float y)
{
    const AVFrame *image = j->paint->image;
    float u = (x - m->x) / m->w, v = (y - m->y) / m->h;
    float alpha, rgb[3];
    int out[3];

    u = u < 0 ? 0 : u > 1 ? 1 : u;
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    alpha = image_part(image, u, v, 3) / 255;
    for (int i = 0; i < 3; i++) {
        rgb[i] = image_part(image, u, v, i) * alpha + (float)j->paint->color[i] * (1 - alpha);
    }
    an_channels_color(j->frame, &j->ch, rgb, out);
    return out[c];
}

static int value_at(const job_t *j, const an_mask_t *m, int k, int c, float x, float y)
{
    switch (j->paint->style) {
    case AN_MOSAIC:
    case AN_PIXELATE:
        return j->cells[k].v[an_cells_at(m, x, y)][c];
    case AN_IMAGE:
        return image_value(j, m, c, x, y);
    default:
        return j->solid[c];
    }
}

/* ---- one mask ---- */

static int paint_channel(const job_t *j, const an_mask_t *m, int k, int c, const an_cover_t *cover)
{
    const an_channel_t *ch = &j->ch.c[c];
    an_area_t a = {cover->x0 >> ch->sx, cover->y0 >> ch->sy, AV_CEIL_RSHIFT(cover->x1, ch->sx),
                   AV_CEIL_RSHIFT(cover->y1, ch->sy)};
    int is_blur = j->paint->style == AN_BLUR && c < j->ch.ncolors;
    float side = m->w < m->h ? m->w : m->h, half = 0.5F;
    uint16_t *blurred = NULL;

    if (is_blur) {
        blurred = an_blur(ch, a, 1 + ((int)(side / BLUR) >> ch->sx));
        if (blurred == NULL) {
            return -1;
        }
    }
    for (int y = a.y0; y < a.y1; y++) {
        for (int x = a.x0; x < a.x1; x++) {
            int alpha = an_cover_sample(cover, x, y, ch->sx, ch->sy), v;

            if (alpha == 0) {
                continue;
            }
            if (c >= j->ch.ncolors) {
                v = ch->max; /* nothing shines through */
            } else if (is_blur) {
                v = blurred[(size_t)(y - a.y0) * (size_t)(a.x1 - a.x0) + (size_t)(x - a.x0)];
            } else {
                v = value_at(j, m, k, c, ((float)x + half) * (float)(1 << ch->sx),
                             ((float)y + half) * (float)(1 << ch->sy));
            }
            if (alpha < 255) {
                v = (v * alpha + an_channel_get(ch, x, y) * (255 - alpha) + 127) / 255;
            }
            an_channel_set(ch, x, y, v);
        }
    }
    free(blurred);
    return 0;
}

static int paint_mask(const job_t *j, const an_mask_t *m, int k)
{
    an_cover_t cover;
    int rc = an_cover_make(m, j->paint->feather, j->frame->width, j->frame->height, &cover);

    for (int c = 0; rc == 0 && cover.x0 < cover.x1 && c < j->ch.n; c++) {
        rc = paint_channel(j, m, k, c, &cover);
    }
    an_cover_free(&cover);
    return rc;
}

/* ---- colours that depend on the picture ---- */

/* A byte per pixel of the picture, not 0 under a mask; owned, NULL: no memory. */
static uint8_t *all_covered(const job_t *j, const an_mask_t *masks, int n)
{
    size_t w = (size_t)j->frame->width;
    uint8_t *covered = calloc((size_t)j->frame->height, w);
    an_cover_t c;

    for (int k = 0; covered != NULL && k < n; k++) {
        if (an_cover_make(&masks[k], 0, j->frame->width, j->frame->height, &c) != 0) {
            free(covered);
            return NULL;
        }
        for (int y = c.y0; y < c.y1; y++) {
            for (int x = c.x0; x < c.x1; x++) {
                covered[(size_t)y * w + (size_t)x] |=
                    c.alpha[(size_t)(y - c.y0) * (size_t)(c.x1 - c.x0) + (size_t)(x - c.x0)];
            }
        }
        an_cover_free(&c);
    }
    return covered;
}

static int make_cells(job_t *j, const an_mask_t *masks, int n)
{
    int is_mosaic = j->paint->style == AN_MOSAIC;
    uint8_t *covered = is_mosaic ? all_covered(j, masks, n) : NULL;

    j->cells = calloc((size_t)n, sizeof(*j->cells));
    if (j->cells == NULL || (is_mosaic && covered == NULL)) {
        free(covered);
        return -1;
    }
    for (int k = 0; k < n; k++) {
        if (is_mosaic) {
            an_cells_mosaic(&j->ch, &masks[k], covered, j->frame->width, j->frame->height,
                            &j->cells[k]);
        } else {
            an_cells_means(&j->ch, &masks[k], &j->cells[k]);
        }
    }
    free(covered);
    return 0;
}

/* What is no shape would cover nothing: an error, before anything is painted. */
static int are_shapes(const an_mask_t *masks, int n)
{
    for (int k = 0; k < n; k++) {
        const an_mask_t *m = &masks[k];

        if (!isfinite(m->x) || !isfinite(m->y) || !(m->w > 0) || !(m->h > 0) || !isfinite(m->w) ||
            !isfinite(m->h)) {
            return 0;
        }
    }
    return 1;
}

int an_mask_paint(AVFrame *frame, const an_mask_t *masks, int n, const an_paint_t *paint)
{
    job_t j = {.frame = frame, .paint = paint};
    float rgb[3] = {paint->color[0], paint->color[1], paint->color[2]};
    int rc = 0;

    if (an_channels(frame, &j.ch) != 0 || !are_shapes(masks, n) ||
        (paint->style == AN_IMAGE && paint->image == NULL)) {
        return -1;
    }
    if (n <= 0) {
        return 0;
    }
    an_channels_color(frame, &j.ch, rgb, j.solid);
    if (paint->style == AN_MOSAIC || paint->style == AN_PIXELATE) {
        rc = make_cells(&j, masks, n);
    }
    for (int k = 0; rc == 0 && k < n; k++) {
        rc = paint_mask(&j, &masks[k], k);
    }
    free(j.cells);
    return rc;
}
