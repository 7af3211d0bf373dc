/* Mail templates: {{name}} is replaced by a value, {{#name}}...{{/name}} stays only where the value
 * is not empty (no nesting). The files of templates/ are compiled in. */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "media/buf.h"

extern const char template_ready_txt[];
extern const char template_ready_html[];
extern const char template_failed_txt[];
extern const char template_failed_html[];

typedef struct {
    const char *name;
    const char *value; /* UTF-8; NULL: empty */
} template_var_t;

enum template_kind { TEMPLATE_TEXT, TEMPLATE_HTML };

/* Appends the rendered template. Values lose control characters, so none can add a line; in HTML
 * they are escaped for text and quoted attributes. vars ends with a NULL name. 0; MEDIA_E_BUG: a
 * name or section of the template is unknown or open; or the buffer's failure. [any] */
int template_render(media_buf_t *out, const char *text, const template_var_t *vars,
                    enum template_kind kind);

#endif
