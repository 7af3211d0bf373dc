/* The tasks of a pass, see sweep.h. */
#include "sweep.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "media/buf.h"
#include "wk_log.h"

#define SWEEP_OUTBOX_BATCH 100
#define SWEEP_DOOMED_BATCH 50
#define SWEEP_ORIGINALS_BATCH "1000"
#define SWEEP_LOST_S "300" /* a message nobody acted on this long is sent again */

static const char *const task_names[SWEEP_TASK_COUNT] = {
    [SWEEP_LEAD] = "lead",           [SWEEP_LEASES] = "leases",     [SWEEP_UPLOADS] = "uploads",
    [SWEEP_ANNOUNCE] = "announce",   [SWEEP_OUTBOX] = "outbox",     [SWEEP_DOOMED] = "doomed",
    [SWEEP_STRAYS] = "strays",       [SWEEP_SESSIONS] = "sessions", [SWEEP_WORKERS] = "workers",
    [SWEEP_ORIGINALS] = "originals", [SWEEP_QUEUES] = "queues"};

int sweep_stopping(const sweep_t *s)
{
    struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* Marks a task as failed; only the first failure in a row is logged, and none where `logged` says
 * that the database's own outage is in the log. */
static void task_failed(sweep_t *s, enum sweep_task task, const char *cause, int logged)
{
    s->failed[task] = 1;
    if (!s->told[task] && !logged) {
        s->told[task] = 1;
        wk_log(MEDIA_LOG_WARN, "task failed, it is tried again", "task", task_names[task], "cause",
               cause, NULL);
    }
}

static int run_query(sweep_t *s, enum sweep_task task, enum media_stmt stmt,
                     const char *const *params, wk_pg_result_t **res)
{
    media_err_t ei = {""};
    media_schema_t schema;
    int rc = wk_pg_query(s->pg, stmt, params, res, &ei);

    wk_health_pg(s->health, s->pg, rc != MEDIA_E_RETRY);
    if (rc != 0) {
        task_failed(s, task, ei.text,
                    rc == MEDIA_E_RETRY && (!wk_pg_ready(s->pg) || wk_pg_unfit(s->pg, &schema)));
    }
    return rc;
}

/* A statement that answers with how many rows it changed. */
static void run_count(sweep_t *s, enum sweep_task task, enum media_stmt stmt,
                      const char *const *params)
{
    wk_pg_result_t *res = NULL;
    const char *n;

    if (run_query(s, task, stmt, params, &res) == 0) {
        n = wk_pg_value(res, 0, 0);
        if (n != NULL && strcmp(n, "0") != 0) {
            wk_log(MEDIA_LOG_INFO, "swept", "task", task_names[task], "count", n, NULL);
        }
    }
    wk_pg_result_free(res);
}

/* Appends one confirmed id to "{1,2"; the caller closes it. */
static void add_id(media_buf_t *ids, const char *id)
{
    (void)media_buf_fmt(ids, "%s%s", ids->len > 1 ? "," : "", id);
}

static void mark_sent(sweep_t *s, media_buf_t *ids, int n)
{
    wk_pg_result_t *res = NULL;

    if (n == 0) {
        return;
    }
    if (media_buf_cstr(ids, "}") != 0) {
        task_failed(s, SWEEP_OUTBOX, "out of memory", 0);
        return;
    }
    const char *params[] = {ids->p};
    if (run_query(s, SWEEP_OUTBOX, MEDIA_STMT_OUTBOX_SENT, params, &res) == 0) {
        wk_health_count(s->health, WK_C_OUTBOX_PUBLISHED, n);
    }
    wk_pg_result_free(res);
}

/* Publishes the rows of one batch. Returns how many were confirmed; fewer than all: broken off. */
static int publish_rows(sweep_t *s, const wk_pg_result_t *rows, media_buf_t *ids)
{
    media_err_t ei;
    int n = 0;

    for (int i = 0; i < wk_pg_rows(rows) && !sweep_stopping(s); i++) {
        const char *queue = wk_pg_value(rows, i, 1);
        const char *message = wk_pg_value(rows, i, 2);
        int rc = wk_amqp_publish(s->amqp, queue, media_str(message), &ei);

        wk_health_dep(s->health, WK_DEP_RABBITMQ, wk_amqp_ready(s->amqp));
        if (rc != 0) {
            task_failed(s, SWEEP_OUTBOX, ei.text, !wk_amqp_ready(s->amqp));
            if (rc == MEDIA_E_RETRY) {
                break;
            }
            continue; /* this row alone is bad */
        }
        add_id(ids, wk_pg_value(rows, i, 0));
        wk_health_count(s->health, WK_C_JOBS_DEAD,
                        strcmp(queue, media_queue_name(MEDIA_QUEUE_DEAD)) == 0);
        n++;
    }
    return n;
}

static void sweep_outbox(sweep_t *s)
{
    char age[16], limit[16];
    int taken, sent = 0;

    (void)wk_fmt(age, sizeof(age), "%d", s->conf->outbox_age_s);
    do {
        /* taking a row hides it for a while: with the broker away, one row serves as the probe */
        int batch = wk_amqp_ready(s->amqp) ? SWEEP_OUTBOX_BATCH : 1;
        const char *params[] = {age, wk_fmt(limit, sizeof(limit), "%d", batch)};
        wk_pg_result_t *rows = NULL;
        media_buf_t ids;
        int n;

        if (run_query(s, SWEEP_OUTBOX, MEDIA_STMT_JANITOR_OUTBOX, params, &rows) != 0) {
            break;
        }
        taken = wk_pg_rows(rows);
        media_buf_init(&ids, 32 * (SWEEP_OUTBOX_BATCH + 1));
        (void)media_buf_cstr(&ids, "{");
        n = publish_rows(s, rows, &ids);
        mark_sent(s, &ids, n);
        media_buf_free(&ids);
        wk_pg_result_free(rows);
        sent += n;
    } while (taken > 0 && !s->failed[SWEEP_OUTBOX] && !sweep_stopping(s));

    if (sent > 0) {
        wk_log(MEDIA_LOG_INFO, "swept", "task", task_names[SWEEP_OUTBOX], "count",
               wk_fmt(limit, sizeof(limit), "%d", sent), NULL);
    }
}

/* Removes everything S3 has under one key; of what a versioned bucket keeps of it all, or nothing.
 * 0 only when nothing else is left. An upload of that key whose id was never recorded (its owner
 * died in between) is found by listing exactly this key. */
static int remove_key(sweep_t *s, const char *key, const char *upload_id, int all_versions,
                      media_err_t *ei)
{
    int rc = upload_id != NULL ? wk_s3_abort(s->s3, key, upload_id, ei) : 0;

    if (rc == 0) {
        rc = wk_s3_abort_listed(s->s3, key, ei);
    }
    if (rc == 0) {
        rc = all_versions ? wk_s3_delete_versions(s->s3, key, ei) : wk_s3_delete(s->s3, key, ei);
    }
    return rc;
}

/* Removes the objects of one batch. Returns how many are gone. */
static int remove_rows(sweep_t *s, const wk_pg_result_t *rows)
{
    media_err_t ei = {""};
    int n = 0;

    for (int i = 0; i < wk_pg_rows(rows) && !sweep_stopping(s); i++) {
        const char *key = wk_pg_value(rows, i, 0);
        const char *all = wk_pg_value(rows, i, 2);
        wk_pg_result_t *res = NULL;
        int rc = remove_key(s, key, wk_pg_value(rows, i, 1), all != NULL && all[0] == 't', &ei);

        wk_health_dep(s->health, WK_DEP_S3, rc != MEDIA_E_RETRY);
        if (rc != 0) {
            task_failed(s, SWEEP_DOOMED, ei.text, 0);
            if (rc == MEDIA_E_RETRY) {
                break;
            }
            continue;
        }
        rc = run_query(s, SWEEP_DOOMED, MEDIA_STMT_JANITOR_OBJECT_GONE, &key, &res);
        wk_pg_result_free(res);
        if (rc == MEDIA_E_RETRY) {
            break;
        }
        n += rc == 0;
        wk_log(MEDIA_LOG_DEBUG, "object removed", "key", key, NULL);
    }
    return n;
}

static void sweep_doomed(sweep_t *s)
{
    media_err_t ei = {""};
    char text[16];
    int taken, gone = 0;
    int rc = wk_s3_ready(s->s3, &ei);

    wk_health_dep(s->health, WK_DEP_S3, rc == 0);
    if (rc != 0) {
        task_failed(s, SWEEP_DOOMED, ei.text, 0);
        return;
    }
    do {
        const char *params[] = {wk_fmt(text, sizeof(text), "%d", SWEEP_DOOMED_BATCH)};
        wk_pg_result_t *rows = NULL;

        if (run_query(s, SWEEP_DOOMED, MEDIA_STMT_JANITOR_DOOMED, params, &rows) != 0) {
            break;
        }
        taken = wk_pg_rows(rows);
        gone += remove_rows(s, rows);
        wk_pg_result_free(rows);
    } while (taken == SWEEP_DOOMED_BATCH && !s->failed[SWEEP_DOOMED] && !sweep_stopping(s));

    if (gone > 0) {
        wk_health_count(s->health, WK_C_SWEPT_OBJECTS, gone);
        wk_log(MEDIA_LOG_INFO, "swept", "task", task_names[SWEEP_DOOMED], "count",
               wk_fmt(text, sizeof(text), "%d", gone), NULL);
    }
}

/* Aborts what S3 lists beside one live object. 0 when its row says so. */
static int abort_strays(sweep_t *s, const char *key)
{
    media_err_t ei = {""};
    wk_pg_result_t *res = NULL;
    int rc = wk_s3_abort_listed(s->s3, key, &ei);

    wk_health_dep(s->health, WK_DEP_S3, rc != MEDIA_E_RETRY);
    if (rc != 0) {
        task_failed(s, SWEEP_STRAYS, ei.text, 0);
        return rc;
    }
    rc = run_query(s, SWEEP_STRAYS, MEDIA_STMT_JANITOR_STRAYS_GONE, &key, &res);
    wk_pg_result_free(res);
    return rc;
}

/* Uploads that S3 may have begun without telling, of files that were stored all the same. */
static void sweep_strays(sweep_t *s)
{
    char text[16];
    const char *params[] = {wk_fmt(text, sizeof(text), "%d", SWEEP_DOOMED_BATCH)};
    wk_pg_result_t *rows = NULL;
    int rc = run_query(s, SWEEP_STRAYS, MEDIA_STMT_JANITOR_STRAYS, params, &rows);

    for (int i = 0; rc == 0 && i < wk_pg_rows(rows) && !sweep_stopping(s); i++) {
        if (abort_strays(s, wk_pg_value(rows, i, 0)) == MEDIA_E_RETRY) {
            break;
        }
    }
    wk_pg_result_free(rows);
}

static int64_t number(const char *text)
{
    int64_t n = 0;

    return text != NULL && media_str_to_i64(media_str(text), &n) == 0 ? n : 0;
}

/* For /metrics, of every replica: whichever is asked knows. */
static void look_at_queues(sweep_t *s)
{
    wk_pg_result_t *rows = NULL;
    int rc = run_query(s, SWEEP_QUEUES, MEDIA_STMT_QUEUE_LOAD, NULL, &rows);

    if (rc != 0) {
        wk_health_queues_unknown(s->health);
    }
    for (int i = 0; i < wk_pg_rows(rows); i++) {
        const char *name = wk_pg_value(rows, i, 0), *oldest = wk_pg_value(rows, i, 3);
        wk_queue_load_t load = {number(wk_pg_value(rows, i, 1)), number(wk_pg_value(rows, i, 2)),
                                oldest != NULL ? (int64_t)(strtod(oldest, NULL) * 1000) : 0};
        int q = media_queue_parse(media_str(name != NULL ? name : ""));

        if (q >= 0) {
            wk_health_queue(s->health, (enum media_queue)q, &load);
        }
    }
    wk_pg_result_free(rows);
}

/* 1 if this replica is the one that does what need not be done twice. */
static int is_leader(sweep_t *s)
{
    wk_pg_result_t *res = NULL;
    const char *v = NULL;
    int leader;

    if (run_query(s, SWEEP_LEAD, MEDIA_STMT_JANITOR_LEAD, NULL, &res) == 0) {
        v = wk_pg_value(res, 0, 0);
    }
    leader = v != NULL && v[0] == 't';
    wk_pg_result_free(res);
    return leader;
}

int sweep_run(sweep_t *s)
{
    static const char *const lost_params[] = {SWEEP_LOST_S};
    static const char *const originals_params[] = {SWEEP_ORIGINALS_BATCH};
    char stale[16];
    const char *stale_params[] = {wk_fmt(stale, sizeof(stale), "%d", s->conf->upload_stale_s)};
    int leader, failures = 0;

    memset(s->failed, 0, sizeof(s->failed));
    leader = is_leader(s);
    run_count(s, SWEEP_LEASES, MEDIA_STMT_JANITOR_LEASES, NULL);
    run_count(s, SWEEP_UPLOADS, MEDIA_STMT_JANITOR_UPLOADS, stale_params);
    run_count(s, SWEEP_ORIGINALS, MEDIA_STMT_JANITOR_ORIGINALS, originals_params);
    if (leader) {
        run_count(s, SWEEP_ANNOUNCE, MEDIA_STMT_JANITOR_ANNOUNCE, lost_params);
        run_count(s, SWEEP_SESSIONS, MEDIA_STMT_JANITOR_SESSIONS, NULL);
        run_count(s, SWEEP_WORKERS, MEDIA_STMT_JANITOR_WORKERS, NULL);
    }
    look_at_queues(s);
    if (!sweep_stopping(s)) {
        sweep_outbox(s);
    }
    if (!sweep_stopping(s)) {
        sweep_doomed(s);
    }
    if (!sweep_stopping(s)) {
        sweep_strays(s);
    }
    for (int t = 0; t < SWEEP_TASK_COUNT; t++) {
        if (s->told[t] && !s->failed[t]) {
            s->told[t] = 0;
            wk_log(MEDIA_LOG_INFO, "task works again", "task", task_names[t], NULL);
        }
        failures += s->failed[t];
    }
    return failures;
}
