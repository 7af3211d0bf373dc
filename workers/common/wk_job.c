/* One job while it is ours: claim, lease, outputs, commit.
 *
 * The lease is what the database granted for sure, counted from before the request was sent. While
 * it holds, a database that is away is no failure; once it is over, somebody else may own the job
 * and nothing more is written. The fence in every statement protects against our own mistakes about
 * time. */
#include "wk_runner.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "media/json.h"
#include "media/objkey.h"
#include "wk_alive.h"
#include "wk_log.h"

#define BEAT_MOVING_MS 2000 /* progress has changed */
#define BEAT_STILL_MS 5000
#define PROGRESS_STEP 0.005
#define AMQP_TICK_MS 1000
#define QUERY_PAUSE_MS 250
#define UPLOAD_PATIENCE_MS 30000 /* an object store that restarts is waited for */

enum media_stmt wk_stmt(const wk_runner_t *r, enum media_stmt stmt)
{
    if (r->engine->queue != MEDIA_QUEUE_NOTIFY) {
        return stmt;
    }
    switch (stmt) {
    case MEDIA_STMT_JOB_CLAIM:
        return MEDIA_STMT_NOTIFY_CLAIM;
    case MEDIA_STMT_JOB_HEARTBEAT:
        return MEDIA_STMT_NOTIFY_HEARTBEAT;
    case MEDIA_STMT_JOB_FINISH:
        return MEDIA_STMT_NOTIFY_FINISH;
    case MEDIA_STMT_JOB_FAIL:
        return MEDIA_STMT_NOTIFY_FAIL;
    case MEDIA_STMT_JOB_RELEASE:
        return MEDIA_STMT_NOTIFY_RELEASE;
    default:
        return stmt;
    }
}

/* ---- lease ---- */

void wk_lease_start(wk_runner_t *r, int64_t claimed_ms)
{
    r->lease_until_ms = claimed_ms + (int64_t)r->ctx.conf->lease_s * 1000;
    r->next_beat_ms = claimed_ms + BEAT_MOVING_MS;
    r->progress = r->progress_sent = -1;
    r->ended = 0;
}

int wk_stopping(wk_runner_t *r)
{
    struct pollfd p = {.fd = r->ctx.stop_fd, .events = POLLIN};

    if (r->stopped_ms == 0 && poll(&p, 1, 0) > 0) {
        r->stopped_ms = wk_mono_ms();
    }
    return r->stopped_ms != 0;
}

/* NULL for a number that is unknown. */
static const char *number(char *dst, size_t cap, double d)
{
    return d >= 0 ? wk_fmt(dst, cap, "%.4f", d) : NULL;
}

static void beat_database(wk_runner_t *r, const wk_job_t *job, double eta_s, int64_t now_ms)
{
    char fence[24], lease[16], progress[32], eta[32];
    const char *params[] = {job->id, wk_fmt(fence, sizeof(fence), "%lld", (long long)job->fence),
                            wk_fmt(lease, sizeof(lease), "%d", r->ctx.conf->lease_s),
                            number(progress, sizeof(progress), r->progress),
                            number(eta, sizeof(eta), eta_s)};
    wk_pg_result_t *res = NULL;
    media_err_t ei = {""};
    const char *code;

    if (wk_pg_query(r->ctx.pg, wk_stmt(r, MEDIA_STMT_JOB_HEARTBEAT), params, &res, &ei) == 0) {
        code = wk_pg_value(res, 0, 0);
        if (code != NULL && strcmp(code, "ok") == 0) {
            r->lease_until_ms = now_ms + (int64_t)r->ctx.conf->lease_s * 1000;
            r->progress_sent = r->progress;
            wk_health_pg(r->ctx.health, r->ctx.pg, 1);
        } else {
            r->ended = MEDIA_E_GONE;
        }
    } else {
        wk_health_pg(r->ctx.health, r->ctx.pg, 0);
        if (wk_mono_ms() >= r->lease_until_ms) {
            wk_log(MEDIA_LOG_WARN, "lease ran out, job given up", "job", job->id, "cause", ei.text,
                   NULL);
            r->ended = MEDIA_E_GONE;
        }
    }
    wk_pg_result_free(res);
}

static int64_t beat_pause_ms(const wk_runner_t *r)
{
    double change = r->progress - r->progress_sent;
    int64_t third_ms = (int64_t)r->ctx.conf->lease_s * 1000 / 3;
    int64_t pause_ms =
        change > PROGRESS_STEP || change < -PROGRESS_STEP ? BEAT_MOVING_MS : BEAT_STILL_MS;

    return pause_ms < third_ms ? pause_ms : third_ms;
}

int wk_job_beat(wk_ctx_t *ctx, const wk_job_t *job, double progress, double eta_s)
{
    wk_runner_t *r = wk_runner(ctx);
    int64_t now_ms = wk_mono_ms();

    wk_alive();
    if (r->ended != 0) {
        return r->ended;
    }
    r->progress = progress;
    if (now_ms - r->ticked_ms >= AMQP_TICK_MS && ctx->amqp != NULL) {
        wk_amqp_tick(ctx->amqp);
        r->ticked_ms = now_ms;
    }
    if (wk_stopping(r) && now_ms - r->stopped_ms >= (int64_t)ctx->conf->drain_s * 1000) {
        r->ended = MEDIA_E_AGAIN;
        return r->ended;
    }
    if (now_ms >= r->next_beat_ms) {
        beat_database(r, job, eta_s, now_ms);
        r->next_beat_ms = now_ms + beat_pause_ms(r);
    }
    return r->ended;
}

int wk_lease_query(wk_runner_t *r, enum media_stmt stmt, const char *const *params,
                   wk_pg_result_t **out, media_err_t *ei)
{
    int rc;

    for (;;) {
        rc = wk_pg_query(r->ctx.pg, stmt, params, out, ei);
        wk_health_pg(r->ctx.health, r->ctx.pg, rc != MEDIA_E_RETRY);
        if (rc != MEDIA_E_RETRY || wk_mono_ms() >= r->lease_until_ms) {
            return rc;
        }
        if (r->ctx.amqp != NULL) {
            wk_amqp_tick(r->ctx.amqp);
        }
        /* nothing tells when a database is back */
        (void)poll(NULL, 0, QUERY_PAUSE_MS);
    }
}

enum wk_end wk_job_ask(wk_ctx_t *ctx, const wk_job_t *job, enum media_stmt stmt,
                       wk_pg_result_t **res, const char **text, wk_outcome_t *out)
{
    char fence[24];
    const char *params[] = {job->id, wk_fmt(fence, sizeof(fence), "%lld", (long long)job->fence)};
    media_err_t ei = {""};
    const char *code;

    if (wk_lease_query(wk_runner(ctx), stmt, params, res, &ei) != 0) {
        return wk_outcome(out, WK_RETRY, "internal", "The database could not be asked.");
    }
    code = wk_pg_value(*res, 0, 0);
    *text = wk_pg_value(*res, 0, 1);
    return code != NULL && strcmp(code, "ok") == 0 ? WK_DONE : WK_LOST;
}

/* ---- claim ---- */

static void take(char *dst, size_t cap, const char *value)
{
    (void)wk_fmt(dst, cap, "%s", value != NULL ? value : "");
}

static int64_t take_i64(const char *value)
{
    int64_t n = 0;

    return value != NULL && media_str_to_i64(media_str(value), &n) == 0 ? n : 0;
}

void wk_job_clear(wk_job_t *job)
{
    json_decref(job->params);
    json_decref(job->range);
    free(job->name);
    memset(job, 0, sizeof(*job));
}

/* Columns as in JOB_CLAIM. */
static int job_fill(wk_job_t *job, const wk_pg_result_t *res)
{
    const char *v[17];

    for (int i = 0; i < 17; i++) {
        v[i] = wk_pg_value(res, 0, i);
    }
    take(job->id, sizeof(job->id), v[0]);
    take(job->media_id, sizeof(job->media_id), v[1]);
    take(job->step, sizeof(job->step), v[2]);
    job->attempt = (int)take_i64(v[3]);
    job->max_attempts = (int)take_i64(v[4]);
    job->fence = take_i64(v[5]);
    take(job->object_key, sizeof(job->object_key), v[8]);
    job->size = take_i64(v[9]);
    job->name = strdup(v[10] != NULL ? v[10] : "");
    take(job->content_type, sizeof(job->content_type), v[11]);
    take(job->owner_id, sizeof(job->owner_id), v[12]);
    take(job->request_id, sizeof(job->request_id), v[13]);
    take(job->traceparent, sizeof(job->traceparent), v[14]);
    job->created_s = take_i64(v[15]);
    take(job->prefix, sizeof(job->prefix), v[16]);
    if (v[6] != NULL) {
        (void)media_json_parse(media_str(v[6]), &job->params, NULL);
    } else {
        job->params = json_object();
    }
    if (v[7] != NULL) {
        job->range = json_loads(v[7], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    }
    return job->name != NULL && job->params != NULL ? 0 : MEDIA_E_NOMEM;
}

int wk_job_claim(wk_runner_t *r, wk_job_t *job)
{
    char lease[16];
    const wk_conf_t *conf = r->ctx.conf;
    const char *params[] = {media_queue_name(r->engine->queue), conf->worker_name,
                            wk_fmt(lease, sizeof(lease), "%d", conf->lease_s), r->engine->steps};
    enum media_stmt stmt = wk_stmt(r, MEDIA_STMT_JOB_CLAIM);
    int64_t now_ms = wk_mono_ms();
    wk_pg_result_t *res = NULL;
    media_err_t ei = {""};
    int rc;

    memset(job, 0, sizeof(*job));
    rc = wk_pg_query(r->ctx.pg, stmt, stmt == MEDIA_STMT_NOTIFY_CLAIM ? params + 1 : params, &res,
                     &ei);
    wk_health_pg(r->ctx.health, r->ctx.pg, rc == 0);
    if (rc == MEDIA_E_REJECT) {
        /* a missing right: an operator's matter, not a reason to die */
        wk_log(MEDIA_LOG_ERROR, "claim refused", "cause", ei.text, NULL);
    }
    if (rc != 0) {
        return MEDIA_E_RETRY;
    }
    rc = MEDIA_E_AGAIN;
    if (wk_pg_rows(res) > 0) {
        rc = job_fill(job, res);
        if (rc != 0) {
            /* the lease runs out by itself */
            wk_log(MEDIA_LOG_ERROR, "claimed row not usable", "job", job->id, NULL);
            wk_job_clear(job);
            rc = MEDIA_E_RETRY;
        } else {
            wk_lease_start(r, now_ms);
        }
    }
    wk_pg_result_free(res);
    return rc;
}

/* ---- outputs ---- */

typedef struct {
    wk_runner_t *r;
    const wk_job_t *job;
} upload_t;

static int upload_tick(void *data)
{
    upload_t *u = data;

    return wk_job_beat(&u->r->ctx, u->job, u->r->progress, -1);
}

/* 0; MEDIA_E_GONE when the database says anything but ok. */
static int told_ok(wk_runner_t *r, enum media_stmt stmt, const char *const *params, media_err_t *ei)
{
    wk_pg_result_t *res = NULL;
    const char *code;
    int rc = wk_lease_query(r, stmt, params, &res, ei);

    if (rc == 0) {
        code = wk_pg_value(res, 0, 0);
        rc = code != NULL && strcmp(code, "ok") == 0 ? 0 : MEDIA_E_GONE;
    } else if (rc != MEDIA_E_REJECT) {
        rc = MEDIA_E_GONE; /* away for longer than the lease */
    } else {
        rc = MEDIA_E_RETRY;
    }
    wk_pg_result_free(res);
    return rc;
}

static int on_upload_id(void *data, const char *key, const char *upload_id)
{
    upload_t *u = data;
    const char *params[] = {key, upload_id};

    return told_ok(u->r, MEDIA_STMT_JOB_OBJECT_S3ID, params, NULL);
}

static int file_sha256(int fd, int64_t size, char hex[65])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char digest[32];
    char buf[65536];
    int64_t off = 0;
    int rc = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 ? 0 : MEDIA_E_NOMEM;

    while (rc == 0 && off < size) {
        ssize_t n = pread(fd, buf, sizeof(buf), off);

        wk_alive();
        if (n <= 0 || EVP_DigestUpdate(md, buf, (size_t)n) != 1) {
            rc = MEDIA_E_RETRY;
        }
        off += n;
    }
    if (rc == 0 && EVP_DigestFinal_ex(md, digest, NULL) == 1) {
        (void)media_hex_encode(digest, sizeof(digest), hex, 65);
    }
    EVP_MD_CTX_free(md);
    return rc;
}

static int upload(wk_runner_t *r, const wk_job_t *job, const char *key, int fd, int64_t size,
                  json_t *meta, media_err_t *ei)
{
    upload_t u = {r, job};
    const char *type = json_string_value(json_object_get(meta, "content_type"));
    int64_t until_ms = wk_mono_ms() + UPLOAD_PATIENCE_MS;
    char sha256[65], etag[128];
    int rc;

    if (file_sha256(fd, size, sha256) != 0) {
        return media_err_set(ei, MEDIA_E_RETRY, "the temporary file cannot be read");
    }
    wk_s3_on_tick(r->ctx.s3, upload_tick, &u);
    do {
        rc = wk_s3_put_fd(r->ctx.s3, key, type != NULL ? type : "application/octet-stream", fd,
                          size, on_upload_id, &u, etag, sizeof(etag), ei);
    } while (rc == MEDIA_E_RETRY && r->ended == 0 && wk_mono_ms() < until_ms);
    wk_s3_on_tick(r->ctx.s3, NULL, NULL);
    if (r->ended != 0) {
        return r->ended;
    }
    wk_health_dep(r->ctx.health, WK_DEP_S3, rc == 0);
    if (rc != 0) {
        return MEDIA_E_RETRY; /* whatever the store refused is our side's matter, not the file's */
    }
    wk_health_count(r->ctx.health, WK_C_BYTES_WRITTEN, size);
    if (json_object_set_new(meta, "etag", json_string(etag)) != 0 ||
        json_object_set_new(meta, "sha256", json_string(sha256)) != 0 ||
        json_object_set_new(meta, "size", json_integer(size)) != 0 ||
        json_object_set_new(meta, "object_key", json_string(key)) != 0) {
        return media_err_set(ei, MEDIA_E_RETRY, "out of memory");
    }
    return 0;
}

int wk_job_output(wk_ctx_t *ctx, const wk_job_t *job, int fd, int64_t size, json_t *meta,
                  json_t *outputs, media_err_t *ei)
{
    wk_runner_t *r = wk_runner(ctx);
    const char *name = json_string_value(json_object_get(meta, "name"));
    const char *own = ctx->conf->s3[MEDIA_STORE_OUTPUT].prefix;
    char key[MEDIA_OBJKEY_MAX], prefix[2 * MEDIA_OBJKEY_PREFIX_MAX + 1], fence[24];
    const char *params[] = {job->id, wk_fmt(fence, sizeof(fence), "%lld", (long long)job->fence),
                            key};
    int rc = MEDIA_E_RETRY;

    (void)wk_fmt(prefix, sizeof(prefix), "%s%s", own != NULL ? own : "", job->prefix);
    if (media_objkey_output(media_str(prefix), media_str(job->media_id), media_str(job->id),
                            job->fence, media_str(name), key, sizeof(key)) < 0) {
        (void)media_err_set(ei, rc, "no valid key for this output");
        goto done;
    }
    rc = told_ok(r, MEDIA_STMT_JOB_OBJECT, params, ei);
    if (rc == 0) {
        rc = upload(r, job, key, fd, size, meta, ei);
    }
    if (rc == 0 && json_array_append(outputs, meta) != 0) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "out of memory");
    }
done:
    json_decref(meta);
    return rc;
}
