/* Configuration of media-gateway: one table of environment variables. What ends up in nginx.conf is
 * checked here, so that no value can be more than a word of it. A bad value ends the program with
 * exit code 2 and names it. */
#ifndef GW_CONF_H
#define GW_CONF_H

#include <stddef.h>
#include <stdio.h>

typedef struct {
    /* where things are */
    const char *nginx;     /* the binary */
    const char *module;    /* ngx_http_media_module.so */
    const char *conf_dir;  /* nginx.conf.in and what it includes */
    const char *run_dir;   /* what we write; also nginx's temporary files */
    const char *cache_dir; /* of downloads */
    const char *log_dir;   /* NULL: stdout and stderr */
    const char *user;      /* of nginx's worker processes, if nginx is root; NULL: the same */
    /* what is listened to */
    const char *listen; /* addresses; NULL: all of this machine */
    int http_port;
    int https_port;
    int h2c_port; /* 0: none */
    int ops_port; /* 0: none, metrics are on the public port for this machine */
    int proxy_protocol;
    const char *trusted_proxies; /* NULL: none */
    const char *tls_cert;        /* NULL: no TLS */
    const char *tls_key;
    const char *routes_dir;
    /* PostgreSQL */
    const char *pg_host;
    const char *pg_port;
    const char *pg_database;
    const char *pg_user;
    const char *pg_sslmode;
    const char *pg_sslrootcert;
    const char *pg_passfile;      /* libpq's file; or */
    const char *pg_password_file; /* the password alone */
    /* S3 */
    const char *s3_endpoint;
    const char *s3_region;
    const char *s3_bucket;
    const char *s3_credentials;
    const char *s3_addressing;
    const char *s3_checksum;
    const char *s3_sse;
    const char *s3_sse_key;
    int s3_sse_bucket_key;
    const char *s3_out_endpoint;
    const char *s3_out_region;
    const char *s3_out_bucket;
    const char *s3_out_credentials;
    const char *s3_out_addressing;
    const char *s3_ca;
    const char *s3_credentials_file;
    const char *s3_profile;
    /* RabbitMQ, keys */
    const char *amqp_url_file;
    const char *amqp_url; /* secret */
    const char *jwt_dir;
    int jwt_settle_s;
    const char *play_key;
    /* sizes */
    const char *cache_size; /* "off": none */
    const char *memory;
    const char *cors_origin;
} gw_conf_t;

/* Fills conf from the environment; an empty variable counts as unset. Strings are borrowed from it.
 * Exits 2 where a value is bad or missing. */
void gw_conf_load(gw_conf_t *conf);
/* The table, for --help. */
void gw_conf_help(FILE *out);
/* 0 if `value` may stand in nginx.conf as one word. [any] */
int gw_conf_is_word(const char *value);

#endif
