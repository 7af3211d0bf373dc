#include "media/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "media/str.h"

const char *media_err_name(int rc)
{
    switch (rc) {
    case MEDIA_OK:
        return "ok";
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return text;
        MEDIA_ERRORS(X)
#undef X
    default:
        return rc > 0 ? "ok" : "unknown";
    }
}

/* The text may quote a client: no line break may reach a log, and a cut must not leave half of a
 * UTF-8 sequence. */
static void text_sanitize(char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = '?';
        }
    }
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0) {
        start--;
        if (media_utf8_next((media_str_t){text + start, len - start}) != len - start) {
            text[start] = '\0';
        }
    }
}

int media_err_set(media_err_t *ei, int rc, const char *fmt, ...)
{
    if (ei == NULL) {
        return rc;
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(ei->text, sizeof(ei->text), fmt, ap);
    va_end(ap);
    if (n < 0) {
        ei->text[0] = '\0';
    }
    text_sanitize(ei->text);
    return rc;
}
