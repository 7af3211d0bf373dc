#include "an_cover.h"

#include <math.h>
#include <stdlib.h>

static int clipped(double v, int max)
{
    return v <= 0 ? 0 : v >= max ? max : (int)v;
}

/* From the shape's middle, along one axis, to the nearest point of pixel `at`. */
static double nearest(double middle, int at)
{
    double d = fabs(middle - (at + 0.5)) - 0.5;

    return d > 0 ? d : 0;
}

/* 0 within the shape, else about how many pixels outside of it; a, b: half its size. */
static double distance(enum an_shape shape, double dx, double dy, double a, double b)
{
    double ox = dx - a, oy = dy - b, r;

    if (shape == AN_BOX) {
        ox = ox > 0 ? ox : 0;
        oy = oy > 0 ? oy : 0;
        return sqrt(ox * ox + oy * oy);
    }
    r = sqrt(dx * dx / (a * a) + dy * dy / (b * b));
    return r <= 1 ? 0 : sqrt(dx * dx + dy * dy) * (r - 1) / r;
}

/* Pixels of a row that the shape touches: [*from, *to). */
static void span(const an_mask_t *m, int y, int width, int *from, int *to)
{
    double a = m->w / 2.0, b = m->h / 2.0, middle = m->x + a;
    double dy = nearest(m->y + b, y), half = a;

    *from = *to = 0;
    if (dy >= b) {
        return;
    }
    if (m->shape == AN_ELLIPSE) {
        half = a * sqrt(1 - dy * dy / (b * b));
    }
    *from = clipped(floor(middle - half), width);
    *to = clipped(ceil(middle + half), width);
}

static void cover_row(const an_mask_t *m, int feather, int y, const an_cover_t *c, int width)
{
    size_t n = (size_t)(c->x1 - c->x0);
    uint8_t *row = c->alpha + (size_t)(y - c->y0) * n;
    double a = m->w / 2.0, b = m->h / 2.0, dy = nearest(m->y + b, y);
    int from, to;

    for (int x = c->x0; feather > 0 && x < c->x1; x++) {
        double d = distance(m->shape, nearest(m->x + a, x), dy, a, b);
        row[x - c->x0] = d >= feather ? 0 : (uint8_t)lrint(255 * (1 - d / feather));
    }
    span(m, y, width, &from, &to);
    for (int x = from < c->x0 ? c->x0 : from; x < to && x < c->x1; x++) {
        row[x - c->x0] = 255;
    }
}

int an_cover_make(const an_mask_t *m, int feather, int width, int height, an_cover_t *out)
{
    *out = (an_cover_t){.x0 = clipped(floor((double)m->x - feather), width),
                        .x1 = clipped(ceil((double)m->x + m->w + feather), width),
                        .y0 = clipped(floor((double)m->y - feather), height),
                        .y1 = clipped(ceil((double)m->y + m->h + feather), height)};
    if (out->x0 >= out->x1 || out->y0 >= out->y1) {
        out->x1 = out->x0;
        return 0;
    }
    out->alpha = calloc((size_t)(out->y1 - out->y0), (size_t)(out->x1 - out->x0));
    if (out->alpha == NULL) {
        return -1;
    }
    for (int y = out->y0; y < out->y1; y++) {
        cover_row(m, feather, y, out, width);
    }
    return 0;
}

void an_cover_free(an_cover_t *c)
{
    free(c->alpha);
    *c = (an_cover_t){0};
}
