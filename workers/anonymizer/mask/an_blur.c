#include "an_blur.h"

#include <stdlib.h>

#define PASSES 3

/* Means of a line of n samples, `step` apart; beyond its ends the last one goes on. */
static void mean_line(const uint16_t *src, uint16_t *dst, int n, size_t step, int radius)
{
    int64_t sum = 0;
    int count = 2 * radius + 1;

    for (int i = -radius; i <= radius; i++) {
        sum += src[(size_t)(i < 0 ? 0 : i >= n ? n - 1 : i) * step];
    }
    for (int i = 0; i < n; i++) {
        int leaves = i - radius, enters = i + radius + 1;

        dst[(size_t)i * step] = (uint16_t)((sum + radius) / count);
        sum += src[(size_t)(enters >= n ? n - 1 : enters) * step];
        sum -= src[(size_t)(leaves < 0 ? 0 : leaves) * step];
    }
}

/* The result lies in a again. */
static void blur_area(uint16_t *a, uint16_t *b, int w, int h, int radius)
{
    for (int pass = 0; pass < PASSES; pass++) {
        for (int y = 0; y < h; y++) {
            mean_line(a + (size_t)y * (size_t)w, b + (size_t)y * (size_t)w, w, 1, radius);
        }
        for (int x = 0; x < w; x++) {
            mean_line(b + x, a + x, h, (size_t)w, radius);
        }
    }
}

static int within(int v, int max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

uint16_t *an_blur(const an_channel_t *c, an_area_t area, int radius)
{
    int around = PASSES * radius;
    an_area_t from = {within(area.x0 - around, c->w), within(area.y0 - around, c->h),
                      within(area.x1 + around, c->w), within(area.y1 + around, c->h)};
    size_t w = (size_t)(from.x1 - from.x0), h = (size_t)(from.y1 - from.y0);
    size_t nw = (size_t)(area.x1 - area.x0), nh = (size_t)(area.y1 - area.y0);
    uint16_t *a = malloc(w * h * sizeof(*a)), *b = malloc(w * h * sizeof(*b));

    if (a == NULL || b == NULL) {
        free(a);
        free(b);
        return NULL;
    }
    for (size_t y = 0; y < h; y++) {
        for (size_t x = 0; x < w; x++) {
            a[y * w + x] = (uint16_t)an_channel_get(c, from.x0 + (int)x, from.y0 + (int)y);
        }
    }
    blur_area(a, b, (int)w, (int)h, radius);
    free(b);
    for (size_t y = 0; y < nh; y++) {
        memmove(a + y * nw, a + (y + (size_t)(area.y0 - from.y0)) * w + (area.x0 - from.x0),
                nw * sizeof(*a));
    }
    return a;
}
