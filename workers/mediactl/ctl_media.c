/* mediactl media: look at one, remove one. */
#include "ctl.h"

#include <stdio.h>

static int media_show(ctl_t *ctl, int argc, char **argv)
{
    const char *id = ctl_only_id(argc, argv, "media show");
    wk_pg_result_t *res = NULL;
    int rc;

    if (id == NULL) {
        return CTL_USAGE;
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_MEDIA_SHOW, &id, &res);
    if (rc == CTL_OK && wk_pg_rows(res) == 0) {
        rc = ctl_fail(ctl, CTL_NOT_FOUND, "not_found", "media %s: not found", id);
    } else if (rc == CTL_OK) {
        rc = ctl_print_object(ctl, wk_pg_value(res, 0, 0));
    }
    wk_pg_result_free(res);
    return rc;
}

static int media_rm(ctl_t *ctl, int argc, char **argv)
{
    const char *id = ctl_only_id(argc, argv, "media rm");
    wk_pg_result_t *res = NULL;
    char what[64];
    int rc;

    if (id == NULL) {
        return CTL_USAGE;
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_MEDIA_RM, &id, &res);
    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "media %s", id);
        rc = ctl_result_code(ctl, res, what, NULL);
    }
    if (rc == CTL_OK) {
        rc = ctl_print_done(ctl, json_pack("{s:s,s:s}", "id", id, "done", "removed"),
                            "media %s: removed, its objects follow", id);
    }
    wk_pg_result_free(res);
    return rc;
}

int ctl_media(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_verb_t verbs[] = {{"show", media_show}, {"rm", media_rm}, {NULL, NULL}};

    return ctl_dispatch(ctl, "media: ", verbs, argc, argv);
}
