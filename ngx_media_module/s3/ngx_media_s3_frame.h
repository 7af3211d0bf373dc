
/* aws-chunked framing, private to the S3 client. */

#ifndef _NGX_MEDIA_S3_FRAME_H_INCLUDED_
#define _NGX_MEDIA_S3_FRAME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* measured against MinIO: smaller ones cost it CPU, larger ones memory */
#ifndef NGX_MEDIA_S3_CHUNK
#define NGX_MEDIA_S3_CHUNK      (64 * 1024)
#endif
#define NGX_MEDIA_S3_LINKS      64
#define NGX_MEDIA_S3_FRAME_MAX  24


typedef struct {
    off_t                       length;     /* decoded bytes in all */
    off_t                       sent;       /* decoded bytes taken */
    size_t                      frame_sent; /* of the frame due at `sent` */
    ngx_uint_t                  framed;     /* the chunk at `sent` is open */
    ngx_str_t                   full;       /* frame of a whole chunk */
    ngx_str_t                   rest;       /* frame of a shorter last one */
    u_char                      full_text[NGX_MEDIA_S3_FRAME_MAX];
    u_char                      rest_text[NGX_MEDIA_S3_FRAME_MAX];
} ngx_media_s3_frame_t;


/* Slices of the caller's buffers and frames, as they go to the socket. */
typedef struct {
    ngx_uint_t                  n;
    ngx_chain_t                 links[NGX_MEDIA_S3_LINKS];
    ngx_buf_t                   bufs[NGX_MEDIA_S3_LINKS];
    u_char                     *start[NGX_MEDIA_S3_LINKS];
    ngx_buf_t                  *of[NGX_MEDIA_S3_LINKS];    /* NULL: frame */
} ngx_media_s3_slices_t;


void ngx_media_s3_frame_init(ngx_media_s3_frame_t *f, off_t length);

/* Fills the slices from the chain and the frames due between its bytes; n is 0
 * when it holds none. NGX_ERROR: it holds more than was announced. */
ngx_int_t ngx_media_s3_frame_slice(ngx_media_s3_frame_t *f, ngx_chain_t *in,
    ngx_media_s3_slices_t *s);

/* After the slices' pos were moved: moves the pos of the caller's buffers, and
 * our place in the framing. */
void ngx_media_s3_frame_taken(ngx_media_s3_frame_t *f,
    ngx_media_s3_slices_t *s);


#endif
