/* Work on every line of stdin, some at once: threads take one line after the other, each has
 * connections of its own. An object that cannot be had is told on stderr, the others go on; a store
 * that stays away, or refuses our keys, ends the run. TERM and INT end it, too: what was half done
 * is taken back. */
#ifndef OB_RUN_H
#define OB_RUN_H

#include "ob_copy.h"

enum ob_exit { OB_OK = 0, OB_FAILED = 1, OB_USAGE = 2 };

typedef struct {
    const char *text;           /* the line without its newline */
    char name[OB_LINE_MAX];     /* to be set: what it is about */
    char out[OB_LINE_MAX + 16]; /* to be set: what is printed, or empty */
} ob_item_t;
/* 0, MEDIA_E_BUG for a line that is no good, or as ob_copy.h says. [thread] */
typedef int (*ob_each_pt)(ob_t *ob, ob_item_t *item, media_err_t *ei);

/* Calls `each` in live->backup_parallel threads, each with stores as those of `ob`, which is not
 * used otherwise; an exit code. */
int ob_run(ob_t *ob, const wk_conf_t *live, ob_each_pt each);
/* "media-objects: ..." on stderr; an exit code. [any thread] */
int ob_fail(enum ob_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
