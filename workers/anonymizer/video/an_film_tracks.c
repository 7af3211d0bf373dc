/* The step `associate`: what was found in all ranges -> tracks -> masks -> the jobs that render. */
#include "an_video.h"

#include <stdlib.h>
#include <string.h>

#include "an_film.h"
#include "an_film_report.h"

typedef struct {
    const an_params_t *params;
    const vd_sink_t *sink;
    an_kept_t base; /* of an edit: what the run before has kept */
    int is_edit;
    an_kept_t kept; /* by this one; in an edit with base's index and detections */
    an_film_t film;
    vd_cuts_t cuts;
    an_tracks_t tracks;
    uint8_t *changed; /* of ranges: whether they are rendered */
} associate_t;

/* Shares of the whole, roughly: whoever watches wants to hear of us now and then. */
#define READ 0.2
#define TRACKED 0.4
#define COVERED 0.6

static int tell(const associate_t *a, double done, tc_fail_t *f)
{
    return a->sink->progress(a->sink->ctx, done) == 0
               ? 0
               : tc_fail(f, "internal", "The worker is gone.");
}

/* ---- reading ---- */

/* FNV-1a. */
static void digest(uint64_t *h, const void *p, size_t len)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++) {
        *h = (*h ^ b[i]) * 0x100000001b3u;
    }
}

/* Everything but where masks are. */
static uint64_t look_of(const an_params_t *p)
{
    uint64_t h = 0xcbf29ce484222325u;

    digest(&h, &p->style, sizeof(p->style));
    digest(&h, p->color, sizeof(p->color));
    digest(&h, &p->feather, sizeof(p->feather));
    digest(&h, &p->crf, sizeof(p->crf));
    digest(&h, p->preset, strlen(p->preset));
    return h;
}

static int read_part(const vd_source_t *parts, int64_t at, int64_t size, an_found_t *found,
                     tc_fail_t *f)
{
    media_err_t ei = {"it is too large"};
    uint8_t *p = size > 0 && size <= AN_FOUND_BYTES_MAX ? malloc((size_t)size) : NULL;
    int rc = -1;

    if (p != NULL && parts->read(parts->ctx, at, p, (size_t)size) == (ssize_t)size) {
        rc = an_found_read(p, (size_t)size, found, &ei);
    }
    free(p);
    return rc == 0 ? 0 : tc_fail(f, "internal", "Detections cannot be used: %s.", ei.text);
}

static int read_found(const vd_source_t *parts, const json_t *range, an_found_t *found,
                      tc_fail_t *f)
{
    int64_t at = 0;
    size_t i;
    json_t *size;

    json_array_foreach(json_object_get(range, "detections"), i, size)
    {
        int64_t n = json_integer_value(size);

        if (n > parts->size - at || read_part(parts, at, n, found, f) != 0) {
            return tc_fail(f, "internal", "Detections are missing.");
        }
        at += n;
    }
    return 0;
}

static int read_kept(associate_t *a, const vd_source_t *parts, media_str_t kept,
                     const json_t *range, tc_fail_t *f)
{
    const char *hdr = json_string_value(json_object_get(range, "hdr"));
    media_err_t ei = {"it is missing"};
    int rc;

    a->is_edit = an_kept_is(kept.p, kept.len);
    if (a->is_edit) {
        rc = an_kept_read(kept.p, kept.len, &a->base, &ei);
        a->kept.index = a->base.index;
        a->kept.found = a->base.found;
        a->kept.is_hdr = a->base.is_hdr;
        memcpy(a->kept.hdr, a->base.hdr, sizeof(a->kept.hdr));
    } else {
        rc = media_vindex_read(kept.p, kept.len, &a->kept.index, &ei);
        a->kept.is_hdr = hdr != NULL;
        (void)snprintf(a->kept.hdr, sizeof(a->kept.hdr), "%s", hdr != NULL ? hdr : "");
    }
    if (rc != 0) {
        return tc_fail(f, "internal", "What was kept of the video is not usable: %s.", ei.text);
    }
    return a->is_edit ? 0 : read_found(parts, range, &a->kept.found, f);
}

/* Every picture has been looked at as the parameters want it, or nothing is rendered. */
static int check_found(const associate_t *a, tc_fail_t *f)
{
    const an_found_t *found = &a->kept.found;
    uint32_t next = 0;

    if (a->params->from_masked) {
        return 0;
    }
    for (uint32_t i = 0; i < found->nlooks; i++) {
        if (found->looks[i].flags & AN_LOOK_SEEN) {
            if (found->looks[i].picture > next + (uint32_t)a->params->every) {
                break;
            }
            next = found->looks[i].picture;
        }
    }
    return next + 1 == a->film.npictures
               ? 0
               : tc_fail(f, "internal", "Picture %u and the next ones were not looked at.", next);
}

/* ---- writing ---- */

static json_t *render_range(const associate_t *a, uint32_t i)
{
    media_ladder_params_t how = an_film_how(a->params);
    const media_rendition_t rung = {.name = AN_FILM_VIDEO,
                                    .width = a->film.width,
                                    .height = a->film.height,
                                    .crf = a->params->crf};
    json_t *range = vd_plan_range(&a->kept.index, &a->cuts, i, &rung, &how);

    if (a->kept.is_hdr) {
        (void)json_object_set_new(range, "hdr", json_string(a->kept.hdr));
    }
    return range;
}

static int is_changed(const associate_t *a, uint32_t i)
{
    uint32_t first, end;

    an_film_range(&a->cuts, i, &first, &end);
    return !a->is_edit || a->base.look != a->kept.look ||
           !an_veils_same(&a->base.veils, &a->kept.veils, first, end);
}

static int find_changed(associate_t *a, tc_fail_t *f)
{
    int rc = 0;

    a->changed = malloc((size_t)a->cuts.nranges + 1);
    if (a->changed == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    for (uint32_t i = 0; rc == 0 && i < a->cuts.nranges; i++) {
        a->changed[i] = (uint8_t)is_changed(a, i);
        rc = tell(a, COVERED + (1 - COVERED) * (i + 1) / a->cuts.nranges, f);
    }
    return rc;
}

/* Segments of ranges i <= ... < end, which stay as they are. */
static int add_reuse(const associate_t *a, uint32_t i, uint32_t end, json_t *reuse)
{
    return json_array_append_new(reuse, json_pack("{s:s,s:I,s:I}", "track", AN_FILM_VIDEO, "from",
                                                  (json_int_t)a->cuts.ranges[i].first + 1, "to",
                                                  (json_int_t)a->cuts.ranges[end - 1].end));
}

static int add_jobs(const associate_t *a, json_t *result, tc_fail_t *f)
{
    json_t *jobs = json_array(), *reuse = json_array();
    int rc = 0;

    for (uint32_t i = 0, end; rc == 0 && i < a->cuts.nranges; i = end) {
        json_t *range = a->changed[i] ? render_range(a, i) : NULL;

        end = i + 1;
        if (range != NULL) {
            rc = an_film_job(jobs, "render", range);
            continue;
        }
        while (end < a->cuts.nranges && !a->changed[end]) {
            end++;
        }
        rc = add_reuse(a, i, end, reuse);
    }
    rc |= an_film_job(jobs, "assemble", json_object());
    if (json_array_size(reuse) > 0) {
        rc |= json_object_set(result, "reuse", reuse);
    }
    rc |= json_object_set(result, "fan_out", jobs);
    json_decref(jobs);
    json_decref(reuse);
    return rc == 0 ? 0 : tc_fail_av(f, AVERROR(ENOMEM), "");
}

static int make(associate_t *a, media_buf_t *out, json_t **report, json_t *result, tc_fail_t *f)
{
    media_err_t ei = {""};

    a->kept.look = look_of(a->params);
    if (an_film_open(&a->kept.index, &a->film, f) != 0 ||
        an_film_cuts(&a->kept.index, &a->cuts, f) != 0 || check_found(a, f) != 0) {
        return -1;
    }
    if (tell(a, READ, f) != 0 || an_tracks_make(&a->film, &a->kept.found, &a->tracks) != 0 ||
        tell(a, TRACKED, f) != 0 ||
        an_veils_make(&a->film, &a->kept.found, &a->tracks, a->params, &a->kept.veils) != 0 ||
        an_kept_write(&a->kept, out, &ei) != 0) {
        return tc_fail(f, "limits", "There is too much to be masked in the video.");
    }
    *report = an_film_report(&a->film, &a->kept.found, &a->tracks, a->params);
    if (*report == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return tell(a, COVERED, f) != 0 || find_changed(a, f) != 0 ? -1 : add_jobs(a, result, f);
}

int an_video_associate(const vd_source_t *parts, media_str_t kept, const json_t *range,
                       const an_params_t *params, const vd_sink_t *sink, media_buf_t *out,
                       json_t **report, json_t *result, tc_fail_t *f)
{
    associate_t a = {.params = params, .sink = sink};
    int rc = read_kept(&a, parts, kept, range, f);

    *report = NULL;
    if (rc == 0) {
        rc = make(&a, out, report, result, f);
    }
    if (a.is_edit) { /* both have the same */
        memset(&a.kept.index, 0, sizeof(a.kept.index));
        memset(&a.kept.found, 0, sizeof(a.kept.found));
    }
    an_kept_free(&a.kept);
    an_kept_free(&a.base);
    an_film_free(&a.film);
    vd_cuts_free(&a.cuts);
    an_tracks_free(&a.tracks);
    free(a.changed);
    return rc;
}
