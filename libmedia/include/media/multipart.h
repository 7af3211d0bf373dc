/* Incremental reader of multipart/form-data (RFC 7578, RFC 2046 5.1) with hard caps. Zero-copy for
 * the file's bytes: runs are views into the caller's buffer, except up to one boundary's length
 * held back at a buffer's end, which is reported from the reader's own memory. */
#ifndef MEDIA_MULTIPART_H
#define MEDIA_MULTIPART_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_MP_BOUNDARY_MAX 70   /* RFC 2046 */
#define MEDIA_MP_HEAD_MAX 8192     /* bytes of one part's headers */
#define MEDIA_MP_FIELD_MAX 65536   /* bytes of one text field */
#define MEDIA_MP_FIELDS_MAX 32     /* text fields of one form */
#define MEDIA_MP_NAME_MAX 255      /* bytes of a field name */
#define MEDIA_MP_FILENAME_MAX 4096 /* bytes of a file name */

#define MEDIA_MP_SECOND_FILE "a second file part"

enum media_mp_event {
    MEDIA_MP_NEED,       /* all input consumed, feed more */
    MEDIA_MP_FIELD,      /* a text field is complete: name, value */
    MEDIA_MP_FILE_BEGIN, /* the file part starts: name, filename, content_type, sha256 */
    MEDIA_MP_FILE_DATA,  /* a run of the file's bytes: data */
    MEDIA_MP_FILE_END,
    MEDIA_MP_END /* the closing boundary; any epilogue that follows is consumed and ignored */
};

typedef struct media_multipart_s media_multipart_t; /* about 84 KiB, owned */

typedef struct {
    enum media_mp_event type;
    media_str_t name;  /* FIELD, FILE_BEGIN */
    media_str_t value; /* FIELD */
    media_str_t
        filename; /* FILE_BEGIN; filename* (RFC 8187) decoded and preferred; raw, not yet safe */
    media_str_t content_type; /* FILE_BEGIN; may be empty */
    media_str_t sha256;       /* FILE_BEGIN; value of a part header "sha256", may be empty */
    media_str_t data;         /* FILE_DATA */
} media_mp_event_t;           /* every view is valid until the next call */

/* The boundary of a Content-Type header value: 0 and a view/copy in (dst, cap) NUL-terminated;
 * MEDIA_E_GONE: not multipart/form-data; MEDIA_E_REJECT: no or bad boundary. [any] */
int media_multipart_boundary(media_str_t content_type, char *dst, size_t cap, media_err_t *ei);

/* Owned reader, or MEDIA_E_NOMEM. A part with a filename parameter is the file; a second one is
 * refused with this text: MEDIA_MP_SECOND_FILE. [any] */
int media_multipart_new(media_str_t boundary, media_multipart_t **out);
void media_multipart_free(media_multipart_t *m);

/* Takes the next event out of (p, n). *used = bytes consumed. Call again with the rest until
 * MEDIA_MP_NEED. MEDIA_E_REJECT / MEDIA_E_TOOBIG with the cause (which cap, its value). Bare LF
 * line ends are refused. [any] */
int media_multipart_next(media_multipart_t *m, const char *p, size_t n, size_t *used,
                         media_mp_event_t *ev, media_err_t *ei);
/* The body ended: 0 if the closing boundary was seen, else MEDIA_E_REJECT. [any] */
int media_multipart_eof(const media_multipart_t *m, media_err_t *ei);

#endif
