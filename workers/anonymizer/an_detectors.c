/* Detector processes by kind, one set per thread: the kernel ends a detector with the thread that
 * started it. */
#include "an_detectors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "an_detector.h"
#include "an_question.h"
#include "wk_host.h"
#include "wk_log.h"

#define ANSWER_MS 20000 /* below the lease */
#define PROGRAM "media-detector"

typedef struct {
    an_detector_t *of[AN_KIND_COUNT];
    unsigned wanted; /* 1u << kind: by the job at hand */
} detectors_t;

static _Thread_local detectors_t detectors;

static int refused(const an_fault_t *fault, media_err_t *ei)
{
    wk_log(MEDIA_LOG_ERROR, "detector failed", "code", fault->code, "cause", fault->detail, NULL);
    return media_err_set(ei, MEDIA_E_RETRY, "%s", fault->detail);
}

static int answer(void *data, media_str_t question, char *reply, size_t *len, media_err_t *ei)
{
    detectors_t *d = data;
    const uint8_t *bgr = (const uint8_t *)question.p + sizeof(an_question_t);
    an_fault_t fault = {"", ""};
    an_question_t q;
    int n;

    if (question.len < sizeof(q)) {
        return media_err_set(ei, MEDIA_E_REJECT, "a question without a head");
    }
    memcpy(&q, question.p, sizeof(q));
    if (q.kind >= AN_KIND_COUNT || (d->wanted & (1u << q.kind)) == 0 || q.width == 0 ||
        q.height == 0 || q.width > UINT16_MAX || q.height > UINT16_MAX ||
        (uint64_t)q.width * q.height * 3 != question.len - sizeof(q)) {
        return media_err_set(ei, MEDIA_E_REJECT, "a question that makes no sense");
    }
    n = d->of[q.kind] != NULL
            ? an_detector_ask(d->of[q.kind], q.width, q.height, bgr, (an_hit_t *)(void *)reply,
                              AN_HITS_MAX, ANSWER_MS, &fault)
            : MEDIA_E_RETRY;
    if (n < 0) {
        return refused(&fault, ei);
    }
    *len = (size_t)n * sizeof(an_hit_t);
    return 0;
}

typedef struct {
    wk_ctx_t *ctx;
    const wk_job_t *job;
    int rc; /* why the beat ended the waiting */
} beat_t;

static int on_beat(void *data)
{
    beat_t *b = data;

    b->rc = wk_job_beat(b->ctx, b->job, -1, -1);
    return b->rc;
}

/* A large network from a cold disk takes longer than a lease. */
static enum wk_end start(wk_ctx_t *ctx, const wk_job_t *job, enum an_kind kind, const char *exe,
                         json_t *about, wk_outcome_t *out)
{
    beat_t beat = {ctx, job, 0};
    const an_spec_t spec = {.kind = kind,
                            .models = ctx->conf->models,
                            .uid = geteuid() == 0 ? ctx->conf->child_uid : -1,
                            .beat = on_beat,
                            .ctx = &beat};
    an_fault_t fault = {"", ""};

    if (an_detector_keep(&detectors.of[kind], &spec, exe, &fault) != 0) {
        if (beat.rc != 0) {
            return beat.rc == MEDIA_E_AGAIN ? WK_RELEASE : WK_LOST;
        }
        return wk_outcome(out, WK_RETRY, fault.code, "%s", fault.detail);
    }
    return json_array_append_new(about, json_deep_copy(an_detector_about(detectors.of[kind]))) == 0
               ? WK_DONE
               : wk_outcome(out, WK_RETRY, "worker_memory", "The worker is out of memory.");
}

enum wk_end an_detectors_ready(wk_ctx_t *ctx, const wk_job_t *job, const an_params_t *params,
                               wk_asked_t *asked, json_t **about, wk_outcome_t *out)
{
    char exe[512];
    enum wk_end end = WK_DONE;

    _Static_assert(AN_HITS_MAX * sizeof(an_hit_t) <= WK_ANSWER_MAX, "an answer holds all hits");
    *about = json_array();
    detectors.wanted = an_params_kinds(params);
    if (wk_spawn_beside(PROGRAM, exe, sizeof(exe)) != 0) {
        return wk_outcome(out, WK_RETRY, "internal", "The program " PROGRAM " cannot be found.");
    }
    for (int kind = 0; end == WK_DONE && kind < AN_KIND_COUNT; kind++) {
        if (detectors.wanted & (1u << kind)) {
            end = start(ctx, job, (enum an_kind)kind, exe, *about, out);
        }
    }
    *asked = (wk_asked_t){.answer = answer, .data = &detectors};
    return end;
}
