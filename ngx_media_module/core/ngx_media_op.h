
/*
 * An asynchronous operation of a request: the frame every wait for
 * PostgreSQL, S3 or a thread uses, so that life times are decided once.
 *
 *   - begin() takes one reference on the request (r->main->count++); the
 *     content handler returns NGX_DONE afterwards.
 *   - the client leaving (pool cleanup) sets op->r = NULL and calls
 *     op->cancel(op): from then on the request must not be touched. cancel
 *     detaches queries and calls; an op that has to go on (a commit) keeps
 *     itself alive.
 *   - finish(op, rc) disarms the cleanup, finalizes the request with rc and
 *     runs posted requests. It is the last statement that mentions r.
 *
 * Who changes r->main->count: begin() ++, finish() -- (through finalize). The
 * body reader does its own (see ngx_media_body.c).
 */

#ifndef _NGX_MEDIA_OP_H_INCLUDED_
#define _NGX_MEDIA_OP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct ngx_media_op_s  ngx_media_op_t;

struct ngx_media_op_s {
    ngx_http_request_t         *r;          /* NULL: the client is gone */
    void                      (*cancel)(ngx_media_op_t *op);
    ngx_http_cleanup_t         *cln;        /* private */
    unsigned                    inside:1;   /* private */
};


/* op is embedded first in the caller's struct, which lives in r->pool (or in
 * its own pool, when cancel keeps it). NGX_ERROR when out of memory. [loop] */
ngx_int_t ngx_media_op_begin(ngx_media_op_t *op, ngx_http_request_t *r,
    void (*cancel)(ngx_media_op_t *op));
/* Another struct goes on with the request; `from` has none any more. */
void ngx_media_op_move(ngx_media_op_t *to, ngx_media_op_t *from,
    void (*cancel)(ngx_media_op_t *op));
/* The operation of r that has this cancel function; NULL when there is none. */
ngx_media_op_t *ngx_media_op_find(ngx_http_request_t *r,
    void (*cancel)(ngx_media_op_t *op));
/* From a foreign event (a callback); or, between these two, from within the
 * content handler that began it, whose caller then does the rest. */
void ngx_media_op_enter(ngx_media_op_t *op);
void ngx_media_op_leave(ngx_http_request_t *r,
    void (*cancel)(ngx_media_op_t *op));
void ngx_media_op_finish(ngx_media_op_t *op, ngx_int_t rc);


#endif
