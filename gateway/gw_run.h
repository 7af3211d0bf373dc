/* The life of media-gateway: names, nginx, signals, changes. */
#ifndef GW_RUN_H
#define GW_RUN_H

#include "gw_state.h"

/* Blocks the signals that gw_run() reads, SIGCHLD among them: before any child is started. */
void gw_run_signals(void);
/* Until nginx ends. Returns the exit code: nginx's own, 128 + signal where one killed it, 0 where
 * we were told to end before there was an nginx, 2 where the first configuration is refused. */
int gw_run(gw_state_t *gw);
/* Looks all names up once, `seconds` at most: 0, or what has no address in *ei. */
int gw_run_resolve(gw_state_t *gw, int seconds, media_err_t *ei);

#endif
