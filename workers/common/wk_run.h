/* The job loop every worker runs (docs/ARCHITECTURE.md, "Job engine"): claim under a lease and a
 * fence, run, commit, announce what follows; drain on SIGTERM. */
#ifndef WK_RUN_H
#define WK_RUN_H

#include <jansson.h>
#include "media/objkey.h"
#include "wk_amqp.h"
#include "wk_conf.h"
#include "wk_health.h"
#include "wk_pg.h"
#include "wk_s3.h"

typedef struct {
    char id[MEDIA_UUID_LEN + 1];
    char media_id[MEDIA_UUID_LEN + 1];
    char step[64];
    int attempt, max_attempts;
    int64_t fence;
    json_t *params;                    /* owned by the runtime */
    json_t *range;                     /* may be NULL */
    char object_key[MEDIA_OBJKEY_MAX]; /* the input; empty when the step has none */
    int64_t size;
    char *name; /* the client's file name, cleaned */
    char content_type[128];
    char owner_id[MEDIA_UUID_LEN + 1];
    char request_id[65];
    char traceparent[56];
    int64_t created_s;
    char prefix[MEDIA_OBJKEY_PREFIX_MAX + 1]; /* of its media's keys */
} wk_job_t;

typedef struct {
    const wk_conf_t *conf;
    wk_pg_t *pg;
    wk_amqp_t *amqp;
    wk_s3_t *s3;
    wk_health_t *health;
    int stop_fd; /* readable once SIGTERM or SIGINT came */
} wk_ctx_t;

/* How a job's run ended. */
enum wk_end {
    WK_DONE,   /* *result is filled */
    WK_RETRY,  /* our side failed: code, detail */
    WK_REJECT, /* the input is wrong: code, detail */
    WK_LOST,   /* lease lost or job canceled: write nothing more */
    WK_RELEASE /* draining: give it back */
};

typedef struct {
    json_t *result; /* for JOB_FINISH; owned by the runtime once returned */
    char code[48];  /* snake_case: "no_audio", "unreadable_media" */
    char detail[300];
    int64_t read_bytes; /* from S3, for the log */
} wk_outcome_t;

typedef struct {
    const char *name; /* "media-transcoder" */
    enum media_queue queue;
    const char *steps; /* "{audio}": what JOB_CLAIM may hand out */
    enum wk_end (*run)(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out);
} wk_engine_t;

/* Runs until SIGTERM/SIGINT; returns the exit code (0 drained). [thread] */
int wk_run(const wk_engine_t *engine, const wk_conf_t *conf);

/* For engines, while a job runs: renews the lease (when due), serves broker heart-beats, publishes
 * progress 0..1 (negative: unknown). Call at least every second. 0: go on; MEDIA_E_GONE: lease lost
 * or canceled, return WK_LOST; MEDIA_E_AGAIN: the drain time is over, return WK_RELEASE. A database
 * that is away for less than the lease is no failure. */
int wk_job_beat(wk_ctx_t *ctx, const wk_job_t *job, double progress, double eta_s);

/* Registers an output key, uploads fd under it and appends the output's JSON object (with etag,
 * sha256, size, object_key added to `meta`, which is taken over) to outputs. Beats meanwhile. 0;
 * MEDIA_E_GONE lease lost; MEDIA_E_AGAIN drain time over; MEDIA_E_RETRY. */
int wk_job_output(wk_ctx_t *ctx, const wk_job_t *job, int fd, int64_t size, json_t *meta,
                  json_t *outputs, media_err_t *ei);

/* Fills in why a run ended; returns `end`. */
enum wk_end wk_outcome(wk_outcome_t *out, enum wk_end end, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* What the database has for the running job: asks a statement of (job, fence) whose columns are a
 * code and a text; waits for a database that is away while the lease holds. WK_DONE: *text may be
 * NULL and lives as long as *res, which the caller frees. */
enum wk_end wk_job_ask(wk_ctx_t *ctx, const wk_job_t *job, enum media_stmt stmt,
                       wk_pg_result_t **res, const char **text, wk_outcome_t *out);

/* Publishes an "outbox" JSON array (stmt.h) and marks what was confirmed; failures are left to the
 * janitor. */
void wk_outbox_publish(wk_ctx_t *ctx, const char *outbox);

#endif
