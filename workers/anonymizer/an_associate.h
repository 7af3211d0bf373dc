/* The parent of the step `associate`: its child's input is what the detect jobs of the run have
 * kept, one after another, and the index (or, of an edit, what the last associate has kept). */
#ifndef AN_ASSOCIATE_H
#define AN_ASSOCIATE_H

#include "wk_child.h"

enum wk_end an_associate_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                             wk_outcome_t *out);

#endif
