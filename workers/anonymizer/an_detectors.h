/* The parent's side of a child's questions: the detectors that a job's parameters ask for, started
 * before the child and kept warm for the next job of this thread. */
#ifndef AN_DETECTORS_H
#define AN_DETECTORS_H

#include "an_params.h"
#include "wk_child.h"

/* Has every detector that the parameters name running. WK_DONE: *asked answers the questions of one
 * child, *about (owned) is what the report tells of them, [{"kind",...}]; else the job must fail,
 * or be left or given back. The lease is renewed meanwhile.
 * [thread] */
enum wk_end an_detectors_ready(wk_ctx_t *ctx, const wk_job_t *job, const an_params_t *params,
                               wk_asked_t *asked, json_t **about, wk_outcome_t *out);

#endif
