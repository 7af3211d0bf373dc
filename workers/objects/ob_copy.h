/* One object of a manifest: to the backup, back, or its copy read. Bytes pass through one piece of
 * memory, each is hashed on its way, and what has other bytes than its line says never becomes an
 * object. Copies lie below objects/ of the backup store. */
#ifndef OB_COPY_H
#define OB_COPY_H

#include "ob_line.h"
#include "wk_s3.h"

/* How often an object is tried that fails with MEDIA_E_RETRY; each time a store may be away for
 * that part of MEDIA_AWAIT_S. */
#define OB_TRIES 3

/* Of one thread. */
typedef struct {
    wk_s3_t *live;
    wk_s3_t *backup;
    wk_s3_tick_pt tick; /* ends what runs */
    int64_t piece_max;
    char *piece; /* owned; grows to what an object needs */
    int64_t piece_size;
} ob_t;

/* Opens both stores as `like` has them, or by the configurations, borrowed, if that is NULL. 0 or
 * MEDIA_E_NOMEM. */
int ob_open(ob_t *ob, const ob_t *like, const wk_conf_t *live, const wk_conf_t *backup);
void ob_close(ob_t *ob);

/* All [thread]; failures: MEDIA_E_REJECT: this object cannot be had as its line says; another code
 * is one of the stores. */
/* Copies it, unless the line does not know all and its copy does; fills that in. MEDIA_E_GONE: the
 * store does not have it, or not of that size. */
int ob_backup(ob_t *ob, ob_line_t *line, media_err_t *ei);
/* Copies it back unless it is there. The line has to know all. */
int ob_restore(ob_t *ob, ob_line_t *line, media_err_t *ei);
/* Reads its copy. The line has to know all. */
int ob_check(ob_t *ob, ob_line_t *line, media_err_t *ei);
/* An object of the backup into a file. */
int ob_get_file(ob_t *ob, const char *key, int fd, media_err_t *ei);

#endif
