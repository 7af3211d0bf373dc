/* The steps `package_first` and `package`: playlists and manifest of the tracks that are whole.
 * They read no byte of a client's file, so they run in the worker itself. */
#ifndef PACKAGE_H
#define PACKAGE_H

#include "wk_run.h"

enum wk_end package_run(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out);

#endif
