/* The loop of a worker: as many as it may have jobs at once, each in a thread with connections of
 * its own. They share the stop signal and the health port.
 *
 *   state   does                                       next
 *   claim   asks the database for the best due job     job: run; none: wait; no database: rest
 *   run     the engine, then the commit                claim
 *   wait    one message of the queue, or poll_s         claim (the message is acknowledged after
 * it) rest    a growing pause                            claim
 *
 * SIGTERM or SIGINT makes stop_fd readable: wait and rest end at once, a running job may go on for
 * drain_s and is then given back. Neither a missing database, broker nor object store ends the
 * loop. */
#include "wk_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "wk_alive.h"
#include "wk_init.h"
#include "wk_log.h"
#include "wk_runner.h"

#define REST_MIN_MS 250
#define REST_MAX_MS 5000
#define LOOK_MS 10000   /* while it waits, the schema is looked at */
#define SEEN_GRACE_S 20 /* a worker that is this late to say that it is there is not */

typedef struct {
    wk_runner_t r;
    wk_conf_t conf; /* with the loop's own name */
    char name[256];
    pthread_t thread;
    int64_t seen_ms;  /* when it last said that it is there; 0: not yet */
    int64_t rest_ms;  /* the next pause */
    int held;         /* a message waits for its acknowledgement */
    int s3_suspected; /* the last job ended for want of the object store */
} loop_t;

/* Blocks the stop signals for this and every later thread and makes them a descriptor. */
static int stop_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    /* never read: it stays readable from the first signal on */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void rest(loop_t *l)
{
    struct pollfd p = {.fd = l->r.ctx.stop_fd, .events = POLLIN};

    if (l->r.ctx.amqp != NULL) {
        wk_amqp_tick(l->r.ctx.amqp);
    }
    (void)poll(&p, 1, (int)l->rest_ms);
    l->rest_ms = l->rest_ms * 2 < REST_MAX_MS ? l->rest_ms * 2 : REST_MAX_MS;
}

static void acknowledge(loop_t *l)
{
    if (l->held) {
        (void)wk_amqp_ack(l->r.ctx.amqp); /* lost: it comes again and finds nothing to do */
        l->held = 0;
    }
}

/* 0 when the loop is to ask the database again. */
static int wait_some(loop_t *l, int timeout_ms)
{
    struct pollfd p = {.fd = l->r.ctx.stop_fd, .events = POLLIN};
    media_jobmsg_t message;
    int rc;

    if (l->r.ctx.amqp == NULL) {
        return poll(&p, 1, timeout_ms) == 0;
    }
    rc = wk_amqp_wait(l->r.ctx.amqp, l->r.engine->queue, timeout_ms, l->r.ctx.stop_fd, &message);
    wk_health_dep(l->r.ctx.health, WK_DEP_RABBITMQ, wk_amqp_ready(l->r.ctx.amqp));
    l->held = rc == 0;
    return rc == MEDIA_E_AGAIN;
}

/* 0 when the database went away or its schema does not fit any more. */
static int look(loop_t *l)
{
    media_schema_t schema;
    int ok = wk_pg_schema(l->r.ctx.pg, &schema, NULL) == 0 && media_schema_fits(schema);

    wk_health_pg(l->r.ctx.health, l->r.ctx.pg, ok);
    return ok;
}

static void wait_message(loop_t *l)
{
    int64_t end_ms = wk_mono_ms() + (int64_t)l->r.ctx.conf->poll_s * 1000;
    int64_t left_ms;

    do {
        wk_alive();
        left_ms = end_ms - wk_mono_ms();
        if (!wait_some(l, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS)) || wk_stopping(&l->r)) {
            return;
        }
    } while (wk_mono_ms() < end_ms && look(l));
}

static const char *end_name(enum wk_end end)
{
    switch (end) {
    case WK_DONE:
        return "done";
    case WK_RETRY:
        return "retry";
    case WK_REJECT:
        return "reject";
    case WK_LOST:
        return "lost";
    case WK_RELEASE:
        return "released";
    }
    return "unknown";
}

static void log_job(const wk_job_t *job, enum wk_end end, const wk_outcome_t *out,
                    const char *committed, int64_t ms)
{
    char attempt[16], took[24], read[24];

    wk_log(MEDIA_LOG_INFO, "job", "job", job->id, "req", job->request_id, "media", job->media_id,
           "step", job->step, "attempt", wk_fmt(attempt, sizeof(attempt), "%d", job->attempt),
           "end", end_name(end), "committed", committed, "code", out->code, "detail", out->detail,
           "ms", wk_fmt(took, sizeof(took), "%lld", (long long)ms), "read_bytes",
           wk_fmt(read, sizeof(read), "%lld", (long long)out->read_bytes), "trace",
           job->traceparent, NULL);
}

static void run_job(loop_t *l, const wk_job_t *job)
{
    wk_outcome_t out = {0};
    int64_t started_ms = wk_mono_ms();
    const char *committed;
    enum wk_end end;

    wk_health_count(l->r.ctx.health, WK_C_JOBS_CLAIMED, 1);
    wk_health_running(l->r.ctx.health, 1);
    end = l->r.engine->run(&l->r.ctx, job, &out);
    committed = wk_job_commit(&l->r, job, end, &out);
    wk_health_running(l->r.ctx.health, -1);
    wk_health_count(l->r.ctx.health, WK_C_JOB_MS, wk_mono_ms() - started_ms);
    l->s3_suspected = end == WK_RETRY && strcmp(out.code, "storage_unavailable") == 0;
    log_job(job, end, &out, committed, wk_mono_ms() - started_ms);
    json_decref(out.result);
}

/* 0 while the object store is known to be away: a job started now would only lose an attempt. */
static int storage_ready(loop_t *l)
{
    media_err_t ei = {""};

    if (!l->s3_suspected || l->r.ctx.s3 == NULL) {
        return 1;
    }
    l->s3_suspected = wk_s3_ready(l->r.ctx.s3, &ei) != 0;
    wk_health_dep(l->r.ctx.health, WK_DEP_S3, !l->s3_suspected);
    if (l->s3_suspected) {
        wk_log(MEDIA_LOG_WARN, "object store not ready, no job is claimed", "cause", ei.text, NULL);
    }
    return !l->s3_suspected;
}

/* For mediactl workers, so a failure is none of ours. A running job speaks by its lease. */
static void tell_seen(loop_t *l)
{
    const wk_ctx_t *ctx = &l->r.ctx;
    int64_t now_ms = wk_mono_ms();
    char seconds[16];
    const char *params[] = {
        ctx->conf->worker_name, l->r.engine->name, media_queue_name(l->r.engine->queue),
        wk_fmt(seconds, sizeof(seconds), "%d", 2 * ctx->conf->poll_s + SEEN_GRACE_S)};
    wk_pg_result_t *res = NULL;

    if (l->seen_ms != 0 && now_ms - l->seen_ms < (int64_t)ctx->conf->poll_s * 1000) {
        return;
    }
    if (wk_pg_query(ctx->pg, MEDIA_STMT_WORKER_SEEN, params, &res, NULL) == 0) {
        l->seen_ms = now_ms;
    }
    wk_pg_result_free(res);
}

static void tell_gone(loop_t *l)
{
    wk_pg_result_t *res = NULL;

    if (wk_pg_ready(l->r.ctx.pg)) {
        (void)wk_pg_query(l->r.ctx.pg, MEDIA_STMT_WORKER_GONE, &l->r.ctx.conf->worker_name, &res,
                          NULL);
        wk_pg_result_free(res);
    }
}

static void turn(loop_t *l)
{
    wk_job_t job;
    int rc;

    wk_alive();
    tell_seen(l);
    if (!storage_ready(l)) {
        rest(l);
        return;
    }
    rc = wk_job_claim(&l->r, &job);
    if (rc == 0) {
        l->rest_ms = REST_MIN_MS;
        acknowledge(l);
        run_job(l, &job);
        wk_job_clear(&job);
    } else if (rc == MEDIA_E_AGAIN) {
        l->rest_ms = REST_MIN_MS;
        acknowledge(l);
        wait_message(l);
    } else {
        rest(l);
    }
}

/* The first loop has the worker's name, the others a number behind it. */
static int loop_open(loop_t *l, const wk_engine_t *engine, const wk_conf_t *conf, int number)
{
    wk_ctx_t *ctx = &l->r.ctx;
    int stored = conf->s3[MEDIA_STORE_INPUT].endpoint != NULL;
    int told = wk_secret_given(&conf->amqp_url);

    l->r.engine = engine;
    l->rest_ms = REST_MIN_MS;
    l->conf = *conf;
    if (number > 1) {
        (void)snprintf(l->name, sizeof(l->name), "%s/%d", conf->worker_name, number);
        l->conf.worker_name = l->name;
    }
    ctx->conf = &l->conf;
    ctx->pg = wk_pg_new(engine->name);
    ctx->amqp = told ? wk_amqp_new(conf->amqp_url) : NULL;
    ctx->s3 = stored ? wk_s3_new(conf) : NULL;
    return ctx->pg == NULL || (told && ctx->amqp == NULL) || (stored && ctx->s3 == NULL) ? -1 : 0;
}

static void loop_close(loop_t *l)
{
    wk_s3_free(l->r.ctx.s3);
    wk_amqp_free(l->r.ctx.amqp);
    wk_pg_free(l->r.ctx.pg);
}

static void *loop_run(void *data)
{
    loop_t *l = data;

    wk_alive_enter(l->conf.worker_name);
    wk_log(MEDIA_LOG_INFO, "started", "worker", l->conf.worker_name, "queue",
           media_queue_name(l->r.engine->queue), "steps", l->r.engine->steps, NULL);
    while (!wk_stopping(&l->r)) {
        turn(l);
    }
    tell_gone(l);
    wk_log(MEDIA_LOG_INFO, "stopped", "worker", l->conf.worker_name, NULL);
    wk_alive_leave();
    return NULL;
}

/* All loops until each has drained. 0 or -1. */
static int run_all(loop_t *loops, const wk_engine_t *engine, const wk_conf_t *conf, int stop_fd,
                   wk_health_t *health)
{
    int n = 0, started = 1, rc = 0;

    for (; n < conf->jobs && rc == 0; n++) {
        loops[n].r.ctx.stop_fd = stop_fd;
        loops[n].r.ctx.health = health;
        rc = loop_open(&loops[n], engine, conf, n + 1);
    }
    for (; rc == 0 && started < n; started++) {
        if (pthread_create(&loops[started].thread, NULL, loop_run, &loops[started]) != 0) {
            wk_log(MEDIA_LOG_WARN, "no thread for another job", NULL);
            break;
        }
    }
    if (rc == 0) {
        (void)loop_run(&loops[0]);
    } else {
        wk_log(MEDIA_LOG_ERROR, "cannot start", "cause", "out of memory", NULL);
    }
    for (int i = 1; rc == 0 && i < started; i++) {
        (void)pthread_join(loops[i].thread, NULL);
    }
    while (n > 0) {
        loop_close(&loops[--n]);
    }
    return rc;
}

int wk_run(const wk_engine_t *engine, const wk_conf_t *conf)
{
    int level = media_log_level_parse(media_str(conf->log_level));
    loop_t *loops = calloc((size_t)conf->jobs, sizeof(*loops));
    wk_health_t *health = NULL;
    int stop_fd = -1;
    int rc = 1;

    wk_log_init(engine->name, level < 0 ? MEDIA_LOG_INFO : (enum media_level)level);
    wk_init();
    stop_fd = stop_signals();
    if (loops == NULL || stop_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        wk_log(MEDIA_LOG_ERROR, "cannot start", "cause", strerror(errno), NULL);
        goto done;
    }
    health = wk_health_start(conf, engine->name); /* says itself why not */
    if (health != NULL) {
        rc = run_all(loops, engine, conf, stop_fd, health) == 0 ? 0 : 1;
    }
    wk_health_stop(health);
    curl_global_cleanup();
done:
    if (stop_fd >= 0) {
        (void)close(stop_fd);
    }
    free(loops);
    return rc;
}
