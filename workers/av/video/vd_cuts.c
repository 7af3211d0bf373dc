/* Segments and ranges. */
#include "vd_cuts.h"

#include <stdlib.h>
#include <string.h>

#define FPS_SLACK 1.005    /* 60 with rounded time stamps is not above 60 */
#define SLACK_OF_SEGMENT 8 /* a boundary moves by no more than this part of a segment */
#define STEP_MAX 64

static double fps(const media_vindex_t *v)
{
    double length = (double)(v->end - v->frames[0].pts) * (double)v->tb_num / (double)v->tb_den;

    return length > 0 ? v->nframes / length : 0;
}

static uint32_t choose_step(const media_vindex_t *v, int fps_max)
{
    uint32_t step = 1;

    while (step < STEP_MAX && fps(v) / step > fps_max * FPS_SLACK) {
        step *= 2;
    }
    return step;
}

/* pts of kept picture i, or the end of the video. */
static int64_t pts_of(const media_vindex_t *v, uint32_t i)
{
    return i < v->nframes ? v->frames[i].pts : v->end;
}

/* In which stretch of the segment's length picture i belongs: one shown up to half a picture (but
 * not much of a segment) before a boundary begins the stretch behind it. */
static int64_t stretch(const media_vindex_t *v, uint32_t i, uint32_t step, int64_t segment_ms)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den};
    int64_t segment = av_rescale_q(segment_ms, (AVRational){1, 1000}, tb);
    int64_t half = (pts_of(v, i + step) - v->frames[i].pts) / 2;
    int64_t slack = half < segment / SLACK_OF_SEGMENT ? half : segment / SLACK_OF_SEGMENT;
    int64_t at = v->frames[i].pts - v->frames[0].pts + slack;

    return av_rescale_rnd(at, v->tb_num * 1000, v->tb_den * segment_ms, AV_ROUND_DOWN);
}

static int is_key(const media_vindex_t *v, uint32_t i)
{
    return (v->packets[v->frames[i].packet].flags & MEDIA_VINDEX_KEY) != 0;
}

static void end_segment(const media_vindex_t *v, vd_segment_t *s, uint32_t end)
{
    s->end = end;
    s->duration = pts_of(v, end) - s->pts;
}

static void cut(const media_vindex_t *v, const vd_cuts_params_t *params, vd_cuts_t *out)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den};
    int64_t half = av_rescale_q(params->segment_ms, (AVRational){1, 2000}, tb);
    int64_t current = -1;
    vd_segment_t *s = out->segments;

    for (uint32_t i = 0; i < v->nframes; i += out->step) {
        int64_t here = stretch(v, i, out->step, params->segment_ms);
        if (i == 0 || (params->at_keys ? is_key(v, i) : here > current)) {
            if (i > 0) {
                end_segment(v, s++, i);
            }
            *s = (vd_segment_t){.first = i, .pts = v->frames[i].pts};
            current = here;
        }
        s->count++;
    }
    end_segment(v, s, v->nframes);
    if (s > out->segments && s->duration < half && !params->at_keys) {
        s[-1].count += s->count;
        end_segment(v, --s, v->nframes);
    }
    out->nsegments = (uint32_t)(s - out->segments) + 1;
}

/* As many as the film would have with segments of the usual length. */
static uint32_t ranges_of(const media_vindex_t *v, const vd_cuts_params_t *params, uint32_t most)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den}, ms = {1, 1000};
    int64_t length = (int64_t)params->segment_ms * params->range_segments;
    int64_t n = av_rescale_q(v->end - v->frames[0].pts, tb, ms) / length + 1;

    return n < most ? (uint32_t)n : most;
}

int vd_cuts(const media_vindex_t *v, const vd_cuts_params_t *params, vd_cuts_t *out, tc_fail_t *f)
{
    uint32_t per = (uint32_t)params->range_segments;

    memset(out, 0, sizeof(*out));
    if (v->nframes == 0 || params->segment_ms < 100 || params->segment_ms > 60000 ||
        params->range_segments < 1 || params->fps_max < 1) {
        return tc_fail(f, "params_invalid", "The parameters of cutting are out of range.");
    }
    out->step = choose_step(v, params->fps_max);
    out->segments = calloc(v->nframes / out->step + 1, sizeof(*out->segments));
    if (out->segments == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    cut(v, params, out);
    out->nranges =
        params->at_keys ? ranges_of(v, params, out->nsegments) : (out->nsegments - 1) / per + 1;
    out->ranges = calloc(out->nranges, sizeof(*out->ranges));
    if (out->ranges == NULL) {
        vd_cuts_free(out);
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    for (uint64_t i = 0; i < out->nranges; i++) {
        out->ranges[i] = (vd_cut_range_t){(uint32_t)(i * out->nsegments / out->nranges),
                                          (uint32_t)((i + 1) * out->nsegments / out->nranges)};
    }
    return 0;
}

void vd_cuts_free(vd_cuts_t *c)
{
    free(c->segments);
    free(c->ranges);
    memset(c, 0, sizeof(*c));
}

json_t *vd_cuts_json(const vd_cuts_t *c)
{
    json_t *segments = json_array(), *ranges = json_array(), *all;
    int bad = segments == NULL || ranges == NULL;

    for (uint32_t i = 0; i < c->nsegments; i++) {
        const vd_segment_t *s = &c->segments[i];
        bad |= json_array_append_new(segments,
                                     json_pack("[I,I,I,I,I]", (json_int_t)s->first,
                                               (json_int_t)s->end, (json_int_t)s->count,
                                               (json_int_t)s->pts, (json_int_t)s->duration)) != 0;
    }
    for (uint32_t i = 0; i < c->nranges; i++) {
        bad |= json_array_append_new(ranges, json_pack("[I,I]", (json_int_t)c->ranges[i].first,
                                                       (json_int_t)c->ranges[i].end)) != 0;
    }
    all = json_pack("{s:I,s:o,s:o}", "step", (json_int_t)c->step, "segments", segments, "ranges",
                    ranges);
    if (bad && all != NULL) {
        json_decref(all);
        all = NULL;
    }
    return all;
}
