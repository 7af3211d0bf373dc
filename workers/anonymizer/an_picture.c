/* A picture: all of it is one step. */
#include "an_picture.h"

#include <stdlib.h>
#include <string.h>

#include "an_image.h"
#include "an_question.h"
#include "an_report.h"
#include "an_seen_kept.h"
#include "an_stamp.h"
#include "tc_input.h"

typedef struct {
    wk_peer_t *peer;
    json_t *probe; /* of the masked copy */
} image_t;

static int put(void *ctx, const char *name, const char *type, int width, int height,
               const void *bytes, size_t len)
{
    image_t *w = ctx;

    w->probe = json_pack("{s:s,s:[{s:i,s:s,s:i,s:i}]}", "container", strchr(name, '.') + 1,
                         "streams", "index", 0, "type", "image", "width", width, "height", height);
    return wk_peer_write(w->peer, 0, bytes, len) != 0
               ? -1
               : wk_peer_output(w->peer,
                                json_pack("{s:s,s:s,s:s,s:i,s:i}", "name", name, "kind", "image",
                                          "content_type", type, "width", width, "height", height));
}

static int keep(void *ctx, const void *bytes, size_t len)
{
    wk_peer_t *peer = ((image_t *)ctx)->peer;

    return wk_peer_write(peer, 0, bytes, len) != 0
               ? -1
               : wk_peer_output(peer, json_pack("{s:s,s:s,s:b}", "name", "found", "content_type",
                                                "application/octet-stream", "keep", 1));
}

static int progress(void *ctx, double done)
{
    return wk_peer_progress(((image_t *)ctx)->peer, done < 1 ? done : 1);
}

/* Takes found. */
static int put_report(wk_peer_t *peer, json_t *found, const an_params_t *p, tc_fail_t *f)
{
    char *text = an_report(found, p, json_object_get(found, "detectors"));
    int rc = text == NULL || wk_peer_write(peer, 0, text, strlen(text)) != 0 ||
                     wk_peer_output(peer, an_report_meta()) != 0
                 ? tc_fail(f, "internal", "The report could not be handed over.")
                 : 0;

    free(text);
    return rc;
}

/* What the run before has kept for an edit, if it has. *kept is owned. */
static int read_kept(wk_peer_t *peer, const wk_child_input_t *in, const an_params_t *params,
                     media_str_t *kept, tc_fail_t *f)
{
    size_t len = (size_t)in->kept;
    char *p;

    if (!params->is_edit || params->from_masked || in->kept <= 0) {
        return 0;
    }
    p = len <= AN_SEEN_BYTES_MAX ? malloc(len) : NULL;
    if (p == NULL || wk_peer_read(peer, in->size, p, len) != (ssize_t)len) {
        free(p);
        return tc_fail(f, "internal", "What was kept of the picture is not usable.");
    }
    *kept = (media_str_t){p, len};
    return 0;
}

static int mask(image_t *w, const wk_child_input_t *in, const vd_source_t *source,
                const an_ask_t *ask, tc_fail_t *f)
{
    const an_image_sink_t sink = {.ctx = w, .put = put, .keep = keep, .progress = progress};
    const tc_limits_t limits = tc_limits_read(in->limits);
    json_t *found = json_object();
    AVFrame *stamp = NULL;
    an_params_t params;
    an_image_job_t job = {.source = source,
                          .params = &params,
                          .ask = ask,
                          .limits = &limits,
                          .detectors = json_object_get(in->limits, "detectors")};
    int rc = an_params_read(in->params, &params, f);

    if (rc != 0) {
        json_decref(found);
        return rc;
    }
    rc = an_stamp_receive(in->limits, &params, &stamp, f);
    job.image = stamp;
    if (rc == 0) {
        rc = read_kept(w->peer, in, &params, &job.kept, f);
    }
    if (rc == 0) {
        rc = an_image(&job, &sink, found, f);
    }
    if (rc == 0) {
        rc = put_report(w->peer, found, &params, f);
    } else {
        json_decref(found);
    }
    free((void *)(uintptr_t)job.kept.p);
    av_frame_free(&stamp);
    an_params_free(&params);
    return rc;
}

int an_picture_work(wk_peer_t *peer, const wk_child_input_t *in)
{
    const an_ask_t ask = {.ctx = peer, .ask = an_question_ask};
    const vd_source_t source = tc_input_source(peer, in->size);
    image_t w = {.peer = peer};
    tc_fail_t f = {{0}, {0}, 0};

    if (mask(&w, in, &source, &ask, &f) == 0) {
        return wk_peer_result(peer, json_pack("{s:o}", "probe", w.probe));
    }
    json_decref(w.probe);
    return wk_peer_error(peer, f.code, f.retry, "%s", f.detail);
}
