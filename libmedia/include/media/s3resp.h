/* Answers of S3: the few XML documents we read, by a tiny strict reader (no DTD, no entities but
 * the five, depth and size bounded), and the meaning of an error. */
#ifndef MEDIA_S3RESP_H
#define MEDIA_S3RESP_H

#include "media/err.h"
#include "media/s3sum.h"

#define MEDIA_S3_BODY_MAX 65536         /* larger answers are refused */
#define MEDIA_S3_LIST_MAX (1024 * 1024) /* a listing of 1000 entries, S3's page */

typedef struct {
    char code[64]; /* "NoSuchUpload"; empty: the document is no <Error> */
    char message[200];
} media_s3_error_t;

/* Reads an <Error> document: 0 and *out; MEDIA_E_GONE when the document is well formed but no
 * <Error>; MEDIA_E_REJECT when it is garbage. [any] */
int media_s3_error_parse(media_str_t body, media_s3_error_t *out);
/* What an HTTP status and an error code ask the caller to do: 0 success, MEDIA_E_RETRY (5xx,
 * SlowDown, RequestTimeout, 408, 429, damage on the way: BadDigest and its like), MEDIA_E_GONE
 * (404, NoSuchUpload, NoSuchKey), MEDIA_E_AUTH (401, 403, NoSuchBucket), MEDIA_E_REJECT
 * (NotImplemented, other faults of ours). `e` may be NULL. [any]
 */
int media_s3_verdict(int status, const media_s3_error_t *e);

/* UploadId of an InitiateMultipartUploadResult, decoded and NUL-terminated; length or negative.
 * [any] */
ssize_t media_s3_create_parse(media_str_t body, char *dst, size_t cap, media_err_t *ei);
/* ETag of a CompleteMultipartUploadResult without quotes; MEDIA_E_REJECT when the 200 carries an
 * <Error> (then *e is filled). [any] */
ssize_t media_s3_complete_parse(media_str_t body, char *dst, size_t cap, media_s3_error_t *e,
                                media_err_t *ei);
/* Calls `each` for every <Upload> (key, upload id) of a ListMultipartUploadsResult, for every
 * <Version> and <DeleteMarker> (key, version id) of a ListVersionsResult, for every <Contents>
 * (key, size) of a ListBucketResult; `each` returns 0 to go on, a positive value to stop, a
 * negative one to fail with. Returns the count or negative. The views are valid during the call.
 * [any] */
typedef int (*media_s3_each_pt)(void *data, media_str_t key, media_str_t id);
int media_s3_list_parse(media_str_t body, media_s3_each_pt each, void *data, media_err_t *ei);

/* Appends-free builder of the CompleteMultipartUpload body: the text for one part, and the frame.
 * Part etags are given without quotes; `sum` is the checksum of the part in base64 (NULL or empty:
 * none). Returns the length or MEDIA_E_TOOBIG. [any] */
#define MEDIA_S3_COMPLETE_OPEN                                                                     \
    "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define MEDIA_S3_COMPLETE_CLOSE "</CompleteMultipartUpload>"
ssize_t media_s3_complete_part(int part_number, media_str_t etag, enum media_s3_sum_alg alg,
                               const char *sum, char *dst, size_t cap);
/* "\"abc\"" -> abc (a view); weak or unquoted values pass as they are. [any] */
media_str_t media_s3_etag(media_str_t header);

#endif
