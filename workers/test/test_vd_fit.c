/* Sources that are what a rung shall be, and near misses: who becomes a rung as it is, with which
 * boundaries, and that its pictures come out as they went in. */
#include "vd_copy.h"
#include "vd_fit.h"
#include "vd_make.h"
#include "vd_plan.h"
#include "vd_synth.h"

#define EVERY_3_S "crf=34;g=75;keyint_min=75;sc_threshold=0;preset=veryfast"
#define PARAMS "{\"rungs\":[144,360],\"range_segments\":2}"

typedef struct {
    synth_t clip;
    int fits;
    const char *params;
    const char *copied; /* the rung; NULL: none */
} case_t;

static const case_t cases[] = {
    {{"an IDR every 3 s", "mp4", "libx264", EVERY_3_S, "", 640, 360, 400, .noise = 4},
     1,
     PARAMS,
     "360p"},
    {{"with B pictures", "mp4", "libx264",
      "g=75;keyint_min=75;sc_threshold=0;preset=veryfast;bf=3;crf=34", "", 640, 360, 400,
      .noise = 4},
     1,
     PARAMS,
     "360p"},
    {{"in Matroska", "matroska", "libx264", EVERY_3_S ";bf=2", "", 640, 360, 400, .noise = 4},
     1,
     PARAMS,
     "360p"},
    {{"smaller than all rungs", "mp4", "libx264", EVERY_3_S, "", 128, 96, 160, .noise = 0},
     1,
     PARAMS,
     "96p"},
    {{"not wanted", "mp4", "libx264", EVERY_3_S, "", 640, 360, 160, .noise = 0},
     1,
     "{\"rungs\":[144,360],\"remux\":\"never\"}",
     NULL},
    {{"between two rungs", "mp4", "libx264", EVERY_3_S, "", 480, 272, 160, .noise = 0},
     1,
     PARAMS,
     NULL},
    {{"above the rate", "mp4", "libx264",
      "g=75;keyint_min=75;sc_threshold=0;preset=ultrafast;qp=10", "", 640, 360, 160, .noise = 100},
     1,
     PARAMS,
     NULL},
    {{"main where baseline is asked for", "mp4", "libx264",
      "g=75;keyint_min=75;sc_threshold=0;preset=ultrafast;bf=2", "", 640, 360, 160, .noise = 0},
     1,
     "{\"rungs\":[144,360],\"profile\":\"baseline\"}",
     NULL},
    {{"every 3 s where 1 s is asked for", "mp4", "libx264", EVERY_3_S, "", 640, 360, 160,
      .noise = 0},
     0,
     "{\"rungs\":[144,360],\"segment_s\":1}",
     NULL},
    {{"every 3 s where 6 s is asked for", "mp4", "libx264", EVERY_3_S, "", 640, 360, 400,
      .noise = 0},
     1,
     "{\"rungs\":[144,360],\"segment_s\":6}",
     "360p"},
    {{"an IDR every second", "mp4", "libx264", "g=25;sc_threshold=0", "", 640, 360, 160,
      .noise = 0},
     0,
     PARAMS,
     NULL},
    {{"an IDR every 8 s", "mp4", "libx264", "g=200;keyint_min=200;sc_threshold=0", "", 640, 360,
      400, .noise = 0},
     0,
     PARAMS,
     NULL},
    {{"open groups", "mp4", "libx264",
      "g=75;keyint_min=75;sc_threshold=0;bf=3;flags=-cgop;x264-params=open-gop=1", "", 640, 360,
      400, .noise = 4},
     0,
     PARAMS,
     NULL},
    {{"other scenes called key frames", "mp4", "libx264", "g=75;sc_threshold=40;forced-idr=0", "",
      640, 360, 160, .lies = 1},
     0,
     PARAMS,
     NULL},
    {{"another codec", "mp4", "mpeg4", "g=75", "", 640, 360, 160, .noise = 0}, 0, PARAMS, NULL},
    {{"a transport stream", "mpegts", "libx264", EVERY_3_S, "", 640, 360, 160, .noise = 0},
     0,
     PARAMS,
     NULL},
};

/* ---- what a worker does with the plan ---- */

typedef struct {
    media_buf_t file; /* init segment and segments, as they come */
    int n;
} store_t;

static int store_put(void *ctx, const vd_piece_t *piece)
{
    store_t *s = ctx;

    CHECK_INT(piece->number, s->n);
    s->n++;
    (void)media_buf_str(&s->file, piece->head);
    (void)media_buf_str(&s->file, piece->body);
    return 0;
}

static int store_progress(void *ctx, double done)
{
    (void)ctx;
    return done >= 0 && done <= 1 ? 0 : -1;
}

static void copy_all(const vd_source_t *source, const vd_indexed_t *x, const json_t *jobs,
                     store_t *s, json_t *tracks)
{
    vd_sink_t sink = {.ctx = s, .put = store_put, .progress = store_progress};
    vd_range_plan_t plan;
    tc_fail_t f = {{0}, {0}, 0};
    size_t i;
    json_t *job;

    json_array_foreach(jobs, i, job)
    {
        const json_t *range = json_object_get(job, "range");
        if (json_is_true(json_object_get(range, "copy"))) {
            CHECK_INT(vd_range_plan_read(range, &plan, &f), 0);
            CHECK_INT(plan.is_copy, 1);
            CHECK_INT(plan.nrungs, 1);
            CHECK_INT(vd_copy(source, &x->index, &plan, &sink, tracks, &f), 0);
            CHECK_STR(f.detail, "");
            vd_range_plan_free(&plan);
        }
    }
}

/* Both decode to the same pictures, at the same times after the first one. */
static void check_pictures(clip_t *source, int track, store_t *s, const media_vindex_t *v)
{
    static clip_decoded_t want, got;
    clip_t made = {.fd = -1,
                   .p = (const uint8_t *)s->file.p,
                   .size = (int64_t)s->file.len,
                   .least_read = INT64_MAX};
    uint32_t wrong = 0;

    clip_decode(source, track, &want);
    clip_decode(&made, 0, &got);
    CHECK_INT(got.n, want.n);
    for (uint32_t i = 0; i < got.n && i < want.n; i++) {
        wrong += got.frames[i].hash != want.frames[i].hash ||
                 got.frames[i].pts - got.frames[0].pts !=
                     (want.frames[i].pts - want.frames[0].pts) * v->tb_num;
    }
    CHECK_INT(wrong, 0);
}

/* Every rung has the copied one's boundaries. */
static void check_boundaries(const json_t *jobs, const media_vindex_t *v)
{
    size_t i, k;
    json_t *job, *span;

    json_array_foreach(jobs, i, job)
    {
        json_array_foreach(json_object_get(json_object_get(job, "range"), "segments"), k, span)
        {
            CHECK_INT(json_integer_value(json_array_get(span, 0)) % 75, 0);
            CHECK(v->packets[json_integer_value(json_array_get(span, 0))].flags & MEDIA_VINDEX_KEY);
        }
    }
}

static void check_copied(clip_t *c, const vd_indexed_t *x, const json_t *jobs, const char *name)
{
    vd_source_t source = clip_source(c);
    json_t *tracks = json_array();
    store_t s = {.n = 0};

    media_buf_init(&s.file, 64 << 20);
    copy_all(&source, x, jobs, &s, tracks);
    CHECK_INT(s.n, (x->index.nframes + 74) / 75 + 1);
    CHECK_INT(json_array_size(tracks), 1);
    CHECK_STR(json_string_value(json_object_get(json_array_get(tracks, 0), "name")), name);
    CHECK_INT(json_integer_value(json_object_get(json_array_get(tracks, 0), "segments")), s.n - 1);
    check_pictures(c, (int)x->index.track, &s, &x->index);
    check_boundaries(jobs, &x->index);
    media_buf_free(&s.file);
    json_decref(tracks);
}

static const char *copied_rung(const json_t *jobs)
{
    size_t i;
    json_t *job;

    json_array_foreach(jobs, i, job)
    {
        const json_t *range = json_object_get(job, "range");
        if (json_is_true(json_object_get(range, "copy"))) {
            return json_string_value(
                json_object_get(json_array_get(json_object_get(range, "rungs"), 0), "name"));
        }
    }
    return NULL;
}

static void test_vd_fit(const case_t *t)
{
    json_t *params = json_loads(t->params, 0, NULL), *jobs;
    tc_fail_t f = {{0}, {0}, 0};
    vd_indexed_t x;
    const char *copied;
    vd_source_t source;
    int segment_ms;
    clip_t c;

    must(params != NULL && synth_make(&t->clip, &c) == 0, t->clip.name);
    CHECK_INT(clip_index(&c, &x, &f), 0);
    source = clip_source(&c);
    segment_ms = (int)json_integer_value(json_object_get(params, "segment_s")) * 1000;
    segment_ms = segment_ms > 0 ? segment_ms : 4000;
    CHECK_INT(vd_fit_by_index(&x.index, segment_ms) && vd_fit_by_bytes(&source, &x.index), t->fits);
    jobs = vd_plan(&source, &x, params, &f);
    CHECK_STR(f.detail, "");
    copied = copied_rung(jobs);
    CHECK_STR(copied != NULL ? copied : "", t->copied != NULL ? t->copied : "");
    printf("# %s: %s\n", t->clip.name, copied != NULL ? copied : "encoded");
    if (copied != NULL) {
        check_copied(&c, &x, jobs, copied);
    }
    json_decref(jobs);
    json_decref(params);
    vd_indexed_free(&x);
    synth_free(&c);
}

int main(void)
{
    av_log_set_level(AV_LOG_ERROR);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_vd_fit(&cases[i]);
    }
    return test_report();
}
