/* Scaling down by averaging areas. Lengths are counted in parts of a source pixel so that all
 * weights are whole numbers: a pixel made of n / m source pixels covers n parts, a source pixel
 * has m. */
#include <stdlib.h>
#include <string.h>

#include "an_scales.h"
#include "media/err.h"

/* The source rows of one row, each with its weight; the result in 1/256. */
static void average_rows(const an_picture_t *from, int h, int y, uint32_t *sum, uint16_t *row)
{
    size_t n = (size_t)from->width * 3;
    int64_t at = (int64_t)y * from->height, end = at + from->height;
    uint64_t scale = (256ull << 32) / (uint64_t)from->height;

    memset(sum, 0, n * sizeof(*sum));
    while (at < end) {
        int64_t src = at / h, next = (src + 1) * h;
        uint32_t weight = (uint32_t)((next < end ? next : end) - at);
        const uint8_t *p = from->bgr + (size_t)src * from->stride;

        for (size_t i = 0; i < n; i++) {
            sum[i] += weight * p[i];
        }
        at += weight;
    }
    for (size_t i = 0; i < n; i++) {
        row[i] = (uint16_t)((sum[i] * scale) >> 32);
    }
}

static void average_columns(const uint16_t *row, int from_w, int w, uint8_t *dst)
{
    for (int x = 0; x < w; x++) {
        int64_t at = (int64_t)x * from_w, end = at + from_w;
        uint64_t sum[3] = {0, 0, 0};

        while (at < end) {
            int64_t src = at / w, next = (src + 1) * w;
            uint64_t weight = (uint64_t)((next < end ? next : end) - at);

            for (int c = 0; c < 3; c++) {
                sum[c] += weight * row[3 * src + c];
            }
            at += (int64_t)weight;
        }
        for (int c = 0; c < 3; c++) {
            dst[3 * x + c] =
                (uint8_t)((sum[c] + 128 * (uint64_t)from_w) / (256 * (uint64_t)from_w));
        }
    }
}

int an_shrink(const an_picture_t *from, int w, int h, uint8_t *dst)
{
    size_t n = (size_t)from->width * 3;
    uint32_t *sum;
    uint16_t *row;
    int rc = MEDIA_E_NOMEM;

    if (w == from->width && h == from->height) {
        for (int y = 0; y < h; y++) {
            memcpy(dst + (size_t)y * n, from->bgr + (size_t)y * from->stride, n);
        }
        return 0;
    }
    sum = malloc(n * sizeof(*sum));
    row = malloc(n * sizeof(*row));
    if (sum != NULL && row != NULL) {
        for (int y = 0; y < h; y++) {
            average_rows(from, h, y, sum, row);
            average_columns(row, from->width, w, dst + (size_t)y * (size_t)w * 3);
        }
        rc = 0;
    }
    free(sum);
    free(row);
    return rc;
}
