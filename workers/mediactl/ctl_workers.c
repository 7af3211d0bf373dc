/* mediactl workers: who is there, of which queue, at which job, since when. */
#include "ctl.h"

int ctl_workers(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_col_t cols[] = {{"name", "WORKER", CTL_TEXT},
                                     {"program", "PROGRAM", CTL_TEXT},
                                     {"queue", "QUEUE", CTL_TEXT},
                                     {"since", "SINCE", CTL_TEXT},
                                     {"job", "JOB", CTL_TEXT},
                                     {"media_id", NULL, CTL_TEXT},
                                     {"step", "STEP", CTL_TEXT},
                                     {"progress", "PROGRESS", CTL_NUMBER},
                                     {"job_since", "JOB SINCE", CTL_TEXT}};
    wk_pg_result_t *res = NULL;
    int rc;

    if (argc != 0) {
        return ctl_usage("workers: unknown argument \"%.60s\"", argv[0]);
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_WORKERS, NULL, &res);
    if (rc == CTL_OK) {
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc;
}
