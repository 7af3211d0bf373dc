
/*
 * S3 operations of the gateway over ngx_media_http, signed by libmedia.
 * One call = one S3 request. Streams PUT and UploadPart bodies through, adding
 * aws-chunked framing and the checksum trailer where configured.
 */

#ifndef _NGX_MEDIA_S3_H_INCLUDED_
#define _NGX_MEDIA_S3_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_media_http.h"
#include "ngx_media_s3_cred.h"
#include "media/objkey.h"
#include "media/s3req.h"
#include "media/s3resp.h"


typedef enum {
    NGX_MEDIA_S3_TRAILER = 0,   /* checksum in a trailer, the default */
    NGX_MEDIA_S3_SIGNED,        /* x-amz-content-sha256 of the whole payload:
                                   the caller must know it beforehand */
    NGX_MEDIA_S3_UNSIGNED
} ngx_media_s3_payload_e;

/* One store of objects: where it is, which dialect it speaks, whose credentials
 * sign. */
typedef struct {
    ngx_uint_t                  which;      /* enum media_store */
    ngx_media_http_peer_t       peer;
    ngx_str_t                   host;       /* Host header */
    ngx_str_t                   name;       /* of its TLS certificate */
    ngx_str_t                   ca;         /* media_s3_trusted_certificate */
    ngx_str_t                   bucket;
    ngx_str_t                   region;
    ngx_uint_t                  virtual_host;   /* media_s3_addressing */
    ngx_uint_t                  sum;        /* enum media_s3_sum_alg */
    ngx_uint_t                  sse;        /* enum media_s3_sse */
    ngx_str_t                   sse_key;
    ngx_flag_t                  sse_bucket_key;
    ngx_int_t                   source;     /* enum media_s3_source_kind, -1:
                                               what the environment has */
    ngx_media_s3_cred_t        *cred;       /* the output store's may be the
                                               input's */
    ngx_str_t                   upstream;   /* whose servers proxy_pass asks */
    ngx_uint_t                  payload;    /* ngx_media_s3_payload_e */
    ngx_msec_t                  idle_timeout;   /* a body may pause: 20 s;
                                                   0: as it likes */
    ngx_flag_t                  ssl;
} ngx_media_s3_conf_t;

#define NGX_MEDIA_S3_IDLE  20000    /* media_s3_idle_timeout, ms */


/* The dialect and the credentials of now: views, good until control goes back
 * to the event loop. NGX_DECLINED: there are no credentials. [loop] */
ngx_int_t ngx_media_s3_target(ngx_media_s3_conf_t *conf,
    media_s3_target_t *target);


typedef struct ngx_media_s3_call_s  ngx_media_s3_call_t;

/*
 * verdict: 0 done; MEDIA_E_RETRY our or S3's trouble (unreachable, timeout,
 * 5xx, SlowDown); MEDIA_E_GONE 404; MEDIA_E_AUTH 403; MEDIA_E_REJECT any other
 * refusal; unknown is 1 when the request may have taken effect all the same:
 * the connection broke after it was sent, a 5xx other than 503, an answer we
 * cannot read or that tells of other bytes, or a Complete sent twice that found
 * no upload.
 */
typedef struct {
    ngx_int_t                   verdict;
    ngx_uint_t                  unknown;
    ngx_uint_t                  status;     /* 0: no response */
    ngx_uint_t                  full;       /* no room is left */
    media_s3_error_t            error;
    ngx_str_t                   etag;       /* without quotes */
    ngx_str_t                   upload_id;  /* CREATE_MULTIPART */
    off_t                       size;       /* HEAD: Content-Length, else -1 */
    ngx_uint_t                  retry_after;    /* s, of a refusal; or 0 */
    const char                 *cause;      /* for the log */
} ngx_media_s3_result_t;

typedef void (*ngx_media_s3_done_pt)(void *data, ngx_media_s3_result_t *res);
typedef void (*ngx_media_s3_ready_pt)(void *data);

typedef struct {
    ngx_media_s3_conf_t        *conf;
    enum media_s3_op            op;
    ngx_str_t                   key;
    ngx_str_t                   upload_id;
    ngx_uint_t                  part_number;
    ngx_str_t                   content_type;
    off_t                       length;     /* decoded bytes of the body */
    u_char                     *sha256;     /* 32 bytes: of the body, payload
                                               SIGNED only; HEAD: what the
                                               object has to have, or NULL */
    const char                 *sum;        /* base64, of the kind
                                               media_s3_op_sum() says: payload
                                               SIGNED; COMPLETE with
                                               CRC64NVME: of the object */
    ngx_msec_t                  within;     /* for the answer, between two of
                                               its bytes; 0: read_timeout */
    ngx_str_t                   body;       /* COMPLETE: whole body, borrowed
                                               until done */
    ngx_media_s3_done_pt        done;
    ngx_media_s3_ready_pt       ready;      /* PUT and UPLOAD_PART with a
                                               streamed body */
    void                       *data;
    ngx_log_t                  *log;
} ngx_media_s3_request_t;


/* As ngx_media_http_call(). [loop] */
ngx_media_s3_call_t *ngx_media_s3_call(ngx_media_s3_request_t *req);

/* Streams decoded body bytes, as ngx_media_http_write(): moves pos, NGX_OK /
 * NGX_AGAIN (ready() follows) / NGX_ERROR (done() follows). Exactly `length`
 * bytes in sum, then ngx_media_s3_finish(). With length 0 finish() may come at
 * once; in the modes without trailer there is no ready() then, and done() does
 * not wait for it. [loop] */
ngx_int_t ngx_media_s3_write(ngx_media_s3_call_t *call, ngx_chain_t *in);

/* All bytes were written; the checksum of exactly these bytes, of the kind
 * media_s3_op_sum() says and in base64, goes into the trailer and is compared
 * with what S3 says it stored (unsigned mode: neither). Sends the rest by
 * itself; done() follows. */
void ngx_media_s3_finish(ngx_media_s3_call_t *call, const char *sum);

void ngx_media_s3_hold(ngx_media_s3_call_t *call, ngx_uint_t hold);
void ngx_media_s3_cancel(ngx_media_s3_call_t *call);


#endif
