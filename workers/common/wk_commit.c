/* The end of a job, and the outbox: what a commit announces is published at once; what cannot be
 * published is left to the janitor. */
#include "wk_runner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/buf.h"
#include "wk_log.h"

#define OUTBOX_IDS_MAX (1u << 20)

enum wk_end wk_outcome(wk_outcome_t *out, enum wk_end end, const char *code, const char *fmt, ...)
{
    va_list ap;

    (void)wk_fmt(out->code, sizeof(out->code), "%s", code);
    va_start(ap, fmt);
    (void)vsnprintf(out->detail, sizeof(out->detail), fmt, ap);
    va_end(ap);
    return end;
}

static int publish_row(wk_ctx_t *ctx, const json_t *row, media_buf_t *sent)
{
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *queue = json_string_value(json_object_get(row, "queue"));
    const char *message = json_string_value(json_object_get(row, "message"));
    media_err_t ei = {""};
    int rc = MEDIA_E_REJECT;

    if (id != NULL && queue != NULL && message != NULL) {
        rc = wk_amqp_publish(ctx->amqp, queue, media_str(message), &ei);
    }
    if (rc == 0) {
        rc = media_buf_fmt(sent, "%s%s", sent->len > 1 ? "," : "", id);
        wk_health_count(ctx->health, WK_C_OUTBOX_PUBLISHED, 1);
        wk_health_count(ctx->health, WK_C_JOBS_DEAD,
                        strcmp(queue, media_queue_name(MEDIA_QUEUE_DEAD)) == 0);
    } else {
        wk_log(MEDIA_LOG_WARN, "message not published, left to the janitor", "outbox",
               id != NULL ? id : "", "cause", ei.text, NULL);
    }
    return rc;
}

void wk_outbox_publish(wk_ctx_t *ctx, const char *outbox)
{
    json_t *rows = outbox != NULL ? json_loads(outbox, 0, NULL) : NULL;
    media_buf_t sent;
    const char *params[1];
    size_t i;
    json_t *row;

    if (ctx->amqp == NULL || !json_is_array(rows) || json_array_size(rows) == 0) {
        json_decref(rows);
        return;
    }
    media_buf_init(&sent, OUTBOX_IDS_MAX);
    (void)media_buf_cstr(&sent, "{");
    json_array_foreach(rows, i, row)
    {
        if (publish_row(ctx, row, &sent) == MEDIA_E_RETRY) {
            break; /* no broker: the others would only wait as long */
        }
    }
    wk_health_dep(ctx->health, WK_DEP_RABBITMQ, wk_amqp_ready(ctx->amqp));
    if (sent.len > 1 && media_buf_cstr(&sent, "}") == 0) {
        params[0] = sent.p;
        /* unmarked is published again: consumers take a message as a hint only */
        (void)wk_pg_query(ctx->pg, MEDIA_STMT_OUTBOX_SENT, params, NULL, NULL);
    }
    media_buf_free(&sent);
    json_decref(rows);
}

static int commit_query(wk_runner_t *r, const wk_job_t *job, enum wk_end end,
                        const wk_outcome_t *out, wk_pg_result_t **res, media_err_t *ei)
{
    char fence[24];
    const char *params[5] = {job->id, wk_fmt(fence, sizeof(fence), "%lld", (long long)job->fence)};
    char *result = NULL;
    int rc;

    switch (end) {
    case WK_DONE:
        result = out->result != NULL
                     ? json_dumps(out->result, JSON_COMPACT | JSON_REAL_PRECISION(12))
                     : strdup("{}");
        params[2] = result;
        rc = result == NULL ? MEDIA_E_NOMEM
                            : wk_lease_query(r, wk_stmt(r, MEDIA_STMT_JOB_FINISH), params, res, ei);
        free(result);
        return rc;
    case WK_RETRY:
    case WK_REJECT:
        params[2] = end == WK_RETRY ? "t" : "f";
        params[3] = out->code;
        params[4] = out->detail;
        return wk_lease_query(r, wk_stmt(r, MEDIA_STMT_JOB_FAIL), params, res, ei);
    case WK_RELEASE:
        return wk_lease_query(r, wk_stmt(r, MEDIA_STMT_JOB_RELEASE), params, res, ei);
    case WK_LOST:
        break;
    }
    return MEDIA_E_GONE;
}

static void commit_count(wk_runner_t *r, enum wk_end end, const char *word)
{
    if (strcmp(word, "ok") == 0 && end == WK_DONE) {
        wk_health_count(r->ctx.health, WK_C_JOBS_SUCCEEDED, 1);
    } else if (strcmp(word, "retried") == 0 || strcmp(word, "failed") == 0) {
        wk_health_count(r->ctx.health, WK_C_JOBS_FAILED, 1);
    } else if (end == WK_RELEASE) {
        wk_health_count(r->ctx.health, WK_C_JOBS_RELEASED, 1);
    } else {
        wk_health_count(r->ctx.health, WK_C_JOBS_LOST, 1);
    }
}

const char *wk_job_commit(wk_runner_t *r, const wk_job_t *job, enum wk_end end,
                          const wk_outcome_t *out)
{
    static const char *const words[] = {"ok", "retried", "failed", "lost", "canceled", NULL};
    wk_pg_result_t *res = NULL;
    media_err_t ei = {""};
    const char *word = end == WK_LOST ? "lost" : "unknown";
    const char *said;
    int rc;

    rc = end == WK_LOST ? MEDIA_E_GONE : commit_query(r, job, end, out, &res, &ei);
    if (rc == MEDIA_E_REJECT && end == WK_DONE) {
        /* the database does not take this result: a failed attempt, not a lease that runs out */
        wk_outcome_t refused = {.code = "internal", .detail = "The result could not be recorded."};
        wk_log(MEDIA_LOG_ERROR, "result refused", "job", job->id, "cause", ei.text, NULL);
        end = WK_RETRY;
        rc = commit_query(r, job, end, &refused, &res, &ei);
    }
    if (rc == 0) {
        said = wk_pg_value(res, 0, 0);
        for (size_t i = 0; said != NULL && words[i] != NULL; i++) {
            word = strcmp(said, words[i]) == 0 ? words[i] : word;
        }
        wk_outbox_publish(&r->ctx, wk_pg_value(res, 0, 1));
    } else if (end != WK_LOST) {
        wk_log(MEDIA_LOG_ERROR, "job not committed, its lease will run out", "job", job->id,
               "cause", ei.text, NULL);
    }
    commit_count(r, end, word);
    wk_pg_result_free(res);
    return word;
}
