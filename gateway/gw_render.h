/* nginx.conf out of nginx.conf.in, the environment, keys and addresses. Nothing secret goes in. */
#ifndef GW_RENDER_H
#define GW_RENDER_H

#include "gw_conf.h"
#include "gw_keys.h"
#include "gw_names.h"

#define GW_TEXT_MAX (1 << 20)
#define GW_PG_HOSTS_MAX 8
#define GW_NAMES_MAX (GW_PG_HOSTS_MAX + 2)
/* "listen" lines of the public ports in a file of their own, for servers of MEDIA_ROUTES_DIR */
#define GW_LISTEN_CONF "listen.conf"

/* Hosts of PostgreSQL in the order of PGHOST, then the endpoints of S3. */
typedef struct {
    gw_name_t name[GW_NAMES_MAX];
    size_t pg_count;
    size_t count;
} gw_names_t;

/* What is asked of the machine once. */
typedef struct {
    int nginx_version; /* 1002003 */
    int cpus;
    int has_ipv6;
} gw_machine_t;

/* Splits PGHOST and the endpoints. `s3_grace_ms` as in gw_name_init(). TOOBIG for too many hosts.
 * [any] */
int gw_names_init(gw_names_t *names, const gw_conf_t *conf, int64_t s3_grace_ms, media_err_t *ei);

/* The lines of GW_LISTEN_CONF. [any] */
int gw_render_listen(const gw_conf_t *conf, const gw_machine_t *m, media_buf_t *out);

/* Fills `template`; all names must have addresses in use. `routes`: 0 leaves those of
 * MEDIA_ROUTES_DIR out. [any] */
int gw_render(media_str_t template, const gw_conf_t *conf, const gw_machine_t *m,
              const gw_names_t *names, media_str_t key_lines, int routes, media_buf_t *out,
              media_err_t *ei);

#endif
