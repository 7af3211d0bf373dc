/* State of the job loop behind a wk_ctx_t (private to wk_run.c and wk_job.c). */
#ifndef WK_RUNNER_H
#define WK_RUNNER_H

#include "wk_run.h"

typedef struct {
    wk_ctx_t ctx; /* first: engines hold a pointer to it */
    const wk_engine_t *engine;
    int64_t stopped_ms; /* monotonic, when the stop signal was seen; 0: not yet */

    /* the running job */
    int64_t lease_until_ms; /* monotonic: what the database has granted for sure */
    int64_t next_beat_ms;
    int64_t ticked_ms; /* last broker heart-beat */
    double progress;   /* last told by the engine; < 0: unknown */
    double progress_sent;
    int ended; /* MEDIA_E_GONE or MEDIA_E_AGAIN: every further beat says the same */
} wk_runner_t;

static inline wk_runner_t *wk_runner(wk_ctx_t *ctx)
{
    return (wk_runner_t *)ctx;
}

/* A JOB statement as this worker's role may say it: the notifier has its own, fixed to its queue,
 * with the same parameters and columns (its claim: without queue and steps). */
enum media_stmt wk_stmt(const wk_runner_t *r, enum media_stmt stmt);
/* Starts the lease of a job whose claim was sent at claimed_ms. */
void wk_lease_start(wk_runner_t *r, int64_t claimed_ms);
/* 1 once the stop signal has come; notes when. */
int wk_stopping(wk_runner_t *r);
/* Repeats a statement while the database is away and the lease holds; waits in between. */
int wk_lease_query(wk_runner_t *r, enum media_stmt stmt, const char *const *params,
                   wk_pg_result_t **out, media_err_t *ei);
/* Commits how the run ended: finish, fail or release, and announces what follows. Returns the
 * database's word: "ok", "retried", "failed", "lost", "canceled", or "unknown". Static text. */
const char *wk_job_commit(wk_runner_t *r, const wk_job_t *job, enum wk_end end,
                          const wk_outcome_t *out);

/* Claims the best due job. 0: *job is filled; MEDIA_E_AGAIN: none is due; MEDIA_E_RETRY: no
 * database. */
int wk_job_claim(wk_runner_t *r, wk_job_t *job);
void wk_job_clear(wk_job_t *job);

#endif
