
/*
 * The pump of an admitted upload: moves bytes from the client to S3, see
 * ngx_media_upload.h.
 */

#include "ngx_media_upload.h"


static void ngx_media_upload_turn(ngx_event_t *ev);


void
ngx_media_upload_start(ngx_media_upload_t *u)
{
    u->state = NGX_MEDIA_UPLOAD_READING;

    u->turn.handler = ngx_media_upload_turn;
    u->turn.data = u;
    u->turn.log = u->log;

    ngx_media_body_start(u);
}


static void
ngx_media_upload_turn(ngx_event_t *ev)
{
    (void) ngx_media_upload_pump(ev->data);
}


ngx_int_t
ngx_media_upload_pump(ngx_media_upload_t *u)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    if (u->state != NGX_MEDIA_UPLOAD_READING) {
        return NGX_OK;
    }

    if (u->dead) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_UPLOAD_LOST, NULL);
    }

    media_pace_rest(&u->pace, ngx_current_msec);

    for ( ;; ) {

        while (u->in != NULL) {
            cl = u->in;

            rc = ngx_media_ingest(u, cl->buf);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_body_pause(u) : rc;
            }

            u->in = cl->next;
            ngx_free_chain(u->op.r->pool, cl);
        }

        rc = ngx_media_reserve_ready(u);

        if (rc != NGX_OK) {
            return rc == NGX_AGAIN ? ngx_media_body_pause(u) : rc;
        }

        if (u->body_done) {
            u->state = NGX_MEDIA_UPLOAD_STORING;

            if (u->op.r != NULL) {
                u->op.r->read_event_handler = ngx_http_test_reading;
                ngx_media_ctx(u->op.r)->phase = "store";
            }

            return ngx_media_ingest_end(u);
        }

        if (u->taken >= NGX_MEDIA_TURN) {
            u->taken = 0;
            ngx_media_body_yield(u);
            return NGX_OK;
        }

        if (u->typed) {
            rc = u->sink->ready(u);

            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? ngx_media_body_pause(u) : rc;
            }
        }

        rc = ngx_media_body_next(u);

        if (rc == NGX_AGAIN) {
            u->taken = 0;
            media_pace_wait(&u->pace, ngx_current_msec);

            if (u->typed) {
                u->sink->hold(u, 1);
            }

            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (u->typed) {
            u->sink->hold(u, 0);
        }
    }
}
