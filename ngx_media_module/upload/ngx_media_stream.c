
/*
 * Sink for files of known length: the client's buffers go straight to S3, in
 * one PUT or, above single_max, in a multipart upload whose parts pass
 * through one after the other. Nothing is held but the sniffed head, so a
 * request that fails cannot be repeated: the client has to come again. But a
 * PUT that S3 had as a whole, whose answer got lost, is looked up: the key is
 * this upload's own, so an object of that size and digest is our file.
 *
 * S3 waits where the client pauses, and has a patience of its own: the client
 * is told (408) before that ends, and also when it was shorter than we thought.
 */

#include "ngx_media_upload.h"


#define NGX_MEDIA_STREAM_LOOKS  4   /* for an object that is not there */


static ngx_int_t ngx_media_stream_part(ngx_media_upload_t *u);
static ngx_int_t ngx_media_stream_flush(ngx_media_upload_t *u);
static void ngx_media_stream_ready(void *data);
static void ngx_media_stream_awake(ngx_media_stream_t *s);
static void ngx_media_stream_idle(ngx_event_t *ev);
static void ngx_media_stream_done(void *data, ngx_media_s3_result_t *res);
static void ngx_media_stream_stored(ngx_media_upload_t *u, ngx_str_t *etag);
static void ngx_media_stream_look(ngx_event_t *ev);
static void ngx_media_stream_seen(void *data, ngx_media_s3_result_t *res);


static ngx_int_t
ngx_media_stream_open(ngx_media_upload_t *u)
{
    ngx_media_stream_t  *s = &u->stream;

    s->head.pos = u->head;
    s->head.last = u->head + u->head_len;
    s->head.memory = 1;
    s->rest = u->declared;

    s->idle.handler = ngx_media_stream_idle;
    s->idle.data = u;
    s->idle.log = u->log;

    ngx_media_retry_init(&s->look, ngx_media_stream_look, u, u->log,
                         NGX_MEDIA_S3_PAUSE);

    if (u->declared <= u->mcf->single_max) {
        return ngx_media_stream_part(u);
    }

    s->part_size = media_part_size_equal(u->mcf->part_size, u->declared);

    return ngx_media_multi_create(u, ngx_media_stream_part);
}


/* Starts the S3 request for the next (or only) piece of the file. */

static ngx_int_t
ngx_media_stream_part(ngx_media_upload_t *u)
{
    ngx_media_stream_t      *s = &u->stream;

    ngx_media_s3_request_t   req;

    s->left = s->part_size == 0 ? s->rest : ngx_min(s->rest, s->part_size);
    s->rest -= s->left;
    s->writable = 0;

    /* an empty body without trailer is out with its head */
    s->finished = s->left == 0 && u->s3->payload != NGX_MEDIA_S3_TRAILER;

    media_s3_sum_init(&s->sum, u->s3->sum);
    s->sum_text[0] = '\0';

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = u->s3;
    req.op = s->part_size == 0 ? MEDIA_S3_PUT : MEDIA_S3_UPLOAD_PART;
    req.key = u->key;
    req.upload_id = u->multi.upload_id;
    req.part_number = ++s->part;
    req.length = s->left;
    req.done = ngx_media_stream_done;
    req.ready = ngx_media_stream_ready;
    req.data = u;
    req.log = u->log;

    if (s->part_size == 0) {
        req.content_type.data = (u_char *) u->sniff.content_type;
        req.content_type.len = ngx_strlen(u->sniff.content_type);
    }

    s->call = ngx_media_s3_call(&req);

    if (s->call == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
}


/* Sends of b what the current request takes. */

static ngx_int_t
ngx_media_stream_send(ngx_media_upload_t *u, ngx_buf_t *b)
{
    ngx_media_stream_t  *s = &u->stream;

    u_char       *last, *pos;
    ngx_int_t     rc;
    ngx_chain_t   out;

    last = b->last;
    pos = b->pos;

    if (last - pos > s->left) {
        b->last = pos + s->left;
    }

    out.buf = b;
    out.next = NULL;

    rc = ngx_media_s3_write(s->call, &out);

    b->last = last;
    s->left -= b->pos - pos;

    if (s->part_size != 0) {
        media_s3_sum_add(&s->sum, pos, b->pos - pos);
    }

    /* NGX_ERROR: stream_done() brings the cause */

    return rc == NGX_OK ? NGX_OK : NGX_AGAIN;
}


/* The head of the file, then the end of a request whose bytes are all out. */

static ngx_int_t
ngx_media_stream_flush(ngx_media_upload_t *u)
{
    ngx_media_stream_t  *s = &u->stream;

    ngx_int_t  rc;

    if (s->call == NULL || !s->writable || s->finished) {
        return NGX_AGAIN;
    }

    if (s->left > 0 && s->head.pos < s->head.last) {
        rc = ngx_media_stream_send(u, &s->head);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (s->left > 0) {
        return NGX_OK;
    }

    if (s->part_size == 0) {

        /* one PUT: the digest of the file, known once the body is over */

        if (u->state != NGX_MEDIA_UPLOAD_STORING) {
            return NGX_OK;
        }

        media_s3_sum_sha256_text(u->sha256, s->sum_text);

    } else {
        ngx_media_multi_crc(u, s->sum.crc, s->sum.n);
        media_s3_sum_end(&s->sum, s->sum_text);
    }

    s->finished = 1;
    ngx_media_s3_finish(s->call, s->sum_text);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_media_stream_write(ngx_media_upload_t *u, ngx_buf_t *b)
{
    ngx_int_t  rc;

    while (b->pos < b->last) {

        rc = ngx_media_stream_flush(u);

        if (rc != NGX_OK) {
            return rc;
        }

        if (u->stream.left == 0) {

            /* the client sent more than it declared; core never lets it */

            return ngx_media_upload_fail(u, MEDIA_PROBLEM_BAD_REQUEST,
                                         "the body is longer than declared");
        }

        rc = ngx_media_stream_send(u, b);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* a full part ends at once, its answer is needed for the next one */

    if (u->stream.part_size != 0 && u->stream.left == 0
        && ngx_media_stream_flush(u) == NGX_DONE)
    {
        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_stream_can_read(ngx_media_upload_t *u)
{
    ngx_media_stream_t  *s = &u->stream;

    /* all bytes are taken: HTTP/2 may tell the end later */

    if (s->part > 0 && s->left == 0 && s->rest == 0) {
        return NGX_OK;
    }

    /* while a head is being sent, a part answered or a multipart upload
     * created, the client waits */

    return s->call != NULL && s->writable && !s->finished
           && s->head.pos == s->head.last ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_media_stream_finish(ngx_media_upload_t *u)
{
    ngx_media_stream_t  *s = &u->stream;

    if (s->part > 0 && s->call == NULL) {

        /* S3 has answered for everything */

        return s->part_size == 0 ? ngx_media_upload_stored(u)
                                 : ngx_media_multi_complete(u);
    }

    return ngx_media_stream_flush(u) == NGX_DONE ? NGX_DONE : NGX_OK;
}


static void
ngx_media_stream_hold(ngx_media_upload_t *u, ngx_uint_t hold)
{
    ngx_media_stream_t  *s = &u->stream;

    if (s->call == NULL) {
        return;
    }

    ngx_media_s3_hold(s->call, hold);

    if (!hold) {
        ngx_media_stream_awake(s);
        return;
    }

    s->paused = 1;

    if (!s->idle.timer_set && u->s3->idle_timeout != 0) {
        ngx_add_timer(&s->idle, u->s3->idle_timeout);
    }
}


static void
ngx_media_stream_awake(ngx_media_stream_t *s)
{
    s->paused = 0;

    if (s->idle.timer_set) {
        ngx_del_timer(&s->idle);
    }
}


static void
ngx_media_stream_idle(ngx_event_t *ev)
{
    ngx_media_upload_t  *u = ev->data;

    (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_CLIENT_TIMEOUT,
                                 "no byte of the body came for %M ms; the "
                                 "object store cannot wait longer",
                                 u->s3->idle_timeout);
}


static void
ngx_media_stream_ready(void *data)
{
    ngx_media_upload_t  *u = data;

    u->stream.writable = 1;

    if (ngx_media_stream_flush(u) == NGX_DONE) {
        return;
    }

    (void) ngx_media_upload_pump(u);
}


static void
ngx_media_stream_done(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_uint_t           paused;
    ngx_media_stream_t  *s = &u->stream;

    s->call = NULL;
    paused = s->paused;
    ngx_media_stream_awake(s);

    if (paused && ngx_strcmp(res->error.code, "RequestTimeout") == 0) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_CLIENT_TIMEOUT,
                                     "the object store did not wait for the "
                                     "next byte of the body");
        return;
    }

    if (res->verdict == MEDIA_E_RETRY && res->unknown && s->part_size == 0
        && s->left == 0 && u->state == NGX_MEDIA_UPLOAD_STORING
        && ngx_media_retry(&s->look, 0) == NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, u->log, 0,
                      "media s3 put without an answer, looking for its "
                      "object: media=%V cause=%s", &u->id,
                      res->cause ? res->cause : "-");
        return;
    }

    if (res->verdict != 0) {
        (void) ngx_media_upload_s3_failed(u, res, "put");
        return;
    }

    if (!s->finished
        && (s->left > 0 || u->s3->payload == NGX_MEDIA_S3_TRAILER))
    {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_STORAGE_UNAVAILABLE,
                                     "the object store answered before it had "
                                     "the whole file");
        return;
    }

    /* before the body is over its digest is not known: stream_finish() */

    if (s->part_size == 0) {
        ngx_media_stream_stored(u, &res->etag);
        return;
    }

    if (ngx_media_multi_part(u, s->part, &res->etag, s->sum_text) != NGX_OK) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    if (s->rest == 0) {
        if (u->state == NGX_MEDIA_UPLOAD_STORING) {
            (void) ngx_media_multi_complete(u);
        }

        return;
    }

    if (ngx_media_stream_part(u) == NGX_OK) {
        (void) ngx_media_upload_pump(u);
    }
}


static void
ngx_media_stream_stored(ngx_media_upload_t *u, ngx_str_t *etag)
{
    u->etag.data = ngx_pstrdup(u->pool, etag);
    u->etag.len = etag->len;

    if (u->etag.data == NULL) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    if (u->state == NGX_MEDIA_UPLOAD_STORING) {
        (void) ngx_media_upload_stored(u);
    }
}


static void
ngx_media_stream_look(ngx_event_t *ev)
{
    ngx_media_upload_t  *u = ev->data;

    ngx_media_s3_request_t   req;

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = u->s3;
    req.op = MEDIA_S3_HEAD;
    req.key = u->key;
    req.sha256 = u->sha256;
    req.within = ngx_media_retry_left(&u->stream.look);
    req.done = ngx_media_stream_seen;
    req.data = u;
    req.log = u->log;

    u->stream.call = ngx_media_s3_call(&req);

    if (u->stream.call == NULL) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }
}


static void
ngx_media_stream_seen(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_media_stream_t  *s = &u->stream;

    s->call = NULL;

    if (res->verdict == 0 && res->size == u->received) {
        ngx_media_stream_stored(u, &res->etag);
        return;
    }

    /* not there: S3 may be at it still, but not for long */

    if ((res->verdict == MEDIA_E_RETRY
         || (res->verdict == MEDIA_E_GONE
             && s->look.failures < NGX_MEDIA_STREAM_LOOKS))
        && ngx_media_retry(&s->look, res->retry_after * 1000) == NGX_OK)
    {
        return;
    }

    (void) ngx_media_upload_s3_failed(u, res, "head");
}


static void
ngx_media_stream_close(ngx_media_upload_t *u)
{
    ngx_media_s3_cancel(u->stream.call);
    u->stream.call = NULL;

    ngx_media_stream_awake(&u->stream);
    ngx_media_retry_stop(&u->stream.look);
}


const ngx_media_sink_t  ngx_media_stream_sink = {
    ngx_media_stream_open,
    ngx_media_stream_write,
    ngx_media_stream_can_read,
    ngx_media_stream_finish,
    ngx_media_stream_hold,
    ngx_media_stream_close,
    0
};
