
/*
 * aws-chunked framing of a streamed body, without copying it: the frame before
 * a chunk ("\r\n10000\r\n") is a small text of the call, linked between slices
 * of the caller's buffers. All chunks but the last have one size, so the length
 * on the wire is known beforehand, and the place in the framing follows from
 * the number of decoded bytes taken.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_media_s3_frame.h"


static void ngx_media_s3_slice_add(ngx_media_s3_slices_t *s, u_char *pos,
    u_char *last, ngx_buf_t *of);


void
ngx_media_s3_frame_init(ngx_media_s3_frame_t *f, off_t length)
{
    ngx_memzero(f, sizeof(ngx_media_s3_frame_t));

    f->length = length;

    f->full.data = f->full_text;
    f->full.len = ngx_sprintf(f->full_text, CRLF "%xO" CRLF,
                              (off_t) NGX_MEDIA_S3_CHUNK)
                  - f->full_text;

    f->rest.data = f->rest_text;
    f->rest.len = ngx_sprintf(f->rest_text, CRLF "%xO" CRLF,
                              f->length % NGX_MEDIA_S3_CHUNK)
                  - f->rest_text;
}


/*
 * Fills the slices from the caller's chain and the frames due between its
 * bytes; NGX_ERROR when it holds more than was announced.
 */
ngx_int_t
ngx_media_s3_frame_slice(ngx_media_s3_frame_t *f, ngx_chain_t *in,
    ngx_media_s3_slices_t *s)
{
    off_t        off, left;
    size_t       skip, size;
    u_char      *pos;
    ngx_str_t    frame;
    ngx_uint_t   framed;

    off = f->sent;
    framed = f->framed;
    skip = f->frame_sent;
    s->n = 0;

    for ( /* void */ ; in; in = in->next) {

        pos = in->buf->pos;

        /* a frame and the slice behind it */
        while (pos < in->buf->last && s->n + 2 <= NGX_MEDIA_S3_LINKS) {

            left = f->length - off;

            if (left == 0) {
                return NGX_ERROR;
            }

            if (!framed) {
                frame = (left < NGX_MEDIA_S3_CHUNK) ? f->rest : f->full;

                if (off == 0) {
                    frame.data += 2;
                    frame.len -= 2;
                }

                ngx_media_s3_slice_add(s, frame.data + skip,
                                       frame.data + frame.len, NULL);
                framed = 1;
                skip = 0;
            }

            size = NGX_MEDIA_S3_CHUNK - (size_t) (off % NGX_MEDIA_S3_CHUNK);
            size = (size_t) ngx_min((off_t) size, left);
            size = ngx_min(size, (size_t) (in->buf->last - pos));

            ngx_media_s3_slice_add(s, pos, pos + size, in->buf);

            pos += size;
            off += size;

            if (off % NGX_MEDIA_S3_CHUNK == 0) {
                framed = 0;
            }
        }
    }

    return NGX_OK;
}


static void
ngx_media_s3_slice_add(ngx_media_s3_slices_t *s, u_char *pos, u_char *last,
    ngx_buf_t *of)
{
    ngx_buf_t   *b;
    ngx_uint_t   i;

    i = s->n++;
    b = &s->bufs[i];

    ngx_memzero(b, sizeof(ngx_buf_t));
    b->pos = pos;
    b->last = last;
    b->memory = 1;

    s->start[i] = pos;
    s->of[i] = of;
    s->links[i].buf = b;
    s->links[i].next = NULL;

    if (i) {
        s->links[i - 1].next = &s->links[i];
    }
}


/* The kernel has moved the slices' pos: so do the caller's, and our place in
 * the framing. */
void
ngx_media_s3_frame_taken(ngx_media_s3_frame_t *f, ngx_media_s3_slices_t *s)
{
    size_t      n;
    ngx_buf_t  *b;
    ngx_uint_t  i;

    for (i = 0; i < s->n; i++) {
        b = &s->bufs[i];
        n = b->pos - s->start[i];

        if (s->of[i]) {
            s->of[i]->pos += n;
            f->sent += n;

            if (n && f->sent % NGX_MEDIA_S3_CHUNK == 0) {
                f->framed = 0;
            }

        } else {
            f->frame_sent += n;

            if (b->pos == b->last) {
                f->framed = 1;
                f->frame_sent = 0;
            }
        }

        if (b->pos != b->last) {
            break;
        }
    }
}
