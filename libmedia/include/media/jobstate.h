/* States of jobs and media and the legal moves. sql/ enforces the same table by trigger;
 * a test compares the two. */
#ifndef MEDIA_JOBSTATE_H
#define MEDIA_JOBSTATE_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_JOB_STATES(X)                                                                        \
    X(WAITING, "waiting")     /* a step before it is not finished */                               \
    X(QUEUED, "queued")       /* due once not_before has passed */                                 \
    X(RUNNING, "running")     /* leased by a worker */                                             \
    X(SUCCEEDED, "succeeded") /* final */                                                          \
    X(FAILED, "failed")       /* final until retried by hand */                                    \
    X(CANCELED, "canceled")   /* final until retried by hand */

/* clang-format off */
#define MEDIA_JOB_MOVES(X)                                                                         \
    X(WAITING, QUEUED) X(WAITING, CANCELED)                                                        \
    X(QUEUED, RUNNING) X(QUEUED, CANCELED) X(QUEUED, FAILED)                                       \
    X(RUNNING, SUCCEEDED) X(RUNNING, QUEUED) X(RUNNING, FAILED) X(RUNNING, CANCELED)               \
    X(FAILED, QUEUED) X(FAILED, WAITING) X(CANCELED, QUEUED) X(CANCELED, WAITING)
/* clang-format on */

#define MEDIA_MEDIA_STATES(X)                                                                      \
    X(PROCESSING, "processing")                                                                    \
    X(READY, "ready")                                                                              \
    X(FAILED, "failed")                                                                            \
    X(CANCELED, "canceled")

enum media_job_state {
#define X(name, text) MEDIA_JOB_##name,
    MEDIA_JOB_STATES(X)
#undef X
        MEDIA_JOB_STATE_COUNT
};
const char *media_job_state_name(enum media_job_state s);
int media_job_state_parse(media_str_t name);
/* 1 if a job may move from a to b. [any] */
int media_job_may_move(enum media_job_state a, enum media_job_state b);

#endif
