/* mediactl pipeline: steps, defaults and parameters as they stand in the database; new defaults. */
#include "ctl.h"

#include <stdio.h>

static int pipeline_list(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_col_t cols[] = {{"name", "NAME", CTL_TEXT},
                                     {"steps", "STEPS", CTL_LIST},
                                     {"main_steps", "MAIN", CTL_LIST},
                                     {"anonymizes", "ANONYMIZES", CTL_BOOL},
                                     {"description", "DESCRIPTION", CTL_TEXT}};
    wk_pg_result_t *res = NULL;
    int rc;

    if (argc != 0) {
        return ctl_usage("pipeline list: unknown argument \"%.60s\"", argv[0]);
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_PIPELINE_LIST, NULL, &res);
    if (rc == CTL_OK) {
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc;
}

/* For people, behind the steps; --json has it in their params_schema. */
static int show_params(ctl_t *ctl, const char *name)
{
    static const ctl_col_t cols[] = {{"step", "STEP", CTL_TEXT},
                                     {"param", "PARAM", CTL_TEXT},
                                     {"holds", "HOLDS", CTL_JSON},
                                     {"rule", "RULE", CTL_JSON}};
    wk_pg_result_t *res = NULL;
    int rc = ctl_query(ctl, MEDIA_STMT_CTL_PIPELINE_PARAMS, &name, &res);

    if (rc == CTL_OK && wk_pg_rows(res) > 0) {
        putchar('\n');
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc;
}

static int pipeline_show(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_col_t cols[] = {
        {"step", "STEP", CTL_TEXT},           {"queue", "QUEUE", CTL_TEXT},
        {"priority", "PRIORITY", CTL_NUMBER}, {"max_attempts", "TRIES", CTL_NUMBER},
        {"fan_out", "FAN-OUT", CTL_BOOL},     {"input", "READS", CTL_TEXT},
        {"depends_on", "AFTER", CTL_LIST},    {"params", NULL, CTL_JSON},
        {"params_schema", NULL, CTL_JSON}};
    wk_pg_result_t *res = NULL;
    const char *name = argv[0];
    int rc;

    if (argc != 1) {
        return ctl_usage("pipeline show takes one name");
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_PIPELINE_SHOW, &name, &res);
    if (rc == CTL_OK && wk_pg_rows(res) == 0) {
        rc = ctl_fail(ctl, CTL_NOT_FOUND, "not_found", "pipeline %.64s: not found", name);
    } else if (rc == CTL_OK) {
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc == CTL_OK && !ctl->json ? show_params(ctl, name) : rc;
}

static int pipeline_set(ctl_t *ctl, int argc, char **argv)
{
    const char *params[3];
    wk_pg_result_t *res = NULL;
    json_error_t je;
    json_t *doc;
    char what[160];
    int rc;

    if (argc != 3) {
        return ctl_usage("pipeline set takes a name, a step and a JSON object");
    }
    doc = json_loads(argv[2], JSON_REJECT_DUPLICATES, &je);
    if (!json_is_object(doc)) {
        json_decref(doc);
        return ctl_usage("pipeline set: no JSON object%s%.80s", doc == NULL ? ": " : "",
                         doc == NULL ? je.text : "");
    }
    json_decref(doc);
    for (int i = 0; i < 3; i++) {
        params[i] = argv[i];
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_PIPELINE_SET, params, &res);
    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "pipeline %.64s, step %.64s", argv[0], argv[1]);
        rc = ctl_result_code(ctl, res, what, wk_pg_value(res, 0, 1));
    }
    if (rc == CTL_OK) {
        const char *now = wk_pg_value(res, 0, 2);
        rc = ctl_print_done(ctl,
                            json_pack("{s:s,s:s,s:o}", "pipeline", argv[0], "step", argv[1],
                                      "params", json_loads(now, 0, NULL)),
                            "%s: %s", what, now);
    }
    wk_pg_result_free(res);
    return rc;
}

int ctl_pipeline(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_verb_t verbs[] = {
        {"list", pipeline_list}, {"show", pipeline_show}, {"set", pipeline_set}, {NULL, NULL}};

    return ctl_dispatch(ctl, "pipeline: ", verbs, argc, argv);
}
