/* Output of mediactl: aligned text for people, JSON for programs. Names, titles and error texts
 * come from uploads, so nothing of them may act on a terminal. */
#include "ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX 1024

/* One character of s at *i as bytes to print; control characters become '?'. Returns its width. */
static size_t next_char(const char *s, size_t *i, char out[8])
{
    unsigned char c = (unsigned char)s[*i];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    for (size_t k = 1; k < n; k++) {
        if (((unsigned char)s[*i + k] & 0xc0) != 0x80) {
            n = k; /* cut or broken */
            break;
        }
    }
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && n == 1) ||
        (c == 0xc2 && (unsigned char)s[*i + 1] < 0xa0)) {
        out[0] = '?';
        out[1] = '\0';
    } else {
        memcpy(out, s + *i, n);
        out[n] = '\0';
    }
    *i += n;
    return 1;
}

static size_t text_width(const char *s)
{
    char c[8];
    size_t width = 0;

    for (size_t i = 0; s[i] != '\0' && width < CELL_MAX;) {
        width += next_char(s, &i, c);
    }
    return width;
}

static void print_cell(const char *s, size_t width, int right, int last)
{
    size_t used = text_width(s);
    size_t pad = used < width ? width - used : 0;
    char c[8];

    if (right) {
        printf("%*s", (int)pad, "");
    }
    for (size_t i = 0, n = 0; s[i] != '\0' && n < CELL_MAX; n++) {
        (void)next_char(s, &i, c);
        fputs(c, stdout);
    }
    if (!right && !last) {
        printf("%*s", (int)pad, "");
    }
    fputs(last ? "\n" : "  ", stdout);
}

static const char *cell_text(const wk_pg_result_t *res, int row, int col, enum ctl_type type)
{
    const char *v = wk_pg_value(res, row, col);

    if (v == NULL || v[0] == '\0') {
        return "-";
    }
    return type == CTL_BOOL ? (v[0] == 't' ? "yes" : "no") : v;
}

static json_t *list_json(const char *v)
{
    json_t *list = json_array();

    while (*v != '\0') {
        size_t n = strcspn(v, ",");
        json_array_append_new(list, json_stringn(v, n));
        v += n + (v[n] == ',');
    }
    return list;
}

static json_t *cell_json(const wk_pg_result_t *res, int row, int col, enum ctl_type type)
{
    const char *v = wk_pg_value(res, row, col);
    json_t *number;

    if (v == NULL) {
        return json_null();
    }
    if (type == CTL_BOOL) {
        return json_boolean(v[0] == 't');
    }
    if (type == CTL_LIST) {
        return list_json(v);
    }
    number = type == CTL_NUMBER || type == CTL_JSON ? json_loads(v, JSON_DECODE_ANY, NULL) : NULL;
    return number != NULL ? number : json_string(v);
}

static int print_json(json_t *doc)
{
    int rc = doc != NULL ? json_dumpf(doc, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;

    json_decref(doc);
    putchar('\n');
    return rc == 0 ? CTL_OK : CTL_FAILED;
}

static int print_rows_json(const wk_pg_result_t *res, const ctl_col_t *cols, size_t ncols)
{
    json_t *list = json_array();

    for (int row = 0; row < wk_pg_rows(res); row++) {
        json_t *item = json_object();
        for (size_t c = 0; c < ncols; c++) {
            json_object_set_new(item, cols[c].key, cell_json(res, row, (int)c, cols[c].type));
        }
        json_array_append_new(list, item);
    }
    return print_json(list);
}

int ctl_print_rows(ctl_t *ctl, const wk_pg_result_t *res, const ctl_col_t *cols, size_t ncols)
{
    size_t width[32];
    size_t last = 0;

    if (ctl->json) {
        return print_rows_json(res, cols, ncols);
    }
    for (size_t c = 0; c < ncols && c < 32; c++) {
        if (cols[c].title == NULL) {
            continue;
        }
        last = c;
        width[c] = strlen(cols[c].title);
        for (int row = 0; row < wk_pg_rows(res); row++) {
            size_t n = text_width(cell_text(res, row, (int)c, cols[c].type));
            width[c] = n > width[c] ? n : width[c];
        }
    }
    for (int row = -1; row < wk_pg_rows(res); row++) {
        for (size_t c = 0; c < ncols && c < 32; c++) {
            if (cols[c].title != NULL) {
                print_cell(row < 0 ? cols[c].title : cell_text(res, row, (int)c, cols[c].type),
                           width[c], cols[c].type == CTL_NUMBER, c == last);
            }
        }
    }
    return CTL_OK;
}

int ctl_print_object(ctl_t *ctl, const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    size_t width = 0;
    const char *key;
    json_t *value;

    if (!json_is_object(doc)) {
        json_decref(doc);
        return ctl_fail(ctl, CTL_FAILED, "internal", "the database's answer is no JSON object");
    }
    if (ctl->json) {
        return print_json(doc);
    }
    json_object_foreach(doc, key, value)
    {
        width = strlen(key) > width ? strlen(key) : width;
    }
    json_object_foreach(doc, key, value)
    {
        char *dump = json_is_string(value)
                         ? NULL
                         : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        print_cell(key, width, 0, 0);
        print_cell(json_is_null(value)     ? "-"
                   : json_is_string(value) ? json_string_value(value)
                   : dump != NULL          ? dump
                                           : "?",
                   0, 0, 1);
        free(dump);
    }
    json_decref(doc);
    return CTL_OK;
}

int ctl_print_done(ctl_t *ctl, json_t *doc, const char *fmt, ...)
{
    va_list ap;

    if (ctl->json) {
        return print_json(doc);
    }
    json_decref(doc);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    return CTL_OK;
}
