
/*
 * Shared by the files of the S3 client only: ngx_media_s3.c (a request) and
 * ngx_media_s3_result.c (what its answer means).
 */

#ifndef _NGX_MEDIA_S3_PRIV_H_INCLUDED_
#define _NGX_MEDIA_S3_PRIV_H_INCLUDED_


#include "ngx_media_s3.h"
#include "ngx_media_s3_frame.h"


#define NGX_MEDIA_S3_VALUE_MAX  1024


struct ngx_media_s3_call_s {
    ngx_media_s3_request_t      req;
    ngx_media_http_call_t      *http;

    /* trailer mode */
    ngx_media_s3_frame_t        frame;
    ngx_chain_t                 end;        /* last CRLF and the trailer */
    ngx_buf_t                   end_buf;
    u_char                      end_text[2 + MEDIA_S3_TRAILER_MAX];

    enum media_s3_sum_alg       sum;        /* of the body */
    char                        sum_text[MEDIA_S3_SUM_TEXT];
                                            /* what S3 has to have; empty: not
                                               known */
    ngx_event_t                 absent;     /* no credentials: posted */

    unsigned                    trailer:1;
    unsigned                    finishing:1;
    unsigned                    delivering:1;

    ngx_media_s3_result_t       res;
    media_err_t                 err;
    u_char                      etag[NGX_MEDIA_S3_VALUE_MAX];
    u_char                      upload_id[NGX_MEDIA_S3_VALUE_MAX];
};


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


/* Fills call->res from the response. */
void ngx_media_s3_result(ngx_media_s3_call_t *call,
    ngx_media_http_response_t *res);


#endif
