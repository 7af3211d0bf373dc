/* The step `mp4`: one file for download of each rung of a ladder, out of its segments. */
#ifndef LADDER_FILE_H
#define LADDER_FILE_H

#include "wk_child.h"

enum wk_end ladder_file_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                            wk_outcome_t *out);

#endif
