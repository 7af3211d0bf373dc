/* Fills a template: @NAME@ becomes the value of NAME; lines between a line "@if NAME@" and a line
 * "@end@" are left out where its value is empty. A value of several lines is indented like its
 * first. [any] */
#ifndef GW_TEMPLATE_H
#define GW_TEMPLATE_H

#include "media/buf.h"
#include "media/err.h"

typedef struct {
    const char *name;
    const char *value; /* NULL: empty */
} gw_value_t;

/* Appends the filled text to `out`. REJECT for a name that `values` (ended by a NULL name) does not
 * have and for an @if@ without its @end@; TOOBIG. */
int gw_template_fill(media_str_t text, const gw_value_t *values, media_buf_t *out, media_err_t *ei);

#endif
