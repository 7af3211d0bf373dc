#include "gw_template.h"

#include <string.h>

static const gw_value_t *value_find(const gw_value_t *values, media_str_t name)
{
    for (; values->name != NULL; values++) {
        if (media_str_eq(media_str(values->name), name)) {
            return values;
        }
    }
    return NULL;
}

/* The name between @ signs that `s` begins with: [A-Z0-9_]+; empty if there is none. */
static media_str_t name_at(media_str_t s)
{
    size_t n = 1;

    while (n < s.len && ((s.p[n] >= 'A' && s.p[n] <= 'Z') || (s.p[n] >= '0' && s.p[n] <= '9') ||
                         s.p[n] == '_')) {
        n++;
    }
    return s.len > n && n > 1 && s.p[n] == '@' ? (media_str_t){s.p + 1, n - 1} : MEDIA_STR_NULL;
}

static void add_indented(media_buf_t *out, const char *value, media_str_t indent)
{
    for (size_t n; *value != '\0'; value += n) {
        n = strcspn(value, "\n");
        n += value[n] == '\n';
        (void)media_buf_add(out, value, n);
        if (value[n] != '\0') {
            (void)media_buf_str(out, indent);
        }
    }
}

static int line_fill(media_str_t line, const gw_value_t *values, media_buf_t *out, media_err_t *ei)
{
    const gw_value_t *v;
    media_str_t indent = {line.p, 0}, name;
    size_t from = 0;

    while (indent.len < line.len && line.p[indent.len] == ' ') {
        indent.len++;
    }
    for (size_t i = 0; i < line.len; i++) {
        if (line.p[i] != '@') {
            continue;
        }
        name = name_at((media_str_t){line.p + i, line.len - i});
        if (name.len == 0) {
            continue;
        }
        v = value_find(values, name);
        if (v == NULL) {
            return media_err_set(ei, MEDIA_E_REJECT, "no value for @%.*s@", (int)name.len, name.p);
        }
        (void)media_buf_add(out, line.p + from, i - from);
        add_indented(out, v->value != NULL ? v->value : "", indent);
        i += name.len + 1;
        from = i + 1;
    }
    return media_buf_add(out, line.p + from, line.len - from);
}

/* 1 if the line is "@if NAME@"; its name goes to *name. */
static int is_if(media_str_t line, media_str_t *name)
{
    if (line.len < 6 || memcmp(line.p, "@if ", 4) != 0 || line.p[line.len - 1] != '@') {
        return 0;
    }
    *name = (media_str_t){line.p + 4, line.len - 5};
    return 1;
}

int gw_template_fill(media_str_t text, const gw_value_t *values, media_buf_t *out, media_err_t *ei)
{
    const gw_value_t *v;
    media_str_t name = MEDIA_STR_NULL;
    int open = 0, kept = 1, rc = 0;

    for (size_t at = 0, n; at < text.len && rc == 0; at += n) {
        const char *nl = memchr(text.p + at, '\n', text.len - at);
        media_str_t line, bare;
        n = nl != NULL ? (size_t)(nl - text.p) - at + 1 : text.len - at;
        line = (media_str_t){text.p + at, n};
        bare = media_str_trim((media_str_t){line.p, n - (nl != NULL)});
        if (!open && is_if(bare, &name)) {
            v = value_find(values, name);
            if (v == NULL) {
                return media_err_set(ei, MEDIA_E_REJECT, "no value for @if %.*s@", (int)name.len,
                                     name.p);
            }
            open = 1;
            kept = v->value != NULL && *v->value != '\0';
        } else if (open && media_str_eq(bare, MEDIA_STR("@end@"))) {
            open = 0;
            kept = 1;
        } else if (kept) {
            rc = line_fill(line, values, out, ei);
        }
    }
    if (rc == 0 && open) {
        return media_err_set(ei, MEDIA_E_REJECT, "@if %.*s@ has no @end@", (int)name.len, name.p);
    }
    return rc;
}
