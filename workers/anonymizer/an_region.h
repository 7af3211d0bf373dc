/* When a region holds: which of the pictures of a film or of an animation it is for. */
#ifndef AN_REGION_H
#define AN_REGION_H

#include <jansson.h>

#include "an_params.h"

/* A picture is shown from at_s until end_s, INFINITY: for ever, as a still is. A region masks
 * whatever is shown at any moment of it, also what was shown already when it began; a region that
 * is never masked spares what is shown within it alone. */
int an_region_is_at(const an_region_t *r, double at_s, double end_s);

/* Adds to the warnings of a report: regions that begin when all is over. 0 or -1. */
int an_region_warn(json_t *warnings, const an_params_t *p, double end_s);

#endif
