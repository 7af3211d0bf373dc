
/*
 * Whether S3 is there, see ngx_media_alive.h. One question at a time, with a
 * deadline of its own, shared by all who wait for it.
 */

#include "ngx_media.h"
#include "ngx_media_alive.h"


static void ngx_media_alive_done(void *data, ngx_media_s3_result_t *res);
static void ngx_media_alive_expired(ngx_event_t *ev);
static void ngx_media_alive_tell(ngx_uint_t alive);


/* of this process */
static ngx_uint_t            ngx_media_alive_fine;
static ngx_media_s3_call_t  *ngx_media_alive_call;
static ngx_event_t           ngx_media_alive_timer;
static ngx_queue_t           ngx_media_alive_queue = {
    &ngx_media_alive_queue, &ngx_media_alive_queue
};


ngx_int_t
ngx_media_alive_ask(ngx_media_alive_t *a, ngx_media_s3_conf_t *conf)
{
    ngx_media_s3_request_t  req;

    if (ngx_media_alive_fine) {
        return NGX_OK;
    }

    if (ngx_media_alive_call == NULL) {

        ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

        req.conf = conf;
        req.op = MEDIA_S3_HEAD_BUCKET;
        req.done = ngx_media_alive_done;
        req.log = ngx_cycle->log;

        ngx_media_alive_call = ngx_media_s3_call(&req);

        if (ngx_media_alive_call == NULL) {
            return NGX_ERROR;
        }

        ngx_media_alive_timer.handler = ngx_media_alive_expired;
        ngx_media_alive_timer.data = &ngx_media_alive_timer;
        ngx_media_alive_timer.log = ngx_cycle->log;
        ngx_media_alive_timer.cancelable = 1;

        ngx_add_timer(&ngx_media_alive_timer, NGX_MEDIA_ALIVE_WAIT);
    }

    a->waiting = 1;
    ngx_queue_insert_tail(&ngx_media_alive_queue, &a->queue);

    return NGX_AGAIN;
}


void
ngx_media_alive_forget(ngx_media_alive_t *a)
{
    if (a->waiting) {
        a->waiting = 0;
        ngx_queue_remove(&a->queue);
    }
}


void
ngx_media_alive_seen(ngx_uint_t status)
{
    ngx_media_alive_fine = status != 0
                           && status < NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_media_alive_done(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_alive_call = NULL;
    ngx_del_timer(&ngx_media_alive_timer);

    if (!ngx_media_alive_fine) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "media s3 failed: is the bucket there? status=%ui "
                      "cause=%s", res->status, res->cause ? res->cause : "-");
    }

    ngx_media_alive_tell(ngx_media_alive_fine);
}


static void
ngx_media_alive_expired(ngx_event_t *ev)
{
    ngx_media_s3_cancel(ngx_media_alive_call);
    ngx_media_alive_call = NULL;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "media s3 failed: is the bucket there? no answer in %d ms",
                  NGX_MEDIA_ALIVE_WAIT);

    ngx_media_alive_tell(0);
}


/* Those who wait now; who comes while they are told asks anew. */

static void
ngx_media_alive_tell(ngx_uint_t alive)
{
    ngx_queue_t         waiting, *q;
    ngx_media_alive_t  *a;

    if (ngx_queue_empty(&ngx_media_alive_queue)) {
        return;
    }

    ngx_queue_init(&waiting);
    ngx_queue_add(&waiting, &ngx_media_alive_queue);
    ngx_queue_init(&ngx_media_alive_queue);

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        a = ngx_queue_data(q, ngx_media_alive_t, queue);

        ngx_media_alive_forget(a);
        a->done(a->data, alive);
    }
}


void
ngx_media_alive_full(void)
{
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();

    if (shm != NULL) {
        shm->storage_full_until = ngx_current_msec + NGX_MEDIA_FULL_FOR;
    }
}


ngx_msec_t
ngx_media_alive_full_for(void)
{
    ngx_msec_int_t    left;
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();

    if (shm == NULL || shm->storage_full_until == 0) {
        return 0;
    }

    left = (ngx_msec_int_t) (shm->storage_full_until - ngx_current_msec);

    return left > 0 ? (ngx_msec_t) left : 0;
}
