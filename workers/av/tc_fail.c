/* Causes of failure. */
#include "tc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tc_fail(tc_fail_t *f, const char *code, const char *fmt, ...)
{
    va_list ap;

    if (f->code[0] == '\0') {
        (void)snprintf(f->code, sizeof(f->code), "%s", code);
        f->retry = strcmp(code, "internal") == 0;
        va_start(ap, fmt);
        (void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
        va_end(ap);
    }
    return -1;
}

int tc_fail_av(tc_fail_t *f, int averror, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";

    if (averror == AVERROR(ENOMEM)) {
        return tc_fail(f, "limits", "Processing this file needs more memory than is allowed.");
    }
    (void)av_strerror(averror, text, sizeof(text));
    return tc_fail(f, "unreadable_media", "%s: %s.", what, text);
}
