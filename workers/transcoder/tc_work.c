/* The job inside the child: frames from the input to the output, progress to the parent, one result
 * or one cause at the end. */
#include "tc_work.h"

#include <stdio.h>
#include <string.h>

#include "tc_input.h"
#include "tc_output.h"
#include "wk_log.h"

#define PROGRESS_MS 200
#define MISSING_S 0.5 /* and MISSING_SHARE of the length: less may be rounding of old headers */
#define MISSING_SHARE 0.01
#define ERRORS_PER_FRAME 3 /* a track of which less than a quarter decodes is noise */

typedef struct {
    wk_peer_t *peer;
    tc_params_t params;
    tc_input_t in;
    tc_output_t out;
    AVFrame *frame;
    int output_open;
    int64_t told_ms;
    double duration_s; /* declared */
    int exact;
} work_t;

static int tell_progress(work_t *w)
{
    int64_t now_ms = wk_mono_ms();
    double done;

    if (now_ms - w->told_ms < PROGRESS_MS) {
        return 0;
    }
    w->told_ms = now_ms;
    if (w->duration_s > 0) {
        done = (double)w->out.pcm.total / w->out.pcm.conf.sample_rate / w->duration_s;
    } else {
        done = (double)avio_tell(w->in.io.pb) / (double)w->in.io.source.size;
    }
    return wk_peer_progress(w->peer, done < 1 ? done : 1);
}

static int convert(work_t *w, tc_fail_t *f)
{
    int rc;

    while ((rc = tc_input_frame(&w->in, w->frame, f)) > 0) {
        if (!w->output_open) {
            w->output_open = 1;
            if (tc_output_open(&w->out, w->peer, &w->params, &w->in, w->frame, f) != 0) {
                return -1;
            }
        }
        if (tc_output_frame(&w->out, w->frame, f) != 0) {
            return -1;
        }
        if (tell_progress(w) != 0) {
            return tc_fail(f, "internal", "The worker is gone.");
        }
    }
    return rc;
}

/* After the last frame: was that all, and was it sound? */
static int check_end(work_t *w, tc_fail_t *f)
{
    double got_s = w->output_open ? (double)w->out.pcm.total / w->out.pcm.conf.sample_rate : 0;
    double missing_s = w->duration_s - got_s;
    int64_t expected;

    if (w->in.frames == 0 || w->in.errors > w->in.frames * ERRORS_PER_FRAME) {
        expected = tc_check_size(&w->in.io);
        if (expected > w->in.io.source.size) {
            return tc_fail(f, "truncated_media", "The file ends early, before any sound.");
        }
        return tc_fail(f, "unreadable_media",
                       "The sound track is damaged: %lld parts of it cannot be decoded.",
                       (long long)w->in.errors);
    }
    if (w->exact && missing_s > MISSING_S && missing_s > w->duration_s * MISSING_SHARE) {
        return tc_fail(f, "truncated_media",
                       "The file ends early: it should hold %.1f seconds of sound, %.1f are there.",
                       w->duration_s, got_s);
    }
    if (tc_check_fragmented(w->in.format)) {
        expected = tc_check_size(&w->in.io);
        if (expected > w->in.io.source.size) {
            return tc_fail(f, "truncated_media", "The file ends early, after %.1f seconds.", got_s);
        }
    }
    return 0;
}

static int run(work_t *w, const wk_child_input_t *in, tc_fail_t *f)
{
    const vd_source_t source = tc_input_source(w->peer, in->size);
    const tc_limits_t limits = tc_limits_read(in->limits);

    if (tc_params_read(in->params, &w->params, f) != 0 ||
        tc_input_open(&w->in, &source, &limits, TC_TRACK_ANY, w->params.format->name, f) != 0) {
        return -1;
    }
    w->duration_s = tc_input_duration(&w->in, &w->exact);
    w->frame = av_frame_alloc();
    if (w->frame == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return convert(w, f) != 0 || check_end(w, f) != 0 || tc_output_finish(&w->out, f) != 0 ? -1 : 0;
}

int tc_work(wk_peer_t *peer, const wk_child_input_t *in)
{
    work_t w = {.peer = peer};
    tc_fail_t f = {{0}, {0}, 0};
    int rc = run(&w, in, &f);

    if (rc == 0) {
        rc = wk_peer_result(peer, json_pack("{s:o}", "probe", tc_probe(w.in.format)));
    } else {
        rc = wk_peer_error(peer, f.code, f.retry, "%s", f.detail);
    }
    av_frame_free(&w.frame);
    if (w.output_open) {
        tc_output_close(&w.out);
    }
    tc_input_close(&w.in);
    return rc;
}
