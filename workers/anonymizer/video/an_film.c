#include "an_film.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_MS 4000
#define RANGE_SEGMENTS 5
#define RANGES 1000 /* about so many jobs at most: a longer film has longer ranges */
#define EVERY_PICTURE 1000000
#define SOUND_KBPS 160

/* Square pixels, upright, even. */
static void size_of(const media_vindex_t *v, int *width, int *height)
{
    int64_t w = v->width, h = v->height, swap;

    if (v->sar_num > 0) {
        w = av_rescale(w, v->sar_num, v->sar_den);
    }
    if ((v->rotation + 45) / 90 % 2 != 0) {
        swap = w;
        w = h;
        h = swap;
    }
    w = w < 2 ? 2 : w > 32768 ? 32768 : w;
    h = h < 2 ? 2 : h > 32768 ? 32768 : h;
    *width = (int)(w / 2 * 2);
    *height = (int)(h / 2 * 2);
}

int an_film_open(const media_vindex_t *v, an_film_t *out, tc_fail_t *f)
{
    double tick = (double)v->tb_num / (double)v->tb_den;
    double *at = malloc(((size_t)v->nframes + 1) * sizeof(*at));

    memset(out, 0, sizeof(*out));
    if (at == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    for (uint32_t i = 0; i < v->nframes; i++) {
        at[i] = (double)(v->frames[i].pts - v->frames[0].pts) * tick;
    }
    at[v->nframes] = (double)(v->end - v->frames[0].pts) * tick;
    out->npictures = v->nframes;
    out->at = at;
    size_of(v, &out->width, &out->height);
    return 0;
}

void an_film_free(an_film_t *film)
{
    free((void *)(uintptr_t)film->at);
    memset(film, 0, sizeof(*film));
}

int an_film_cuts(const media_vindex_t *v, vd_cuts_t *out, tc_fail_t *f)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den}, range = {RANGE_SEGMENTS * SEGMENT_MS, 1000};
    int64_t ranges = av_rescale_q(v->end - v->frames[0].pts, tb, range);
    vd_cuts_params_t params = {.segment_ms = SEGMENT_MS,
                               .range_segments = RANGE_SEGMENTS * (int)(ranges / RANGES + 1),
                               .fps_max = EVERY_PICTURE};

    return vd_cuts(v, &params, out, f);
}

void an_film_range(const vd_cuts_t *cuts, uint32_t i, uint32_t *first, uint32_t *end)
{
    *first = cuts->segments[cuts->ranges[i].first].first;
    *end = cuts->segments[cuts->ranges[i].end - 1].end;
}

media_ladder_params_t an_film_how(const an_params_t *params)
{
    return (media_ladder_params_t){.segment_s = SEGMENT_MS / 1000,
                                   .threads = 1,
                                   .audio_kbps = SOUND_KBPS,
                                   .preset = params->preset,
                                   .profile = "high"};
}

int an_film_job(json_t *jobs, const char *step, json_t *range)
{
    return json_array_append_new(jobs, json_pack("{s:s,s:o}", "step", step, "range", range));
}
