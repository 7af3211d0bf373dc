
/*
 * Sink for files of unknown length: form-data, chunked, HTTP/2 without a
 * length, and signed payloads. A file that ends inside its first part becomes
 * one PUT, a longer one a multipart upload.
 *
 * At most NGX_MEDIA_PARTS_SENDING full parts (one, once parts have grown) and
 * the one that fills are held; then, or when the memory of the process is used
 * up, the client waits.
 */

#include "ngx_media_upload.h"


static ngx_int_t ngx_media_parts_append(ngx_media_upload_t *u, u_char *p,
    size_t n);
static ngx_int_t ngx_media_parts_full(ngx_media_upload_t *u);
static ngx_int_t ngx_media_parts_opened(ngx_media_upload_t *u);
static void ngx_media_parts_resume(void *data);
static void ngx_media_parts_expired(ngx_event_t *ev);


/* Of one that waits for the memory it needs. */

static void
ngx_media_parts_wait(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    if (!ps->wait.timer_set) {
        ps->wait.handler = ngx_media_parts_expired;
        ps->wait.data = u;
        ps->wait.log = u->log;

        ngx_add_timer(&ps->wait, u->mcf->memory_wait);
    }
}


static void
ngx_media_parts_go_on(ngx_media_parts_t *ps)
{
    if (ps->wait.timer_set) {
        ngx_del_timer(&ps->wait);
    }
}


static void
ngx_media_parts_expired(ngx_event_t *ev)
{
    (void) ngx_media_upload_fail(ev->data, MEDIA_PROBLEM_OVERLOADED,
                                 "the memory for uploads is used up");
}


ngx_int_t
ngx_media_parts_admit(ngx_media_upload_t *u, void (*admitted)(void *data))
{
    ngx_media_parts_t  *ps = &u->parts;

    ps->waiter.resume = admitted;
    ps->waiter.data = u;

    if (!ngx_media_mem_admit(&ps->waiter)) {
        ngx_media_parts_wait(u);
        return NGX_AGAIN;
    }

    ngx_media_parts_go_on(ps);

    return NGX_OK;
}


static ngx_int_t
ngx_media_parts_open(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ps->waiter.resume = ngx_media_parts_resume;
    ps->waiter.data = u;

    ps->filling = ngx_media_part_create(u, 1);
    if (ps->filling == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return ngx_media_parts_append(u, u->head, u->head_len);
}


static ngx_int_t
ngx_media_parts_write(ngx_media_upload_t *u, ngx_buf_t *b)
{
    ngx_int_t  rc;

    rc = ngx_media_parts_append(u, b->pos, b->last - b->pos);

    /* b may be gone when the upload is */

    if (rc == NGX_OK) {
        b->pos = b->last;
    }

    return rc;
}


/* Takes every byte; ngx_media_parts_ready() was asked before they were read. */

static ngx_int_t
ngx_media_parts_append(ngx_media_upload_t *u, u_char *p, size_t n)
{
    size_t  taken;

    if (u->received > u->mcf->parts_total) {
        ngx_media_problem_limit(u->op.r, u->mcf->parts_total);
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE,
                                     "a file sent without its length, or in a "
                                     "form, may have %O bytes: send it as the "
                                     "body of a PUT with its Content-Length",
                                     u->mcf->parts_total);
    }

    ngx_media_mem_took(&u->parts.waiter, n);

    for ( /* void */ ; n > 0; p += taken, n -= taken) {

        u->parts.unused = 0;

        if (u->parts.filling->size == u->parts.filling->room
            && ngx_media_parts_full(u) != NGX_OK)
        {
            return NGX_DONE;
        }

        taken = ngx_media_part_fill(u->parts.filling, p, n);

        if (taken == 0) {
            return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
        }
    }

    return NGX_OK;
}


/* More bytes follow a full part, or memory has to be asked for in case they do:
 * it goes to S3, another one fills. */

static ngx_int_t
ngx_media_parts_full(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_media_part_t   *part;

    part = ps->filling;
    ps->multipart = 1;

    ngx_queue_insert_tail(&ps->full, &part->queue);
    ps->nfull++;
    ps->filling = NULL;

    if (ngx_media_part_close(part) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    if (part->number == 1) {
        if (ngx_media_multi_create(u, ngx_media_parts_opened) != NGX_OK) {
            return NGX_DONE;
        }

    } else if (u->multi.recorded && ngx_media_part_send(part) != NGX_OK) {
        return NGX_DONE;
    }

    ps->filling = ngx_media_part_create(u, part->number + 1);

    return ps->filling != NULL ? NGX_OK
                               : ngx_media_upload_fail(u,
                                              MEDIA_PROBLEM_OVERLOADED, NULL);
}


/* The multipart upload exists and its id is recorded. */

static ngx_int_t
ngx_media_parts_opened(ngx_media_upload_t *u)
{
    ngx_queue_t       *q, *next;
    ngx_media_part_t  *part;

    for (q = ngx_queue_head(&u->parts.full);
         q != ngx_queue_sentinel(&u->parts.full);
         q = next)
    {
        next = ngx_queue_next(q);
        part = ngx_queue_data(q, ngx_media_part_t, queue);

        if (ngx_media_part_send(part) != NGX_OK) {
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


void
ngx_media_parts_stored(ngx_media_part_t *part, ngx_str_t *etag)
{
    ngx_media_upload_t  *u = part->upload;

    ngx_media_parts_t   *ps = &u->parts;

    if (!ps->multipart) {
        u->etag.len = etag->len;
        u->etag.data = ngx_pstrdup(u->pool, etag);

        if (u->etag.data == NULL) {
            (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
            return;
        }

        (void) ngx_media_upload_stored(u);
        return;
    }

    if (ngx_media_multi_part(u, part->number, etag, part->sum) != NGX_OK) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    ngx_queue_remove(&part->queue);
    ps->nfull--;
    ngx_media_part_free(part);

    if (ps->finishing) {
        if (ps->nfull == 0) {
            (void) ngx_media_multi_complete(u);
        }

        return;
    }

    (void) ngx_media_upload_pump(u);
}


static ngx_int_t
ngx_media_parts_ready(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    off_t   rest;
    size_t  need;

    /* memory is for bytes that are there: a loan must not wait for a client */

    if (!ngx_media_body_has_input(u)) {
        return NGX_OK;
    }

    if (ps->filling->size == ps->filling->room
        && ngx_media_parts_full(u) != NGX_OK)
    {
        return NGX_DONE;
    }

    if (ps->nfull >= NGX_MEDIA_PARTS_SENDING
        || (ps->nfull > 0 && ps->filling->room > u->mcf->part_size))
    {
        return NGX_AGAIN;
    }

    rest = u->most < 0 ? u->mcf->parts_total
                       : ngx_max(u->most - u->received, 0);
    need = ngx_media_part_need(ps->filling, rest);

    if (ps->filling->loan == 0) {
        ps->unused = 1;
    }

    if (!ngx_media_mem_ask(&ps->waiter, &ps->filling->loan, need)) {
        ngx_media_parts_wait(u);
        return NGX_AGAIN;
    }

    ngx_media_parts_go_on(ps);

    return NGX_OK;
}


static void
ngx_media_parts_resume(void *data)
{
    (void) ngx_media_upload_pump(data);
}


static ngx_int_t
ngx_media_parts_finish(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_media_part_t   *part;

    ps->finishing = 1;
    part = ps->filling;
    ps->filling = NULL;

    if (part->size == 0 && ps->multipart) {
        ngx_media_part_free(part);

        return ps->nfull == 0 ? ngx_media_multi_complete(u) : NGX_OK;
    }

    ngx_queue_insert_tail(&ps->full, &part->queue);
    ps->nfull++;

    if (ngx_media_part_close(part) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    if (ps->multipart && !u->multi.recorded) {
        return NGX_OK;      /* sent by ngx_media_parts_opened() */
    }

    return ngx_media_part_send(part);
}


/* Parts are in memory, so S3 never waits for the client; but a loan it made no
 * use of goes back. */

static void
ngx_media_parts_hold(ngx_media_upload_t *u, ngx_uint_t hold)
{
    ngx_media_parts_t  *ps = &u->parts;

    if (hold && ps->unused) {
        ps->unused = 0;
        ngx_media_mem_repay(&ps->filling->loan);
    }
}


static void
ngx_media_parts_close(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_queue_t        *q;

    ngx_media_mem_forget(&ps->waiter);
    ngx_media_parts_go_on(ps);

    if (ps->filling != NULL) {
        ngx_media_part_free(ps->filling);
        ps->filling = NULL;
    }

    while (!ngx_queue_empty(&ps->full)) {
        q = ngx_queue_head(&ps->full);
        ngx_queue_remove(q);
        ngx_media_part_free(ngx_queue_data(q, ngx_media_part_t, queue));
    }
}


const ngx_media_sink_t  ngx_media_parts_sink = {
    ngx_media_parts_open,
    ngx_media_parts_write,
    ngx_media_parts_ready,
    ngx_media_parts_finish,
    ngx_media_parts_hold,
    ngx_media_parts_close,
    1
};
