/* Rendering of mail templates, see template.h. */
#include "template.h"

#include <string.h>

#include "media/err.h"

static const template_var_t *var_find(const template_var_t *vars, const char *name, size_t len)
{
    for (; vars->name != NULL; vars++) {
        if (strlen(vars->name) == len && memcmp(vars->name, name, len) == 0) {
            return vars;
        }
    }
    return NULL;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void add_value(media_buf_t *out, const char *value, enum template_kind kind)
{
    for (const char *p = value; p != NULL && *p != '\0'; p++) {
        const char *entity = kind == TEMPLATE_HTML ? html_entity(*p) : NULL;

        if (entity != NULL) {
            (void)media_buf_cstr(out, entity);
        } else if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            (void)media_buf_add(out, " ", 1);
        } else {
            (void)media_buf_add(out, p, 1);
        }
    }
}

/* Handles the tag at `tag` (behind its braces). Returns where to go on, or NULL when it is wrong.
 */
static const char *render_tag(media_buf_t *out, const char *tag, const template_var_t *vars,
                              enum template_kind kind)
{
    const char *end = strstr(tag, "}}");
    int is_open = *tag == '#';
    int is_close = *tag == '/';
    const char *name = tag + (is_open || is_close);
    const template_var_t *var = end != NULL ? var_find(vars, name, (size_t)(end - name)) : NULL;
    char close[64];
    const char *skip;
    size_t len;

    if (var == NULL) {
        return NULL;
    }
    if (!is_open) {
        if (!is_close) {
            add_value(out, var->value, kind);
        }
        return end + 2;
    }
    len = strlen(var->name);
    if (len + 6 > sizeof(close)) {
        return NULL;
    }
    memcpy(close, "{{/", 3);
    memcpy(close + 3, var->name, len);
    memcpy(close + 3 + len, "}}", 3);
    skip = strstr(end, close);
    if (skip == NULL) {
        return NULL;
    }
    return var->value != NULL && var->value[0] != '\0' ? end + 2 : skip + len + 5;
}

int template_render(media_buf_t *out, const char *text, const template_var_t *vars,
                    enum template_kind kind)
{
    const char *tag;

    while ((tag = strstr(text, "{{")) != NULL) {
        (void)media_buf_add(out, text, (size_t)(tag - text));
        text = render_tag(out, tag + 2, vars, kind);
        if (text == NULL) {
            return MEDIA_E_BUG;
        }
    }
    return media_buf_cstr(out, text);
}
