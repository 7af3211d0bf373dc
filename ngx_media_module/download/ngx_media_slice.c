
/*
 * What nginx's slice filter leaves open when it fetches an object piece by
 * piece, each piece a subrequest that shares the pool of the main request:
 *
 * - A piece that breaks off in mid-body counts as done, the next one would
 *   follow it and the client would get a file with a hole. Here the request
 *   ends instead.
 * - A piece keeps its files open (that of the cache, or the new one on its way
 *   there) and its buffers until the whole download has ended: descriptors,
 *   memory and deleted files would grow with the length of the object. Here
 *   they are given back once they are not needed any more.
 */


#include "ngx_media_object.h"


static ngx_int_t ngx_media_slice_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_media_slice_files(ngx_http_request_t *r);
static void ngx_media_slice_file(ngx_http_request_t *r, ngx_fd_t *fd);
static ngx_int_t ngx_media_slice_input(void *data);
static void ngx_media_slice_pipe(ngx_http_request_t *r);
static void ngx_media_slice_output(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_copy_filter_module;


static ngx_http_post_subrequest_t  ngx_media_slice_post = {
    ngx_media_slice_done, NULL
};


void
ngx_media_slice_begin(ngx_http_request_t *sr, ngx_media_object_t *object)
{
    ngx_http_request_t   *last;
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    sr->post_subrequest = &ngx_media_slice_post;

    object->slice_input = u->input_filter_init;
    u->input_filter_init = ngx_media_slice_input;

    last = object->slices[0] ? object->slices[0] : sr->main;

    /* the last one has come to the end of its files, else this one would not
     * have begun; sendfile() may still be on the way */

    if (!sr->connection->sendfile) {
        ngx_media_slice_files(last);
    }

    /* what it has read out of them may wait for the client, but not what the
     * one before it has */

    if (object->slices[1]) {
        ngx_media_slice_output(object->slices[1]);
    }

    object->slices[1] = last;
    object->slices[0] = sr;
}


/* Called whenever the subrequest is finalized. The upstream module says OK,
 * too, after it has sent a part of a body only. */

static ngx_int_t
ngx_media_slice_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_media_ctx_t      *ctx;
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    if (sr->cached || rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    if (u->buffering ? u->pipe->upstream_done : u->length == 0) {
        ngx_media_slice_pipe(sr);
        return rc;
    }

    ctx = ngx_http_get_module_ctx(sr->main, ngx_http_media_module);

    ngx_media_object_failed(sr, ctx->object, "a slice was broken off",
                            sr->headers_out.status);

    return NGX_ERROR;
}


/* A cached slice also stays pinned in the cache as long as it is not freed. */

static void
ngx_media_slice_files(ngx_http_request_t *r)
{
    ngx_temp_file_t   *tf;
    ngx_http_cache_t  *c;

    c = r->cache;

    if (c) {
        ngx_http_file_cache_free(c, NULL);
        ngx_media_slice_file(r, &c->file.fd);

        if (c->buf) {
            ngx_pfree(r->pool, c->buf->start);
            c->buf = NULL;
        }
    }

    tf = r->upstream->pipe->temp_file;

    if (tf) {
        ngx_media_slice_file(r, &tf->file.fd);
    }
}


static void
ngx_media_slice_file(ngx_http_request_t *r, ngx_fd_t *fd)
{
    if (*fd != NGX_INVALID_FILE) {
        ngx_pool_run_cleanup_file(r->pool, *fd);
        *fd = NGX_INVALID_FILE;
    }
}


/*
 * nginx gives the buffers that S3's bytes come through back only when S3 closes
 * its connection, and only those that are free at that moment, and leaves them
 * in its list. So that none is given back twice, it is told not to; this is the
 * first that it calls after having made up its mind.
 */

static ngx_int_t
ngx_media_slice_input(void *data)
{
    ngx_media_ctx_t     *ctx;
    ngx_http_request_t  *sr;

    sr = data;

    ctx = ngx_http_get_module_ctx(sr->main, ngx_http_media_module);

    sr->upstream->pipe->free_bufs = 0;

    return ctx->object->slice_input(data);
}


/* What has gone into the cache is sent out of its file, so these are free;
 * other buffers go down the output chain. */

static void
ngx_media_slice_pipe(ngx_http_request_t *r)
{
    ngx_chain_t       *cl;
    ngx_event_pipe_t  *p;

    p = r->upstream->pipe;

    if (!p->cacheable || p->free_bufs) {
        return;
    }

    for (cl = p->free_raw_bufs; cl; cl = cl->next) {
        ngx_pfree(r->pool, cl->buf->start);
    }

    p->free_raw_bufs = NULL;
}


/* The copy filter's, one set for each subrequest */

static void
ngx_media_slice_output(ngx_http_request_t *r)
{
    ngx_uint_t               i;
    ngx_chain_t             *cl, *chains[2];
    ngx_output_chain_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_copy_filter_module);

    if (ctx == NULL) {
        return;
    }

    chains[0] = ctx->free;
    chains[1] = ctx->busy;

    for (i = 0; i < 2; i++) {
        for (cl = chains[i]; cl; cl = cl->next) {

            if (cl->buf->tag == ctx->tag && ngx_buf_size(cl->buf) == 0) {
                ngx_pfree(r->pool, cl->buf->start);
            }
        }
    }

    ctx->free = NULL;
    ctx->busy = NULL;
}
