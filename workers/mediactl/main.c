/* mediactl: migrations, accounts, jobs, media, pipelines, workers and models from the command
 * line. Exit
 * codes: ctl.h. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "wk_log.h"

static const char help[] =
    "usage: mediactl [--json] COMMAND\n"
    "\n"
    "  migrate [--dir DIR]                            apply the numbered files of sql/\n"
    "  schema                                         this program's number, the database's; do "
    "they fit\n"
    "  user add EMAIL [--role R]... --password-stdin  make an account (role: user)\n"
    "  user passwd EMAIL --password-stdin             new password, ends all sessions\n"
    "  user disable EMAIL | user enable EMAIL\n"
    "  user quota EMAIL [--bytes N[k|m|g|t]|none|default] [--uploads N|none|default]\n"
    "  user list\n"
    "  job list [--state S] [--limit N]               newest first, 50 by default\n"
    "  job show ID | job retry ID | job cancel ID\n"
    "  media show ID | media rm ID\n"
    "  pipeline list                                  steps of every pipeline\n"
    "  pipeline show NAME                             order, queues, defaults, what an upload may "
    "set\n"
    "  pipeline set NAME STEP JSON                    new defaults: {\"crf\": 20, \"preset\": "
    "null}\n"
    "  workers                                        who is there, at which job, since when\n"
    "  models list                                    of the detectors: which are there\n"
    "  models fetch [--from URL] [NAME]...            into MEDIA_MODELS, all that have a "
    "publisher;\n"
    "                                                 from URL/FILE instead: http, https, file\n"
    "\n"
    "The database is chosen by PGHOST, PGPORT, PGDATABASE, PGUSER ... (libpq). With AMQP_URL or\n"
    "AMQP_URL_FILE set, what a command makes due is announced at once, else the janitor announces "
    "it.\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 database not available.\n";

int ctl_usage(const char *fmt, ...)
{
    va_list ap;

    fputs("mediactl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs(" (see mediactl --help)\n", stderr);
    return CTL_USAGE;
}

int ctl_fail(ctl_t *ctl, enum ctl_exit code, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (ctl->json) {
        json_t *doc = json_pack("{s:{s:s,s:s+}}", "error", "code", name, "detail", text, "");
        if (doc != NULL) {
            json_dumpf(doc, stderr, JSON_COMPACT);
            fputc('\n', stderr);
            json_decref(doc);
            return code;
        }
    }
    fprintf(stderr, "mediactl: %s\n", text);
    return code;
}

int ctl_option(int argc, char **argv, int *i, const char *name, const char **value)
{
    size_t n = strlen(name);
    const char *arg = argv[*i];

    if (strncmp(arg, name, n) != 0) {
        return 0;
    }
    if (arg[n] == '=') {
        *value = arg + n + 1;
        return 1;
    }
    if (arg[n] != '\0') {
        return 0;
    }
    if (*i + 1 >= argc) {
        (void)ctl_usage("%s needs a value", name);
        return -1;
    }
    *value = argv[++*i];
    return 1;
}

const char *ctl_only_id(int argc, char **argv, const char *what)
{
    if (argc != 1) {
        (void)ctl_usage("%s takes one id", what);
        return NULL;
    }
    if (!media_uuid_valid(media_str(argv[0]))) {
        (void)ctl_usage("%s: \"%.60s\" is no id", what, argv[0]);
        return NULL;
    }
    return argv[0];
}

int ctl_pg_fail(ctl_t *ctl, int rc, const media_err_t *ei)
{
    media_schema_t schema;

    if (wk_pg_unfit(ctl->pg, &schema)) {
        return ctl_fail(ctl, CTL_CONFLICT, "schema_unknown", "%s", ei->text);
    }
    if (rc == MEDIA_E_RETRY) {
        return ctl_fail(ctl, CTL_UNAVAILABLE, "database_unavailable", "%s", ei->text);
    }
    return ctl_fail(ctl, CTL_FAILED, "refused", "%s", ei->text);
}

int ctl_query(ctl_t *ctl, enum media_stmt stmt, const char *const *params, wk_pg_result_t **res)
{
    media_err_t ei = {""};
    int rc = wk_pg_query(ctl->pg, stmt, params, res, &ei);

    return rc == 0 ? CTL_OK : ctl_pg_fail(ctl, rc, &ei);
}

int ctl_result_code(ctl_t *ctl, const wk_pg_result_t *res, const char *what, const char *detail)
{
    const char *code = wk_pg_value(res, 0, 0);

    if (code == NULL) {
        return ctl_fail(ctl, CTL_FAILED, "internal", "%s: the database gave no answer", what);
    }
    if (strcmp(code, "ok") == 0) {
        return CTL_OK;
    }
    if (strcmp(code, "not_found") == 0) {
        return ctl_fail(ctl, CTL_NOT_FOUND, code, "%s: not found", what);
    }
    return ctl_fail(ctl, strcmp(code, "conflict") == 0 ? CTL_CONFLICT : CTL_FAILED, code, "%s: %s",
                    what, detail != NULL ? detail : code);
}

int ctl_dispatch(ctl_t *ctl, const char *prefix, const ctl_verb_t *verbs, int argc, char **argv)
{
    if (argc < 1) {
        return ctl_usage("%sa verb is missing", prefix);
    }
    for (; verbs->name != NULL; verbs++) {
        if (strcmp(verbs->name, argv[0]) == 0) {
            return verbs->run(ctl, argc - 1, argv + 1);
        }
    }
    return ctl_usage("%sunknown command \"%.60s\"", prefix, argv[0]);
}

/* Takes --json out, wherever it stands. Returns the new argc. */
static int take_json(ctl_t *ctl, int argc, char **argv)
{
    int n = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            ctl->json = 1;
        } else {
            argv[n++] = argv[i];
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static const ctl_verb_t nouns[] = {
        {"migrate", ctl_migrate}, {"schema", ctl_schema}, {"user", ctl_user},
        {"job", ctl_job},         {"media", ctl_media},   {"pipeline", ctl_pipeline},
        {"workers", ctl_workers}, {"models", ctl_models}, {NULL, NULL}};
    ctl_t ctl = {.json = 0};
    int rc;

    (void)signal(SIGPIPE, SIG_IGN);
    /* an operator reads sentences, not log lines; what matters is told by ctl_fail */
    wk_log_init("mediactl", MEDIA_LOG_ERROR);
    argc = take_json(&ctl, argc, argv);
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
    }
    if (argc < 2) {
        fputs(help, stderr);
        return CTL_USAGE;
    }
    wk_conf_load(&ctl.conf, "mediactl", 0, NULL);
    ctl.pg = wk_pg_new("mediactl");
    if (ctl.pg == NULL) {
        return ctl_fail(&ctl, CTL_FAILED, "internal", "out of memory");
    }
    rc = ctl_dispatch(&ctl, "", nouns, argc - 1, argv + 1);
    wk_pg_free(ctl.pg);
    if (fflush(stdout) != 0 && rc == CTL_OK) {
        rc = ctl_fail(&ctl, CTL_FAILED, "internal", "cannot write the output");
    }
    return rc;
}
