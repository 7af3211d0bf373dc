/* libav before lock-down. */
#include <stdio.h>
#include <unistd.h>

#include <libavutil/cpu.h>
#include <libavutil/log.h>

#include "tc.h"

#define LOG_LINES 40

/* FFmpeg's messages for the parent's debug log: a few lines, without touching stdio. */
static void on_log(void *avcl, int level, const char *fmt, va_list ap)
{
    static int lines, prefix = 1;
    char line[512];
    int n;

    if (level > AV_LOG_ERROR || lines >= LOG_LINES) {
        return;
    }
    lines++;
    n = av_log_format_line2(avcl, level, fmt, ap, line, sizeof(line), &prefix);
    if (n > 0) {
        (void)!write(STDERR_FILENO, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
    }
}

void tc_warm(void)
{
    av_log_set_level(AV_LOG_ERROR);
    av_log_set_callback(on_log);
    (void)av_get_cpu_flags();
}
