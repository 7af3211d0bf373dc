
/*
 * S3 requests, see ngx_media_s3.h. A call is one block of memory; the request
 * head comes from libmedia, the bytes go through ngx_media_http, framed by
 * ngx_media_s3_frame.c in payload mode "trailer".
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include "ngx_media.h"
#include "ngx_media_alive.h"
#include "ngx_media_s3_priv.h"


#define NGX_MEDIA_S3_HEAD_MAX  (8192 + MEDIA_S3_CRED_TOKEN_MAX)


static const char  *ngx_media_s3_names[] = {
#define X(name, method, query)  #name,
    MEDIA_S3_OPS(X)
#undef X
};


static ngx_int_t ngx_media_s3_start(ngx_media_s3_call_t *call);
static ngx_media_http_call_t *ngx_media_s3_send(ngx_media_s3_call_t *call,
    char *head, size_t n);
static void ngx_media_s3_absent(ngx_event_t *ev);
static ngx_int_t ngx_media_s3_payload(ngx_media_s3_call_t *call,
    media_s3_req_t *mr, char *hex, size_t cap);
static void ngx_media_s3_ready(void *data);
static void ngx_media_s3_done(void *data, ngx_media_http_response_t *res);
static void ngx_media_s3_deliver(ngx_media_s3_call_t *call);


ngx_media_s3_call_t *
ngx_media_s3_call(ngx_media_s3_request_t *req)
{
    ngx_media_s3_call_t  *call;

    call = ngx_calloc(sizeof(ngx_media_s3_call_t), req->log);
    if (call == NULL) {
        return NULL;
    }

    call->req = *req;

    if (req->op == MEDIA_S3_HEAD && req->sha256 != NULL) {
        media_s3_sum_sha256_text(req->sha256, call->sum_text);
    }

    call->trailer = ngx_media_s3_streamed(req->op)
                    && req->conf->payload == NGX_MEDIA_S3_TRAILER;

    if (ngx_media_s3_start(call) != NGX_OK) {
        ngx_free(call);
        return NULL;
    }

    ngx_media_count(NGX_MEDIA_C_S3_REQUESTS, 1);

    return call;
}


ngx_int_t
ngx_media_s3_write(ngx_media_s3_call_t *call, ngx_chain_t *in)
{
    ngx_int_t              rc;
    ngx_media_s3_slices_t  s;

    if (call->http == NULL) {
        return NGX_ERROR;
    }

    if (!call->trailer) {
        return ngx_media_http_write(call->http, in);
    }

    for ( ;; ) {
        if (ngx_media_s3_frame_slice(&call->frame, in, &s) != NGX_OK) {
            ngx_log_error(NGX_LOG_ALERT, call->req.log, 0,
                          "media s3: the body is longer than announced");
            ngx_media_http_abort(call->http, "body longer than announced");
            return NGX_ERROR;
        }

        if (s.n == 0) {
            return NGX_OK;
        }

        rc = ngx_media_http_write(call->http, s.links);

        ngx_media_s3_frame_taken(&call->frame, &s);

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


void
ngx_media_s3_finish(ngx_media_s3_call_t *call, const char *sum)
{
    u_char   *p;
    ssize_t   len;

    if (call->http == NULL) {
        return;
    }

    /* no client to wait for any more */
    ngx_media_http_hold(call->http, 0);

    (void) ngx_cpystrn((u_char *) call->sum_text, (u_char *) sum,
                       MEDIA_S3_SUM_TEXT);

    if (!call->trailer) {
        return;
    }

    if (call->frame.sent != call->req.length) {
        ngx_log_error(NGX_LOG_ALERT, call->req.log, 0,
                      "media s3: the body is shorter than announced");
        ngx_media_http_abort(call->http, "body shorter than announced");
        return;
    }

    p = call->end_text;

    if (call->frame.sent) {
        *p++ = CR;
        *p++ = LF;
    }

    len = media_s3_trailer_end(call->sum, sum, (char *) p,
                               MEDIA_S3_TRAILER_MAX);
    if (len < 0) {
        ngx_log_error(NGX_LOG_ALERT, call->req.log, 0,
                      "media s3: no checksum for the trailer");
        ngx_media_http_abort(call->http, "no checksum for the trailer");
        return;
    }

    call->end_buf.pos = call->end_text;
    call->end_buf.last = p + len;
    call->end_buf.memory = 1;
    call->end.buf = &call->end_buf;
    call->finishing = 1;

    /* what is not taken now goes when ready() comes */
    (void) ngx_media_http_write(call->http, &call->end);
}


void
ngx_media_s3_hold(ngx_media_s3_call_t *call, ngx_uint_t hold)
{
    if (call->http != NULL) {
        ngx_media_http_hold(call->http, hold);
    }
}


void
ngx_media_s3_cancel(ngx_media_s3_call_t *call)
{
    if (call == NULL || call->delivering) {
        return;
    }

    if (call->absent.posted) {
        ngx_delete_posted_event(&call->absent);
    }

    ngx_media_http_cancel(call->http);
    ngx_free(call);
}


static ngx_int_t
ngx_media_s3_start(ngx_media_s3_call_t *call)
{
    char                     hex[65], head[NGX_MEDIA_S3_HEAD_MAX];
    ssize_t                  n;
    media_s3_req_t           mr;
    media_s3_target_t        target;
    ngx_media_s3_request_t  *req;

    req = &call->req;

    if (ngx_media_s3_target(req->conf, &target) != NGX_OK) {
        call->absent.handler = ngx_media_s3_absent;
        call->absent.data = call;
        call->absent.log = req->log;
        ngx_post_event(&call->absent, &ngx_posted_events);
        return NGX_OK;
    }

    call->sum = (req->op == MEDIA_S3_HEAD)
                ? MEDIA_S3_SUM_SHA256 : media_s3_op_sum(&target, req->op);

    ngx_memzero(&mr, sizeof(media_s3_req_t));
    mr.op = req->op;
    mr.key = ngx_media_s3_str(&req->key);
    mr.upload_id = ngx_media_s3_str(&req->upload_id);
    mr.part_number = (int) req->part_number;
    mr.content_type = ngx_media_s3_str(&req->content_type);
    mr.sum = media_str(req->sum);
    mr.now_s = ngx_time();

    if (ngx_media_s3_payload(call, &mr, hex, sizeof(hex)) != NGX_OK) {
        return NGX_ERROR;
    }

    n = media_s3_head(&target, &mr, head, sizeof(head));
    if (n < 0) {
        ngx_log_error(NGX_LOG_ALERT, req->log, 0,
                      "media s3: no head for key \"%V\": %s", &req->key,
                      media_err_name((int) n));
        return NGX_ERROR;
    }

    call->http = ngx_media_s3_send(call, head, n);

    /* the session token is in it */
    ngx_explicit_memzero(head, n);

    return call->http ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_media_s3_target(ngx_media_s3_conf_t *conf, media_s3_target_t *target)
{
    if (!ngx_media_s3_cred_usable(conf->cred)) {
        return NGX_DECLINED;
    }

    ngx_memzero(target, sizeof(media_s3_target_t));

    target->host = ngx_media_s3_str(&conf->host);
    target->bucket = ngx_media_s3_str(&conf->bucket);
    target->virtual_host = conf->virtual_host;
    target->sse = conf->sse;
    target->sse_key = ngx_media_s3_str(&conf->sse_key);
    target->sse_bucket_key = conf->sse_bucket_key;
    target->sum = conf->sum;
    target->cred.region = ngx_media_s3_str(&conf->region);
    target->cred.service = MEDIA_STR("s3");

    media_s3_cred_view(&conf->cred->cred, &target->cred);

    return NGX_OK;
}


/* A caller hears of it as of any other failure, later. */

static void
ngx_media_s3_absent(ngx_event_t *ev)
{
    ngx_media_s3_call_t  *call = ev->data;

    call->res.size = -1;
    call->res.verdict = MEDIA_E_RETRY;
    call->res.cause = "there are no credentials for S3";

    ngx_media_s3_deliver(call);
}


static ngx_media_http_call_t *
ngx_media_s3_send(ngx_media_s3_call_t *call, char *head, size_t n)
{
    ngx_media_s3_request_t    *req;
    ngx_media_http_request_t   hr;

    req = &call->req;

    ngx_memzero(&hr, sizeof(ngx_media_http_request_t));
    hr.peer = &req->conf->peer;
    hr.name = ngx_media_s3_names[req->op];
    hr.read_timeout = req->within;
    hr.head.data = (u_char *) head;
    hr.head.len = n;
    hr.head_request = (req->op == MEDIA_S3_HEAD
                       || req->op == MEDIA_S3_HEAD_BUCKET);
    hr.body_max = MEDIA_S3_BODY_MAX;
    hr.done = ngx_media_s3_done;
    hr.ready = ngx_media_s3_ready;
    hr.data = call;
    hr.log = req->log;

    if (call->trailer) {
        hr.body_length = media_s3_trailer_length(call->sum, req->length,
                                                 NGX_MEDIA_S3_CHUNK);

    } else if (ngx_media_s3_streamed(req->op)) {
        hr.body_length = req->length;

    } else if (req->op == MEDIA_S3_COMPLETE_MULTIPART) {
        hr.body = req->body;
    }

    return ngx_media_http_call(&hr);
}


/* What the head says of the body: length, hash, framing. */
static ngx_int_t
ngx_media_s3_payload(ngx_media_s3_call_t *call, media_s3_req_t *mr, char *hex,
    size_t cap)
{
    u_char                   md[EVP_MAX_MD_SIZE], *sha256;
    ngx_media_s3_request_t  *req;

    req = &call->req;

    if (ngx_media_s3_streamed(req->op)) {
        mr->content_length = req->length;
        sha256 = req->sha256;

    } else if (req->op == MEDIA_S3_COMPLETE_MULTIPART) {
        mr->content_length = req->body.len;
        sha256 = md;

        if (EVP_Digest(req->body.data, req->body.len, md, NULL, EVP_sha256(),
                       NULL)
            != 1)
        {
            return NGX_ERROR;
        }

    } else {
        /* an empty body, which only a POST has to announce */
        mr->content_length = (req->op == MEDIA_S3_CREATE_MULTIPART) ? 0 : -1;
        return NGX_OK;
    }

    if (call->trailer) {
        mr->payload_hash = MEDIA_STR(MEDIA_PAYLOAD_TRAILER);
        mr->trailer_chunk = NGX_MEDIA_S3_CHUNK;
        ngx_media_s3_frame_init(&call->frame, req->length);
        return NGX_OK;
    }

    if (req->conf->payload == NGX_MEDIA_S3_UNSIGNED) {
        mr->payload_hash = MEDIA_STR(MEDIA_PAYLOAD_UNSIGNED);
        return NGX_OK;
    }

    if (sha256 == NULL) {
        ngx_log_error(NGX_LOG_ALERT, req->log, 0,
                      "media s3: a signed payload without its sha256");
        return NGX_ERROR;
    }

    mr->payload_hash.p = hex;
    mr->payload_hash.len = media_hex_encode(sha256, 32, hex, cap);

    return NGX_OK;
}


static void
ngx_media_s3_ready(void *data)
{
    ngx_media_s3_call_t  *call = data;

    if (call->finishing) {
        (void) ngx_media_http_write(call->http, &call->end);
        return;
    }

    call->req.ready(call->req.data);
    /* the call may be gone */
}


static void
ngx_media_s3_done(void *data, ngx_media_http_response_t *res)
{
    ngx_media_s3_call_t  *call = data;

    ngx_media_s3_result(call, res);
    ngx_media_s3_deliver(call);
}


static void
ngx_media_s3_deliver(ngx_media_s3_call_t *call)
{
    if (call->res.verdict != 0) {
        ngx_media_count(NGX_MEDIA_C_S3_ERRORS, 1);
    }

    if (call->req.conf->which == MEDIA_STORE_INPUT) {
        ngx_media_alive_seen(call->res.status);
    }

    call->delivering = 1;
    call->req.done(call->req.data, &call->res);

    ngx_free(call);
}
