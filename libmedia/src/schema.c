#include "media/schema.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "media/str.h"

static int number(const char *text)
{
    int64_t n = 0;

    return text != NULL && media_str_to_i64(media_str(text), &n) == 0 && n > 0 && n <= INT_MAX
               ? (int)n
               : 0;
}

media_schema_t media_schema_read(const char *version, const char *oldest)
{
    media_schema_t s = {number(version), number(oldest)};

    return s.version > 0 && s.oldest > 0 ? s : (media_schema_t){0, 0};
}

int media_schema_missing(const char *sqlstate)
{
    /* undefined function, schema, table */
    return strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "3F000") == 0 ||
           strcmp(sqlstate, "42P01") == 0;
}

int media_schema_fits(media_schema_t s)
{
    return s.version > 0 && s.oldest <= MEDIA_SCHEMA && MEDIA_SCHEMA <= s.version;
}

const char *media_schema_text(media_schema_t s, char *dst, size_t cap)
{
    dst[0] = '\0';
    if (media_schema_fits(s)) {
        return dst;
    }
    if (s.version == 0) {
        (void)snprintf(dst, cap, "schema is older than this program needs, which is %d",
                       MEDIA_SCHEMA);
    } else if (s.version < MEDIA_SCHEMA) {
        (void)snprintf(dst, cap, "schema %d, this program needs %d", s.version, MEDIA_SCHEMA);
    } else {
        (void)snprintf(dst, cap, "schema %d serves programs from %d on, this one is %d", s.version,
                       s.oldest, MEDIA_SCHEMA);
    }
    return dst;
}
