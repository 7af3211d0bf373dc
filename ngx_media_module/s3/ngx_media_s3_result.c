
/*
 * What an answer of S3 means. Nothing in it is taken on trust: a 2xx may carry
 * an error, an ETag ends up in rows and in headers of our own, and where S3
 * says what it has stored, that has to be what was sent.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_media_s3_priv.h"


#define NGX_MEDIA_S3_RETRY_AFTER_MAX  3600


static void ngx_media_s3_refusal(ngx_media_s3_call_t *call,
    ngx_media_http_response_t *res);
static void ngx_media_s3_success(ngx_media_s3_call_t *call,
    ngx_media_http_response_t *res);
static void ngx_media_s3_multipart_result(ngx_media_s3_call_t *call,
    media_str_t body);
static void ngx_media_s3_object_result(ngx_media_s3_call_t *call,
    media_http1_t *h1);
static ngx_uint_t ngx_media_s3_same_bytes(ngx_media_s3_call_t *call,
    media_http1_t *h1);
static ngx_uint_t ngx_media_s3_etag_good(const char *p, size_t n);
static void ngx_media_s3_unsure(ngx_media_s3_call_t *call, const char *cause);


void
ngx_media_s3_result(ngx_media_s3_call_t *call, ngx_media_http_response_t *res)
{
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

    ngx_media_s3_refusal(call, res);
}


static void
ngx_media_s3_refusal(ngx_media_s3_call_t *call, ngx_media_http_response_t *res)
{
    int64_t                 seconds;
    media_str_t             value;
    ngx_media_s3_result_t  *out;

    out = &call->res;

    if (res->body.len) {
        (void) media_s3_error_parse(ngx_media_s3_str(&res->body), &out->error);
    }

    out->verdict = media_s3_verdict((int) out->status, &out->error);

    out->full = out->status == 507
                || ngx_strcmp(out->error.code, "XMinioStorageFull") == 0
                || ngx_strcmp(out->error.code, "InsufficientStorage") == 0;

    /* 503 and 507 are refusals; others may come from a proxy without patience.
     * A repeated Complete finds its upload gone when the first one worked. */
    out->unknown = res->sent && !out->full
                   && ((out->status >= 500
                        && out->status != NGX_HTTP_SERVICE_UNAVAILABLE)
                       || (res->replayed && out->verdict == MEDIA_E_GONE));

    value = media_http1_header(res->h1, "retry-after");

    if (value.p != NULL && media_str_to_i64(value, &seconds) == 0
        && seconds > 0)
    {
        out->retry_after = ngx_min(seconds, NGX_MEDIA_S3_RETRY_AFTER_MAX);
    }

    (void) media_err_set(&call->err, 0, "S3 answered %d %s",
                         (int) out->status, out->error.code);
    out->cause = call->err.text;
}


/* A 2xx is not yet a success. */

static void
ngx_media_s3_success(ngx_media_s3_call_t *call, ngx_media_http_response_t *res)
{
    if (!res->sent) {
        call->res.verdict = MEDIA_E_RETRY;
        call->res.cause = "S3 answered before it had the whole body";
        return;
    }

    if (!media_s3_sse_kept(call->req.conf->sse, call->req.op,
                           media_http1_header(res->h1, MEDIA_S3_SSE_HEADER)))
    {
        call->res.verdict = MEDIA_E_REJECT;
        call->res.cause = "S3 does not encrypt as media_s3_sse asks";
        return;
    }

    switch (call->req.op) {

    case MEDIA_S3_CREATE_MULTIPART:
    case MEDIA_S3_COMPLETE_MULTIPART:
        ngx_media_s3_multipart_result(call, ngx_media_s3_str(&res->body));
        return;

    case MEDIA_S3_HEAD:
        call->res.size = res->h1->content_length;

        /* fall through */

    case MEDIA_S3_PUT:
    case MEDIA_S3_UPLOAD_PART:
        ngx_media_s3_object_result(call, res->h1);
        return;

    default:
        return;
    }
}


static void
ngx_media_s3_object_result(ngx_media_s3_call_t *call, media_http1_t *h1)
{
    media_str_t             etag;
    ngx_media_s3_result_t  *out;

    out = &call->res;

    etag = media_s3_etag(media_http1_header(h1, "etag"));

    if (!ngx_media_s3_etag_good(etag.p, etag.len)) {
        ngx_media_s3_unsure(call, "S3 gave no usable ETag");
        return;
    }

    if (!ngx_media_s3_same_bytes(call, h1)) {
        ngx_media_s3_unsure(call, "S3 has other bytes than were sent");

        if (call->req.op == MEDIA_S3_HEAD) {
            out->verdict = MEDIA_E_REJECT;
        }

        return;
    }

    ngx_memcpy(call->etag, etag.p, etag.len);
    out->etag.data = call->etag;
    out->etag.len = etag.len;
}


/* Where S3 tells the checksum of what it has, and we know it, too. One that is
 * composed of those of parts ("...=-3") is none of the bytes. */

static ngx_uint_t
ngx_media_s3_same_bytes(ngx_media_s3_call_t *call, media_http1_t *h1)
{
    media_str_t  value;

    if (call->sum == MEDIA_S3_SUM_NONE || call->sum_text[0] == '\0') {
        return 1;
    }

    value = media_http1_header(h1, media_s3_sum_header(call->sum));

    return value.p == NULL || memchr(value.p, '-', value.len) != NULL
           || media_str_eq(value, media_str(call->sum_text));
}


/* It goes into a header of ours, between quotes (RFC 9110 8.8.3); ASCII. */

static ngx_uint_t
ngx_media_s3_etag_good(const char *p, size_t n)
{
    size_t  i;

    if (n == 0 || n > NGX_MEDIA_S3_VALUE_MAX) {
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (p[i] <= ' ' || p[i] == '"' || p[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_media_s3_multipart_result(ngx_media_s3_call_t *call, media_str_t body)
{
    ssize_t                 n;
    ngx_media_s3_result_t  *out;

    out = &call->res;

    if (call->req.op == MEDIA_S3_CREATE_MULTIPART) {
        n = media_s3_create_parse(body, (char *) call->upload_id,
                                  NGX_MEDIA_S3_VALUE_MAX, &call->err);
        if (n > 0) {
            out->upload_id.data = call->upload_id;
            out->upload_id.len = n;
            return;
        }

    } else {
        n = media_s3_complete_parse(body, (char *) call->etag,
                                    NGX_MEDIA_S3_VALUE_MAX, &out->error,
                                    &call->err);

        if (n > 0 && ngx_media_s3_etag_good((char *) call->etag, n)) {
            out->etag.data = call->etag;
            out->etag.len = n;
            return;
        }

        if (n > 0) {
            (void) media_err_set(&call->err, 0, "S3 gave no usable ETag");
        }
    }

    if (out->error.code[0] != '\0') {
        out->verdict = media_s3_verdict((int) out->status, &out->error);
        out->cause = call->err.text;
        return;
    }

    /* nothing we can read */
    ngx_media_s3_unsure(call, call->err.text);
}


/* It may have worked. */

static void
ngx_media_s3_unsure(ngx_media_s3_call_t *call, const char *cause)
{
    call->res.verdict = MEDIA_E_RETRY;
    call->res.unknown = 1;
    call->res.cause = cause;
}
