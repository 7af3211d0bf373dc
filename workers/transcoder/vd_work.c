/* A step: its input from the parent, its pieces to the parent, one result or one cause at the end.
 *
 *   step                  input                 hands over                       result
 *   index                 the file              the index, kept for the others   probe, fan_out
 *   encode_first, encode  a range, the index    segments of its rungs            tracks
 *   sound, text           the file              segments of one track            tracks
 *   mp4                   a ladder's segments   a file of each rung              (none)
 */
#include "vd_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tc_input.h"
#include "vd_copy.h"
#include "vd_encode.h"
#include "vd_file.h"
#include "vd_sound.h"
#include "vd_text.h"

typedef struct {
    wk_peer_t *peer;
    const wk_child_input_t *in;
    vd_parent_t parent;
    vd_source_t source;
    vd_sink_t sink;
    json_t *result;
} work_t;

/* ---- index ---- */

static int keep_index(work_t *w, const media_vindex_t *v, tc_fail_t *f)
{
    media_buf_t buf;
    media_err_t ei = {""};
    int rc;

    media_buf_init(&buf, MEDIA_VINDEX_BYTES_MAX);
    if (media_vindex_write(v, &buf, &ei) != 0) {
        rc = tc_fail(f, "limits", "The index of the video cannot be kept: %s.", ei.text);
    } else {
        rc = wk_peer_write(w->peer, 0, buf.p, buf.len) != 0 ||
                     wk_peer_output(w->peer,
                                    json_pack("{s:s,s:s,s:b}", "name", "index", "content_type",
                                              "application/octet-stream", "keep", 1)) != 0
                 ? tc_fail(f, "internal", "The index could not be handed over.")
                 : 0;
    }
    media_buf_free(&buf);
    return rc;
}

static int do_index(work_t *w, tc_fail_t *f)
{
    const tc_limits_t limits = tc_limits_read(w->in->limits);
    vd_indexed_t x;
    json_t *jobs = NULL;
    int rc = vd_index(&w->source, &limits, &x, f);

    if (rc == 0) {
        jobs = vd_plan(&w->source, &x, w->in->params, f);
        rc = jobs == NULL || keep_index(w, &x.index, f) != 0 ? -1 : 0;
    }
    if (rc == 0) {
        (void)json_object_set(w->result, "probe", x.probe);
        (void)json_object_set(w->result, "fan_out", jobs);
    }
    json_decref(jobs);
    vd_indexed_free(&x);
    return rc;
}

/* ---- the steps after it ---- */

static int read_index(work_t *w, media_vindex_t *v, tc_fail_t *f)
{
    size_t len = (size_t)w->in->kept;
    media_err_t ei = {"it is missing"};
    uint8_t *p;
    int rc = -1;

    memset(v, 0, sizeof(*v));
    if (w->in->kept <= 0 || len > MEDIA_VINDEX_BYTES_MAX) {
        return tc_fail(f, "internal", "The index of the video is not usable.");
    }
    p = malloc(len);
    if (p == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (wk_peer_read(w->peer, w->in->size, p, len) == (ssize_t)len) {
        rc = media_vindex_read(p, len, v, &ei);
    }
    free(p);
    return rc == 0 ? 0
                   : tc_fail(f, "internal", "The index of the video is not usable: %s.", ei.text);
}

static int do_encode(work_t *w, tc_fail_t *f)
{
    vd_range_plan_t plan;
    media_vindex_t index;
    int rc = read_index(w, &index, f);

    if (rc == 0) {
        rc = vd_range_plan_read(w->in->range, &plan, f);
    }
    if (rc == 0) {
        rc = (plan.is_copy ? vd_copy : vd_encode)(&w->source, &index, &plan, &w->sink,
                                                  json_object_get(w->result, "tracks"), f);
        vd_range_plan_free(&plan);
    }
    media_vindex_free(&index);
    return rc;
}

static int do_track(work_t *w, tc_fail_t *f,
                    int (*make)(const vd_source_t *source, const vd_track_plan_t *plan,
                                const vd_sink_t *sink, json_t *tracks, tc_fail_t *f))
{
    vd_track_plan_t plan;

    return vd_track_plan_read(w->in->range, &plan, f) != 0
               ? -1
               : make(&w->source, &plan, &w->sink, json_object_get(w->result, "tracks"), f);
}

static int do_sound(work_t *w, tc_fail_t *f)
{
    return do_track(w, f, vd_sound);
}

static int do_text(work_t *w, tc_fail_t *f)
{
    return do_track(w, f, vd_text);
}

static int do_file(work_t *w, tc_fail_t *f)
{
    return vd_file(w->peer, w->in->range, NULL, f);
}

static const struct {
    const char *name;
    int (*run)(work_t *w, tc_fail_t *f);
} steps[] = {{"index", do_index}, {"encode_first", do_encode}, {"encode", do_encode},
             {"sound", do_sound}, {"text", do_text},           {"mp4", do_file}};

static int run(work_t *w, tc_fail_t *f)
{
    for (size_t i = 0; w->in->step != NULL && i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].name, w->in->step) == 0) {
            return steps[i].run(w, f);
        }
    }
    return tc_fail(f, "internal", "This worker does not know the step.");
}

int vd_work(wk_peer_t *peer, const wk_child_input_t *in)
{
    work_t w = {.peer = peer,
                .in = in,
                .source = tc_input_source(peer, in->size),
                .parent = {.peer = peer},
                .result = json_pack("{s:[]}", "tracks")};
    tc_fail_t f = {{0}, {0}, 0};
    int rc;

    w.sink = vd_sink_to_parent(&w.parent);
    rc = w.result != NULL ? run(&w, &f) : tc_fail_av(&f, AVERROR(ENOMEM), "");
    if (rc == 0) {
        return wk_peer_result(peer, w.result);
    }
    json_decref(w.result);
    return wk_peer_error(peer, f.code, f.retry, "%s", f.detail);
}
