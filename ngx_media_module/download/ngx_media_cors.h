
/*
 * Players are scripts, often of another origin than the gateway: who may read
 * what the playback routes answer (Fetch, 3.2 "CORS protocol"). Cookies are
 * never invited: nothing is said of credentials.
 */

#ifndef _NGX_MEDIA_CORS_H_INCLUDED_
#define _NGX_MEDIA_CORS_H_INCLUDED_


#include "ngx_media.h"


/* media_cors_origin. [conf] */
char *ngx_media_set_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* 1 for the question of a browser whether a page of an origin that may read the
 * answers may also send a request with further headers. [loop] */
ngx_uint_t ngx_media_cors_asked(ngx_http_request_t *r, ngx_media_ctx_t *ctx);
/* The answer to it: 204. Returned is the content handler's value. [loop] */
ngx_int_t ngx_media_cors_answer(ngx_http_request_t *r);

/* What every answer of the routes says, errors as well. NGX_ERROR when out of
 * memory. [loop] */
ngx_int_t ngx_media_cors_headers(ngx_http_request_t *r, ngx_media_ctx_t *ctx);


#endif
