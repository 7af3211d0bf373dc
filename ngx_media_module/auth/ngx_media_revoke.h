
/*
 * Revocation: tokens that end before they expire, because their login or all
 * of its user's were ended. PostgreSQL has the list; one process of this nginx
 * at a time asks it for what is new, every second, into shared memory
 * (ngx_media_revoked.h), and every process asks that memory alone.
 *
 * Until the list was loaded for the first time nobody can say whether a token
 * is still good: requests with one wait for it for a moment, then get 503.
 * Later, a database that is away changes nothing: without it nobody can
 * revoke anything either.
 */

#ifndef _NGX_MEDIA_REVOKE_H_INCLUDED_
#define _NGX_MEDIA_REVOKE_H_INCLUDED_


#include "ngx_media.h"


ngx_int_t ngx_media_revoke_init_process(ngx_cycle_t *cycle,
    ngx_media_main_conf_t *mcf);

/*
 * Asked by the access phase about a verified token whose user and claims are
 * in the context. NGX_OK: nothing has ended it; NGX_DECLINED: it was revoked,
 * and has been taken out of the context; NGX_AGAIN: the request waits for the
 * list, the phase will be run again; NGX_ABORT: there is no list. [loop]
 */
ngx_int_t ngx_media_revoke_check(ngx_http_request_t *r, ngx_media_ctx_t *ctx);

/* A login that was ended through this process, known here at once. [loop] */
void ngx_media_revoke_login(media_str_t sid);


#endif
