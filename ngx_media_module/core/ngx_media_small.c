
/*
 * Small request bodies (JSON of login and token): read piece by piece into one
 * buffer of fixed size, so that neither a chunked body without end nor
 * client_body_buffer_size decides what is kept, and no secret meets a
 * temporary file.
 *
 * Who changes r->main->count: ngx_http_read_client_request_body() ++; the
 * finalization in ngx_media_small_done() --.
 */


#include <openssl/crypto.h>

#include "ngx_media.h"
#include "ngx_media_request.h"


typedef struct {
    ngx_str_t                   body;
    size_t                      cap;
    ngx_media_small_pt          handler;
    void                       *data;
} ngx_media_small_t;


static void ngx_media_small_start(ngx_http_request_t *r);
static void ngx_media_small_read(ngx_http_request_t *r);
static ngx_int_t ngx_media_small_take(ngx_http_request_t *r,
    ngx_media_small_t *s);
static void ngx_media_small_done(ngx_http_request_t *r,
    ngx_media_small_t *s);
static ngx_media_small_t *ngx_media_small_get(ngx_http_request_t *r);
static void ngx_media_small_cleanup(void *data);


ngx_int_t
ngx_media_read_small(ngx_http_request_t *r, size_t cap,
    ngx_media_small_pt handler, void *data)
{
    ngx_int_t            rc;
    ngx_media_small_t   *s;
    ngx_pool_cleanup_t  *cln;

    if (r->headers_in.content_length_n > (off_t) cap) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TOO_LARGE,
                                      "the body may have %uz bytes", cap);
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_media_small_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_media_small_cleanup;
    s = cln->data;

    s->body.len = 0;
    s->cap = cap;
    s->handler = handler;
    s->data = data;

    s->body.data = ngx_pnalloc(r->pool, cap + 1);
    if (s->body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_media_small_start);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return ngx_media_send_status(r, rc);
    }

    return NGX_DONE;
}


/* The head of the body is there; reading_body says whether more will come. */

static void
ngx_media_small_start(ngx_http_request_t *r)
{
    ngx_media_small_t  *s;

    s = ngx_media_small_get(r);

    if (r->reading_body) {
        r->read_event_handler = ngx_media_small_read;
        r->write_event_handler = ngx_http_request_empty_handler;
    }

    if (ngx_media_small_take(r, s) != NGX_OK) {
        return;
    }

    if (!r->reading_body) {
        ngx_media_small_done(r, s);
        return;
    }

    /* the buffer is free again: the reader sets its timer when it goes on */

    ngx_media_small_read(r);
}


static void
ngx_media_small_read(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_media_small_t  *s;

    s = ngx_media_small_get(r);

    for ( ;; ) {
        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r,
                                      (rc == NGX_HTTP_REQUEST_TIME_OUT) ? rc
                                      : ngx_media_send_status(r, rc));
            return;
        }

        if (r->request_body->bufs == NULL && rc == NGX_AGAIN) {
            return;
        }

        if (ngx_media_small_take(r, s) != NGX_OK) {
            return;
        }

        if (rc != NGX_AGAIN) {
            ngx_media_small_done(r, s);
            return;
        }
    }
}


/* Moves what has arrived into the buffer and cleanses where it was. When it
 * does not return NGX_OK the request has been finalized. */

static ngx_int_t
ngx_media_small_take(ngx_http_request_t *r, ngx_media_small_t *s)
{
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (b->in_file) {
            ngx_http_finalize_request(r,
                         ngx_media_send_problem(r, MEDIA_PROBLEM_INTERNAL,
                                                NULL));
            return NGX_ERROR;
        }

        len = b->last - b->pos;

        if (len == 0) {
            continue;
        }

        if (len > s->cap - s->body.len) {
            ngx_http_finalize_request(r,
                  ngx_media_send_problem(r, MEDIA_PROBLEM_TOO_LARGE,
                                         "the body may have %uz bytes",
                                         s->cap));
            return NGX_ERROR;
        }

        ngx_memcpy(s->body.data + s->body.len, b->pos, len);
        s->body.len += len;

        OPENSSL_cleanse(b->pos, len);
        b->pos = b->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


static void
ngx_media_small_done(ngx_http_request_t *r, ngx_media_small_t *s)
{
    ngx_int_t  rc;

    s->body.data[s->body.len] = '\0';
    r->read_event_handler = ngx_http_block_reading;

    rc = s->handler(r, &s->body, s->data);

    OPENSSL_cleanse(s->body.data, s->cap + 1);

    ngx_http_finalize_request(r, rc);
}


static ngx_media_small_t *
ngx_media_small_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_media_small_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_media_small_cleanup(void *data)
{
    ngx_media_small_t  *s = data;

    if (s->body.data) {
        OPENSSL_cleanse(s->body.data, s->cap + 1);
    }
}
