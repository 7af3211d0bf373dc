/* A client's file name: made safe for storage and put into headers. */
#ifndef MEDIA_FILENAME_H
#define MEDIA_FILENAME_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_FILENAME_MAX 255

/* The base name (after the last '/' or '\\') with control characters (C0, DEL, C1, directional
 * overrides) removed, invalid UTF-8 replaced by U+FFFD, cut at a character's end to
 * MEDIA_FILENAME_MAX bytes with its extension kept; "", "." and ".." become "file". Returns the
 * length, NUL-terminated. [any] */
ssize_t media_filename_clean(media_str_t raw, char *dst, size_t cap);

/* A Content-Disposition value (RFC 6266): `type` is "attachment" or "inline"; filename= with an
 * ASCII fallback and, where needed, filename*=UTF-8''... (RFC 8187). `ext` (may be empty), e.g.
 * ".mp3", replaces the name's own extension. Returns the length or MEDIA_E_TOOBIG. [any] */
ssize_t media_content_disposition(const char *type, media_str_t name, media_str_t ext, char *dst,
                                  size_t cap);

/* The file name in a request's Content-Disposition value (filename* before filename), decoded, not
 * cleaned, NUL-terminated. Length, MEDIA_E_GONE if there is none, MEDIA_E_REJECT if the value is
 * malformed or names the file twice, MEDIA_E_TOOBIG. [any] */
ssize_t media_content_disposition_parse(media_str_t value, char *dst, size_t cap);

#endif
