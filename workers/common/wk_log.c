/* JSON log lines of a worker. The formatting is libmedia's; here are the clock, the threshold and
 * the one write(2) per line, so that lines of several threads and processes never mix. */
#include "wk_log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WK_LOG_LINE_MAX 16384
#define WK_LOG_PAIRS_MAX 16

static const char *wk_log_svc = "media";
static _Atomic int wk_log_threshold = MEDIA_LOG_INFO;

void wk_log_init(const char *svc, enum media_level threshold)
{
    wk_log_svc = svc;
    atomic_store(&wk_log_threshold, (int)threshold);
}

static void log_write(const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, p, len);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; /* there is nowhere left to tell it */
        }
        p += n;
        len -= (size_t)n;
    }
}

void wk_log(enum media_level level, const char *msg, ...)
{
    const char *kv[2 * WK_LOG_PAIRS_MAX + 1];
    const char *none[] = {NULL};
    size_t n = 0;
    va_list ap;
    media_buf_t line;
    media_str_t text;
    int saved_errno = errno;

    if ((int)level < atomic_load(&wk_log_threshold)) {
        return;
    }

    va_start(ap, msg);
    while (n < 2 * WK_LOG_PAIRS_MAX) {
        kv[n] = va_arg(ap, const char *);
        if (kv[n] == NULL) {
            break;
        }
        kv[n + 1] = va_arg(ap, const char *);
        n += 2;
    }
    va_end(ap);
    kv[n] = NULL;

    media_buf_init(&line, WK_LOG_LINE_MAX);
    if (media_log_line(&line, level, wk_now_ms(), wk_log_svc, msg, kv) != 0) {
        /* too long or no memory: the message alone is better than nothing */
        media_buf_free(&line);
        media_buf_init(&line, WK_LOG_LINE_MAX);
        (void)media_log_line(&line, level, wk_now_ms(), wk_log_svc, msg, none);
    }
    text = media_buf_view(&line);
    log_write(text.p, text.len);
    media_buf_free(&line);
    errno = saved_errno;
}

const char *wk_fmt(char *dst, size_t cap, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(dst, cap, fmt, ap);
    va_end(ap);
    return dst;
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t wk_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t wk_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}
