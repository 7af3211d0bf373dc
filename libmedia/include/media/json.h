/* Reading JSON from outside: jansson with duplicate keys rejected, depth and size bounded, and
 * members taken by a table, so that an unknown member is refused by its name. */
#ifndef MEDIA_JSON_H
#define MEDIA_JSON_H

#include <jansson.h>
#include "media/err.h"
#include "media/str.h"

/* Parses one JSON object. Owned result in *out (json_decref). MEDIA_E_REJECT with the cause: not
 * JSON, not an object, a duplicate member, deeper than 32. MEDIA_E_TOOBIG above 1 MiB. [any] */
int media_json_parse(media_str_t text, json_t **out, media_err_t *ei);
/* The same with another limit of the text's bytes, for documents of our own. [any] */
int media_json_parse_max(media_str_t text, size_t max, json_t **out, media_err_t *ei);

/* MEDIA_E_REJECT naming the first member of `obj` that is not in the NULL-ended list. [any] */
int media_json_only(const json_t *obj, const char *const *names, media_err_t *ei);

/* The string member `name`: 0 and a view borrowed from obj; MEDIA_E_GONE when absent or null;
 * MEDIA_E_REJECT when it is no string, holds NUL or is longer than max_len bytes. [any] */
int media_json_str(const json_t *obj, const char *name, size_t max_len, media_str_t *out,
                   media_err_t *ei);

/* The integer member `name` within lo..hi; codes as media_json_str. [any] */
int media_json_int(const json_t *obj, const char *name, int64_t lo, int64_t hi, int64_t *out,
                   media_err_t *ei);

#endif
