/* A job on a decoder child: its input comes from S3, its outputs go there, its heart-beats to the
 * database. The child itself is run by wk_host.c. */
#include "wk_child.h"

#include <string.h>
#include <unistd.h>

#include "wk_host.h"
#include "wk_log.h"

#define READ_PATIENCE_MS 30000 /* an object store that restarts is waited for */

typedef struct {
    wk_ctx_t *ctx;
    const wk_job_t *job;
    json_t *outputs, *segments, *keep;
    const wk_part_t *parts; /* the input */
    size_t nparts;
    int64_t kept; /* bytes of the last part, if an earlier step has kept it for this one */
    int64_t read_bytes;
    wk_s3_t *s3; /* of the block cache's thread */
    const wk_asked_t *asked;
} child_job_t;

static int stopped(void *data)
{
    return atomic_load((atomic_int *)data) ? MEDIA_E_GONE : 0;
}

static int read_object(child_job_t *c, atomic_int *stop, const char *key, int64_t off, size_t len,
                       void *dst, media_err_t *ei)
{
    int64_t until_ms = wk_mono_ms() + READ_PATIENCE_MS;
    ssize_t n;

    wk_s3_on_tick(c->s3, stopped, stop);
    do {
        n = wk_s3_get_range(c->s3, key, off, len, dst, ei);
    } while (n == MEDIA_E_RETRY && !atomic_load(stop) && wk_mono_ms() < until_ms);
    wk_health_count(c->ctx->health, WK_C_BYTES_READ, n > 0 ? n : 0);
    c->read_bytes += n > 0 ? n : 0;
    if (n >= 0 && (size_t)n != len) {
        return media_err_set(ei, MEDIA_E_RETRY, "the object is shorter than its row says");
    }
    return n < 0 ? (int)n : 0;
}

/* The part that holds the byte. */
static const wk_part_t *part_at(const child_job_t *c, int64_t off)
{
    size_t lo = 0;
    size_t hi = c->nparts;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;

        if (c->parts[mid].at <= off) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return &c->parts[lo];
}

/* In the cache's thread. */
static int read_input(void *data, atomic_int *stop, int64_t off, size_t len, void *dst,
                      media_err_t *ei)
{
    child_job_t *c = data;
    size_t done = 0;

    while (done < len) {
        int64_t at = off + (int64_t)done;
        const wk_part_t *part = part_at(c, at);
        int64_t left = part->at + part->size - at;
        size_t n = left < (int64_t)(len - done) ? (size_t)left : len - done;
        int rc = read_object(c, stop, part->key, at - part->at, n, (char *)dst + done, ei);

        if (rc != 0) {
            return rc;
        }
        done += n;
    }
    return 0;
}

static int on_beat(void *data, double progress, double eta_s)
{
    child_job_t *c = data;

    return wk_job_beat(c->ctx, c->job, progress, eta_s);
}

static int on_output(void *data, int fd, int64_t size, json_t *meta, media_err_t *ei)
{
    child_job_t *c = data;
    json_t *list = json_object_get(meta, "track") != NULL  ? c->segments
                   : json_object_get(meta, "keep") != NULL ? c->keep
                                                           : c->outputs;

    return wk_job_output(c->ctx, c->job, fd, size, meta, list, ei);
}

/* Without a hint it is the whole input that will be read. */
static void find_bytes(const wk_job_t *job, wk_source_t *source)
{
    const json_t *bytes = json_object_get(job->range, WK_BYTES);
    int64_t from = json_integer_value(json_array_get(bytes, 0));
    int64_t to = json_integer_value(json_array_get(bytes, 1));
    int is_part = from >= 0 && from < to && to <= job->size;

    source->from = is_part ? from : 0;
    source->to = is_part ? to : job->size;
}

/* Every job of a fan-out may read what this one has kept. */
static int hand_on(const json_t *keep, const json_t *fan_out)
{
    const json_t *o = json_array_get(keep, 0);
    size_t i;
    json_t *job;
    int rc = 0;

    json_array_foreach(fan_out, i, job)
    {
        rc |= o == NULL ? 0
                        : json_object_set_new(json_object_get(job, "range"), WK_KEPT,
                                              json_pack("{s:O,s:O}", "object_key",
                                                        json_object_get(o, "object_key"), "size",
                                                        json_object_get(o, "size")));
    }
    return rc;
}

/* The child's result with what was uploaded for it. */
static int complete(child_job_t *c, json_t *result)
{
    return hand_on(c->keep, json_object_get(result, "fan_out")) != 0 ||
                   json_object_set(result, "outputs", c->outputs) != 0 ||
                   json_object_set(result, "segments", c->segments) != 0 ||
                   json_object_set(result, "keep", c->keep) != 0
               ? -1
               : 0;
}

static json_t *start_document(const child_job_t *c, json_t *policy)
{
    const wk_job_t *job = c->job;
    json_t *doc = json_pack("{s:s,s:I,s:I,s:s?}", "step", job->step, "size", (json_int_t)job->size,
                            "kept", (json_int_t)c->kept, "name", job->name);

    if (doc != NULL && (json_object_set(doc, "params", job->params) != 0 ||
                        (policy != NULL && json_object_set(doc, "limits", policy) != 0) ||
                        (job->range != NULL && json_object_set(doc, "range", job->range) != 0))) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static enum wk_end run_on(child_job_t *c, const wk_child_limits_t *limits, wk_outcome_t *out)
{
    wk_ctx_t *ctx = c->ctx;
    const wk_part_t *last = c->nparts > 0 ? &c->parts[c->nparts - 1] : NULL;
    wk_source_t source = {.read = read_input, .data = c};
    enum wk_end end = WK_RETRY;
    wk_host_t host = {.exe = limits->exe != NULL ? limits->exe : "/proc/self/exe",
                      .tmpdir = ctx->conf->tmpdir,
                      .uid = geteuid() == 0 ? ctx->conf->child_uid : -1,
                      .limits = limits,
                      .source = &source,
                      .beat = on_beat,
                      .output = on_output,
                      .data = c,
                      .asked = c->asked};
    json_t *start = start_document(c, limits->policy);

    host.start = start;
    source.size = last != NULL ? last->at + last->size : 0;
    find_bytes(c->job, &source);
    c->outputs = json_array();
    c->segments = json_array();
    c->keep = json_array();
    c->s3 = ctx->s3 != NULL ? wk_s3_like(ctx->s3) : wk_s3_new(ctx->conf);
    if (start == NULL || c->outputs == NULL || c->segments == NULL || c->keep == NULL ||
        c->s3 == NULL) {
        end = wk_outcome(out, WK_RETRY, "worker_memory", "The worker is out of memory.");
        goto done;
    }
    end = wk_host_run(&host, out);
    out->read_bytes = c->read_bytes;
    if (end == WK_DONE || strcmp(out->code, "storage_unavailable") == 0) {
        wk_health_dep(ctx->health, WK_DEP_S3, end == WK_DONE);
    }
    if (end == WK_DONE && complete(c, out->result) != 0) {
        end = WK_RETRY;
    }
done:
    json_decref(start);
    json_decref(c->outputs);
    json_decref(c->segments);
    json_decref(c->keep);
    wk_s3_free(c->s3);
    return end;
}

enum wk_end wk_child_run_asked(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                               const wk_asked_t *asked, wk_outcome_t *out)
{
    /* what the range names, written there by the parent of an earlier child */
    const json_t *kept = json_object_get(job->range, WK_KEPT);
    wk_part_t parts[2] = {
        {job->object_key, job->size, 0},
        {json_string_value(json_object_get(kept, "object_key")),
         json_integer_value(json_object_get(kept, "size")), job->size},
    };
    child_job_t c = {.ctx = ctx, .job = job, .parts = parts, .asked = asked};

    if (job->object_key[0] != '\0') {
        c.kept = parts[1].key != NULL && parts[1].size > 0 ? parts[1].size : 0;
        c.nparts = c.kept > 0 ? 2 : 1;
    }
    return run_on(&c, limits, out);
}

enum wk_end wk_child_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                         wk_outcome_t *out)
{
    return wk_child_run_asked(ctx, job, limits, NULL, out);
}

enum wk_end wk_child_run_parts(wk_ctx_t *ctx, const wk_job_t *job, const wk_part_t *parts,
                               size_t nparts, int64_t kept, const wk_child_limits_t *limits,
                               wk_outcome_t *out)
{
    child_job_t c = {.ctx = ctx, .job = job, .parts = parts, .nparts = nparts, .kept = kept};

    return run_on(&c, limits, out);
}
