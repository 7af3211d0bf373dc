
/*
 * One part of a file of unknown length: filled block by block, with its digest
 * computed as it fills, sent to S3, and held until S3 has answered for it, so
 * that it can be sent again.
 *
 * No more than media_s3_connections of them are on their way at once; the
 * others wait in a queue, in memory. S3 servers refuse what is too much (MinIO
 * with 503 and at once), and are no faster with it.
 */

#include "ngx_media_upload.h"


static ngx_uint_t   ngx_media_part_most;        /* media_s3_connections */
static ngx_uint_t   ngx_media_part_nsending;
static ngx_queue_t  ngx_media_part_waiting;
static ngx_event_t  ngx_media_part_event;       /* posted: the next's turn */


static ngx_media_block_t *ngx_media_part_block(ngx_media_part_t *part);
static ngx_int_t ngx_media_part_start(ngx_media_part_t *part);
static void ngx_media_part_leave(ngx_media_part_t *part);
static void ngx_media_part_next(ngx_event_t *ev);
static void ngx_media_part_ready(void *data);
static void ngx_media_part_done(void *data, ngx_media_s3_result_t *res);
static void ngx_media_part_retry(ngx_event_t *ev);


void
ngx_media_part_init(ngx_uint_t most)
{
    ngx_media_part_most = most;
    ngx_queue_init(&ngx_media_part_waiting);

    ngx_media_part_event.handler = ngx_media_part_next;
    ngx_media_part_event.log = ngx_cycle->log;
}


/* Is the SHA-256 of a part wanted, as its checksum or to sign it? */

static ngx_uint_t
ngx_media_part_hashed(ngx_media_upload_t *u)
{
    return u->s3->payload == NGX_MEDIA_S3_SIGNED
           || u->s3->sum == MEDIA_S3_SUM_SHA256;
}


ngx_media_part_t *
ngx_media_part_create(ngx_media_upload_t *u, ngx_uint_t number)
{
    ngx_media_part_t  *part;

    part = ngx_calloc(sizeof(ngx_media_part_t), u->log);
    if (part == NULL) {
        return NULL;
    }

    part->upload = u;
    part->number = number;
    part->room = media_part_size(u->mcf->part_size, u->mcf->part_max, number);

    ngx_media_retry_init(&part->retry, ngx_media_part_retry, part, u->log,
                         NGX_MEDIA_S3_PAUSE);

    if (number == 1 || !ngx_media_part_hashed(u)) {
        return part;
    }

    part->sha = EVP_MD_CTX_new();

    if (part->sha == NULL
        || EVP_DigestInit_ex(part->sha, EVP_sha256(), NULL) != 1)
    {
        ngx_media_part_free(part);
        return NULL;
    }

    return part;
}


void
ngx_media_part_free(ngx_media_part_t *part)
{
    ngx_media_s3_cancel(part->call);
    ngx_media_part_leave(part);

    ngx_media_retry_stop(&part->retry);

    ngx_media_blocks_free(part->first);
    ngx_media_mem_repay(&part->loan);

    if (part->chain != NULL) {
        ngx_free(part->chain);
    }

    EVP_MD_CTX_free(part->sha);
    ngx_free(part);
}


size_t
ngx_media_part_fill(ngx_media_part_t *part, u_char *p, size_t n)
{
    size_t              size, taken;
    ngx_media_block_t  *b;

    for (taken = 0; taken < n && part->size < part->room; taken += size) {

        b = ngx_media_part_block(part);
        if (b == NULL) {
            break;
        }

        size = ngx_min(n - taken, b->size - b->used);
        size = ngx_min(size, part->room - part->size);

        ngx_memcpy(b->data + b->used, p + taken, size);
        b->used += size;
        part->size += size;
    }

    if (EVP_DigestUpdate(part->upload->sha, p, taken) != 1
        || (part->sha != NULL && EVP_DigestUpdate(part->sha, p, taken) != 1))
    {
        return 0;
    }

    if (part->upload->s3->sum == MEDIA_S3_SUM_CRC64NVME) {
        part->crc = media_crc64nvme(part->crc, p, taken);
    }

    return taken;
}


/* A block that has room. Each new one doubles what the part holds, so a small
 * file takes little; from NGX_MEDIA_BLOCK_MAX on they are equal, and in step
 * with the chunks of aws-chunked. */

static ngx_media_block_t *
ngx_media_part_block(ngx_media_part_t *part)
{
    ngx_media_block_t  *b;

    if (part->last != NULL && part->last->used < part->last->size) {
        return part->last;
    }

    b = ngx_media_block_alloc(ngx_min(ngx_max(part->held, NGX_MEDIA_BLOCK_MIN),
                                      NGX_MEDIA_BLOCK_MAX));
    if (b == NULL) {
        return NULL;
    }

    if (part->last == NULL) {
        part->first = b;

    } else {
        part->last->next = b;
    }

    part->last = b;
    part->held += b->size;

    return b;
}


size_t
ngx_media_part_need(ngx_media_part_t *part, off_t rest)
{
    size_t  held;

    /* what part_block() would hold in the end */

    rest = ngx_min((off_t) part->room, rest + (off_t) part->size);
    held = NGX_MEDIA_BLOCK_MIN;

    while ((off_t) held < rest) {
        held += ngx_min(held, NGX_MEDIA_BLOCK_MAX);
    }

    held = ngx_max(held, part->held + 1);

    return ngx_min(held - part->held, part->upload->mcf->part_max);
}


ngx_int_t
ngx_media_part_close(ngx_media_part_t *part)
{
    unsigned             n;
    ngx_media_upload_t  *u = part->upload;

    if (u->s3->payload == NGX_MEDIA_S3_UNSIGNED) {
        return NGX_OK;
    }

    if (!u->parts.multipart) {
        ngx_memcpy(part->sha256, u->sha256, 32);
        media_s3_sum_sha256_text(part->sha256, part->sum);
        return NGX_OK;
    }

    if (u->s3->sum == MEDIA_S3_SUM_CRC64NVME) {
        ngx_media_multi_crc(u, part->crc, part->size);
        media_s3_sum_crc_text(part->crc, part->sum);
    }

    if (!ngx_media_part_hashed(u)) {
        return NGX_OK;
    }

    /* that of the first part is the file's up to here */

    if (part->sha == NULL) {
        part->sha = EVP_MD_CTX_new();

        if (part->sha == NULL || EVP_MD_CTX_copy_ex(part->sha, u->sha) != 1) {
            return NGX_ERROR;
        }
    }

    if (EVP_DigestFinal_ex(part->sha, part->sha256, &n) != 1) {
        return NGX_ERROR;
    }

    if (u->s3->sum == MEDIA_S3_SUM_SHA256) {
        media_s3_sum_sha256_text(part->sha256, part->sum);
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_part_send(ngx_media_part_t *part)
{
    if (ngx_media_part_nsending < ngx_media_part_most) {
        return ngx_media_part_start(part);
    }

    part->waiting = 1;
    ngx_queue_insert_tail(&ngx_media_part_waiting, &part->turn);

    return NGX_OK;
}


/* It waits no more, or it is on its way no more. */

static void
ngx_media_part_leave(ngx_media_part_t *part)
{
    if (part->waiting) {
        part->waiting = 0;
        ngx_queue_remove(&part->turn);
    }

    if (part->sending) {
        part->sending = 0;
        ngx_media_part_nsending--;

        if (!ngx_queue_empty(&ngx_media_part_waiting)
            && !ngx_media_part_event.posted)
        {
            ngx_post_event(&ngx_media_part_event, &ngx_posted_events);
        }
    }
}


static void
ngx_media_part_next(ngx_event_t *ev)
{
    ngx_media_part_t  *part;

    while (ngx_media_part_nsending < ngx_media_part_most
           && !ngx_queue_empty(&ngx_media_part_waiting))
    {
        part = ngx_queue_data(ngx_queue_head(&ngx_media_part_waiting),
                              ngx_media_part_t, turn);

        ngx_media_part_leave(part);
        (void) ngx_media_part_start(part);
    }
}


static ngx_int_t
ngx_media_part_start(ngx_media_part_t *part)
{
    ngx_media_upload_t      *u = part->upload;
    ngx_media_s3_request_t   req;

    part->sending = 1;
    ngx_media_part_nsending++;

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = u->s3;
    req.key = u->key;
    req.length = part->size;
    req.sha256 = part->sha256;
    req.sum = part->sum;
    req.within = ngx_media_retry_left(&part->retry);
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
    ngx_media_s3_finish(part->call, part->sum);
}


static void
ngx_media_part_done(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_part_t    *part = data;
    ngx_media_upload_t  *u = part->upload;

    part->call = NULL;
    ngx_media_part_leave(part);

    if (part->chain != NULL) {
        ngx_free(part->chain);
        part->chain = NULL;
    }

    if (res->verdict == MEDIA_E_RETRY
        && ngx_media_retry(&part->retry, res->retry_after * 1000) == NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, u->log, 0,
                      "media s3 part failed, trying again: media=%V part=%ui "
                      "status=%ui cause=%s", &u->id, part->number, res->status,
                      res->cause ? res->cause : "-");
        return;
    }

    if (res->verdict != 0) {
        (void) ngx_media_upload_s3_failed(u, res, "part");
        return;
    }

    ngx_media_parts_stored(part, &res->etag);
}


static void
ngx_media_part_retry(ngx_event_t *ev)
{
    (void) ngx_media_part_send(ev->data);
}
