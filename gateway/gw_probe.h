/* `media-gateway --probe`: health checks of an image without a shell. */
#ifndef GW_PROBE_H
#define GW_PROBE_H

#include "gw_conf.h"

/* GET /healthz of the ops port on this machine: 0 if it says 200 within seconds, else 1. [thread]
 */
int gw_probe(const gw_conf_t *conf);

#endif
