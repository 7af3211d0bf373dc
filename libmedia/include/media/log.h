/* One JSON line per log record (workers): {"ts","level","msg","svc", key: value ...}. Formatting
 * only; the caller writes the line. */
#ifndef MEDIA_LOG_H
#define MEDIA_LOG_H

#include "media/buf.h"

enum media_level { MEDIA_LOG_DEBUG, MEDIA_LOG_INFO, MEDIA_LOG_WARN, MEDIA_LOG_ERROR };

/* Appends a line ending in '\n' to `out`. `kv` is a NULL-ended list of alternating key, value C
 * strings; a NULL value is written as null. 0 or the buffer's failure. [any] */
int media_log_line(media_buf_t *out, enum media_level level, int64_t unix_ms, const char *svc,
                   const char *msg, const char *const *kv);
/* "debug" -> MEDIA_LOG_DEBUG ...; MEDIA_E_REJECT for another name. [any] */
int media_log_level_parse(media_str_t name);

#endif
