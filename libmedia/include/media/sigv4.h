/* AWS Signature Version 4 for S3
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).
 * Pure: time is a parameter, nothing is allocated, secrets are cleansed. */
#ifndef MEDIA_SIGV4_H
#define MEDIA_SIGV4_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MEDIA_PAYLOAD_UNSIGNED "UNSIGNED-PAYLOAD"
#define MEDIA_PAYLOAD_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

typedef struct {
    media_str_t access_key;
    media_str_t secret_key;
    media_str_t session_token; /* empty: none */
    media_str_t region;
    media_str_t service; /* "s3" */
} media_sigv4_cred_t;

typedef struct {
    media_str_t name; /* lower case */
    media_str_t value;
} media_sigv4_header_t;

typedef struct {
    media_str_t method;
    media_str_t path;  /* already percent-encoded as it goes on the wire, starts with '/' */
    media_str_t query; /* as on the wire, without '?': "uploads=" or "partNumber=1&uploadId=x";
                          sorted and encoded by the signer's rules here. At most 32 parameters */
    const media_sigv4_header_t *headers; /* everything to sign, host included; any order, <= 32 */
    size_t nheaders;
    media_str_t payload_hash; /* hex sha256 or one of MEDIA_PAYLOAD_* */
    int64_t now_s;            /* unix time */
} media_sigv4_req_t;

/* "20130524T000000Z" of unix seconds; dst >= 17 bytes. [any] */
void media_sigv4_date(int64_t now_s, char dst[17]);

/* The value of the Authorization header, NUL-terminated, for the headers given (the caller sends
 * exactly those, x-amz-date and x-amz-content-sha256 among them). Returns its length or
 * MEDIA_E_TOOBIG / MEDIA_E_BUG. If canonical is not NULL it receives the canonical request (for
 * tests). [any] */
ssize_t media_sigv4_authorization(const media_sigv4_cred_t *cred, const media_sigv4_req_t *req,
                                  char *dst, size_t cap, char *canonical, size_t canonical_cap);

/* The query string of a presigned request (method and path from req; only `host` of its headers is
 * signed), payload UNSIGNED-PAYLOAD, ttl_s 1..604800. Returns its length or a negative code. [any]
 */
ssize_t media_sigv4_presign(const media_sigv4_cred_t *cred, const media_sigv4_req_t *req,
                            int64_t ttl_s, char *dst, size_t cap);

#endif
