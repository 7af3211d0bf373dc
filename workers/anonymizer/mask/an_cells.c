#include "an_cells.h"

#define RING 8   /* the ring's width is this part of the mask's smaller side */
#define BRIGHT 6 /* the pattern's greatest step, this part of all there is: brightness */
#define TINT 24  /* colour */

typedef struct {
    int x0, y0, x1, y1;
} samples_t;

static int clipped(float v, int max)
{
    return v <= 0 ? 0 : v >= (float)max ? max : (int)v;
}

/* The samples of a channel from `out_by` pixels around the mask on. */
static samples_t around(const an_channel_t *c, const an_mask_t *m, float out_by)
{
    float kx = 1.0F / (float)(1 << c->sx), ky = 1.0F / (float)(1 << c->sy);

    return (samples_t){clipped((m->x - out_by) * kx, c->w), clipped((m->y - out_by) * ky, c->h),
                       clipped((m->x + m->w + out_by) * kx + 1, c->w),
                       clipped((m->y + m->h + out_by) * ky + 1, c->h)};
}

static int is_covered(const an_channel_t *c, int x, int y, const uint8_t *covered, int width,
                      int height)
{
    for (int py = y << c->sy; py < (y + 1) << c->sy && py < height; py++) {
        for (int px = x << c->sx; px < (x + 1) << c->sx && px < width; px++) {
            if (covered[(size_t)py * (size_t)width + (size_t)px] != 0) {
                return 1;
            }
        }
    }
    return 0;
}

/* The mean of a channel around the mask; without anything there the middle of all values. */
static int ring_mean(const an_channel_t *c, const an_mask_t *m, const uint8_t *covered, int width,
                     int height)
{
    samples_t s = around(c, m, 2 + (m->w < m->h ? m->w : m->h) / RING);
    int64_t sum = 0, n = 0;

    for (int y = s.y0; y < s.y1; y++) {
        for (int x = s.x0; x < s.x1; x++) {
            if (!is_covered(c, x, y, covered, width, height)) {
                sum += an_channel_get(c, x, y);
                n++;
            }
        }
    }
    return n > 0 ? (int)((sum + n / 2) / n) : (c->max + 1) / 2;
}

static uint64_t mixed(uint64_t x) /* splitmix64 */
{
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

/* -most .. most */
static int step_of(uint64_t chance, int most)
{
    return (int)((chance & 0xFFFF) * (uint64_t)(2 * most + 1) >> 16) - most;
}

void an_cells_mosaic(const an_channels_t *ch, const an_mask_t *m, const uint8_t *covered, int width,
                     int height, an_cells_t *out)
{
    int mean[3] = {0}, max = ch->c[0].max;

    for (int i = 0; i < ch->ncolors; i++) {
        mean[i] = ring_mean(&ch->c[i], m, covered, width, height);
    }
    for (int cell = 0; cell < AN_CELLS * AN_CELLS; cell++) {
        uint64_t chance = mixed(m->seed ^ mixed((uint64_t)cell));
        int bright = step_of(chance, max / BRIGHT);

        for (int i = 0; i < ch->ncolors; i++) {
            int tint = i > 0 ? step_of(chance >> (16 * i), max / TINT) : 0;
            int v = mean[i] + tint + (i == 0 || ch->is_rgb ? bright : 0);
            out->v[cell][i] = (uint16_t)(v < 0 ? 0 : v > max ? max : v);
        }
    }
}

void an_cells_means(const an_channels_t *ch, const an_mask_t *m, an_cells_t *out)
{
    int64_t sum[AN_CELLS * AN_CELLS], n[AN_CELLS * AN_CELLS];

    for (int i = 0; i < ch->ncolors; i++) {
        const an_channel_t *c = &ch->c[i];
        samples_t s = around(c, m, 0);

        memset(sum, 0, sizeof(sum));
        memset(n, 0, sizeof(n));
        for (int y = s.y0; y < s.y1; y++) {
            for (int x = s.x0; x < s.x1; x++) {
                int cell = an_cells_at(m, (float)(x << c->sx) + 0.5F, (float)(y << c->sy) + 0.5F);
                sum[cell] += an_channel_get(c, x, y);
                n[cell]++;
            }
        }
        for (int cell = 0; cell < AN_CELLS * AN_CELLS; cell++) {
            out->v[cell][i] =
                (uint16_t)(n[cell] > 0 ? (sum[cell] + n[cell] / 2) / n[cell] : (c->max + 1) / 2);
        }
    }
}
