/* Rows of the database -> the child's input. The child is told how long each part is:
 *
 * {..., "detections":[size,...]} */
#include "an_associate.h"

#include <stdlib.h>

#define PARTS_MAX WK_FAN_OUT_MAX

typedef struct {
    wk_part_t *parts; /* their keys are the documents' */
    size_t nparts;
    int64_t size;
} input_t;

static int add(input_t *in, const char *key, json_int_t size)
{
    if (key == NULL || size <= 0) {
        return -1;
    }
    in->parts[in->nparts++] = (wk_part_t){key, size, in->size};
    in->size += size;
    return 0;
}

/* The detections in the order of the film; their sizes go into the range. */
static int add_detections(input_t *in, const json_t *list, json_t *range)
{
    json_t *sizes = json_array();
    size_t i;
    json_t *object;
    int rc = sizes == NULL ? -1 : 0;

    json_array_foreach(list, i, object)
    {
        rc |= add(in, json_string_value(json_array_get(object, 0)),
                  json_integer_value(json_array_get(object, 1)));
        rc |= json_array_append(sizes, json_array_get(object, 1));
    }
    return rc | json_object_set_new(range, "detections", sizes);
}

static enum wk_end run_on(wk_ctx_t *ctx, const wk_job_t *job, const json_t *list,
                          const wk_child_limits_t *limits, wk_outcome_t *out)
{
    const json_t *kept = json_object_get(job->range, WK_KEPT);
    json_int_t kept_size = json_integer_value(json_object_get(kept, "size"));
    size_t n = json_array_size(list);
    input_t in = {.parts = n < PARTS_MAX ? calloc(n + 1, sizeof(*in.parts)) : NULL};
    json_t *range = json_copy(job->range);
    wk_job_t joined = *job;
    enum wk_end end;

    if (in.parts == NULL || range == NULL || add_detections(&in, list, range) != 0) {
        end = wk_outcome(out, WK_RETRY, "internal", "What was detected is not usable.");
    } else {
        joined.size = in.size;
        joined.range = range;
        end = add(&in, json_string_value(json_object_get(kept, "object_key")), kept_size) != 0
                  ? wk_outcome(out, WK_RETRY, "internal", "The index of the video is missing.")
                  : wk_child_run_parts(ctx, &joined, in.parts, in.nparts, kept_size, limits, out);
    }
    json_decref(range);
    free(in.parts);
    return end;
}

enum wk_end an_associate_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                             wk_outcome_t *out)
{
    wk_pg_result_t *res = NULL;
    const char *text = NULL;
    enum wk_end end = wk_job_ask(ctx, job, MEDIA_STMT_JOB_DETECTIONS, &res, &text, out);
    json_t *list = end == WK_DONE && text != NULL ? json_loads(text, 0, NULL) : NULL;

    if (end == WK_DONE) {
        end = list != NULL
                  ? run_on(ctx, job, list, limits, out)
                  : wk_outcome(out, WK_RETRY, "internal", "What was detected is not usable.");
    }
    json_decref(list);
    wk_pg_result_free(res);
    return end;
}
