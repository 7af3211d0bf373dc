
/*
 * Asynchronous operations of a request, see ngx_media_op.h. [loop]
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_media_op.h"


static void ngx_media_op_cleanup(void *data);


ngx_int_t
ngx_media_op_begin(ngx_media_op_t *op, ngx_http_request_t *r,
    void (*cancel)(ngx_media_op_t *op))
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_media_op_cleanup;
    cln->data = op;

    op->r = r;
    op->cancel = cancel;
    op->cln = cln;

    r->main->count++;

    /* while nobody reads the body, an abort must still be noticed */
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


void
ngx_media_op_move(ngx_media_op_t *to, ngx_media_op_t *from,
    void (*cancel)(ngx_media_op_t *op))
{
    *to = *from;

    to->cancel = cancel;
    to->cln->data = to;

    from->r = NULL;
    from->cln = NULL;
}


ngx_media_op_t *
ngx_media_op_find(ngx_http_request_t *r, void (*cancel)(ngx_media_op_t *op))
{
    ngx_media_op_t      *op;
    ngx_http_cleanup_t  *cln;

    for (cln = r->main->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler == ngx_media_op_cleanup) {
            op = cln->data;

            if (op->cancel == cancel) {
                return op;
            }
        }
    }

    return NULL;
}


void
ngx_media_op_enter(ngx_media_op_t *op)
{
    op->inside = 1;
}


/* It may be gone; its request is not, for nobody has run what was posted. */

void
ngx_media_op_leave(ngx_http_request_t *r, void (*cancel)(ngx_media_op_t *op))
{
    ngx_media_op_t  *op;

    op = ngx_media_op_find(r, cancel);

    if (op != NULL) {
        op->inside = 0;
    }
}


void
ngx_media_op_finish(ngx_media_op_t *op, ngx_int_t rc)
{
    ngx_uint_t           inside;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = op->r;
    if (r == NULL) {
        return;
    }

    c = r->connection;

    inside = op->inside;

    op->r = NULL;
    op->cln->handler = NULL;

    ngx_http_finalize_request(r, rc);

    if (!inside) {
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_media_op_cleanup(void *data)
{
    ngx_media_op_t  *op = data;

    op->r = NULL;
    op->cancel(op);
}
