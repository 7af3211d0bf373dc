/* Rows of the database -> the child's input, its segments one after another. The child is told how
 * long each is, not where it lies:
 *
 * {"tracks":[{"name","kind","width","height","timescale","sizes":[init,1,2...],"ticks":n},...]} */
#include "ladder_file.h"

#include <stdlib.h>
#include <string.h>

#include "media/cmafset.h"
#include "wk_log.h"

#define LADDER_MAX (64u << 20) /* of the document with all keys */

typedef struct {
    wk_part_t *parts; /* their keys are the document's */
    size_t nparts, cap;
    int64_t size;
} input_t;

static int add_part(input_t *in, const json_t *segment)
{
    const char *key = json_string_value(json_array_get(segment, 0));
    json_int_t size = json_integer_value(json_array_get(segment, 1));

    if (key == NULL || size <= 0 || size > MEDIA_SEGMENT_BYTES_MAX ||
        in->nparts == MEDIA_CMAFSET_SEGMENTS_MAX) {
        return -1;
    }
    if (in->nparts == in->cap) {
        size_t cap = in->cap == 0 ? 256 : 2 * in->cap;
        wk_part_t *parts = realloc(in->parts, cap * sizeof(parts[0]));

        if (parts == NULL) {
            return -1;
        }
        in->parts = parts;
        in->cap = cap;
    }
    in->parts[in->nparts++] = (wk_part_t){key, size, in->size};
    in->size += size;
    return 0;
}

/* Replaces the segments of a track by their sizes. */
static int add_track(input_t *in, json_t *track)
{
    const json_t *segments = json_object_get(track, "segments");
    json_t *sizes = json_array();
    size_t i;
    json_t *segment;
    int rc = 0;

    json_array_foreach(segments, i, segment)
    {
        rc |= add_part(in, segment);
        rc |= json_array_append(sizes, json_array_get(segment, 1));
    }
    return rc | json_object_set_new(track, "sizes", sizes);
}

/* What the child gets to know: the document without its keys. Owned. */
static json_t *range_of(input_t *in, const json_t *ladder)
{
    json_t *range = json_pack("{s:[]}", "tracks");
    json_t *tracks = json_object_get(range, "tracks");
    size_t i;
    json_t *track;

    json_array_foreach(json_object_get(ladder, "tracks"), i, track)
    {
        json_t *copy = json_copy(track);
        int rc = add_track(in, copy);

        rc |= json_object_del(copy, "segments");
        if (json_array_append_new(tracks, copy) != 0 || rc != 0) {
            json_decref(range);
            return NULL;
        }
    }
    return range;
}

/* WK_DONE: *ladder is owned. */
static enum wk_end load(wk_ctx_t *ctx, const wk_job_t *job, json_t **ladder, wk_outcome_t *out)
{
    wk_pg_result_t *res = NULL;
    const char *text = NULL;
    enum wk_end end = wk_job_ask(ctx, job, MEDIA_STMT_JOB_LADDER, &res, &text, out);

    if (end == WK_DONE && text == NULL) {
        end = wk_outcome(
            out, WK_REJECT, "no_ladder",
            "There are no renditions to make a file of: run the pipeline \"video\" first.");
    } else if (end == WK_DONE &&
               (strlen(text) > LADDER_MAX || (*ladder = json_loads(text, 0, NULL)) == NULL)) {
        end =
            wk_outcome(out, WK_REJECT, "limits", "The ladder has too many segments for one file.");
    }
    wk_pg_result_free(res);
    return end;
}

enum wk_end ladder_file_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                            wk_outcome_t *out)
{
    input_t in = {.parts = NULL};
    wk_job_t joined = *job;
    json_t *ladder = NULL;
    json_t *range = NULL;
    enum wk_end end = load(ctx, job, &ladder, out);

    if (end != WK_DONE) {
        goto done;
    }
    range = range_of(&in, ladder);
    if (range == NULL || in.nparts == 0) {
        end =
            wk_outcome(out, WK_REJECT, "limits", "The ladder has too many segments for one file.");
        goto done;
    }
    joined.range = range;
    joined.size = in.size;
    end = wk_child_run_parts(ctx, &joined, in.parts, in.nparts, 0, limits, out);
done:
    json_decref(range);
    json_decref(ladder);
    free(in.parts);
    return end;
}
