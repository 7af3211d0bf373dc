/* report.json: what was looked for and found, how it was masked, and what that does not cover. */
#ifndef AN_REPORT_H
#define AN_REPORT_H

#include <jansson.h>

#include "an_params.h"

/* `found` (taken over) is what the picture or the film tells: kind, width, height, duration,
 * tracks, warnings, all but the last two copied as they are. `detectors` (borrowed, may be NULL):
 * what the parent says of those that were asked. Owned text, to be freed; NULL: no memory. */
char *an_report(json_t *found, const an_params_t *p, const json_t *detectors);

/* What the parent is told of the output. Owned. */
json_t *an_report_meta(void);

#endif
