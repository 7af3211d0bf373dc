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
    json_t *outputs;
    wk_s3_t *s3; /* of the block cache's thread */
} child_job_t;

static int stopped(void *data)
{
    return atomic_load((atomic_int *)data) ? MEDIA_E_GONE : 0;
}

/* In the cache's thread. */
static int read_input(void *data, atomic_int *stop, int64_t off, size_t len, void *dst,
                      media_err_t *ei)
{
    child_job_t *c = data;
    int64_t until_ms = wk_mono_ms() + READ_PATIENCE_MS;
    ssize_t n;

    wk_s3_on_tick(c->s3, stopped, stop);
    do {
        n = wk_s3_get_range(c->s3, c->job->object_key, off, len, dst, ei);
    } while (n == MEDIA_E_RETRY && !atomic_load(stop) && wk_mono_ms() < until_ms);
    wk_health_count(c->ctx->health, WK_C_BYTES_READ, n > 0 ? n : 0);
    if (n >= 0 && (size_t)n != len) {
        return media_err_set(ei, MEDIA_E_RETRY, "the object is shorter than its row says");
    }
    return n < 0 ? (int)n : 0;
}

static int on_beat(void *data, double progress, double eta_s)
{
    child_job_t *c = data;

    return wk_job_beat(c->ctx, c->job, progress, eta_s);
}

static int on_output(void *data, int fd, int64_t size, json_t *meta, media_err_t *ei)
{
    child_job_t *c = data;

    return wk_job_output(c->ctx, c->job, fd, size, meta, c->outputs, ei);
}

static json_t *start_document(const wk_job_t *job)
{
    json_t *doc = json_pack("{s:I,s:s?}", "size", (json_int_t)job->size, "name", job->name);

    if (doc != NULL && json_object_set(doc, "params", job->params) != 0) {
        json_decref(doc);
        return NULL;
    }
    if (doc != NULL && job->range != NULL && json_object_set(doc, "range", job->range) != 0) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

enum wk_end wk_child_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                         wk_outcome_t *out)
{
    child_job_t c = {.ctx = ctx, .job = job};
    wk_source_t source = {.read = read_input, .data = &c};
    json_t *start = start_document(job);
    enum wk_end end = WK_RETRY;
    wk_host_t host = {.exe = "/proc/self/exe",
                      .tmpdir = ctx->conf->tmpdir,
                      .uid = geteuid() == 0 ? ctx->conf->child_uid : -1,
                      .limits = limits,
                      .source = &source,
                      .start = start,
                      .beat = on_beat,
                      .output = on_output,
                      .data = &c};

    source.size = job->object_key[0] != '\0' ? job->size : 0;
    c.outputs = json_array();
    c.s3 = ctx->s3 != NULL ? wk_s3_like(ctx->s3) : wk_s3_new(ctx->conf);
    if (start == NULL || c.outputs == NULL || c.s3 == NULL) {
        (void)wk_fmt(out->code, sizeof(out->code), "worker_memory");
        (void)wk_fmt(out->detail, sizeof(out->detail), "The worker is out of memory.");
        goto done;
    }
    end = wk_host_run(&host, out);
    if (end == WK_DONE || strcmp(out->code, "storage_unavailable") == 0) {
        wk_health_dep(ctx->health, WK_DEP_S3, end == WK_DONE);
    }
    if (end == WK_DONE && json_object_set(out->result, "outputs", c.outputs) != 0) {
        end = WK_RETRY;
    }
done:
    json_decref(start);
    json_decref(c.outputs);
    wk_s3_free(c.s3);
    return end;
}
