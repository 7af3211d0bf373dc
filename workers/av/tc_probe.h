/* What the parts of the probe document share. */
#ifndef TC_PROBE_H
#define TC_PROBE_H

#include <jansson.h>

#include "tc.h"

/* Takes v; NULL (out of memory, or nothing to say) leaves the member out. */
void tc_set(json_t *o, const char *name, json_t *v);
/* Left out unless n > 0. */
void tc_set_number(json_t *o, const char *name, int64_t n);

/* ---- tc_probe_video.c ---- */

void tc_probe_video(json_t *o, const AVStream *st);

#endif
