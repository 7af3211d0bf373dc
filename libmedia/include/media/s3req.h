/* Heads of S3 requests: one table of operations, one list of headers, signed by sigv4. Used by the
 * module's event loop and by the workers' libcurl, so that both speak one dialect, which is that of
 * the target: addressing, encryption, checksums. */
#ifndef MEDIA_S3REQ_H
#define MEDIA_S3REQ_H

#include "media/s3sum.h"
#include "media/sigv4.h"

/* name, method, query template (%s upload or version id; of a listing the prefix, then where it
 * goes on; %d part) */
#define MEDIA_S3_OPS(X)                                                                            \
    X(PUT, "PUT", "")                                                                              \
    X(GET, "GET", "")                                                                              \
    X(HEAD, "HEAD", "")                                                                            \
    X(DELETE, "DELETE", "")                                                                        \
    X(CREATE_MULTIPART, "POST", "uploads=")                                                        \
    X(UPLOAD_PART, "PUT", "partNumber=%d&uploadId=%s")                                             \
    X(COMPLETE_MULTIPART, "POST", "uploadId=%s")                                                   \
    X(ABORT_MULTIPART, "DELETE", "uploadId=%s")                                                    \
    X(DELETE_VERSION, "DELETE", "versionId=%s")                                                    \
    X(LIST_MULTIPART, "GET", "prefix=%s&uploads=") /* on the bucket; prefix = the exact key */     \
    X(LIST_OBJECTS, "GET", "list-type=2&prefix=%s&start-after=%s") /* on the bucket */             \
    X(LIST_VERSIONS, "GET", "prefix=%s&versions=")                 /* on the bucket */             \
    X(CREATE_BUCKET, "PUT", "")                                    /* on the bucket */             \
    X(HEAD_BUCKET, "HEAD", "")                                     /* on the bucket */

enum media_s3_op {
#define X(name, method, query) MEDIA_S3_##name,
    MEDIA_S3_OPS(X)
#undef X
        MEDIA_S3_OP_COUNT
};

/* name, word on the wire */
#define MEDIA_S3_SSES(X)                                                                           \
    X(NONE, "")                                                                                    \
    X(AES256, "AES256")                                                                            \
    X(KMS, "aws:kms")

enum media_s3_sse {
#define X(name, wire) MEDIA_S3_SSE_##name,
    MEDIA_S3_SSES(X)
#undef X
        MEDIA_S3_SSE_COUNT
};

/* The algorithm of a word, or -1; NONE has no word. [any] */
int media_s3_sse_parse(media_str_t word);

/* 1 unless `op` carried bytes, encryption was asked for, and the answer's header says that S3 did
 * something else: there are servers that pass over what they do not know. [any] */
#define MEDIA_S3_SSE_HEADER "x-amz-server-side-encryption"
int media_s3_sse_kept(enum media_s3_sse asked, enum media_s3_op op, media_str_t header);

typedef struct {
    media_str_t host; /* as in the Host header, with the port when it is not the default one; with
                         virtual_host the bucket is its first label (media_s3_host) */
    media_str_t bucket;
    int virtual_host;          /* the path has no bucket in it */
    enum media_s3_sse sse;     /* of new objects */
    media_str_t sse_key;       /* with KMS; empty: the account's own */
    int sse_bucket_key;        /* with KMS: S3 keeps a key per bucket */
    enum media_s3_sum_alg sum; /* what new objects carry, see media_s3_op_sum() */
    media_sigv4_cred_t cred;
} media_s3_target_t;

/* "bucket.host:port" of virtual-host addressing. Returns the length or MEDIA_E_TOOBIG. [any] */
ssize_t media_s3_host(media_str_t endpoint_host, media_str_t bucket, char *dst, size_t cap);

/* The checksum of an operation's body: the target's for parts of a multipart upload; SHA-256 for a
 * single PUT, since that of the file is at hand; NONE for others, or if the target has none. [any]
 */
enum media_s3_sum_alg media_s3_op_sum(const media_s3_target_t *t, enum media_s3_op op);

typedef struct {
    enum media_s3_op op;
    media_str_t key;        /* raw (not encoded) object key; empty for bucket operations */
    media_str_t upload_id;  /* raw; of DELETE_VERSION the version's; LIST_OBJECTS lists what comes
                               after this key, or from the first one if it is empty */
    int part_number;        /* 1..10000 */
    int64_t content_length; /* of the body as the CALLER counts it (decoded); -1: no body header */
    media_str_t content_type;
    media_str_t payload_hash; /* hex, or MEDIA_PAYLOAD_UNSIGNED / _TRAILER; empty: the empty hash */
    media_str_t range;        /* "bytes=0-1" or empty */
    media_str_t sum;          /* base64: of the body, if it is known beforehand and no trailer; of a
                                 COMPLETE whose target has CRC64NVME: of the whole object */
    int trailer_chunk; /* with _TRAILER: size of an aws-chunked chunk, so the wire length is known
                        */
    int64_t now_s;
} media_s3_req_t;

/* Length on the wire of `n` decoded bytes framed as aws-chunked in chunks of `chunk` bytes and
 * ended by a trailer with a checksum. [any] */
int64_t media_s3_trailer_length(enum media_s3_sum_alg alg, int64_t n, int chunk);
/* The last bytes of such a body: "0\r\nx-amz-checksum-sha256:<base64>\r\n\r\n". Returns the length.
 */
#define MEDIA_S3_TRAILER_MAX 96
ssize_t media_s3_trailer_end(enum media_s3_sum_alg alg, const char *sum, char *dst, size_t cap);

/* All headers of a request but Content-Length and Connection, which belong to who sends it: Host,
 * x-amz-*, Content-Type, Range, signed, and last the Authorization. Names are C strings; values are
 * views into `out` or into what t and req point to. 0, MEDIA_E_TOOBIG, or MEDIA_E_BUG for a part
 * number, key or text outside its range. [any] */
#define MEDIA_S3_HEADERS_MAX 16
typedef struct {
    media_sigv4_header_t h[MEDIA_S3_HEADERS_MAX];
    size_t n;
    char date[17];
    char decoded_length[24];
    char authorization[1024];
} media_s3_headers_t;
int media_s3_headers(const media_s3_target_t *t, const media_s3_req_t *req,
                     media_s3_headers_t *out);

/* The whole HTTP/1.1 request head, "METHOD /bucket/key?query HTTP/1.1" to the empty line, with
 * those headers, Content-Length and Connection: keep-alive. Returns the length or as
 * media_s3_headers(). [any] */
ssize_t media_s3_head(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap);

/* The request target only ("/bucket/key?query"), percent-encoded. Returns the length. [any] */
ssize_t media_s3_uri(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap);

/* The header values of a GET or HEAD whose head nginx's proxy_pass writes: date, payload hash and
 * Authorization over host, x-amz-date, x-amz-content-sha256 (and the session token if any); a Range
 * may be added. NUL-terminated. [any] */
typedef struct {
    char date[17];
    char content_sha256[72];
    char authorization[640];
} media_s3_signed_t;
int media_s3_sign(const media_s3_target_t *t, const media_s3_req_t *req, media_s3_signed_t *out);

#endif
