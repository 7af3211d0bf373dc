/* mediactl, the operator's tool: one file per noun, this header between them. */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>
#include "wk_conf.h"
#include "wk_pg.h"

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1, /* refused by the database, or a failure of ours */
    CTL_USAGE = 2,
    CTL_NOT_FOUND = 3,
    CTL_CONFLICT = 4,
    CTL_UNAVAILABLE = 5 /* no database */
};

typedef struct {
    wk_conf_t conf;
    wk_pg_t *pg;
    int json; /* --json: one JSON document on stdout, errors as JSON on stderr */
} ctl_t;

/* Each takes the arguments after its noun and returns an exit code. */
int ctl_migrate(ctl_t *ctl, int argc, char **argv);
int ctl_schema(ctl_t *ctl, int argc, char **argv);
int ctl_user(ctl_t *ctl, int argc, char **argv);
int ctl_job(ctl_t *ctl, int argc, char **argv);
int ctl_media(ctl_t *ctl, int argc, char **argv);
int ctl_pipeline(ctl_t *ctl, int argc, char **argv);
int ctl_workers(ctl_t *ctl, int argc, char **argv);
int ctl_models(ctl_t *ctl, int argc, char **argv);

/* A table of verbs, ended by a NULL name. */
typedef struct {
    const char *name;
    int (*run)(ctl_t *ctl, int argc,
               char **argv); /* argv[0] is the first argument after the verb */
} ctl_verb_t;
/* prefix: "user: ", put before what is wrong. */
int ctl_dispatch(ctl_t *ctl, const char *prefix, const ctl_verb_t *verbs, int argc, char **argv);

/* Is argv[*i] the option `name`? 1 with its value ("--x v" or "--x=v") and *i on the last used
 * word, 0, or -1 after telling that the value is missing. */
int ctl_option(int argc, char **argv, int *i, const char *name, const char **value);
/* Tells what is wrong with the command line; returns CTL_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The only argument, a UUID; NULL after telling what is wrong. */
const char *ctl_only_id(int argc, char **argv, const char *what);

/* Tells a failure and returns `code`; `name` is its stable name for --json. */
int ctl_fail(ctl_t *ctl, enum ctl_exit code, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Runs a statement. An exit code; the failure is told. *res is owned. */
int ctl_query(ctl_t *ctl, enum media_stmt stmt, const char *const *params, wk_pg_result_t **res);
/* Tells a failure of wk_pg; returns the exit code for it. */
int ctl_pg_fail(ctl_t *ctl, int rc, const media_err_t *ei);
/* The exit code of a result's code column (0), telling a failure: what = "user a@b". `detail` may
 * be NULL. */
int ctl_result_code(ctl_t *ctl, const wk_pg_result_t *res, const char *what, const char *detail);

/* ---- ctl_print.c ---- */
enum ctl_type { CTL_TEXT, CTL_NUMBER, CTL_BOOL, CTL_LIST /* "a,b" */, CTL_JSON };
typedef struct {
    const char *key;   /* the result's column, and the member in JSON */
    const char *title; /* the human table's heading; NULL: not shown there */
    enum ctl_type type;
} ctl_col_t;
/* All rows: an array of objects, or an aligned table. */
int ctl_print_rows(ctl_t *ctl, const wk_pg_result_t *res, const ctl_col_t *cols, size_t ncols);
/* A JSON object's text: as it is, or as "key  value" lines. */
int ctl_print_object(ctl_t *ctl, const char *text);
/* `doc` (taken over) with --json, else the sentence. */
int ctl_print_done(ctl_t *ctl, json_t *doc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
