/* A file from somewhere on the net into a descriptor, for the operator's tool. */
#ifndef WK_FETCH_H
#define WK_FETCH_H

#include <stdint.h>
#include "media/err.h"

/* Writes what `url` (http, https, file) gives to fd, max_bytes at most. Redirects are followed, the
 * environment's proxies are used, certificates are checked. 0, or MEDIA_E_RETRY with the cause (no
 * connection, 5xx, the disk), MEDIA_E_GONE (no such file there), MEDIA_E_TOOBIG. [thread] */
int wk_fetch(const char *url, int fd, int64_t max_bytes, media_err_t *ei);

#endif
