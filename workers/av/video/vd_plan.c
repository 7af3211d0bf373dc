/* From an index to the jobs of its ladder, and back from a job's document. */
#include "vd_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/json.h"
#include "vd_fit.h"
#include "vd_range.h"
#include "wk_child.h"

#define SEGMENTS_MAX MEDIA_VINDEX_FRAMES_MAX
#define TICKS_MAX (INT64_C(1) << 53)
#define LEAD_IN 10  /* pictures encoded in vain: rate control learns what such pictures cost */
#define LEAD_OUT 10 /* pictures looked at: those before a border matter to those behind it */
#define NO_RUNG (-1)
#define COPIED_BPS_MAX 90000000  /* a group has to fit a segment's bytes */
#define RESULT_SLACK (64u << 10) /* of what else stands in the result */

enum group {
    FIRST, /* the rung that plays first */
    REST,
    COPIED /* the rung that is the source itself */
};

typedef struct {
    const vd_source_t *source;
    const vd_indexed_t *x;
    media_ladder_params_t params;
    media_ladder_t ladder;
    vd_cuts_t cuts;
    int copied;           /* the rung that is the source itself, or NO_RUNG */
    int fps_num, fps_den; /* of what is encoded */
    json_t *jobs;
} plan_t;

/* Takes range. */
static int add_job(plan_t *p, const char *step, json_t *range)
{
    return json_array_append_new(p->jobs, json_pack("{s:s,s:o}", "step", step, "range", range));
}

/* Pictures per second of the whole video; every n-th of them. */
static void rate(const media_vindex_t *v, uint32_t n, int *num, int *den)
{
    int64_t ticks = v->end - v->frames[0].pts;

    if (!av_reduce(num, den, (int64_t)v->nframes * v->tb_den / n, ticks * v->tb_num, 1000000) ||
        *num < 1 || *den < 1) {
        /* measured times are not exact: this is for level and rate control */
        *num = *num < 1 ? 1 : *num;
        *den = *den < 1 ? 1 : *den;
    }
}

/* The source's own pictures keep to the rate that an encoder would have been given: a bucket of the
 * rung's size, which each fills and the rung's rate empties, never overflows. */
static int is_within_rate(const media_vindex_t *v, const media_rendition_t *r)
{
    int64_t bits = 0;

    for (uint32_t i = 0; i < v->nframes; i++) {
        int64_t ticks = media_vindex_frame_end(v, i) - v->frames[i].pts;

        bits += 8 * (int64_t)v->packets[i].size;
        if (bits > r->bufsize_bits) {
            return 0;
        }
        bits -= av_rescale(ticks * v->tb_num, r->maxrate_bps, v->tb_den);
        bits = bits > 0 ? bits : 0;
    }
    return 1;
}

static int allows_profile(const plan_t *p)
{
    return strcmp(p->params.profile, "baseline") != 0 ||
           (p->x->index.profile & 0xff) == FF_PROFILE_H264_BASELINE;
}

/* The rung that the source is by its size and rate. */
static int find_copied(const plan_t *p)
{
    const media_vindex_t *v = &p->x->index;

    for (int i = 0; i < p->ladder.n; i++) {
        const media_rendition_t *r = &p->ladder.rungs[i];
        if (r->width == v->width && r->height == v->height && r->maxrate_bps <= COPIED_BPS_MAX &&
            is_within_rate(v, r)) {
            return i;
        }
    }
    return NO_RUNG;
}

/* The rung that the source is, if it is one; its key pictures then cut all rungs. What has to be
 * read from the file is asked last. */
static int choose_copied(plan_t *p, vd_cuts_params_t params, tc_fail_t *f)
{
    const media_vindex_t *v = &p->x->index;
    int rung = NO_RUNG;

    if (strcmp(p->params.remux, "auto") == 0 && p->cuts.step == 1 &&
        vd_fit_by_index(v, params.segment_ms) && allows_profile(p)) {
        rung = find_copied(p);
    }
    if (rung == NO_RUNG || !vd_fit_by_bytes(p->source, v)) {
        return 0;
    }
    p->copied = rung;
    params.at_keys = 1;
    vd_cuts_free(&p->cuts);
    return vd_cuts(v, &params, &p->cuts, f);
}

static int make_ladder(plan_t *p, const json_t *params, tc_fail_t *f)
{
    const media_vindex_t *v = &p->x->index;
    media_ladder_source_t source = {.width = (int)v->width,
                                    .height = (int)v->height,
                                    .sar_num = (int)v->sar_num,
                                    .sar_den = (int)v->sar_den,
                                    .rotation = (int)v->rotation};
    vd_cuts_params_t cuts;
    media_err_t ei = {""};

    if (media_ladder_params(params, &p->params, &ei) != 0) {
        return tc_fail(f, "params_invalid", "The ladder's parameters are wrong: %s.", ei.text);
    }
    cuts = (vd_cuts_params_t){.segment_ms = p->params.segment_s * 1000,
                              .range_segments = p->params.range_segments,
                              .fps_max = p->params.max_fps};
    if (vd_cuts(v, &cuts, &p->cuts, f) != 0) {
        return -1;
    }
    rate(v, 1, &source.fps_num, &source.fps_den);
    rate(v, p->cuts.step, &p->fps_num, &p->fps_den);
    if (media_ladder_make(&p->params, &source, &p->ladder, &ei) != 0) {
        return tc_fail(f, "limits", "No renditions can be made: %s.", ei.text);
    }
    return choose_copied(p, cuts, f);
}

static json_t *rung_json(const media_rendition_t *r)
{
    return json_pack("{s:s,s:i,s:i,s:i,s:I,s:I}", "name", r->name, "width", r->width, "height",
                     r->height, "crf", r->crf, "maxrate", (json_int_t)r->maxrate_bps, "bufsize",
                     (json_int_t)r->bufsize_bits);
}

static enum group group_of(const plan_t *p, int rung)
{
    return rung == p->copied ? COPIED : rung == p->ladder.first ? FIRST : REST;
}

/* What the encoders of pictures first to end (exclusive) see: [from,end]. */
static json_t *seen_json(const plan_t *p, uint32_t first, uint32_t end, enum group group)
{
    uint32_t n = p->x->index.nframes;
    uint32_t in = group == COPIED ? 0 : LEAD_IN * p->cuts.step;
    uint32_t out = group == COPIED ? 0 : LEAD_OUT * p->cuts.step;

    return json_pack("[I,I]", (json_int_t)(first > in ? first - in : 0),
                     (json_int_t)(n - end > out ? end + out : n));
}

/* One job: a range of segments of a group's rungs. */
static json_t *range_json(const plan_t *p, const vd_cut_range_t *range, enum group group)
{
    const media_vindex_t *v = &p->x->index;
    int64_t origin = v->frames[0].pts;
    int64_t ticks = 0, from, to;
    json_t *spans = json_array(), *rungs = json_array(), *seen;

    for (uint32_t i = range->first; i < range->end; i++) {
        const vd_segment_t *s = &p->cuts.segments[i];
        ticks += s->duration;
        (void)json_array_append_new(spans,
                                    json_pack("[I,I,I,I]", (json_int_t)s->first, (json_int_t)s->end,
                                              (json_int_t)(s->pts - origin),
                                              (json_int_t)(s->pts + s->duration - origin)));
    }
    for (int i = 0; i < p->ladder.n; i++) {
        if (group_of(p, i) == group) {
            (void)json_array_append_new(rungs, rung_json(&p->ladder.rungs[i]));
        }
    }
    seen = seen_json(p, p->cuts.segments[range->first].first, p->cuts.segments[range->end - 1].end,
                     group);
    vd_range_bytes(v, (uint32_t)json_integer_value(json_array_get(seen, 0)),
                   (uint32_t)json_integer_value(json_array_get(seen, 1)), &from, &to);
    return json_pack("{s:I,s:b,s:I,s:[i,i],s:s,s:s,s:i,s:I,s:I,s:I,s:o,s:o,s:o,s:[I,I]}", "origin",
                     (json_int_t)origin, "copy", group == COPIED, "step", (json_int_t)p->cuts.step,
                     "fps", p->fps_num, p->fps_den, "preset", p->params.preset, "profile",
                     p->params.profile, "threads", p->params.threads, "number",
                     (json_int_t)range->first + 1, "total", (json_int_t)p->cuts.nsegments,
                     "seconds", (json_int_t)av_rescale(ticks, v->tb_num, v->tb_den) + 1, "segments",
                     spans, "seen", seen, "rungs", rungs, WK_BYTES, (json_int_t)from,
                     (json_int_t)to);
}

static int has_group(const plan_t *p, enum group group)
{
    for (int i = 0; i < p->ladder.n; i++) {
        if (group_of(p, i) == group) {
            return 1;
        }
    }
    return 0;
}

static int add_ranges(plan_t *p, const char *step, enum group group)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && has_group(p, group) && i < p->cuts.nranges; i++) {
        rc = add_job(p, step, range_json(p, &p->cuts.ranges[i], group));
    }
    return rc;
}

json_t *vd_plan_range(const media_vindex_t *v, const vd_cuts_t *cuts, uint32_t i,
                      const media_rendition_t *rung, const media_ladder_params_t *how)
{
    const vd_indexed_t x = {.index = *v};
    plan_t p = {.x = &x, .params = *how, .cuts = *cuts, .copied = NO_RUNG};

    p.ladder.n = 1;
    p.ladder.rungs[0] = *rung;
    rate(v, cuts->step, &p.fps_num, &p.fps_den);
    return range_json(&p, &cuts->ranges[i], FIRST);
}

json_t *vd_plan_track(const media_vindex_t *v, const char *name, int stream,
                      const media_ladder_params_t *how)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den}, us = {1, 1000000};

    return json_pack("{s:i,s:s,s:s,s:b,s:b,s:I,s:I,s:i,s:i}", "stream", stream, "name", name,
                     "language", "", "default", 0, "forced", 0, "origin_us",
                     (json_int_t)av_rescale_q(v->frames[0].pts, tb, us), "length_us",
                     (json_int_t)av_rescale_q(v->end - v->frames[0].pts, tb, us), "segment_ms",
                     how->segment_s * 1000, "kbps", how->audio_kbps);
}

static int add_track(plan_t *p, const char *step, const char *prefix, int stream, int nth)
{
    const json_t *o = json_array_get(json_object_get(p->x->probe, "streams"), (size_t)stream);
    const json_t *language = json_object_get(o, "language");
    char name[VD_TRACK_NAME_MAX];
    json_t *range;
    int rc;

    (void)snprintf(name, sizeof(name), "%s-%d", prefix, nth);
    range = vd_plan_track(&p->x->index, name, stream, &p->params);
    rc = json_object_set_new(range, "default", json_boolean(nth == 1));
    rc |= json_object_set_new(range, "forced",
                              json_boolean(json_is_true(json_object_get(o, "forced"))));
    if (json_is_string(language)) {
        rc |= json_object_set_new(range, "language", json_string(json_string_value(language)));
    }
    return add_job(p, step, range) | rc;
}

/* What one result can carry. */
static int check_size(const json_t *jobs, tc_fail_t *f)
{
    size_t n = json_array_size(jobs);

    return n > WK_FAN_OUT_MAX ||
                   json_dumpb(jobs, NULL, 0, JSON_COMPACT) > WK_FRAME_MAX - RESULT_SLACK
               ? tc_fail(f, "limits",
                         "The video makes %zu jobs; the limit is %d: take longer ranges.", n,
                         WK_FAN_OUT_MAX)
               : 0;
}

json_t *vd_plan(const vd_source_t *source, const vd_indexed_t *x, const json_t *params,
                tc_fail_t *f)
{
    plan_t p = {.source = source, .x = x, .jobs = json_array(), .copied = NO_RUNG};
    int rc = make_ladder(&p, params, f);

    if (rc == 0) {
        rc = add_ranges(&p, "encode_first", FIRST);
        rc |= add_ranges(&p, p.copied == p.ladder.first ? "encode_first" : "encode", COPIED);
        rc |= add_ranges(&p, "encode", REST);
        for (int i = 0; i < x->naudio; i++) {
            rc |= add_track(&p, "sound", "audio", x->audio[i], i + 1);
        }
        for (int i = 0; i < x->ntext; i++) {
            rc |= add_track(&p, "text", "sub", x->text[i], i + 1);
        }
        rc = rc != 0 ? tc_fail_av(f, AVERROR(ENOMEM), "") : check_size(p.jobs, f);
    }
    vd_cuts_free(&p.cuts);
    if (rc != 0) {
        json_decref(p.jobs);
        return NULL;
    }
    return p.jobs;
}

/* ---- reading ---- */

static int wrong(tc_fail_t *f, const char *cause)
{
    return tc_fail(f, "internal", "The job's range is not usable: %s.", cause);
}

static int read_int(const json_t *o, const char *name, int64_t lo, int64_t hi, int *out,
                    media_err_t *ei)
{
    int64_t n = 0;
    int rc = media_json_int(o, name, lo, hi, &n, ei);

    *out = (int)n;
    return rc;
}

static int read_text(const json_t *o, const char *name, char *dst, size_t cap, media_err_t *ei)
{
    media_str_t s = {"", 0};
    int rc = media_json_str(o, name, cap - 1, &s, ei);

    memcpy(dst, s.p, s.len);
    dst[s.len] = '\0';
    return rc;
}

static int read_span(const json_t *v, const vd_span_t *before, vd_span_t *s)
{
    int64_t n[4] = {-1, -1, -1, -1};

    for (size_t i = 0; i < 4; i++) {
        n[i] = json_integer_value(json_array_get(v, i));
    }
    if (json_array_size(v) != 4 || n[0] < 0 || n[1] <= n[0] || n[1] > MEDIA_VINDEX_FRAMES_MAX ||
        n[2] < 0 || n[3] <= n[2] || n[3] > TICKS_MAX ||
        (before != NULL && (n[0] != before->end || n[2] != before->stop))) {
        return -1;
    }
    *s = (vd_span_t){(uint32_t)n[0], (uint32_t)n[1], n[2], n[3]};
    return 0;
}

static int read_spans(const json_t *list, vd_range_plan_t *p)
{
    size_t n = json_array_size(list);

    p->spans = n > 0 && n <= SEGMENTS_MAX ? calloc(n, sizeof(*p->spans)) : NULL;
    if (p->spans == NULL) {
        return -1;
    }
    for (; p->nspans < n; p->nspans++) {
        vd_span_t *s = &p->spans[p->nspans];
        if (read_span(json_array_get(list, p->nspans), p->nspans > 0 ? s - 1 : NULL, s) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Around the spans, once these are known. */
static int read_seen(const json_t *v, vd_range_plan_t *p)
{
    int64_t from = json_integer_value(json_array_get(v, 0));
    int64_t end = json_integer_value(json_array_get(v, 1));

    if (json_array_size(v) != 2 || from < 0 || from > p->spans[0].first || from % p->step != 0 ||
        end < p->spans[p->nspans - 1].end || end > MEDIA_VINDEX_FRAMES_MAX) {
        return -1;
    }
    p->seen = (uint32_t)from;
    p->seen_end = (uint32_t)end;
    return 0;
}

static int read_rung(const json_t *o, media_rendition_t *r, media_err_t *ei)
{
    return read_text(o, "name", r->name, sizeof(r->name), ei) != 0 ||
                   read_int(o, "width", 2, 32768, &r->width, ei) != 0 ||
                   read_int(o, "height", 2, 32768, &r->height, ei) != 0 ||
                   read_int(o, "crf", 0, 51, &r->crf, ei) != 0 ||
                   media_json_int(o, "maxrate", 0, INT32_MAX, &r->maxrate_bps, ei) != 0 ||
                   media_json_int(o, "bufsize", 0, INT32_MAX, &r->bufsize_bits, ei) != 0 ||
                   r->width % 2 != 0 || r->height % 2 != 0
               ? -1
               : 0;
}

static int read_rungs(const json_t *list, vd_range_plan_t *p, media_err_t *ei)
{
    size_t n = json_array_size(list);

    if (n < 1 || n > MEDIA_LADDER_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "number of rungs");
    }
    for (; p->nrungs < (int)n; p->nrungs++) {
        if (read_rung(json_array_get(list, (size_t)p->nrungs), &p->rungs[p->nrungs], ei) != 0) {
            return -1;
        }
    }
    return 0;
}

int vd_range_plan_read(const json_t *range, vd_range_plan_t *p, tc_fail_t *f)
{
    const json_t *fps = json_object_get(range, "fps");
    media_err_t ei = {"segments"};
    int step = 0, rc;

    memset(p, 0, sizeof(*p));
    p->fps_num = (int)json_integer_value(json_array_get(fps, 0));
    p->fps_den = (int)json_integer_value(json_array_get(fps, 1));
    rc = media_json_int(range, "origin", -MEDIA_VINDEX_TS_MAX, MEDIA_VINDEX_TS_MAX, &p->origin,
                        &ei) != 0 ||
         read_int(range, "step", 1, 1024, &step, &ei) != 0 ||
         read_text(range, "preset", p->preset, sizeof(p->preset), &ei) != 0 ||
         read_text(range, "profile", p->profile, sizeof(p->profile), &ei) != 0 ||
         read_int(range, "threads", 1, 16, &p->threads, &ei) != 0 ||
         media_json_int(range, "number", 1, SEGMENTS_MAX, &p->number, &ei) != 0 ||
         media_json_int(range, "total", 1, SEGMENTS_MAX, &p->total, &ei) != 0 ||
         read_rungs(json_object_get(range, "rungs"), p, &ei) != 0 ||
         read_spans(json_object_get(range, "segments"), p) != 0 || p->fps_num < 1 || p->fps_den < 1;
    p->step = (uint32_t)step;
    p->is_copy = json_is_true(json_object_get(range, "copy"));
    p->is_hdr = json_is_string(json_object_get(range, "hdr"));
    rc |= p->is_hdr && read_text(range, "hdr", p->hdr, sizeof(p->hdr), &ei) != 0;
    if (rc != 0 || read_seen(json_object_get(range, "seen"), p) != 0) {
        vd_range_plan_free(p);
        return wrong(f, ei.text);
    }
    return 0;
}

void vd_range_plan_free(vd_range_plan_t *p)
{
    free(p->spans);
    p->spans = NULL;
}

int vd_track_plan_read(const json_t *range, vd_track_plan_t *p, tc_fail_t *f)
{
    media_err_t ei = {""};

    memset(p, 0, sizeof(*p));
    p->is_default = json_is_true(json_object_get(range, "default"));
    p->is_forced = json_is_true(json_object_get(range, "forced"));
    return read_int(range, "stream", 0, 1000, &p->stream, &ei) != 0 ||
                   read_text(range, "name", p->name, sizeof(p->name), &ei) != 0 ||
                   read_text(range, "language", p->language, sizeof(p->language), &ei) != 0 ||
                   media_json_int(range, "origin_us", -TICKS_MAX, TICKS_MAX, &p->origin_us, &ei) !=
                       0 ||
                   media_json_int(range, "length_us", 1, TICKS_MAX, &p->length_us, &ei) != 0 ||
                   read_int(range, "segment_ms", 100, 60000, &p->segment_ms, &ei) != 0 ||
                   read_int(range, "kbps", 8, 1024, &p->kbps, &ei) != 0
               ? wrong(f, ei.text)
               : 0;
}
