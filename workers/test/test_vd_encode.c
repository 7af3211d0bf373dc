/* Ranges of shared clips, encoded: every rung, joined, decodes to as many pictures at the same
 * times as the source has, begins each segment with a forced IDR, and has the same bytes whoever
 * made which range with which other rungs. Sound and subtitles of the same clips. */
#define _GNU_SOURCE
#include <malloc.h>

#include "vd_clip.h"
#include "vd_encode.h"
#include "vd_make.h"
#include "vd_sound.h"
#include "vd_text.h"

#define PIECES_MAX 512

typedef struct {
    char track[VD_TRACK_NAME_MAX];
    vd_piece_t piece;
    media_buf_t bytes;
} kept_t;

typedef struct {
    kept_t pieces[PIECES_MAX];
    int n;
} store_t;

static int store_put(void *ctx, const vd_piece_t *piece)
{
    store_t *s = ctx;
    kept_t *k = &s->pieces[s->n];

    must(s->n < PIECES_MAX, "room for pieces");
    (void)snprintf(k->track, sizeof(k->track), "%s", piece->track);
    k->piece = *piece;
    media_buf_init(&k->bytes, 64 << 20);
    (void)media_buf_str(&k->bytes, piece->head);
    (void)media_buf_str(&k->bytes, piece->body);
    s->n++;
    return 0;
}

static int store_progress(void *ctx, double done)
{
    (void)ctx;
    return done >= 0 ? 0 : -1;
}

static void store_free(store_t *s)
{
    for (int i = 0; i < s->n; i++) {
        media_buf_free(&s->pieces[i].bytes);
    }
    free(s);
}

static const kept_t *store_find(const store_t *s, const char *track, int64_t number)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->pieces[i].track, track) == 0 && s->pieces[i].piece.number == number) {
            return &s->pieces[i];
        }
    }
    return NULL;
}

/* Init segment and segments 1.. of a track; how many. */
static int store_join(const store_t *s, const char *track, media_buf_t *out)
{
    const kept_t *k;
    int n = 0;

    media_buf_init(out, 256 << 20);
    while ((k = store_find(s, track, n)) != NULL) {
        (void)media_buf_str(out, media_buf_view(&k->bytes));
        n++;
    }
    CHECK_INT(out->failed, 0);
    return n - 1;
}

typedef struct {
    clip_t clip;
    vd_source_t source;
    vd_indexed_t x;
    json_t *jobs;
    json_t *tracks;
} film_t;

static int film_open(film_t *m, const char *name, const char *params)
{
    char path[500];
    tc_fail_t f = {0};
    json_t *p = json_loads(params, 0, NULL);

    memset(m, 0, sizeof(*m));
    (void)snprintf(path, sizeof(path), "%s/video/%s", clip_dir(), name);
    if (clip_open(&m->clip, path) != 0) {
        json_decref(p);
        printf("# %s is missing\n", path);
        return -1;
    }
    m->source = clip_source(&m->clip);
    CHECK_INT(clip_index(&m->clip, &m->x, &f), 0);
    m->jobs = vd_plan(&m->source, &m->x, p, &f);
    CHECK_STR(f.detail, "");
    must(m->jobs != NULL, name);
    m->tracks = json_array();
    json_decref(p);
    return 0;
}

static void film_close(film_t *m)
{
    json_decref(m->jobs);
    json_decref(m->tracks);
    vd_indexed_free(&m->x);
    clip_close(&m->clip);
}

static const char *step_of(const json_t *job)
{
    return json_string_value(json_object_get(job, "step"));
}

/* One job as a worker does it. */
static void encode(film_t *m, const json_t *job, int only, store_t *to)
{
    vd_sink_t sink = {.ctx = to, .put = store_put, .progress = store_progress};
    vd_range_plan_t plan;
    tc_fail_t f = {0};

    CHECK_INT(vd_range_plan_read(json_object_get(job, "range"), &plan, &f), 0);
    if (only >= 0 && only < plan.nrungs) {
        plan.rungs[0] = plan.rungs[only];
        plan.nrungs = 1;
    }
    if (only < plan.nrungs || only == 0) {
        CHECK_INT(vd_encode(&m->source, &m->x.index, &plan, &sink, m->tracks, &f), 0);
    }
    CHECK_STR(f.detail, "");
    vd_range_plan_free(&plan);
}

static int is_encode(const json_t *job)
{
    return strncmp(step_of(job), "encode", 6) == 0;
}

static const json_t *info_of(const film_t *m, const char *track)
{
    size_t i;
    json_t *t;

    json_array_foreach(m->tracks, i, t)
    {
        if (strcmp(json_string_value(json_object_get(t, "name")), track) == 0) {
            return t;
        }
    }
    return NULL;
}

/* Frame count and times of a joined rung against the index. */
static void check_rung(const film_t *m, const store_t *s, const json_t *track)
{
    static track_read_t r[2];
    const char *name = json_string_value(json_object_get(track, "name"));
    const media_vindex_t *v = &m->x.index;
    media_buf_t file;
    int n = store_join(s, name, &file);
    uint32_t step = 1, wrong = 0, kept;
    int64_t origin = v->frames[0].pts;

    CHECK_INT(n, json_integer_value(json_object_get(track, "segments")));
    CHECK_INT(read_back(&file, r, 2), 1);
    step = (uint32_t)json_integer_value(
        json_object_get(json_object_get(json_array_get(m->jobs, 0), "range"), "step"));
    kept = (v->nframes + step - 1) / step;
    CHECK_INT(r[0].nframes, kept);
    CHECK_INT(r[0].keys, n);
    for (uint32_t i = 0; i < kept && (int)i < r[0].nframes; i++) {
        wrong += av_compare_ts(r[0].pts[i] - r[0].pts[0], r[0].time_base,
                               v->frames[i * step].pts - origin,
                               (AVRational){(int)v->tb_num, (int)v->tb_den}) != 0;
    }
    CHECK_INT(wrong, 0);
    CHECK(memmem(file.p, file.len, "x264", 4) == NULL &&
          memmem(file.p, file.len, "Lavc", 4) == NULL);
    media_buf_free(&file);
}

static void check_same(const store_t *a, const store_t *b)
{
    int differ = 0;

    CHECK_INT(b->n, a->n);
    for (int i = 0; i < a->n; i++) {
        const kept_t *x = &a->pieces[i];
        const kept_t *y = store_find(b, x->track, x->piece.number);
        differ += y == NULL || x->bytes.len != y->bytes.len ||
                  memcmp(x->bytes.p, y->bytes.p, x->bytes.len) != 0 ||
                  x->piece.duration != y->piece.duration ||
                  x->piece.iframe_bytes != y->piece.iframe_bytes;
    }
    CHECK_INT(differ, 0);
}

static const char *const params =
    "{\"preset\":\"veryfast\",\"segment_s\":2,\"range_segments\":2,\"first_height\":240}";

static void test_vd_encode_rungs_hold_the_sources_pictures(const char *name, int alone)
{
    store_t *together = calloc(1, sizeof(*together)), *apart = calloc(1, sizeof(*apart));
    film_t m;
    size_t i;
    json_t *t;

    if (film_open(&m, name, params) != 0) {
        free(together);
        free(apart);
        return;
    }
    printf("# %s: %zu jobs\n", name, json_array_size(m.jobs));
    for (i = 0; i < json_array_size(m.jobs); i++) {
        if (is_encode(json_array_get(m.jobs, i))) {
            encode(&m, json_array_get(m.jobs, i), -1, together);
        }
    }
    CHECK(json_array_size(m.tracks) > 0);
    json_array_foreach(m.tracks, i, t)
    {
        check_rung(&m, together, t);
    }
    (void)mallopt(M_PERTURB, 0x55); /* other bytes in memory nobody has written */
    for (i = json_array_size(m.jobs); alone && i-- > 0;) {
        for (int rung = 0; rung < 4 && is_encode(json_array_get(m.jobs, i)); rung++) {
            encode(&m, json_array_get(m.jobs, i), rung, apart);
        }
    }
    if (alone) {
        check_same(together, apart);
    }
    (void)mallopt(M_PERTURB, 0);
    store_free(together);
    store_free(apart);
    film_close(&m);
}

/* As the ladder says: portrait stays portrait, wide pixels become square ones. */
static void test_vd_encode_sizes_are_those_shown(void)
{
    static const struct {
        const char *clip;
        int width, height;
    } clips[] = {{"phone_rot90_720p.mov", 144, 256}, {"talk_anamorphic_sar45.mp4", 144, 144}};

    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        film_t m;
        vd_range_plan_t plan;
        tc_fail_t f = {0};
        if (film_open(&m, clips[i].clip, "{\"rungs\":[144]}") == 0) {
            CHECK_INT(
                vd_range_plan_read(json_object_get(json_array_get(m.jobs, 0), "range"), &plan, &f),
                0);
            CHECK_INT(plan.rungs[0].width, clips[i].width);
            CHECK_INT(plan.rungs[0].height, clips[i].height);
            vd_range_plan_free(&plan);
            film_close(&m);
        }
    }
}

static void test_vd_sound_ends_with_the_source(const char *name)
{
    store_t *s = calloc(1, sizeof(*s));
    vd_sink_t sink = {.ctx = s, .put = store_put, .progress = store_progress};
    static track_read_t r[2];
    film_t m;

    if (film_open(&m, name, params) != 0) {
        free(s);
        return;
    }
    for (size_t i = 0; i < json_array_size(m.jobs); i++) {
        const json_t *job = json_array_get(m.jobs, i);
        vd_track_plan_t plan;
        tc_fail_t f = {0};
        if (strcmp(step_of(job), "sound") == 0) {
            media_buf_t file;
            CHECK_INT(vd_track_plan_read(json_object_get(job, "range"), &plan, &f), 0);
            CHECK_INT(vd_sound(&m.source, &plan, &sink, m.tracks, &f), 0);
            CHECK_STR(f.detail, "");
            CHECK(store_join(s, plan.name, &file) > 1);
            CHECK_INT(read_back(&file, r, 2), 1);
            double end_s = (double)(r[0].pts[r[0].nframes - 1] + 1024) * av_q2d(r[0].time_base);
            printf("# %s %s: sound ends at %.3f s, video at %.3f s\n", name, plan.name, end_s,
                   (double)plan.length_us / 1e6);
            CHECK(end_s > (double)plan.length_us / 1e6 - 0.5);
            media_buf_free(&file);
        } else if (strcmp(step_of(job), "text") == 0) {
            CHECK_INT(vd_track_plan_read(json_object_get(job, "range"), &plan, &f), 0);
            CHECK_INT(vd_text(&m.source, &plan, &sink, m.tracks, &f), 0);
            CHECK_STR(f.detail, "");
            const kept_t *k = store_find(s, plan.name, 1);
            CHECK(k != NULL && strncmp(k->bytes.p, "WEBVTT\n\n00:", 11) == 0 &&
                  strstr(k->bytes.p, " --> ") != NULL);
        }
        if (!is_encode(job)) {
            CHECK(info_of(&m, plan.name) != NULL);
        }
    }
    store_free(s);
    film_close(&m);
}

static void test_vd_text_cue_is_plain(void)
{
    static const struct {
        const char *ass, *cue;
    } cases[] = {{"0,0,Default,,0,0,0,,Hello, you", "Hello, you"},
                 {"0,0,Default,,0,0,0,,{\\i1}a{\\i0} < b & c", "a &lt; b &amp; c"},
                 {"0,0,Default,,0,0,0,,one\\N\\Ntwo", "one\ntwo"},
                 {"0,0,Default,,0,0,0,,{open", "{open"},
                 {"0,0", ""}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        media_buf_t b;
        media_buf_init(&b, 1000);
        vd_text_cue(cases[i].ass, &b);
        CHECK_STR(b.p != NULL ? b.p : "", cases[i].cue);
        media_buf_free(&b);
    }
}

int main(void)
{
    av_log_set_level(AV_LOG_ERROR);
    test_vd_text_cue_is_plain();
    test_vd_encode_sizes_are_those_shown();
    test_vd_encode_rungs_hold_the_sources_pictures("talk_480x320_faststart.mp4", 1);
    test_vd_encode_rungs_hold_the_sources_pictures("talk_vfr.mp4", 1);
    test_vd_encode_rungs_hold_the_sources_pictures("phone_rot90_720p.mov", 0);
    test_vd_encode_rungs_hold_the_sources_pictures("talk_odd_479x319_yuv444.mp4", 0);
    test_vd_encode_rungs_hold_the_sources_pictures("talk_anamorphic_sar45.mp4", 0);
    test_vd_encode_rungs_hold_the_sources_pictures("talk_flv1.flv", 0);
    test_vd_sound_ends_with_the_source("talk_480x320_faststart.mp4");
    test_vd_sound_ends_with_the_source("heads_720p_51_2audio_2subs_chapters.mkv");
    return test_report();
}
