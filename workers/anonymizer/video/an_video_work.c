/* A step: its input from the parent, its pieces to the parent, one result or one cause at the end.
 */
#include "an_video_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "an_report.h"
#include "an_stamp.h"
#include "an_video.h"
#include "tc_input.h"
#include "vd_file.h"

#define MASKED "masked" /* the copy's name before its dot */

typedef struct {
    wk_peer_t *peer;
    const wk_child_input_t *in;
    const an_ask_t *ask;
    an_params_t params;
    vd_parent_t parent;
    vd_source_t source;
    vd_sink_t sink;
    json_t *result;
} work_t;

/* ---- handing over ---- */

static int write_all(work_t *w, media_str_t s)
{
    size_t n;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < s.len; at += n) {
        n = s.len - at < WK_FRAME_MAX ? s.len - at : WK_FRAME_MAX;
        rc = wk_peer_write(w->peer, (int64_t)at, s.p + at, n);
    }
    return rc;
}

/* Takes meta. */
static int hand_over(work_t *w, media_str_t s, json_t *meta, tc_fail_t *f)
{
    if (write_all(w, s) != 0) {
        json_decref(meta);
        return tc_fail(f, "internal", "The output could not be handed over.");
    }
    return wk_peer_output(w->peer, meta) == 0
               ? 0
               : tc_fail(f, "internal", "The output could not be handed over.");
}

static int keep(work_t *w, const media_buf_t *b, const char *name, tc_fail_t *f)
{
    return hand_over(w, media_buf_view(b),
                     json_pack("{s:s,s:s,s:b}", "name", name, "content_type",
                               "application/octet-stream", "keep", 1),
                     f);
}

/* With what the first step has left for it: the detectors, and whether there is sound. Takes found.
 */
static int hand_over_report(work_t *w, json_t *found, tc_fail_t *f)
{
    json_t *left = json_object_get(w->in->range, "report");
    char *text;
    int rc;

    (void)json_object_set(found, "sound", json_object_get(left, "sound"));
    text = an_report(found, &w->params, json_object_get(left, "detectors"));
    rc = text == NULL ? tc_fail_av(f, AVERROR(ENOMEM), "")
                      : hand_over(w, media_str(text), an_report_meta(), f);
    free(text);
    return rc;
}

/* ---- what the step before has kept ---- */

static int read_kept(work_t *w, media_str_t *out, tc_fail_t *f)
{
    size_t len = (size_t)w->in->kept;
    char *p = w->in->kept > 0 && w->in->kept <= AN_KEPT_BYTES_MAX ? malloc(len) : NULL;

    if (p == NULL || wk_peer_read(w->peer, w->in->size, p, len) != (ssize_t)len) {
        free(p);
        return tc_fail(f, "internal", "What was kept of the video is not usable.");
    }
    *out = (media_str_t){p, len};
    return 0;
}

static void free_kept(media_str_t kept)
{
    free((void *)(uintptr_t)kept.p);
}

/* ---- steps ---- */

/* What the report will say beside what is found. */
static void leave_for_report(work_t *w)
{
    json_t *jobs = json_object_get(w->result, "fan_out");
    const json_t *detectors = json_object_get(w->in->limits, "detectors");
    int has_sound = 0;
    size_t i;
    json_t *job;

    json_array_foreach(jobs, i, job)
    {
        has_sound |= strcmp(json_string_value(json_object_get(job, "step")), "voice") == 0;
    }
    json_array_foreach(jobs, i, job)
    {
        if (strcmp(json_string_value(json_object_get(job, "step")), "associate") == 0) {
            (void)json_object_set_new(
                json_object_get(job, "range"), "report",
                json_pack("{s:O*,s:b}", "detectors", detectors, "sound", has_sound));
        }
    }
}

static int do_plan(work_t *w, tc_fail_t *f)
{
    const tc_limits_t limits = tc_limits_read(w->in->limits);
    media_buf_t index;
    int rc;

    media_buf_init(&index, MEDIA_VINDEX_BYTES_MAX);
    rc = an_video_plan(&w->source, &limits, &w->params, &index, w->result, f);
    if (rc == 0) {
        leave_for_report(w);
        rc = keep(w, &index, "index", f);
    }
    media_buf_free(&index);
    return rc;
}

static int do_detect(work_t *w, tc_fail_t *f)
{
    media_str_t kept = {NULL, 0};
    media_err_t ei = {""};
    media_vindex_t v;
    media_buf_t found;
    int rc = read_kept(w, &kept, f);

    memset(&v, 0, sizeof(v));
    media_buf_init(&found, AN_FOUND_BYTES_MAX);
    if (rc == 0 && media_vindex_read(kept.p, kept.len, &v, &ei) != 0) {
        rc = tc_fail(f, "internal", "The index of the video is not usable: %s.", ei.text);
    }
    if (rc == 0) {
        rc = an_video_detect(&w->source, &v, w->in->range, &w->params, w->ask, &w->sink, &found, f);
    }
    if (rc == 0) {
        rc = keep(w, &found, "found", f);
    }
    media_buf_free(&found);
    media_vindex_free(&v);
    free_kept(kept);
    return rc;
}

static int do_associate(work_t *w, tc_fail_t *f)
{
    media_str_t kept = {NULL, 0};
    media_buf_t out;
    json_t *report = NULL;
    int rc = read_kept(w, &kept, f);

    media_buf_init(&out, AN_KEPT_BYTES_MAX);
    if (rc == 0) {
        rc = an_video_associate(&w->source, kept, w->in->range, &w->params, &w->sink, &out, &report,
                                w->result, f);
    }
    if (rc == 0) {
        rc = keep(w, &out, "masks", f);
    }
    if (rc == 0) {
        rc = hand_over_report(w, report, f);
        report = NULL;
    }
    json_decref(report);
    media_buf_free(&out);
    free_kept(kept);
    return rc;
}

static int do_render(work_t *w, tc_fail_t *f)
{
    media_str_t bytes = {NULL, 0};
    media_err_t ei = {""};
    AVFrame *stamp = NULL;
    an_kept_t kept;
    int rc = read_kept(w, &bytes, f);

    memset(&kept, 0, sizeof(kept));
    if (rc == 0 && an_kept_read(bytes.p, bytes.len, &kept, &ei) != 0) {
        rc = tc_fail(f, "internal", "The masks of the video are not usable: %s.", ei.text);
    }
    if (rc == 0) {
        rc = an_stamp_receive(w->in->limits, &w->params, &stamp, f);
    }
    if (rc == 0) {
        rc = an_video_render(&w->source, &kept, w->in->range, &w->params, stamp, &w->sink,
                             json_object_get(w->result, "tracks"), f);
    }
    av_frame_free(&stamp);
    an_kept_free(&kept);
    free_kept(bytes);
    return rc;
}

static int do_voice(work_t *w, tc_fail_t *f)
{
    return an_video_voice(&w->source, w->in->range, &w->params, &w->sink,
                          json_object_get(w->result, "tracks"), f);
}

/* Borrowed, NULL where there is none. */
static json_t *side(const json_t *track, const char *name)
{
    json_t *v = json_object_get(track, name);

    return json_is_integer(v) ? v : NULL;
}

/* What the copy is, by its tracks alone. */
static json_t *probe_of_copy(const json_t *tracks)
{
    json_t *streams = json_array();
    double seconds = 0;
    size_t i;
    json_t *t;

    json_array_foreach(tracks, i, t)
    {
        double scale = json_number_value(json_object_get(t, "timescale"));
        double s = scale > 0 ? json_number_value(json_object_get(t, "ticks")) / scale : 0;

        seconds = s > seconds ? s : seconds;
        (void)json_array_append_new(streams,
                                    json_pack("{s:i,s:O*,s:f,s:O*,s:O*}", "index", (int)i, "type",
                                              json_object_get(t, "kind"), "duration", s, "width",
                                              side(t, "width"), "height", side(t, "height")));
    }
    return json_pack("{s:s,s:f,s:o}", "container", "mp4", "duration", seconds, "streams", streams);
}

static int do_assemble(work_t *w, tc_fail_t *f)
{
    (void)json_object_set_new(w->result, "probe",
                              probe_of_copy(json_object_get(w->in->range, "tracks")));
    return vd_file(w->peer, w->in->range, MASKED, f);
}

static const struct {
    const char *name;
    int (*run)(work_t *w, tc_fail_t *f);
} steps[] = {{"anonymize", do_plan}, {"detect", do_detect}, {"associate", do_associate},
             {"render", do_render},  {"voice", do_voice},   {"assemble", do_assemble}};

static int run(work_t *w, tc_fail_t *f)
{
    for (size_t i = 0; w->in->step != NULL && i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].name, w->in->step) == 0) {
            return steps[i].run(w, f);
        }
    }
    return tc_fail(f, "internal", "This worker does not know the step.");
}

int an_video_work(wk_peer_t *peer, const wk_child_input_t *in, const an_ask_t *ask)
{
    work_t w = {.peer = peer,
                .in = in,
                .ask = ask,
                .source = tc_input_source(peer, in->size),
                .parent = {.peer = peer},
                .result = json_pack("{s:[]}", "tracks")};
    tc_fail_t f = {{0}, {0}, 0};
    int rc = w.result != NULL ? 0 : tc_fail_av(&f, AVERROR(ENOMEM), "");

    w.sink = vd_sink_to_parent(&w.parent);
    if (rc == 0) {
        rc = an_params_read(in->params, &w.params, &f);
    }
    if (rc == 0) {
        rc = run(&w, &f);
    }
    an_params_free(&w.params);
    if (rc == 0) {
        return wk_peer_result(peer, w.result);
    }
    json_decref(w.result);
    return wk_peer_error(peer, f.code, f.retry, "%s", f.detail);
}
