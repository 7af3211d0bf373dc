
/*
 * Sink for files of unknown length: form-data, chunked, HTTP/2 without a
 * length, and signed payloads. Bytes collect in blocks; a file that ends
 * inside its first part becomes one PUT, a longer one a multipart upload. A
 * part is held until S3 has answered for it, so it can be sent again.
 *
 * At most NGX_MEDIA_PARTS_SENDING full parts and the one that fills are held;
 * then, or when the memory of the process is used up, the client waits.
 */

#include "ngx_media_upload.h"


static ngx_int_t ngx_media_parts_append(ngx_media_upload_t *u, u_char *p,
    size_t n);
static ngx_int_t ngx_media_parts_full(ngx_media_upload_t *u);
static ngx_int_t ngx_media_parts_opened(ngx_media_upload_t *u);
static ngx_int_t ngx_media_part_send(ngx_media_part_t *part);
static void ngx_media_part_ready(void *data);
static void ngx_media_part_done(void *data, ngx_media_s3_result_t *res);
static void ngx_media_part_retry(ngx_event_t *ev);
static void ngx_media_parts_resume(void *data);
static void ngx_media_parts_expired(ngx_event_t *ev);


static ngx_media_part_t *
ngx_media_part_create(ngx_media_upload_t *u)
{
    ngx_media_part_t  *part;

    part = ngx_calloc(sizeof(ngx_media_part_t), u->log);
    if (part == NULL) {
        return NULL;
    }

    part->upload = u;
    part->number = ++u->parts.count;
    part->retry.handler = ngx_media_part_retry;
    part->retry.data = part;
    part->retry.log = u->log;

    return part;
}


static void
ngx_media_part_free(ngx_media_part_t *part)
{
    ngx_media_s3_cancel(part->call);

    if (part->retry.timer_set) {
        ngx_del_timer(&part->retry);
    }

    ngx_media_blocks_free(part->first);

    if (part->chain != NULL) {
        ngx_free(part->chain);
    }

    ngx_free(part);
}


static ngx_int_t
ngx_media_parts_open(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ps->waiter.resume = ngx_media_parts_resume;
    ps->waiter.data = u;
    ps->wait.handler = ngx_media_parts_expired;
    ps->wait.data = u;
    ps->wait.log = u->log;

    ps->filling = ngx_media_part_create(u);
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

    b->pos = b->last;

    return rc;
}


/* Takes every byte; ngx_media_parts_ready() was asked before they were read. */

static ngx_int_t
ngx_media_parts_append(ngx_media_upload_t *u, u_char *p, size_t n)
{
    size_t              size;
    ngx_media_part_t   *part;
    ngx_media_block_t  *block;

    while (n > 0) {

        if (u->parts.filling->size == u->mcf->part_size
            && ngx_media_parts_full(u) != NGX_OK)
        {
            return NGX_DONE;
        }

        part = u->parts.filling;
        block = part->last;

        if (block == NULL || block->used == NGX_MEDIA_BLOCK) {
            block = ngx_media_block_alloc();

            if (block == NULL) {
                return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED,
                                             NULL);
            }

            if (part->last == NULL) {
                part->first = block;

            } else {
                part->last->next = block;
            }

            part->last = block;
        }

        size = ngx_min(n, NGX_MEDIA_BLOCK - block->used);
        size = ngx_min(size, u->mcf->part_size - part->size);

        ngx_memcpy(block->data + block->used, p, size);
        block->used += size;
        part->size += size;
        p += size;
        n -= size;
    }

    return NGX_OK;
}


/* More bytes follow a full part: it goes to S3, another one fills. */

static ngx_int_t
ngx_media_parts_full(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_media_part_t   *part;

    part = ps->filling;

    if (part->number == NGX_MEDIA_PARTS_MAX) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE,
                                     "a file sent without its length, or in a "
                                     "form, may have %O bytes",
                                     NGX_MEDIA_PARTS_MAX
                                     * (off_t) u->mcf->part_size);
    }

    ngx_queue_insert_tail(&ps->full, &part->queue);
    ps->nfull++;
    ps->filling = NULL;

    if (part->number == 1) {
        ps->multipart = 1;

        if (ngx_media_multi_create(u, ngx_media_parts_opened) != NGX_OK) {
            return NGX_DONE;
        }

    } else if (u->multi.upload_id.len != 0 && u->multi.query == NULL
               && ngx_media_part_send(part) != NGX_OK)
    {
        return NGX_DONE;
    }

    ps->filling = ngx_media_part_create(u);
    if (ps->filling == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
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


static ngx_int_t
ngx_media_part_digest(ngx_media_part_t *part)
{
    unsigned            n;
    EVP_MD_CTX         *sha;
    ngx_int_t           rc;
    ngx_media_block_t  *b;

    sha = EVP_MD_CTX_new();
    if (sha == NULL) {
        return NGX_ERROR;
    }

    rc = EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1 ? NGX_OK : NGX_ERROR;

    for (b = part->first; b != NULL && rc == NGX_OK; b = b->next) {
        if (EVP_DigestUpdate(sha, b->data, b->used) != 1) {
            rc = NGX_ERROR;
        }
    }

    if (rc == NGX_OK && EVP_DigestFinal_ex(sha, part->sha256, &n) != 1) {
        rc = NGX_ERROR;
    }

    EVP_MD_CTX_free(sha);

    return rc;
}


/* The digest of the part: that of the file when the part is the file. */

static ngx_int_t
ngx_media_part_prepare(ngx_media_part_t *part)
{
    ngx_media_upload_t  *u = part->upload;

    if (part->tries > 0 || u->mcf->s3.payload == NGX_MEDIA_S3_UNSIGNED) {
        return NGX_OK;
    }

    if (!u->parts.multipart) {
        ngx_memcpy(part->sha256, u->sha256, 32);
        return NGX_OK;
    }

    return ngx_media_part_digest(part);
}


static ngx_chain_t *
ngx_media_part_chain(ngx_media_part_t *part)
{
    ngx_buf_t          *b;
    ngx_uint_t          n, i;
    ngx_chain_t        *cl;
    ngx_media_block_t  *block;

    n = 0;

    for (block = part->first; block != NULL; block = block->next) {
        n++;
    }

    cl = ngx_alloc(ngx_max(n, 1) * (sizeof(ngx_chain_t) + sizeof(ngx_buf_t)),
                   part->upload->log);
    if (cl == NULL) {
        return NULL;
    }

    b = (ngx_buf_t *) (cl + ngx_max(n, 1));
    ngx_memzero(b, ngx_max(n, 1) * sizeof(ngx_buf_t));

    for (block = part->first, i = 0; block != NULL; block = block->next, i++) {
        b[i].pos = block->data;
        b[i].last = block->data + block->used;
        b[i].memory = 1;

        cl[i].buf = &b[i];
        cl[i].next = i + 1 < n ? &cl[i + 1] : NULL;
    }

    return cl;
}


static ngx_int_t
ngx_media_part_send(ngx_media_part_t *part)
{
    ngx_media_upload_t      *u = part->upload;
    ngx_media_s3_request_t   req;

    if (ngx_media_part_prepare(part) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    part->tries++;

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = &u->mcf->s3;
    req.key = u->key;
    req.length = part->size;
    req.sha256 = part->sha256;
    req.done = ngx_media_part_done;
    req.ready = ngx_media_part_ready;
    req.data = part;
    req.log = u->log;

    if (u->parts.multipart) {
        req.op = MEDIA_S3_UPLOAD_PART;
        req.upload_id = u->multi.upload_id;
        req.part_number = part->number;

    } else {
        req.op = MEDIA_S3_PUT;
        req.content_type.data = (u_char *) u->sniff.content_type;
        req.content_type.len = ngx_strlen(u->sniff.content_type);
    }

    part->call = ngx_media_s3_call(&req);

    if (part->call == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
}


static void
ngx_media_part_ready(void *data)
{
    ngx_media_part_t  *part = data;

    ngx_chain_t  *cl;

    if (part->chain == NULL) {
        part->chain = ngx_media_part_chain(part);

        if (part->chain == NULL) {
            (void) ngx_media_upload_fail(part->upload,
                                         MEDIA_PROBLEM_OVERLOADED, NULL);
            return;
        }

        part->unsent = part->first == NULL ? NULL : part->chain;
    }

    if (part->unsent != NULL
        && ngx_media_s3_write(part->call, part->unsent) != NGX_OK)
    {
        /* skip what is out, so that the next write starts there */

        for (cl = part->unsent;
             cl != NULL && cl->buf->pos == cl->buf->last;
             cl = cl->next)
        {
            /* void */
        }

        part->unsent = cl;
        return;
    }

    part->unsent = NULL;
    ngx_media_s3_finish(part->call, part->sha256);
}


static void
ngx_media_part_done(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_part_t    *part = data;

    ngx_media_parts_t   *ps;
    ngx_media_upload_t  *u;

    u = part->upload;
    ps = &u->parts;

    part->call = NULL;

    if (part->chain != NULL) {
        ngx_free(part->chain);
        part->chain = NULL;
    }

    if (res->verdict == MEDIA_E_RETRY && part->tries < NGX_MEDIA_PART_TRIES) {
        ngx_log_error(NGX_LOG_WARN, u->log, 0,
                      "media s3 part failed, trying again: media=%V part=%ui "
                      "status=%ui cause=%s", &u->id, part->number, res->status,
                      res->cause ? res->cause : "-");

        ngx_add_timer(&part->retry, NGX_MEDIA_RETRY_DELAY
                                    << (part->tries - 1));
        return;
    }

    if (res->verdict != 0) {
        (void) ngx_media_upload_s3_failed(u, res, "part");
        return;
    }

    if (!ps->multipart) {
        u->etag.len = res->etag.len;
        u->etag.data = ngx_pstrdup(u->pool, &res->etag);

        if (u->etag.data == NULL) {
            (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
            return;
        }

        (void) ngx_media_upload_stored(u);
        return;
    }

    if (ngx_media_multi_etag(u, part->number, &res->etag) != NGX_OK) {
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


static void
ngx_media_part_retry(ngx_event_t *ev)
{
    (void) ngx_media_part_send(ev->data);
}


static ngx_int_t
ngx_media_parts_ready(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    if (ps->nfull >= NGX_MEDIA_PARTS_SENDING) {
        return NGX_AGAIN;
    }

    if (!ngx_media_mem_ask(&ps->waiter)) {

        if (!ps->wait.timer_set) {
            ngx_add_timer(&ps->wait, NGX_MEDIA_MEM_WAIT);
        }

        return NGX_AGAIN;
    }

    if (ps->wait.timer_set) {
        ngx_del_timer(&ps->wait);
    }

    return NGX_OK;
}


static void
ngx_media_parts_resume(void *data)
{
    (void) ngx_media_upload_pump(data);
}


static void
ngx_media_parts_expired(ngx_event_t *ev)
{
    (void) ngx_media_upload_fail(ev->data, MEDIA_PROBLEM_OVERLOADED,
                                 "the memory for uploads is used up");
}


static ngx_int_t
ngx_media_parts_finish(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_media_part_t   *part;

    ps->finishing = 1;
    part = ps->filling;
    ps->filling = NULL;

    ngx_queue_insert_tail(&ps->full, &part->queue);
    ps->nfull++;

    if (ps->multipart && (u->multi.upload_id.len == 0
                          || u->multi.query != NULL))
    {
        return NGX_OK;      /* sent by ngx_media_parts_opened() */
    }

    return ngx_media_part_send(part);
}


static void
ngx_media_parts_hold(ngx_media_upload_t *u, ngx_uint_t hold)
{
    /* parts are in memory: S3 never waits for the client */
}


static void
ngx_media_parts_close(ngx_media_upload_t *u)
{
    ngx_media_parts_t  *ps = &u->parts;

    ngx_queue_t        *q;

    ngx_media_mem_forget(&ps->waiter);

    if (ps->wait.timer_set) {
        ngx_del_timer(&ps->wait);
    }

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
    ngx_media_parts_close
};
