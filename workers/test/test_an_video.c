/* A film through all steps of its anonymization, in memory. The clips are made here: faces on a
 * moving ground, each picture with its number in black and white squares, so that the detector of
 * the test knows what is where, and says it with noise and misses. */
#define _GNU_SOURCE
#include <math.h>

#include "an_disguise.h"
#include "an_film.h"
#include "an_video.h"
#include "vd_make.h"
#include "vd_mp4.h"
#include "vd_picture.h"
#include "vd_range.h"
#include "vd_synth.h"

#define PIECES_MAX 256
#define FACES 2
#define BITS 12
#define SQUARE 10
#define APART 16 /* pixels from a mask where nothing may have changed */

/* ---- the film ---- */

typedef struct {
    double x, y, w, h;
} face_t;

/* In pixels of the upright picture. */
static face_t face_at(int face, int picture, int width, int height)
{
    double s = picture / 25.0;

    return face == 0
               ? (face_t){width * (0.3 + 0.15 * sin(s / 2)), height * 0.4, 44, 54}
               : (face_t){width * (0.7 + 0.12 * cos(s)), height * (0.6 + 0.1 * sin(s)), 40, 50};
}

/* Where a pixel of the upright picture lies in the coded one. */
static void place(const AVFrame *f, int rotation, int x, int y, int *cx, int *cy)
{
    *cx = rotation == 90 ? y : x;
    *cy = rotation == 90 ? f->height - 1 - x : y;
}

static uint8_t ground(int n, int x, int y)
{
    static int8_t wave[256];

    for (int i = 0; wave[64] == 0 && i < 256; i++) {
        wave[i] = (int8_t)lrint(35 * sin(i * 2 * M_PI / 256));
    }
    return (uint8_t)(110 + wave[(x + n) * 3 & 255] + wave[(y * 4 - n) & 255]);
}

static uint8_t tone(int n, int x, int y, int width, int height)
{
    if (y < SQUARE && x < BITS * SQUARE) {
        return n >> (x / SQUARE) & 1 ? 220 : 30;
    }
    for (int k = 0; k < FACES; k++) {
        face_t f = face_at(k, n, width, height);
        double dx = (x - f.x) / (f.w / 2), dy = (y - f.y) / (f.h / 2);

        if (dx * dx + dy * dy <= 1) {
            return (uint8_t)(180 + 40 * sin(dx * 9) * cos(dy * 7));
        }
    }
    return ground(n, x, y);
}

static void draw(AVFrame *f, int n, const synth_t *t)
{
    (void)t;
    int width = synth_rotation == 90 ? f->height : f->width;
    int height = synth_rotation == 90 ? f->width : f->height;

    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int cx, cy;
            place(f, synth_rotation, x, y, &cx, &cy);
            f->data[0][cy * f->linesize[0] + cx] = tone(n, x, y, width, height);
        }
    }
    for (int plane = 1; plane < 3; plane++) {
        for (int y = 0; y < f->height / 2; y++) {
            memset(f->data[plane] + y * f->linesize[plane], 118 + 10 * plane, (size_t)f->width / 2);
        }
    }
}

/* ---- the detector ---- */

typedef struct {
    int asked;
    int none_from, none_to; /* pictures in which it finds nothing */
    int is_blind;           /* the clip is not one of these: never finds anything */
} fake_t;

static int number_of(const an_picture_t *p)
{
    int n = 0;

    must(p->width >= BITS * SQUARE, "the number in a picture");
    for (int i = 0; i < BITS; i++) {
        const uint8_t *bgr =
            p->bgr + SQUARE / 2 * p->stride + (size_t)(i * SQUARE + SQUARE / 2) * 3;
        n |= (bgr[0] + bgr[1] + bgr[2] > 3 * 128) << i;
    }
    return n;
}

static int fake_ask(void *ctx, enum an_kind kind, const an_picture_t *picture, an_hit_t *hits,
                    int max)
{
    fake_t *fake = ctx;
    int number = number_of(picture), n = 0;

    CHECK_INT(kind, AN_KIND_YUNET);
    fake->asked++;
    if (fake->is_blind) {
        return 0;
    }
    for (int k = 0; k < FACES && k < max; k++) {
        face_t f = face_at(k, number, picture->width, picture->height);
        double jitter = ((number * 7 + k * 3) % 11 - 5) / 100.0;

        if ((number >= fake->none_from && number < fake->none_to) || (number + k) % 7 == 0) {
            continue;
        }
        hits[n++] = (an_hit_t){(float)(f.x - f.w / 2 + f.w * jitter),
                               (float)(f.y - f.h / 2 - f.h * jitter),
                               (float)f.w,
                               (float)f.h,
                               0.8f,
                               AN_FACE};
    }
    return n;
}

/* ---- what comes out ---- */

typedef struct {
    char track[VD_TRACK_NAME_MAX];
    vd_piece_t piece;
    media_buf_t bytes;
} piece_t;

typedef struct {
    piece_t pieces[PIECES_MAX];
    int n;
    media_buf_t file; /* assembled */
    const char *tracks[2];
} store_t;

static int store_put(void *ctx, const vd_piece_t *piece)
{
    store_t *s = ctx;
    piece_t *k = &s->pieces[s->n];

    must(s->n++ < PIECES_MAX, "room for pieces");
    (void)snprintf(k->track, sizeof(k->track), "%s", piece->track);
    k->piece = *piece;
    media_buf_init(&k->bytes, 64 << 20);
    (void)media_buf_str(&k->bytes, piece->head);
    (void)media_buf_str(&k->bytes, piece->body);
    return 0;
}

static int store_progress(void *ctx, double done)
{
    (void)ctx;
    return done >= 0 ? 0 : -1;
}

static piece_t *store_find(store_t *s, const char *track, int64_t number)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->pieces[i].track, track) == 0 && s->pieces[i].piece.number == number) {
            return &s->pieces[i];
        }
    }
    return NULL;
}

static void store_free(store_t *s)
{
    for (int i = 0; i < s->n; i++) {
        media_buf_free(&s->pieces[i].bytes);
    }
    media_buf_free(&s->file);
    free(s);
}

static ssize_t store_read(void *ctx, int track, int64_t segment, int64_t off, void *dst, size_t len)
{
    store_t *s = ctx;
    piece_t *k = store_find(s, s->tracks[track], segment);
    size_t n;

    if (k == NULL || off > (int64_t)k->bytes.len) {
        return -1;
    }
    n = k->bytes.len - (size_t)off < len ? k->bytes.len - (size_t)off : len;
    memcpy(dst, k->bytes.p + off, n);
    return (ssize_t)n;
}

static int store_write(void *ctx, const void *src, size_t len)
{
    return media_buf_add(&((store_t *)ctx)->file, src, len);
}

static void assemble(store_t *s, tc_fail_t *f)
{
    vd_mp4_io_t io = {s, store_read, store_write};
    int64_t n[2] = {0};
    int tracks = 0;
    static const char *const names[] = {AN_FILM_VIDEO, AN_FILM_SOUND};

    for (int i = 0; i < 2; i++) {
        if (store_find(s, names[i], 0) != NULL) {
            s->tracks[tracks] = names[i];
            while (store_find(s, names[i], n[tracks] + 1) != NULL) {
                n[tracks]++;
            }
            tracks++;
        }
    }
    media_buf_init(&s->file, 256 << 20);
    CHECK_INT(vd_mp4_write(&io, n, tracks, f), 0);
    CHECK_STR(f->detail, "");
}

/* ---- the steps ---- */

typedef struct {
    clip_t clip;
    vd_source_t source;
    an_params_t params;
    fake_t fake;
    media_buf_t index;
    media_buf_t found; /* of all ranges, one after another */
    json_t *sizes;
    media_buf_t kept;
    an_kept_t read; /* what kept says */
    json_t *planned, *associated;
    json_t *report;
    json_t *tracks;
    store_t *store;
} run_t;

static const an_params_t usual = {.classes = 1u << AN_FACE,
                                  .faces = "yunet",
                                  .objects = "dnn",
                                  .threshold = {-1, -1, -1, -1},
                                  .grow = 0.2f,
                                  .shape = AN_ELLIPSE,
                                  .style = AN_SOLID,
                                  .every = 3,
                                  .crf = 16,
                                  .preset = "medium"};

static void plan(run_t *r)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    tc_fail_t f = {0};

    r->planned = json_object();
    r->tracks = json_array();
    r->store = calloc(1, sizeof(*r->store));
    media_buf_init(&r->index, MEDIA_VINDEX_BYTES_MAX);
    CHECK_INT(an_video_plan(&r->source, &limits, &r->params, &r->index, r->planned, &f), 0);
    CHECK_STR(f.detail, "");
    CHECK(an_is_video(&r->source));
}

static int detect(run_t *r, tc_fail_t *f)
{
    vd_sink_t sink = {r->store, store_put, store_progress};
    const an_ask_t ask = {&r->fake, fake_ask};
    media_vindex_t v;
    size_t i;
    json_t *job;
    int rc = 0;

    r->sizes = json_array();
    media_buf_init(&r->found, AN_FOUND_BYTES_MAX);
    CHECK_INT(media_vindex_read(r->index.p, r->index.len, &v, NULL), 0);
    json_array_foreach(json_object_get(r->planned, "fan_out"), i, job)
    {
        if (rc == 0 && strcmp(json_string_value(json_object_get(job, "step")), "detect") == 0) {
            media_buf_t one;
            media_buf_init(&one, AN_FOUND_BYTES_MAX);
            rc = an_video_detect(&r->source, &v, json_object_get(job, "range"), &r->params, &ask,
                                 &sink, &one, f);
            (void)media_buf_str(&r->found, media_buf_view(&one));
            (void)json_array_append_new(r->sizes, json_integer((json_int_t)one.len));
            media_buf_free(&one);
        }
    }
    media_vindex_free(&v);
    return rc;
}

static const json_t *job_of(const json_t *result, const char *step, size_t nth)
{
    size_t i;
    json_t *job;

    json_array_foreach(json_object_get(result, "fan_out"), i, job)
    {
        if (strcmp(json_string_value(json_object_get(job, "step")), step) == 0 && nth-- == 0) {
            return json_object_get(job, "range");
        }
    }
    return NULL;
}

static int associate(run_t *r, media_str_t kept, tc_fail_t *f)
{
    clip_t parts = {.fd = -1, .p = (const uint8_t *)r->found.p, .size = (int64_t)r->found.len};
    vd_source_t source = clip_source(&parts);
    json_t *range = json_deep_copy(job_of(r->planned, "associate", 0));
    int rc;

    (void)json_object_set(range, "detections", r->sizes);
    r->associated = json_object();
    media_buf_init(&r->kept, AN_KEPT_BYTES_MAX);
    rc = an_video_associate(&source, kept, range, &r->params, &r->kept, &r->report, r->associated,
                            f);
    json_decref(range);
    if (rc == 0) {
        CHECK_INT(an_kept_read(r->kept.p, r->kept.len, &r->read, NULL), 0);
    }
    return rc;
}

/* From the first to the last job, or the other way. */
static int render(run_t *r, store_t *to, int backwards, tc_fail_t *f)
{
    vd_sink_t sink = {to, store_put, store_progress};
    size_t n = 0;
    int rc = 0;

    while (job_of(r->associated, "render", n) != NULL) {
        n++;
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = an_video_render(&r->source, &r->read,
                             job_of(r->associated, "render", backwards ? n - 1 - i : i), &r->params,
                             NULL, &sink, r->tracks, f);
    }
    return rc;
}

static void run_free(run_t *r)
{
    media_buf_free(&r->index);
    media_buf_free(&r->found);
    media_buf_free(&r->kept);
    an_kept_free(&r->read);
    json_decref(r->sizes);
    json_decref(r->planned);
    json_decref(r->associated);
    json_decref(r->report);
    json_decref(r->tracks);
    store_free(r->store);
}

static void run_all(run_t *r)
{
    tc_fail_t f = {0};

    plan(r);
    CHECK_INT(detect(r, &f), 0);
    CHECK_INT(associate(r, media_buf_view(&r->index), &f), 0);
    CHECK_INT(render(r, r->store, 0, &f), 0);
    CHECK_STR(f.detail, "");
    assemble(r->store, &f);
}

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

static synth_t film = {.muxer = "mp4",
                       .encoder = "libx264",
                       .options = "preset=veryfast;crf=12",
                       .mux_options = "",
                       .width = 320,
                       .height = 240,
                       .frames = 600};

static int count_jobs(const json_t *result, const char *step)
{
    int n = 0;

    while (job_of(result, step, (size_t)n) != NULL) {
        n++;
    }
    return n;
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
    static const enum an_voice voices[] = {AN_VOICE_KEEP, AN_VOICE_DISGUISE, AN_VOICE_MUTE};

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
            check_traces(&r.store->file);
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
    test_an_video_damage();
    test_an_video_voice();
    test_an_video_disguise();
    test_an_video_kept_is_read_with_care();
    return test_report();
}
