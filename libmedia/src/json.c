#include "media/json.h"

#include <string.h>

#define JSON_SIZE_MAX (1 << 20)
#define JSON_DEPTH_MAX 32
#define NAME_SHOWN 64 /* bytes of a client's member name quoted in an error */

/* Whether brackets nest deeper than allowed. jansson's own limit (2048) is too generous for the
 * stack of a server; counting needs no recursion. Broken JSON may be miscounted, the parser refuses
 * it. */
static int too_deep(media_str_t text)
{
    int depth = 0;
    int in_string = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = 0;
            }
        } else if (c == '"') {
            in_string = 1;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                return 1;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

int media_json_parse(media_str_t text, json_t **out, media_err_t *ei)
{
    return media_json_parse_max(text, JSON_SIZE_MAX, out, ei);
}

int media_json_parse_max(media_str_t text, size_t max, json_t **out, media_err_t *ei)
{
    json_error_t je;
    *out = NULL;
    if (text.len > max) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "the JSON text is longer than %zu bytes", max);
    }
    if (too_deep(text)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the JSON text nests deeper than %d",
                             JSON_DEPTH_MAX);
    }
    if (text.len > 0 && memchr(text.p, '\0', text.len) != NULL) {
        /* jansson 2.14 skips a NUL that stands behind a number */
        return media_err_set(ei, MEDIA_E_REJECT, "not valid JSON (a NUL)");
    }
    json_t *v = json_loadb(text.len > 0 ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &je);
    if (v == NULL) {
        /* je.text quotes the input, which may be a password: only code and place are passed on */
        switch (json_error_code(&je)) {
        case json_error_out_of_memory:
            return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
        case json_error_duplicate_key:
            return media_err_set(ei, MEDIA_E_REJECT, "a member occurs twice (line %d, column %d)",
                                 je.line, je.column);
        default:
            return media_err_set(ei, MEDIA_E_REJECT, "not valid JSON (line %d, column %d)", je.line,
                                 je.column);
        }
    }
    if (!json_is_object(v)) {
        json_decref(v);
        return media_err_set(ei, MEDIA_E_REJECT, "not a JSON object");
    }
    *out = v;
    return 0;
}

int media_json_only(const json_t *obj, const char *const *names, media_err_t *ei)
{
    const char *key;
    json_t *value;
    /* jansson's iterators take no const, though they change nothing */
    json_object_foreach((json_t *)(uintptr_t)obj, key, value)
    {
        const char *const *n = names;
        while (*n != NULL && strcmp(*n, key) != 0) {
            n++;
        }
        if (*n == NULL) {
            return media_err_set(ei, MEDIA_E_REJECT, "unknown member \"%.*s\"", NAME_SHOWN, key);
        }
    }
    return 0;
}

int media_json_str(const json_t *obj, const char *name, size_t max_len, media_str_t *out,
                   media_err_t *ei)
{
    const json_t *v = json_object_get(obj, name);
    if (v == NULL || json_is_null(v)) {
        return media_err_set(ei, MEDIA_E_GONE, "member \"%s\" is missing", name);
    }
    if (!json_is_string(v)) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" is not a string", name);
    }
    media_str_t s = {json_string_value(v), json_string_length(v)};
    if (s.len > max_len) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" is longer than %zu bytes", name,
                             max_len);
    }
    if (memchr(s.p, '\0', s.len) != NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" holds a NUL", name);
    }
    *out = s;
    return 0;
}

int media_json_int(const json_t *obj, const char *name, int64_t lo, int64_t hi, int64_t *out,
                   media_err_t *ei)
{
    const json_t *v = json_object_get(obj, name);
    if (v == NULL || json_is_null(v)) {
        return media_err_set(ei, MEDIA_E_GONE, "member \"%s\" is missing", name);
    }
    if (!json_is_integer(v)) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" is not an integer", name);
    }
    int64_t i = json_integer_value(v);
    if (i < lo || i > hi) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" is not within %lld..%lld", name,
                             (long long)lo, (long long)hi);
    }
    *out = i;
    return 0;
}
