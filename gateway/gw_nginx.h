/* nginx as a child: its version, the test of a configuration, the start. [thread] */
#ifndef GW_NGINX_H
#define GW_NGINX_H

#include <sys/types.h>

#include "gw_conf.h"
#include "media/buf.h"
#include "media/err.h"

#define GW_NGINX_CONF "nginx.conf"

/* 1002003 of nginx/1.2.3, asked of the binary. */
int gw_nginx_version(const gw_conf_t *conf, int *version, media_err_t *ei);
/* nginx -t; what it complains of is on our stderr. `path`: the configuration, whose text names
 * (env) what nginx's environment may hold. 0, or REJECT. */
int gw_nginx_test(const gw_conf_t *conf, const char *path, media_str_t text, media_err_t *ei);
/* Starts it as a process group of its own (a terminal's Ctrl-C is for us alone); it gets SIGQUIT
 * when we die. The pid, or -1. */
pid_t gw_nginx_start(const gw_conf_t *conf, const char *path, media_str_t text);

#endif
