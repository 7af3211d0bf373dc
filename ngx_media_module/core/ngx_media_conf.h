
/*
 * Configuration: the directives' setters, creation, merging and checks. Every
 * wrong value fails `nginx -t` with file and line. [conf]
 */

#ifndef _NGX_MEDIA_CONF_H_INCLUDED_
#define _NGX_MEDIA_CONF_H_INCLUDED_


#include "ngx_media.h"
#include "ngx_media_revoked.h"


extern ngx_command_t  ngx_media_commands[];


void *ngx_media_create_main_conf(ngx_conf_t *cf);
char *ngx_media_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_media_create_loc_conf(ngx_conf_t *cf);
char *ngx_media_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/* What the main configuration says as a whole; run in postconfiguration. */
ngx_int_t ngx_media_check_conf(ngx_conf_t *cf);

/* Keys (ngx_media_conf_auth.c). */
char *ngx_media_set_auth_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_auth_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_play_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* All of them, in postconfiguration. */
ngx_int_t ngx_media_check_auth(ngx_conf_t *cf);

/* Tokens (ngx_media_conf_token.c). */
char *ngx_media_set_auth_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_auth_source(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_auth_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

extern ngx_conf_post_t  ngx_media_realm_post;
extern ngx_conf_post_t  ngx_media_token_ttl_post;

/* One location: rules, 1 if it has some of its own. */
char *ngx_media_check_guard(ngx_conf_t *cf, ngx_media_loc_conf_t *conf,
    ngx_uint_t rules);

/* Setters with files, environment or addresses behind them
 * (ngx_media_conf_set.c). */
char *ngx_media_set_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_amqp_url_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_shm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_login_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_types(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_pipeline(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_enabled(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_problem(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_media_s3_conf.c */
char *ngx_media_set_s3_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_s3_credentials(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_media_set_s3_sse(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_set_s3_prefix(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_check_bucket(ngx_conf_t *cf, void *post, void *data);
char *ngx_media_check_region(ngx_conf_t *cf, void *post, void *data);
/* Addressing, checksums, credentials of a store: what fits together. */
ngx_int_t ngx_media_check_s3_dialect(ngx_conf_t *cf, ngx_media_s3_conf_t *s3);

/* The stores (ngx_media_s3_store.c): unset; with their defaults, which for the
 * output store are the input's settings; checked, in postconfiguration. */
void ngx_media_s3_create(ngx_media_main_conf_t *mcf);
void ngx_media_s3_init(ngx_media_main_conf_t *mcf);
ngx_int_t ngx_media_s3_check(ngx_conf_t *cf, ngx_media_main_conf_t *mcf);

/* The zone of the counters (ngx_media_shm.c). */
#define NGX_MEDIA_SHM_MIN  (1024 * 1024)

char *ngx_media_add_zone(ngx_conf_t *cf, ngx_media_main_conf_t *mcf,
    size_t size);
void ngx_media_use_zone(ngx_shm_zone_t *zone);      /* [loop] init_process */
void ngx_media_leave_zone(void);                    /* [loop] exit_process */

/* A whole small file into cf->pool, NUL-terminated. */
char *ngx_media_conf_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *content);

/* The size of a shared zone, at least min. */
char *ngx_media_conf_zone_size(ngx_conf_t *cf, size_t min, size_t *size);

/* Takes http:// or https:// off u->url, which is url then; 0: it is neither. */
ngx_uint_t ngx_media_conf_scheme(ngx_url_t *u, ngx_str_t *url,
    ngx_uint_t *ssl);

ngx_uint_t ngx_media_is_loopback(struct sockaddr *sa);

/* An environment variable copied into cf->pool with a NUL behind it; empty when
 * unset. */
ngx_int_t ngx_media_conf_env(ngx_conf_t *cf, const char *name,
    ngx_str_t *value);


#endif
