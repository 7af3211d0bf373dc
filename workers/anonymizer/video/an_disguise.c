/* A delay line, read by two heads at another speed than it is written. Each head glides over a
 * grain of it and jumps back while the other one is loud; with every jump it takes another speed.
 */
#include "an_disguise.h"

#include <math.h>
#include <stdlib.h>
#include <sys/random.h>

#define CHANNELS 2
#define LINE 16384   /* samples, a power of two: a grain at any rate */
#define GRAIN_S 0.06 /* longer than a period of any voice */
#define LOWER 0.74   /* speeds: down by a fourth ... */
#define HIGHER 1.30  /* ... or up by one, */
#define WANDER 0.09  /* each grain off that by so much at most */

struct an_disguise_s {
    float line[CHANNELS][LINE];
    unsigned written;
    double middle, speed;
    double at; /* how far the first head reads behind what is written, in grains: 0..1 */
};

static double chance(void)
{
    uint32_t v = 0;

    return getrandom(&v, sizeof(v), 0) == (ssize_t)sizeof(v) ? v / 4294967296.0 : -1;
}

static double wander(const an_disguise_t *d)
{
    return d->middle * (1 + WANDER * (2 * chance() - 1));
}

an_disguise_t *an_disguise_open(void)
{
    an_disguise_t *d = calloc(1, sizeof(*d));
    double c = chance();

    if (d == NULL || c < 0) {
        free(d);
        return NULL;
    }
    d->middle = c < 0.5 ? LOWER : HIGHER;
    d->speed = wander(d);
    return d;
}

void an_disguise_close(an_disguise_t *d)
{
    free(d);
}

static float read_at(const float *line, unsigned written, double behind)
{
    unsigned whole = (unsigned)behind;
    float part = (float)(behind - whole);
    float a = line[(written - whole) & (LINE - 1)], b = line[(written - whole - 1) & (LINE - 1)];

    return a + (b - a) * part;
}

/* Both heads a sample further. One is silent when it jumps, and the other half a grain from it. */
static void move(an_disguise_t *d, double grain)
{
    double before = d->at;

    d->at += (1 - d->speed) / grain;
    d->at -= floor(d->at);
    if ((before < 0.5) != (d->at < 0.5)) {
        d->speed = wander(d);
    }
}

int an_disguise_alter(void *disguise, AVFrame *block)
{
    an_disguise_t *d = disguise;
    int channels = block->ch_layout.nb_channels;
    double grain = GRAIN_S * block->sample_rate;

    if (block->format != AV_SAMPLE_FMT_FLTP || channels < 1 || channels > CHANNELS ||
        grain > LINE - 2) {
        return -1;
    }
    for (int n = 0; n < block->nb_samples; n++) {
        double loud, other;

        d->written++;
        move(d, grain);
        loud = sin(M_PI * d->at) * sin(M_PI * d->at);
        other = d->at < 0.5 ? d->at + 0.5 : d->at - 0.5;
        for (int c = 0; c < channels; c++) {
            float *s = (float *)(void *)block->extended_data[c] + n;

            d->line[c][d->written & (LINE - 1)] = *s;
            *s = (float)loud * read_at(d->line[c], d->written, d->at * grain) +
                 (float)(1 - loud) * read_at(d->line[c], d->written, other * grain);
        }
    }
    return 0;
}
