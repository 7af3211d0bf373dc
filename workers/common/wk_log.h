/* JSON log lines on stderr, one write(2) each. context: [thread], safe from any thread */
#ifndef WK_LOG_H
#define WK_LOG_H

#include "media/log.h"

/* svc: "media-transcoder"; threshold from MEDIA_LOG_LEVEL. */
void wk_log_init(const char *svc, enum media_level threshold);
/* kv pairs of C strings, ended by NULL: wk_log(MEDIA_LOG_INFO, "job done", "job", id, NULL) */
void wk_log(enum media_level level, const char *msg, ...) __attribute__((sentinel));
const char *wk_fmt(char *dst, size_t cap, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int64_t wk_now_ms(void);  /* unix time */
int64_t wk_mono_ms(void); /* monotonic */

#endif
