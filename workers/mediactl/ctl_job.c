/* mediactl job: what is queued, running, failed; retry and cancel by hand. */
#include "ctl.h"

#include <stdio.h>
#include <string.h>

#include "media/jobstate.h"
#include "wk_run.h"

static int job_list(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_col_t cols[] = {{"id", "ID", CTL_TEXT},
                                     {"media_id", "MEDIA", CTL_TEXT},
                                     {"step", "STEP", CTL_TEXT},
                                     {"queue", NULL, CTL_TEXT},
                                     {"state", "STATE", CTL_TEXT},
                                     {"attempt", "TRY", CTL_NUMBER},
                                     {"max_attempts", "OF", CTL_NUMBER},
                                     {"worker", NULL, CTL_TEXT},
                                     {"progress", "PROGRESS", CTL_NUMBER},
                                     {"error_code", "ERROR", CTL_TEXT},
                                     {"error_detail", NULL, CTL_TEXT},
                                     {"created_at", "CREATED", CTL_TEXT},
                                     {"finished_at", "FINISHED", CTL_TEXT}};
    const char *params[2] = {NULL, "50"};
    wk_pg_result_t *res = NULL;
    int64_t n;
    int rc;

    for (int i = 0; i < argc; i++) {
        const char *value;
        if ((rc = ctl_option(argc, argv, &i, "--state", &value)) > 0) {
            if (media_job_state_parse(media_str(value)) < 0) {
                return ctl_usage("\"%.60s\" is no job state", value);
            }
            params[0] = value;
        } else if (rc == 0 && (rc = ctl_option(argc, argv, &i, "--limit", &value)) > 0) {
            if (media_str_to_i64(media_str(value), &n) != 0 || n < 1 || n > 10000) {
                return ctl_usage("--limit is a number from 1 to 10000");
            }
            params[1] = value;
        } else {
            return rc < 0 ? CTL_USAGE : ctl_usage("job list: unknown argument \"%.60s\"", argv[i]);
        }
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_JOB_LIST, params, &res);
    if (rc == CTL_OK) {
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc;
}

static int job_show(ctl_t *ctl, int argc, char **argv)
{
    const char *id = ctl_only_id(argc, argv, "job show");
    wk_pg_result_t *res = NULL;
    int rc;

    if (id == NULL) {
        return CTL_USAGE;
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_JOB_SHOW, &id, &res);
    if (rc == CTL_OK && wk_pg_rows(res) == 0) {
        rc = ctl_fail(ctl, CTL_NOT_FOUND, "not_found", "job %s: not found", id);
    } else if (rc == CTL_OK) {
        rc = ctl_print_object(ctl, wk_pg_value(res, 0, 0));
    }
    wk_pg_result_free(res);
    return rc;
}

/* Announces what the change made due; without a broker the janitor does it. */
static void announce(ctl_t *ctl, const char *outbox)
{
    wk_ctx_t ctx = {.conf = &ctl->conf, .pg = ctl->pg, .stop_fd = -1};

    if (outbox == NULL || !wk_secret_given(&ctl->conf.amqp_url)) {
        return;
    }
    ctx.amqp = wk_amqp_new(ctl->conf.amqp_url);
    if (ctx.amqp != NULL) {
        wk_outbox_publish(&ctx, outbox);
        wk_amqp_free(ctx.amqp);
    }
}

static int job_change(ctl_t *ctl, int argc, char **argv, enum media_stmt stmt, const char *verb,
                      const char *did)
{
    char what[80];
    const char *id;
    wk_pg_result_t *res = NULL;
    int rc;

    (void)snprintf(what, sizeof(what), "job %s", verb);
    id = ctl_only_id(argc, argv, what);
    if (id == NULL) {
        return CTL_USAGE;
    }
    rc = ctl_query(ctl, stmt, &id, &res);
    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "job %s", id);
        rc = ctl_result_code(ctl, res, what, wk_pg_value(res, 0, 1));
    }
    if (rc == CTL_OK) {
        announce(ctl, wk_pg_value(res, 0, 2));
        rc = ctl_print_done(ctl, json_pack("{s:s,s:s}", "id", id, "done", did), "job %s: %s", id,
                            did);
    }
    wk_pg_result_free(res);
    return rc;
}

static int job_retry(ctl_t *ctl, int argc, char **argv)
{
    return job_change(ctl, argc, argv, MEDIA_STMT_CTL_JOB_RETRY, "retry", "queued again");
}

static int job_cancel(ctl_t *ctl, int argc, char **argv)
{
    return job_change(ctl, argc, argv, MEDIA_STMT_CTL_JOB_CANCEL, "cancel", "canceled");
}

int ctl_job(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_verb_t verbs[] = {{"list", job_list},
                                       {"show", job_show},
                                       {"retry", job_retry},
                                       {"cancel", job_cancel},
                                       {NULL, NULL}};

    return ctl_dispatch(ctl, "job: ", verbs, argc, argv);
}
