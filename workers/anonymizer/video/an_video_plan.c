/* The step `anonymize` of a video. */
#include "an_video.h"

#include <string.h>

#include "an_film.h"
#include "vd_index.h"
#include "vd_range.h"

/* Nothing that tells where the film comes from: no container, names, languages, dates. */
static json_t *probe_of(const an_film_t *film, int has_sound)
{
    double seconds = film->at[film->npictures];
    json_t *streams =
        json_pack("[{s:i,s:s,s:i,s:i,s:f}]", "index", 0, "type", "video", "width", film->width,
                  "height", film->height, "fps", seconds > 0 ? film->npictures / seconds : 0);

    if (has_sound) {
        (void)json_array_append_new(streams, json_pack("{s:i,s:s}", "index", 1, "type", "audio"));
    }
    return json_pack("{s:f,s:o}", "duration", seconds, "streams", streams);
}

/* x265's words for what the film tells of the screen that it was graded on; NULL: it is no HDR. */
static json_t *hdr_of(const vd_indexed_t *x)
{
    const json_t *stream =
        json_array_get(json_object_get(x->probe, "streams"), (size_t)x->index.track);
    const json_t *hdr = json_object_get(stream, "hdr");
    const json_t *m = json_object_get(hdr, "mastering_display");
    static const char *const names[] = {"green", "blue", "red", "white"};
    char text[256] = "";
    long n[10];
    json_int_t cll = json_integer_value(json_object_get(hdr, "max_cll"));
    json_int_t fall = json_integer_value(json_object_get(hdr, "max_fall"));
    size_t len = 0;

    if (x->index.color_trc != AVCOL_TRC_SMPTE2084 && x->index.color_trc != AVCOL_TRC_ARIB_STD_B67) {
        return NULL;
    }
    for (int i = 0; i < 8; i++) {
        const json_t *point = json_object_get(m, names[i / 2]);
        n[i] = (long)(json_number_value(json_array_get(point, (size_t)i % 2)) * 50000 + 0.5);
    }
    n[8] = (long)(json_number_value(json_object_get(m, "max_luminance")) * 10000 + 0.5);
    n[9] = (long)(json_number_value(json_object_get(m, "min_luminance")) * 10000 + 0.5);
    if (n[0] > 0 && n[8] > n[9]) {
        len = (size_t)snprintf(text, sizeof(text),
                               "master-display=G(%ld,%ld)B(%ld,%ld)R(%ld,%ld)WP(%ld,%ld)L(%ld,%ld)",
                               n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]);
    }
    if (cll > 0 && cll < 65536 && fall >= 0 && fall < 65536) {
        (void)snprintf(text + len, sizeof(text) - len, "%smax-cll=%d,%d", len > 0 ? ":" : "",
                       (int)cll, (int)fall);
    }
    return json_string(text);
}

static int add_detects(const media_vindex_t *v, const vd_cuts_t *cuts, json_t *jobs)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < cuts->nranges; i++) {
        uint32_t first, end;
        int64_t from, to;

        an_film_range(cuts, i, &first, &end);
        vd_range_bytes(v, first, end, &from, &to);
        rc = an_film_job(jobs, "detect",
                         json_pack("{s:I,s:I,s:[I,I]}", "first", (json_int_t)first, "end",
                                   (json_int_t)end, WK_BYTES, (json_int_t)from, (json_int_t)to));
    }
    return rc;
}

static int add_jobs(const vd_indexed_t *x, const an_params_t *params, json_t *jobs, tc_fail_t *f)
{
    media_ladder_params_t how = an_film_how(params);
    vd_cuts_t cuts;
    json_t *range = json_object(), *hdr = hdr_of(x);
    int rc;

    if (an_film_cuts(&x->index, &cuts, f) != 0) {
        json_decref(range);
        json_decref(hdr);
        return -1;
    }
    rc = hdr != NULL ? json_object_set_new(range, "hdr", hdr) : 0;
    /* what is masked already has nothing to be found, and its sound is ready */
    rc |= params->from_masked ? 0 : add_detects(&x->index, &cuts, jobs);
    rc |= an_film_job(jobs, "associate", range);
    if (x->naudio > 0 && params->voice != AN_VOICE_MUTE && !params->from_masked) {
        rc |=
            an_film_job(jobs, "voice", vd_plan_track(&x->index, AN_FILM_SOUND, x->audio[0], &how));
    }
    vd_cuts_free(&cuts);
    return rc == 0 ? 0 : tc_fail_av(f, AVERROR(ENOMEM), "");
}

int an_video_plan(const vd_source_t *source, const tc_limits_t *limits, const an_params_t *params,
                  media_buf_t *index, json_t *result, tc_fail_t *f)
{
    media_err_t ei = {""};
    an_film_t film = {0};
    vd_indexed_t x;
    json_t *jobs = json_array();
    int rc = vd_index(source, limits, &x, f);

    if (rc == 0) {
        rc = an_film_open(&x.index, &film, f);
    }
    if (rc == 0) {
        rc = add_jobs(&x, params, jobs, f);
    }
    if (rc == 0 && media_vindex_write(&x.index, index, &ei) != 0) {
        rc = tc_fail(f, "limits", "The index of the video cannot be kept: %s.", ei.text);
    }
    if (rc == 0) {
        (void)json_object_set_new(result, "probe", probe_of(&film, x.naudio > 0));
        (void)json_object_set(result, "fan_out", jobs);
    }
    json_decref(jobs);
    an_film_free(&film);
    vd_indexed_free(&x);
    return rc;
}
