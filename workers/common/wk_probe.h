/* --probe: is the worker beside us alive? For images without a shell or curl. */
#ifndef WK_PROBE_H
#define WK_PROBE_H

#include "wk_conf.h"

/* Asks /healthz where this configuration says that it is. The exit code: 0, or 1 and the reason on
 * stderr. [thread] */
int wk_probe(const wk_conf_t *conf, const char *prog);

#endif
