/* All steps of a film's anonymization, as jobs do them, in memory. */
#ifndef AN_RUN_H
#define AN_RUN_H

#include "an_clip.h"
#include "an_film.h"
#include "an_video.h"
#include "vd_mp4.h"

#define PIECES_MAX 256

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
    int told; /* of progress */
} store_t;

static inline int store_put(void *ctx, const vd_piece_t *piece)
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

static inline int store_progress(void *ctx, double done)
{
    store_t *s = ctx;

    s->told++;
    return done >= 0 ? 0 : -1; /* sound may be a little longer than was said */
}

static inline piece_t *store_find(store_t *s, const char *track, int64_t number)
{
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->pieces[i].track, track) == 0 && s->pieces[i].piece.number == number) {
            return &s->pieces[i];
        }
    }
    return NULL;
}

static inline void store_free(store_t *s)
{
    for (int i = 0; i < s->n; i++) {
        media_buf_free(&s->pieces[i].bytes);
    }
    media_buf_free(&s->file);
    free(s);
}

static inline ssize_t store_read(void *ctx, int track, int64_t segment, int64_t off, void *dst,
                                 size_t len)
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

static inline int store_write(void *ctx, const void *src, size_t len)
{
    return media_buf_add(&((store_t *)ctx)->file, src, len);
}

static inline void assemble(store_t *s, tc_fail_t *f)
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

static inline void plan(run_t *r)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    tc_fail_t f = {0};

    r->planned = json_object();
    r->tracks = json_array();
    r->store = calloc(1, sizeof(*r->store));
    media_buf_init(&r->index, MEDIA_VINDEX_BYTES_MAX);
    CHECK_INT(an_video_plan(&r->source, &limits, &r->params, &r->index, r->planned, &f), 0);
    CHECK_STR(f.detail, "");
}

static inline int detect(run_t *r, tc_fail_t *f)
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

static inline const json_t *job_of(const json_t *result, const char *step, size_t nth)
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

static inline int associate(run_t *r, media_str_t kept, tc_fail_t *f)
{
    clip_t parts = {.fd = -1, .p = (const uint8_t *)r->found.p, .size = (int64_t)r->found.len};
    vd_source_t source = clip_source(&parts);
    vd_sink_t sink = {r->store, store_put, store_progress};
    json_t *range = json_deep_copy(job_of(r->planned, "associate", 0));
    int rc;

    (void)json_object_set(range, "detections", r->sizes);
    r->associated = json_object();
    media_buf_init(&r->kept, AN_KEPT_BYTES_MAX);
    rc = an_video_associate(&source, kept, range, &r->params, &sink, &r->kept, &r->report,
                            r->associated, f);
    json_decref(range);
    if (rc == 0) {
        CHECK_INT(an_kept_read(r->kept.p, r->kept.len, &r->read, NULL), 0);
    }
    return rc;
}

/* From the first to the last job, or the other way. */
static inline int render(run_t *r, store_t *to, int backwards, tc_fail_t *f)
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

static inline void run_free(run_t *r)
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

static inline void run_all(run_t *r)
{
    tc_fail_t f = {0};

    plan(r);
    CHECK_INT(detect(r, &f), 0);
    CHECK_INT(associate(r, media_buf_view(&r->index), &f), 0);
    CHECK_INT(render(r, r->store, 0, &f), 0);
    CHECK_STR(f.detail, "");
    assemble(r->store, &f);
}

static inline int count_jobs(const json_t *result, const char *step)
{
    int n = 0;

    while (job_of(result, step, (size_t)n) != NULL) {
        n++;
    }
    return n;
}
#endif
