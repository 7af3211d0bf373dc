/* Heads of S3 requests: one table of operations, one builder, signed by sigv4. Path-style
 * addressing (endpoint/bucket/key). Used by the module's event loop and by the workers' libcurl, so
 * that both speak one dialect. */
#ifndef MEDIA_S3REQ_H
#define MEDIA_S3REQ_H

#include "media/sigv4.h"

/* name, method, query template (%s upload id, %d part) */
#define MEDIA_S3_OPS(X)                                                                            \
    X(PUT, "PUT", "")                                                                              \
    X(GET, "GET", "")                                                                              \
    X(HEAD, "HEAD", "")                                                                            \
    X(DELETE, "DELETE", "")                                                                        \
    X(CREATE_MULTIPART, "POST", "uploads=")                                                        \
    X(UPLOAD_PART, "PUT", "partNumber=%d&uploadId=%s")                                             \
    X(COMPLETE_MULTIPART, "POST", "uploadId=%s")                                                   \
    X(ABORT_MULTIPART, "DELETE", "uploadId=%s")                                                    \
    X(LIST_MULTIPART, "GET", "prefix=%s&uploads=")  /* on the bucket; prefix = the exact key */    \
    X(LIST_OBJECTS, "GET", "list-type=2&prefix=%s") /* on the bucket */                            \
    X(CREATE_BUCKET, "PUT", "")                     /* on the bucket */                            \
    X(HEAD_BUCKET, "HEAD", "")                      /* on the bucket */

enum media_s3_op {
#define X(name, method, query) MEDIA_S3_##name,
    MEDIA_S3_OPS(X)
#undef X
        MEDIA_S3_OP_COUNT
};

typedef struct {
    media_str_t host; /* as in the Host header, with the port when it is not the default one */
    media_str_t bucket;
    media_sigv4_cred_t cred;
} media_s3_target_t;

typedef struct {
    enum media_s3_op op;
    media_str_t key;        /* raw (not encoded) object key; empty for bucket operations */
    media_str_t upload_id;  /* raw */
    int part_number;        /* 1..10000 */
    int64_t content_length; /* of the body as the CALLER counts it (decoded); -1: no body header */
    media_str_t content_type;
    media_str_t payload_hash; /* hex, or MEDIA_PAYLOAD_UNSIGNED / _TRAILER; empty: the empty hash */
    media_str_t range;        /* "bytes=0-1" or empty */
    int trailer_chunk; /* with _TRAILER: size of an aws-chunked chunk, so the wire length is known
                        */
    int64_t now_s;
} media_s3_req_t;

/* Length on the wire of `n` decoded bytes framed as aws-chunked in chunks of `chunk` bytes and
 * ended by an x-amz-checksum-sha256 trailer. [any] */
int64_t media_s3_trailer_length(int64_t n, int chunk);
/* The last bytes of such a body: "0\r\nx-amz-checksum-sha256:<base64>\r\n\r\n". Returns the length.
 */
#define MEDIA_S3_TRAILER_MAX 96
ssize_t media_s3_trailer_end(const uint8_t sha256[32], char *dst, size_t cap);

/* The whole HTTP/1.1 request head, "METHOD /bucket/key?query HTTP/1.1" to the empty line, with
 * Host, x-amz-date, x-amz-content-sha256, Authorization, Content-Length, Connection: keep-alive.
 * Returns the length, MEDIA_E_TOOBIG, or MEDIA_E_BUG for a part number or key outside its range.
 * [any] */
ssize_t media_s3_head(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap);

/* The request target only ("/bucket/key?query"), percent-encoded. Returns the length. [any] */
ssize_t media_s3_uri(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap);

/* The header values of a request whose head someone else writes (nginx's proxy_pass, libcurl):
 * date, payload hash and Authorization over host, x-amz-* (and the session token if any). With
 * _TRAILER the caller must also send x-amz-decoded-content-length (content_length) and
 * x-amz-trailer: x-amz-checksum-sha256, which are signed, too. NUL-terminated. [any] */
typedef struct {
    char date[17];
    char content_sha256[72];
    char authorization[640];
} media_s3_signed_t;
int media_s3_sign(const media_s3_target_t *t, const media_s3_req_t *req, media_s3_signed_t *out);

#endif
