/* A film through all steps of its anonymization: faces are covered in every picture, nothing else
 * is touched, times are kept, bytes depend on nobody, an edit renders what changed. */
#define _GNU_SOURCE
#include "an_disguise.h"
#include "an_run.h"
#include "vd_picture.h"
#include "vd_range.h"

#define APART 16 /* pixels from a mask where nothing may have changed */

/* ---- judging ---- */

static double distance(double v, double lo, double hi)
{
    return v < lo ? lo - v : v > hi ? v - hi : 0;
}

static int is_near(const an_mask_t *masks, int n, int x, int y)
{
    for (int i = 0; i < n; i++) {
        const an_mask_t *m = &masks[i];

        if (hypot(distance(x, (double)m->x, (double)(m->x + m->w)),
                  distance(y, (double)m->y, (double)(m->y + m->h))) <= APART) {
            return 1;
        }
    }
    return 0;
}

typedef struct {
    double error, pixels; /* far from masks */
    int uncovered;        /* faces of which 5 % can be seen */
    double least;
} judged_t;

static void judge(judged_t *j, const AVFrame *was, const AVFrame *is, int number,
                  const an_mask_t *masks, int n)
{
    for (int y = 0; y < is->height; y++) {
        for (int x = 0; x < is->width; x++) {
            int d = was->data[0][y * was->linesize[0] + x] - is->data[0][y * is->linesize[0] + x];

            if (!is_near(masks, n, x, y)) {
                j->error += d * d;
                j->pixels++;
            }
        }
    }
    for (int k = 0; k < FACES; k++) {
        face_t f = face_at(k, number, is->width, is->height);
        int black = 0, all = 0;

        for (int y = (int)(f.y - f.h / 2); y < f.y + f.h / 2; y++) {
            for (int x = (int)(f.x - f.w / 2); x < f.x + f.w / 2; x++) {
                all++;
                black += is->data[0][y * is->linesize[0] + x] < 32;
            }
        }
        j->least = (double)black / all < j->least ? (double)black / all : j->least;
        j->uncovered += black < 0.95 * all;
    }
}

static void check_times(const media_vindex_t *was, const media_vindex_t *is)
{
    uint32_t wrong = 0;

    CHECK_INT(is->nframes, was->nframes);
    for (uint32_t i = 0; i < was->nframes && i < is->nframes; i++) {
        wrong += av_compare_ts(was->frames[i].pts - was->frames[0].pts,
                               (AVRational){(int)was->tb_num, (int)was->tb_den},
                               is->frames[i].pts - is->frames[0].pts,
                               (AVRational){(int)is->tb_num, (int)is->tb_den}) != 0;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(is->rotation, 0);
}

static void check_traces(const media_buf_t *file)
{
    static const char *const words[] = {"x264", "x265", "Lavc", "Lavf", "Handler", "ilst", "udta"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        CHECK(memmem(file->p, file->len, words[i], strlen(words[i])) == NULL);
    }
}

/* The masked copy against the film, picture by picture. */
static void check_copy(run_t *r)
{
    static an_mask_t masks[AN_VEILS_AT_MAX];
    clip_t copy = {
        .fd = -1, .p = (const uint8_t *)r->store->file.p, .size = (int64_t)r->store->file.len};
    vd_source_t source = clip_source(&copy);
    AVFrame *a = av_frame_alloc(), *b = av_frame_alloc();
    judged_t j = {.least = 1};
    vd_range_t *was = NULL, *is = NULL;
    const media_vindex_t *v = &r->read.index;
    vd_picture_t upright;
    vd_indexed_t x;
    tc_fail_t f = {0};
    uint32_t number;
    double psnr;

    CHECK_INT(clip_index(&copy, &x, &f), 0);
    CHECK_STR(f.detail, "");
    check_times(v, &x.index);
    CHECK_INT(vd_range_open(&was, &r->source, v, 0, v->nframes, 1, &f), 0);
    CHECK_INT(vd_range_open(&is, &source, &x.index, 0, x.index.nframes, 1, &f), 0);
    CHECK_INT(vd_picture_open(&upright, v, (int)x.index.width, (int)x.index.height,
                              AV_PIX_FMT_YUV420P, &f),
              0);
    while (vd_range_frame(was, a, &number, &f) > 0 && vd_range_frame(is, b, &number, &f) > 0) {
        int n = an_veils_at(&r->read.veils, number, b->width, b->height, masks);

        judge(&j, vd_picture_make(&upright, a, &f), b, (int)number, masks, n);
    }
    CHECK_STR(f.detail, "");
    psnr = 10 * log10(255.0 * 255.0 * j.pixels / j.error);
    printf("# %u pictures of %lldx%lld: %d faces uncovered, least %.3f, %.2f dB off the masks\n",
           x.index.nframes, (long long)x.index.width, (long long)x.index.height, j.uncovered,
           j.least, psnr);
    CHECK_INT(j.uncovered, 0);
    CHECK(psnr >= 45);
    check_traces(&r->store->file);
    vd_picture_close(&upright);
    vd_range_close(was);
    vd_range_close(is);
    vd_indexed_free(&x);
    av_frame_free(&a);
    av_frame_free(&b);
}

static void check_same(store_t *a, store_t *b)
{
    int differ = 0;

    CHECK_INT(a->n, b->n);
    for (int i = 0; i < a->n; i++) {
        piece_t *x = &a->pieces[i], *y = store_find(b, x->track, x->piece.number);

        differ += y == NULL || y->bytes.len != x->bytes.len ||
                  memcmp(y->bytes.p, x->bytes.p, x->bytes.len) != 0;
    }
    CHECK_INT(differ, 0);
}

/* ---- cases ---- */

static void test_an_video_masks_faces_and_nothing_else(void)
{
    run_t r = {.params = usual, .fake = {0, 200, 222}};
    store_t *again = calloc(1, sizeof(*again));
    tc_fail_t f = {0};

    must(synth_make(&film, &r.clip) == 0, "libx264");
    r.source = clip_source(&r.clip);
    run_all(&r);
    CHECK_INT(count_jobs(r.planned, "detect"), 2);
    CHECK_INT(count_jobs(r.planned, "voice"), 0);
    CHECK_INT(count_jobs(r.associated, "render"), 2);
    CHECK_INT(count_jobs(r.associated, "assemble"), 1);
    CHECK(r.fake.asked < 230);
    CHECK_INT(json_array_size(r.tracks), 1);
    CHECK_INT(json_array_size(json_object_get(r.report, "tracks")), FACES);
    check_copy(&r);
    CHECK_INT(render(&r, again, 1, &f), 0);
    check_same(r.store, again);
    store_free(again);
    run_free(&r);
    synth_free(&r.clip);
}

static void test_an_video_other_films(void)
{
    static const struct {
        const char *name;
        int vary, rotation, width, height;
        const char *muxer;
    } cases[] = {{"turned", 0, 90, 240, 320, "mp4"}, {"varying", 1, 0, 320, 240, "matroska"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_t r = {.params = usual};
        synth_t t = film;

        t.vary = cases[i].vary;
        synth_rotation = cases[i].rotation;
        t.width = cases[i].width;
        t.height = cases[i].height;
        t.muxer = cases[i].muxer;
        t.frames = 150;
        printf("# %s\n", cases[i].name);
        must(synth_make(&t, &r.clip) == 0, "libx264");
        r.source = clip_source(&r.clip);
        run_all(&r);
        check_copy(&r);
        run_free(&r);
        synth_free(&r.clip);
    }
    synth_rotation = 0;
}

static void test_an_video_edit_renders_what_changed(void)
{
    run_t r = {.params = usual}, e = {.params = usual};
    an_region_t region = {1, 0.1f, 0.1f, 0.2f, 0.2f, 21, 23, 0};
    const json_t *reuse;
    tc_fail_t f = {0};

    must(synth_make(&film, &r.clip) == 0, "libx264");
    r.source = clip_source(&r.clip);
    run_all(&r);
    e.source = r.source;
    e.params.is_edit = 1;
    e.params.regions = &region;
    e.params.nregions = 1;
    e.planned = json_incref(r.planned);
    e.tracks = json_array();
    e.store = calloc(1, sizeof(*e.store));
    media_buf_init(&e.found, 1);
    CHECK_INT(associate(&e, media_buf_view(&r.kept), &f), 0);
    CHECK_STR(f.detail, "");
    CHECK(e.store->told >= 5);
    CHECK_INT(count_jobs(e.associated, "render"), 1);
    reuse = json_array_get(json_object_get(e.associated, "reuse"), 0);
    CHECK_STR(json_string_value(json_object_get(reuse, "track")), AN_FILM_VIDEO);
    CHECK_INT(json_integer_value(json_object_get(reuse, "from")), 1);
    CHECK_INT(json_integer_value(json_object_get(reuse, "to")), 3);
    CHECK_INT(render(&e, e.store, 0, &f), 0);
    CHECK_INT(json_array_size(e.tracks), 0);
    CHECK(store_find(e.store, AN_FILM_VIDEO, 0) == NULL);
    /* what is taken over and what is new are one film */
    for (int i = 0; i <= 3; i++) {
        piece_t *k = store_find(r.store, AN_FILM_VIDEO, i);
        vd_piece_t piece = {.track = AN_FILM_VIDEO, .number = i, .head = media_buf_view(&k->bytes)};
        CHECK_INT(store_put(e.store, &piece), 0);
    }
    assemble(e.store, &f);
    check_copy(&e);
    run_free(&e);
    run_free(&r);
    synth_free(&r.clip);
}

/* 0, or -1 where there is no such clip. */
static int open_shared(run_t *r, const char *name)
{
    char path[500];

    (void)snprintf(path, sizeof(path), "%s/%s", clip_dir(), name);
    memset(r, 0, sizeof(*r));
    if (clip_open(&r->clip, path) != 0) {
        printf("# %s is missing\n", path);
        return -1;
    }
    r->source = clip_source(&r->clip);
    r->params = usual;
    r->fake.is_blind = 1;
    (void)snprintf(r->params.preset, sizeof(r->params.preset), "ultrafast");
    return 0;
}

/* What the decoder says of the first picture of a file. */
static void first_picture(const media_buf_t *file, vd_indexed_t *x, AVFrame *frame)
{
    clip_t clip = {.fd = -1, .p = (const uint8_t *)file->p, .size = (int64_t)file->len};
    vd_source_t source = clip_source(&clip);
    vd_range_t *range = NULL;
    tc_fail_t f = {0};
    uint32_t number;

    CHECK_INT(clip_index(&clip, x, &f), 0);
    CHECK_INT(vd_range_open(&range, &source, &x->index, 0, 1, 1, &f), 0);
    CHECK_INT(vd_range_frame(range, frame, &number, &f), 1);
    CHECK_STR(f.detail, "");
    vd_range_close(range);
}

static void test_an_video_keeps_hdr(void)
{
    static const struct {
        const char *clip;
        int trc, has_screen;
    } cases[] = {{"video/sign_hdr10_hevc.mp4", AVCOL_TRC_SMPTE2084, 1},
                 {"video/ax_hlg_1080p_rot90_editlist.mp4", AVCOL_TRC_ARIB_STD_B67, 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_t r = {0};
        AVFrame *was, *is;
        an_region_t region = {0, 0.25f, 0.25f, 0.5f, 0.5f, 0, -1, 0};
        vd_indexed_t x;
        vd_range_t *range = NULL;
        tc_fail_t f = {0};
        uint32_t number;

        printf("# %s\n", cases[i].clip);
        if (open_shared(&r, cases[i].clip) != 0) {
            return;
        }
        was = av_frame_alloc();
        is = av_frame_alloc();
        r.params.regions = &region;
        r.params.nregions = 1;
        run_all(&r);
        first_picture(&r.store->file, &x, is);
        CHECK_INT(vd_range_open(&range, &r.source, &r.read.index, 0, 1, 1, &f), 0);
        CHECK_INT(vd_range_frame(range, was, &number, &f), 1);
        check_times(&r.read.index, &x.index);
        CHECK_STR(x.index.codec, "hevc");
        CHECK_INT(is->format, AV_PIX_FMT_YUV420P10);
        CHECK_INT(is->color_trc, cases[i].trc);
        CHECK_INT(is->color_primaries, was->color_primaries);
        CHECK_INT(is->colorspace, was->colorspace);
        CHECK_INT(av_frame_get_side_data(is, AV_FRAME_DATA_MASTERING_DISPLAY_METADATA) != NULL,
                  cases[i].has_screen);
        /* black in the middle */
        const uint16_t *row =
            (const void *)(is->data[0] + (ptrdiff_t)is->height / 2 * is->linesize[0]);
        CHECK(row[is->width / 2] < 80);
        check_traces(&r.store->file);
        vd_range_close(range);
        vd_indexed_free(&x);
        av_frame_free(&was);
        av_frame_free(&is);
        run_free(&r);
        clip_close(&r.clip);
    }
}

static void test_an_video_too_many_to_mask_fails(void)
{
    synth_t t = film;
    run_t r = {.params = usual, .fake = {.crowds = 1}};
    tc_fail_t f = {0};

    t.frames = 10;
    must(synth_make(&t, &r.clip) == 0, "libx264");
    r.source = clip_source(&r.clip);
    plan(&r);
    CHECK_INT(detect(&r, &f), -1);
    CHECK_STR(f.code, "limits");
    CHECK_STR(f.detail, "There are more than 1024 things to mask in one picture.");
    run_free(&r);
    synth_free(&r.clip);
}

/* What cannot be decoded is not shown: the job fails, or those pictures are masked whole. */
static void test_an_video_damage(void)
{
    const uint32_t broken = 80; /* its packet */
    synth_t t = film;
    run_t r = {.params = usual};
    tc_fail_t f = {0};
    media_vindex_t v;
    uint32_t damaged = 0, first = UINT32_MAX;
    clip_t clip;

    t.frames = 200;
    must(synth_make(&t, &r.clip) == 0, "libx264");
    r.source = clip_source(&r.clip);
    plan(&r);
    CHECK_INT(media_vindex_read(r.index.p, r.index.len, &v, NULL), 0);
    for (uint32_t i = 8; i < v.packets[broken].size; i++) {
        ((uint8_t *)(uintptr_t)r.clip.p)[v.packets[broken].pos + i] ^= 0x5a;
    }
    CHECK_INT(detect(&r, &f), -1);
    CHECK_STR(f.code, "damaged");
    clip = r.clip;
    run_free(&r);
    r = (run_t){.params = usual, .clip = clip};
    r.source = clip_source(&r.clip);
    r.params.is_lenient = 1;
    run_all(&r);
    for (uint32_t i = 0; i < r.read.found.nlooks; i++) {
        const an_look_t *l = &r.read.found.looks[i];
        if (l->flags & AN_LOOK_DAMAGED) {
            first = l->picture < first ? l->picture : first;
            damaged++;
        }
    }
    printf("# %u of %u pictures damaged, from %u on\n", damaged, v.nframes, first);
    CHECK(damaged > 0 && damaged < v.nframes / 2 && first <= v.packets[broken].frame);
    CHECK_INT(json_array_size(json_object_get(r.report, "warnings")), 1);
    check_copy(&r);
    media_vindex_free(&v);
    run_free(&r);
    synth_free(&r.clip);
}

static void test_an_video_voice(void)
{
    static track_read_t read[2];
    int kept = 0;
    static const enum an_voice voices[] = {AN_VOICE_KEEP, AN_VOICE_DISGUISE, AN_VOICE_MUTE,
                                           AN_VOICE_COPY};

    for (size_t i = 0; i < sizeof(voices) / sizeof(voices[0]); i++) {
        run_t r = {0};
        vd_sink_t sink = {NULL, store_put, store_progress};
        tc_fail_t f = {0};
        const json_t *job;

        if (open_shared(&r, "video/talk_480x320_faststart.mp4") != 0) {
            return;
        }
        r.params.voice = voices[i];
        plan(&r);
        job = job_of(r.planned, "voice", 0);
        CHECK_INT(job != NULL, voices[i] != AN_VOICE_MUTE);
        if (job != NULL) {
            sink.ctx = r.store;
            CHECK_INT(an_video_voice(&r.source, job, &r.params, &sink, r.tracks, &f), 0);
            CHECK_STR(f.detail, "");
            assemble(r.store, &f);
            CHECK_INT(read_back(&r.store->file, read, 2), 1);
            CHECK_INT(json_array_size(r.tracks), 1);
            CHECK_STR(read[0].language, "und");
            printf("# voice %d: %d packets, sound from sample %d\n", voices[i], read[0].npackets,
                   read[0].loudest);
            CHECK(read[0].npackets > 400);
            if (voices[i] != AN_VOICE_COPY) {
                check_traces(&r.store->file);
            }
            kept = voices[i] == AN_VOICE_KEEP ? read[0].loudest : kept;
            CHECK(voices[i] != AN_VOICE_COPY || abs(read[0].loudest - kept) < 480);
        }
        run_free(&r);
        clip_close(&r.clip);
    }
}

/* A tone is another one afterwards, and not the same one all the time. */
static void test_an_video_disguise(void)
{
    enum { BLOCK = 1024, BLOCKS = 480 };
    an_disguise_t *d = an_disguise_open();
    AVFrame *f = av_frame_alloc();
    double least = 1e9, most = 0, all = 0;
    int crossings = 0;
    float last = 0;

    must(d != NULL, "an_disguise_open");
    f->format = AV_SAMPLE_FMT_FLTP;
    f->nb_samples = BLOCK;
    f->sample_rate = 48000;
    av_channel_layout_default(&f->ch_layout, 1);
    must(av_frame_get_buffer(f, 0) == 0, "a block");
    for (int b = 0; b < BLOCKS; b++) {
        float *s = (float *)(void *)f->data[0];
        for (int i = 0; i < BLOCK; i++) {
            s[i] = sinf((float)((b * BLOCK + i) % 240) * 2 * (float)M_PI / 240); /* 200 Hz */
        }
        CHECK_INT(an_disguise_alter(d, f), 0);
        for (int i = 0; i < BLOCK; i++) {
            crossings += last <= 0 && s[i] > 0;
            last = s[i];
        }
        if (b % 24 == 23) { /* half a second */
            double hertz = crossings / (24.0 * BLOCK / 48000);
            least = hertz < least ? hertz : least;
            most = hertz > most ? hertz : most;
            all += hertz / (BLOCKS / 24);
            crossings = 0;
        }
    }
    printf("# 200 Hz become %.0f, from %.0f to %.0f\n", all, least, most);
    CHECK(all < 175 || all > 225);
    CHECK(most - least > 2);
    f->format = AV_SAMPLE_FMT_S16;
    CHECK_INT(an_disguise_alter(d, f), -1);
    f->format = AV_SAMPLE_FMT_FLTP;
    av_frame_free(&f);
    an_disguise_close(d);
}

/* Documents of other jobs are read with care: whatever byte is wrong, nothing breaks. */
static void test_an_video_kept_is_read_with_care(void)
{
    run_t r = {.params = usual};
    synth_t t = film;
    uint32_t bad = 0;

    t.frames = 30;
    must(synth_make(&t, &r.clip) == 0, "libx264");
    r.source = clip_source(&r.clip);
    tc_fail_t f = {0};
    plan(&r);
    CHECK_INT(detect(&r, &f), 0);
    CHECK_INT(associate(&r, media_buf_view(&r.index), &f), 0);
    for (size_t i = 0; i < r.kept.len; i++) {
        an_kept_t k;
        r.kept.p[i] = (char)(r.kept.p[i] ^ 0x41);
        bad += an_kept_read(r.kept.p, r.kept.len, &k, NULL) != 0;
        an_kept_free(&k);
        r.kept.p[i] = (char)(r.kept.p[i] ^ 0x41);
        if (i % 7 == 0) {
            CHECK(an_kept_read(r.kept.p, i, &k, NULL) != 0);
            an_kept_free(&k);
        }
    }
    CHECK(bad > 100);
    run_free(&r);
    synth_free(&r.clip);
}

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    synth_painter = draw;
    test_an_video_masks_faces_and_nothing_else();
    test_an_video_other_films();
    test_an_video_edit_renders_what_changed();
    test_an_video_keeps_hdr();
    test_an_video_too_many_to_mask_fails();
    test_an_video_damage();
    test_an_video_voice();
    test_an_video_disguise();
    test_an_video_kept_is_read_with_care();
    return test_report();
}
