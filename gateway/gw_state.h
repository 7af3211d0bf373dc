/* A running gateway: the configuration that nginx has, what it was made of, and what would be made
 * now. */
#ifndef GW_STATE_H
#define GW_STATE_H

#include "gw_render.h"

#define GW_DIGEST 32

typedef struct {
    gw_conf_t conf;
    gw_machine_t machine;
    gw_names_t names;
    gw_keys_t keys;
    int watch_fd;
    media_buf_t template;
    /* accepted by nginx -t and given to nginx */
    media_buf_t text;
    uint8_t digest[GW_DIGEST]; /* of the text and all files that it names */
    int refused;               /* attempts since the last accepted one */
    pid_t nginx;               /* 0: not started */
} gw_state_t;

/* Reads what stays as it is; 0, or what is wrong in *ei, and nothing is held then. [thread] */
int gw_state_init(gw_state_t *gw, media_err_t *ei);
void gw_state_free(gw_state_t *gw);

/* Renders from files and names as they are now; the text goes to `out`. [thread] */
int gw_state_render(gw_state_t *gw, int routes, media_buf_t *out, media_err_t *ei);

/* Looks whether anything has changed; if so (or `force`) renders, tests and only then gives it to
 * nginx: starts it, or SIGHUP. What is refused leaves nginx as it is and is tried again by the next
 * call. 0 when nginx has what there is. */
int gw_state_apply(gw_state_t *gw, int force);

#endif
