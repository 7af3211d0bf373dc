
/*
 * S3 requests, see ngx_media_s3.h. A call is one block of memory; the request
 * head comes from libmedia, the bytes go through ngx_media_http, framed by
 * ngx_media_s3_frame.c in payload mode "trailer".
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include "ngx_media.h"
#include "ngx_media_s3_frame.h"


#define NGX_MEDIA_S3_HEAD_MAX   12288
#define NGX_MEDIA_S3_VALUE_MAX  1024


struct ngx_media_s3_call_s {
    ngx_media_s3_request_t      req;
    ngx_media_http_call_t      *http;

    /* trailer mode */
    ngx_media_s3_frame_t        frame;
    ngx_chain_t                 end;        /* last CRLF and the trailer */
    ngx_buf_t                   end_buf;
    u_char                      end_text[2 + MEDIA_S3_TRAILER_MAX];

    unsigned                    trailer:1;
    unsigned                    finishing:1;
    unsigned                    delivering:1;

    ngx_media_s3_result_t       res;
    media_err_t                 err;
    u_char                      etag[NGX_MEDIA_S3_VALUE_MAX];
    u_char                      upload_id[NGX_MEDIA_S3_VALUE_MAX];
};


static ngx_int_t ngx_media_s3_start(ngx_media_s3_call_t *call);
static ngx_media_http_call_t *ngx_media_s3_send(ngx_media_s3_call_t *call,
    char *head, size_t n);
static void ngx_media_s3_target(ngx_media_s3_conf_t *conf,
    media_s3_target_t *target);
static ngx_int_t ngx_media_s3_payload(ngx_media_s3_call_t *call,
    media_s3_req_t *mr, char *hex, size_t cap);
static void ngx_media_s3_ready(void *data);
static void ngx_media_s3_done(void *data, ngx_media_http_response_t *res);
static void ngx_media_s3_result(ngx_media_s3_call_t *call,
    ngx_media_http_response_t *res);
static void ngx_media_s3_success(ngx_media_s3_call_t *call,
    ngx_media_http_response_t *res);
static void ngx_media_s3_multipart_result(ngx_media_s3_call_t *call,
    media_str_t body);


static ngx_inline media_str_t
ngx_media_s3_str(ngx_str_t *s)
{
    return (media_str_t) { (const char *) s->data, s->len };
}


static ngx_inline ngx_uint_t
ngx_media_s3_streamed(enum media_s3_op op)
{
    return op == MEDIA_S3_PUT || op == MEDIA_S3_UPLOAD_PART;
}


ngx_media_s3_call_t *
ngx_media_s3_call(ngx_media_s3_request_t *req)
{
    ngx_media_s3_call_t  *call;

    call = ngx_calloc(sizeof(ngx_media_s3_call_t), req->log);
    if (call == NULL) {
        return NULL;
    }

    call->req = *req;
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
ngx_media_s3_finish(ngx_media_s3_call_t *call, u_char sha256[32])
{
    size_t   len;
    u_char  *p;

    /* no client to wait for any more */
    ngx_media_http_hold(call->http, 0);

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

    len = media_s3_trailer_end(sha256, (char *) p, MEDIA_S3_TRAILER_MAX);

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
    ngx_media_http_hold(call->http, hold);
}


void
ngx_media_s3_cancel(ngx_media_s3_call_t *call)
{
    if (call == NULL || call->delivering) {
        return;
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

    ngx_media_s3_target(req->conf, &target);

    ngx_memzero(&mr, sizeof(media_s3_req_t));
    mr.op = req->op;
    mr.key = ngx_media_s3_str(&req->key);
    mr.upload_id = ngx_media_s3_str(&req->upload_id);
    mr.part_number = (int) req->part_number;
    mr.content_type = ngx_media_s3_str(&req->content_type);
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


static void
ngx_media_s3_target(ngx_media_s3_conf_t *conf, media_s3_target_t *target)
{
    ngx_memzero(target, sizeof(media_s3_target_t));

    target->host = ngx_media_s3_str(&conf->host);
    target->bucket = ngx_media_s3_str(&conf->bucket);
    target->cred.access_key = ngx_media_s3_str(&conf->access_key);
    target->cred.secret_key = ngx_media_s3_str(&conf->secret_key);
    target->cred.session_token = ngx_media_s3_str(&conf->session_token);
    target->cred.region = ngx_media_s3_str(&conf->region);
    target->cred.service = MEDIA_STR("s3");
}


static ngx_media_http_call_t *
ngx_media_s3_send(ngx_media_s3_call_t *call, char *head, size_t n)
{
    ngx_media_s3_request_t    *req;
    ngx_media_http_request_t   hr;

    req = &call->req;

    ngx_memzero(&hr, sizeof(ngx_media_http_request_t));
    hr.peer = &req->conf->peer;
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
        hr.body_length = media_s3_trailer_length(req->length,
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

    if (call->res.verdict != 0) {
        ngx_media_count(NGX_MEDIA_C_S3_ERRORS, 1);
    }

    call->delivering = 1;
    call->req.done(call->req.data, &call->res);

    ngx_free(call);
}


static void
ngx_media_s3_result(ngx_media_s3_call_t *call, ngx_media_http_response_t *res)
{
    media_str_t             body;
    ngx_media_s3_result_t  *out;

    out = &call->res;
    out->size = -1;
    out->cause = res->cause;

    if (res->rc != NGX_MEDIA_HTTP_OK) {
        out->verdict = MEDIA_E_RETRY;
        out->unknown = res->sent;
        return;
    }

    out->status = res->h1->status;

    if (out->status >= 200 && out->status < 300) {
        ngx_media_s3_success(call, res);
        return;
    }

    if (res->body.len) {
        body = ngx_media_s3_str(&res->body);
        (void) media_s3_error_parse(body, &out->error);
    }

    out->verdict = media_s3_verdict((int) out->status, &out->error);

    /* 503 is a refusal; other 5xx may come from a proxy that lost patience.
     * A repeated Complete finds its upload gone when the first one worked. */
    out->unknown = res->sent
                   && ((out->status >= 500
                        && out->status != NGX_HTTP_SERVICE_UNAVAILABLE)
                       || (res->replayed && out->verdict == MEDIA_E_GONE));

    (void) media_err_set(&call->err, 0, "S3 answered %d %s",
                         (int) out->status, out->error.code);
    out->cause = call->err.text;
}


/* A 2xx is not yet a success. */
static void
ngx_media_s3_success(ngx_media_s3_call_t *call, ngx_media_http_response_t *res)
{
    media_str_t             etag;
    ngx_media_s3_result_t  *out;

    out = &call->res;

    if (!res->sent) {
        out->verdict = MEDIA_E_RETRY;
        out->cause = "S3 answered before it had the whole body";
        return;
    }

    if (call->req.op == MEDIA_S3_CREATE_MULTIPART
        || call->req.op == MEDIA_S3_COMPLETE_MULTIPART)
    {
        ngx_media_s3_multipart_result(call, ngx_media_s3_str(&res->body));
        return;
    }

    if (call->req.op == MEDIA_S3_HEAD) {
        out->size = res->h1->content_length;
    }

    etag = media_s3_etag(media_http1_header(res->h1, "etag"));

    if (etag.len > NGX_MEDIA_S3_VALUE_MAX
        || (etag.len == 0 && ngx_media_s3_streamed(call->req.op)))
    {
        out->verdict = MEDIA_E_RETRY;
        out->unknown = 1;
        out->cause = "S3 gave no usable ETag";
        return;
    }

    if (etag.len) {
        ngx_memcpy(call->etag, etag.p, etag.len);
        out->etag.data = call->etag;
        out->etag.len = etag.len;
    }
}


static void
ngx_media_s3_multipart_result(ngx_media_s3_call_t *call, media_str_t body)
{
    ssize_t                 n;
    ngx_str_t              *value;
    ngx_media_s3_result_t  *out;

    out = &call->res;

    if (call->req.op == MEDIA_S3_CREATE_MULTIPART) {
        value = &out->upload_id;
        value->data = call->upload_id;
        n = media_s3_create_parse(body, (char *) call->upload_id,
                                  NGX_MEDIA_S3_VALUE_MAX, &call->err);

    } else {
        value = &out->etag;
        value->data = call->etag;
        n = media_s3_complete_parse(body, (char *) call->etag,
                                    NGX_MEDIA_S3_VALUE_MAX, &out->error,
                                    &call->err);
    }

    if (n > 0) {
        value->len = n;
        return;
    }

    out->cause = call->err.text;

    if (out->error.code[0] != '\0') {
        out->verdict = media_s3_verdict((int) out->status, &out->error);
        return;
    }

    /* nothing we can read: it may have worked */
    out->verdict = MEDIA_E_RETRY;
    out->unknown = 1;
}
