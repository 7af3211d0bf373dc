
/*
 * media_rate_limit: how often a user (without a token: an address) may upload,
 * or ask at all. The generic cell rate algorithm over a table in shared
 * memory, so that all worker processes count together and reloads go on.
 */

#ifndef _NGX_MEDIA_RATE_H_INCLUDED_
#define _NGX_MEDIA_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_uint_t                  limit;      /* requests in ... */
    ngx_uint_t                  period;     /* ... seconds */
    ngx_uint_t                  burst;      /* of them at once */
    ngx_uint_t                  all;        /* not uploads only */
    ngx_shm_zone_t             *zone;
} ngx_media_rate_t;


/* "media_rate_limit N/period [burst=N] [all]" or "off" [conf] */
char *ngx_media_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Counts r, once, under its location's limit and adds RateLimit headers.
 * NGX_OK: go on; NGX_DECLINED: too many, Retry-After is set, the caller sends
 * the problem; NGX_ERROR when out of memory. [loop] */
ngx_int_t ngx_media_rate_check(ngx_http_request_t *r);

/* Precontent phase: limits that are not about uploads. [loop] */
ngx_int_t ngx_media_rate_handler(ngx_http_request_t *r);


#endif
