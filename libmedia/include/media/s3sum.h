/* Checksums that S3 verifies and keeps with an object: SHA-256, or CRC-64/NVME, which costs far
 * less and whose value for a multipart object follows from those of its parts. */
#ifndef MEDIA_S3SUM_H
#define MEDIA_S3SUM_H

#include <openssl/sha.h>

#include "media/str.h"

/* name, word (of our configurations and of header names), word on the wire, kind of a multipart
 * object's checksum (made of its parts' checksums, or that of all its bytes), length in base64 */
#define MEDIA_S3_SUMS(X)                                                                           \
    X(NONE, "none", "", "", 0)                                                                     \
    X(SHA256, "sha256", "SHA256", "COMPOSITE", 44)                                                 \
    X(CRC64NVME, "crc64nvme", "CRC64NVME", "FULL_OBJECT", 12)

enum media_s3_sum_alg {
#define X(name, word, wire, kind, len) MEDIA_S3_SUM_##name,
    MEDIA_S3_SUMS(X)
#undef X
        MEDIA_S3_SUM_COUNT
};

/* "x-amz-checksum-sha256": where a value stands in heads and trailers. [any] */
const char *media_s3_sum_header(enum media_s3_sum_alg alg);
/* The algorithm of a word, or -1. [any] */
int media_s3_sum_parse(media_str_t word);

#define MEDIA_S3_SUM_TEXT 45 /* base64 of a sum with its NUL */

/* A sum in the making; no memory behind it. */
typedef struct {
    enum media_s3_sum_alg alg;
    int64_t n;    /* bytes added */
    uint64_t crc; /* of them */
    SHA256_CTX sha;
} media_s3_sum_t;

void media_s3_sum_init(media_s3_sum_t *s, enum media_s3_sum_alg alg); /* [any] */
void media_s3_sum_add(media_s3_sum_t *s, const void *p, size_t n);    /* [any] */
/* The sum in base64, NUL-terminated; empty for NONE. Ends the making. [any] */
void media_s3_sum_end(media_s3_sum_t *s, char dst[MEDIA_S3_SUM_TEXT]);
/* The text of a SHA-256 resp. CRC made elsewhere. [any] */
void media_s3_sum_sha256_text(const uint8_t sha256[32], char dst[MEDIA_S3_SUM_TEXT]);
void media_s3_sum_crc_text(uint64_t crc, char dst[MEDIA_S3_SUM_TEXT]);

/* CRC-64/NVME of bytes that follow those `crc` is of (0: none). [any] */
uint64_t media_crc64nvme(uint64_t crc, const void *p, size_t n);
/* CRC of A and B in a row, of that of A, that of B, and the length of B. [any] */
uint64_t media_crc64nvme_combine(uint64_t a, uint64_t b, int64_t len_b);

#endif
