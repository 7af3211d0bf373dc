/* Small files: read whole, written so that nobody ever sees half of one. [thread] */
#ifndef GW_FILES_H
#define GW_FILES_H

#include "media/buf.h"
#include "media/err.h"

/* Adds the bytes of a regular file to `out`, whose cap bounds them. REJECT where it cannot be read,
 * TOOBIG. `ei` names the file and the cause. */
int gw_file_read(const char *path, media_buf_t *out, media_err_t *ei);
/* Writes `path` (mode 0600) by way of a new file and rename(2). */
int gw_file_write(const char *path, media_str_t text, media_err_t *ei);
/* Makes a directory for us alone; one that is there must be ours. */
int gw_dir_make(const char *path, media_err_t *ei);

#endif
