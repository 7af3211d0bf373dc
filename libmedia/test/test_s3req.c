/* s3req.c: request targets, heads and what of them is signed, the aws-chunked frame. */
#include "media/s3req.h"

#include "test.h"

static const media_s3_target_t target = {.host = {"127.0.0.1:9000", 14},
                                         .bucket = {"media", 5},
                                         .cred = {.access_key = {"AK", 2},
                                                  .secret_key = {"secret-key-text", 15},
                                                  .region = {"us-east-1", 9},
                                                  .service = {"s3", 2}}};

static void check_uri(media_s3_req_t req, const char *want)
{
    char dst[4096];
    ssize_t n = media_s3_uri(&target, &req, dst, sizeof(dst));

    CHECK(n > 0 && (size_t)n == strlen(dst));
    CHECK_STR(dst, want);
}

static void test_s3req_uri_of_every_operation(void)
{
    media_s3_req_t r = {.key = MEDIA_STR("media/1/original"),
                        .upload_id = MEDIA_STR("up/load+id="),
                        .part_number = 7};

    r.op = MEDIA_S3_PUT;
    check_uri(r, "/media/media/1/original");
    r.op = MEDIA_S3_DELETE;
    check_uri(r, "/media/media/1/original");
    r.op = MEDIA_S3_CREATE_MULTIPART;
    check_uri(r, "/media/media/1/original?uploads=");
    r.op = MEDIA_S3_UPLOAD_PART;
    check_uri(r, "/media/media/1/original?partNumber=7&uploadId=up%2Fload%2Bid%3D");
    r.op = MEDIA_S3_COMPLETE_MULTIPART;
    check_uri(r, "/media/media/1/original?uploadId=up%2Fload%2Bid%3D");
    r.op = MEDIA_S3_ABORT_MULTIPART;
    check_uri(r, "/media/media/1/original?uploadId=up%2Fload%2Bid%3D");
    r.op = MEDIA_S3_LIST_MULTIPART;
    check_uri(r, "/media?prefix=media%2F1%2Foriginal&uploads=");
    r.op = MEDIA_S3_LIST_OBJECTS;
    check_uri(r, "/media?list-type=2&prefix=media%2F1%2Foriginal");
    r.key = MEDIA_STR("");
    check_uri(r, "/media?list-type=2&prefix=");
    r.op = MEDIA_S3_CREATE_BUCKET;
    check_uri(r, "/media");
    r.op = MEDIA_S3_HEAD_BUCKET;
    check_uri(r, "/media");
}

static void test_s3req_key_is_encoded_once(void)
{
    check_uri((media_s3_req_t){.op = MEDIA_S3_GET, .key = MEDIA_STR("a b+c?d#e%20/\xc3\xa9~")},
              "/media/a%20b%2Bc%3Fd%23e%2520/%C3%A9~");
}

static ssize_t head(media_s3_req_t req, char *dst, size_t cap)
{
    req.now_s = 1369353600;
    return media_s3_head(&target, &req, dst, cap);
}

static void test_s3req_head_of_a_get_is_exact(void)
{
    char dst[2048], *sig;
    media_s3_req_t r = {.op = MEDIA_S3_GET,
                        .key = MEDIA_STR("k"),
                        .content_length = -1,
                        .range = MEDIA_STR("bytes=0-9")};

    CHECK(head(r, dst, sizeof(dst)) > 0);
    sig = strstr(dst, "Signature=");
    CHECK(sig != NULL && strcmp(sig + 10 + 64, "\r\nconnection: keep-alive\r\n\r\n") == 0);
    *sig = '\0';
    CHECK_STR(dst,
              "GET /media/k HTTP/1.1\r\n"
              "host: 127.0.0.1:9000\r\n"
              "x-amz-content-sha256: " MEDIA_SHA256_EMPTY "\r\n"
              "x-amz-date: 20130524T000000Z\r\n"
              "range: bytes=0-9\r\n"
              "authorization: AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
              "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ");
}

static void test_s3req_head_of_a_trailer_put_counts_the_frame(void)
{
    char dst[2048];
    media_s3_req_t r = {.op = MEDIA_S3_PUT,
                        .key = MEDIA_STR("k"),
                        .content_length = 1000,
                        .content_type = MEDIA_STR("video/mp4"),
                        .payload_hash = MEDIA_STR(MEDIA_PAYLOAD_TRAILER),
                        .trailer_chunk = 256};

    CHECK(head(r, dst, sizeof(dst)) > 0);
    CHECK(strstr(dst, "\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n") != NULL);
    CHECK(strstr(dst, "\r\nx-amz-decoded-content-length: 1000\r\n") != NULL);
    CHECK(strstr(dst, "\r\nx-amz-trailer: x-amz-checksum-sha256\r\n") != NULL);
    CHECK(strstr(dst, "\r\ncontent-encoding: aws-chunked\r\n") != NULL);
    CHECK(strstr(dst, "SignedHeaders=content-encoding;content-type;host;x-amz-content-sha256;"
                      "x-amz-date;x-amz-decoded-content-length;x-amz-trailer, ") != NULL);
    /* 3 * ("100" CRLF 256 CRLF) + ("e8" CRLF 232 CRLF) + the end */
    CHECK(strstr(dst, "\r\ncontent-length: 1100\r\n") != NULL);
}

static void test_s3req_head_carries_the_session_token(void)
{
    media_s3_target_t t = target;
    media_s3_req_t r = {.op = MEDIA_S3_HEAD, .key = MEDIA_STR("k"), .content_length = -1};
    char dst[2048];

    t.cred.session_token = MEDIA_STR("tok");
    CHECK(media_s3_head(&t, &r, dst, sizeof(dst)) > 0);
    CHECK(strstr(dst, "\r\nx-amz-security-token: tok\r\n") != NULL);
    CHECK(strstr(dst, ";x-amz-security-token, ") != NULL);
    CHECK(strstr(dst, "content-length") == NULL);
    CHECK(strstr(dst, "secret-key-text") == NULL);
}

static void test_s3req_small_buffers_are_toobig(void)
{
    media_s3_req_t r = {.op = MEDIA_S3_GET, .key = MEDIA_STR("k"), .content_length = 0};
    char dst[2048];
    ssize_t n = head(r, dst, sizeof(dst));

    CHECK(n > 0);
    for (ssize_t i = 0; i <= n; i++) {
        CHECK_INT(head(r, dst, (size_t)i), MEDIA_E_TOOBIG);
    }
    CHECK_INT(head(r, dst, (size_t)n + 1), n);
}

static void check_bug(media_s3_req_t req)
{
    char dst[8192];

    CHECK_INT(head(req, dst, sizeof(dst)), MEDIA_E_BUG);
}

static void test_s3req_wrong_calls_are_bugs(void)
{
    static char key[1025];
    media_s3_req_t part = {.op = MEDIA_S3_UPLOAD_PART,
                           .key = MEDIA_STR("k"),
                           .upload_id = MEDIA_STR("u"),
                           .part_number = 1};
    media_s3_req_t put = {.op = MEDIA_S3_PUT, .key = MEDIA_STR("k")}, r;
    char dst[8192];

    memset(key, 'k', sizeof(key));
    CHECK(head(part, dst, sizeof(dst)) > 0);
    r = part, r.part_number = 0, check_bug(r);
    r = part, r.part_number = 10001, check_bug(r);
    r = part, r.part_number = 10000;
    CHECK(head(r, dst, sizeof(dst)) > 0);
    r = part, r.upload_id = MEDIA_STR(""), check_bug(r);
    r = put, r.key = MEDIA_STR(""), check_bug(r);
    r = put, r.key = (media_str_t){key, 1025}, check_bug(r);
    r = put, r.key = (media_str_t){key, 1024};
    CHECK(head(r, dst, sizeof(dst)) > 0);
    r = put, r.key = (media_str_t){"a\0b", 3}, check_bug(r);
    r = put, r.op = MEDIA_S3_HEAD_BUCKET, check_bug(r);
    r = put, r.op = MEDIA_S3_OP_COUNT, check_bug(r);
    r = put, r.payload_hash = MEDIA_STR(MEDIA_PAYLOAD_TRAILER), check_bug(r);
    r = put, r.content_type = MEDIA_STR("a\r\nx-evil: 1"), check_bug(r);
    r = put, r.range = MEDIA_STR("bytes=0-1\n"), check_bug(r);
}

static void test_s3req_bad_bucket_is_a_bug(void)
{
    static const char *const bad[] = {"", "a/b", "a b", "..", "-x", "a?b", "a\r\n"};
    media_s3_target_t t = target;
    media_s3_req_t r = {.op = MEDIA_S3_HEAD_BUCKET};
    char dst[512];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t.bucket = media_str(bad[i]);
        CHECK_INT(media_s3_uri(&t, &r, dst, sizeof(dst)), MEDIA_E_BUG);
    }
}

/* The frame as a sender writes it, byte for byte. */
static size_t frame(int64_t n, int chunk, char *dst, size_t cap)
{
    uint8_t sha[32] = {0};
    size_t len = 0;

    while (n > 0) {
        int64_t k = n < chunk ? n : chunk;

        len += (size_t)snprintf(dst + len, cap - len, "%llx\r\n", (unsigned long long)k);
        len += (size_t)k + 2;
        n -= k;
    }
    return len + (size_t)media_s3_trailer_end(sha, dst + len, cap - len);
}

static void test_s3req_trailer_length_is_what_a_sender_writes(void)
{
    static char dst[400000];
    static const int chunks[] = {1, 15, 16, 255, 256, 4096, 65536};
    static const int sizes[] = {0, 1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 65537};

    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            CHECK_INT(media_s3_trailer_length(sizes[j], chunks[i]),
                      frame(sizes[j], chunks[i], dst, sizeof(dst)));
        }
    }
    CHECK_INT(media_s3_trailer_length(1, 0), MEDIA_E_BUG);
    CHECK_INT(media_s3_trailer_length(-1, 1), MEDIA_E_BUG);
}

static void test_s3req_trailer_end_is_exact(void)
{
    uint8_t sha[32] = {0xe3, 0xb0, 0xc4, 0x42};
    char dst[MEDIA_S3_TRAILER_MAX];

    CHECK_INT(media_s3_trailer_end(sha, dst, sizeof(dst)), 73);
    CHECK_STR(dst,
              "0\r\nx-amz-checksum-sha256:47DEQgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
    CHECK_INT(media_s3_trailer_end(sha, dst, 73), MEDIA_E_TOOBIG);
}

static void test_s3req_sign_covers_host_and_amz_only(void)
{
    media_s3_req_t r = {.op = MEDIA_S3_GET,
                        .key = MEDIA_STR("k"),
                        .range = MEDIA_STR("bytes=0-9"),
                        .now_s = 1369353600};
    media_s3_signed_t s;

    CHECK_INT(media_s3_sign(&target, &r, &s), 0);
    CHECK_STR(s.date, "20130524T000000Z");
    CHECK_STR(s.content_sha256, MEDIA_SHA256_EMPTY);
    CHECK(strstr(s.authorization, "SignedHeaders=host;x-amz-content-sha256;x-amz-date, ") != NULL);
    r.payload_hash = MEDIA_STR(MEDIA_PAYLOAD_UNSIGNED);
    CHECK_INT(media_s3_sign(&target, &r, &s), 0);
    CHECK_STR(s.content_sha256, MEDIA_PAYLOAD_UNSIGNED);
    r.key = MEDIA_STR("");
    CHECK_INT(media_s3_sign(&target, &r, &s), MEDIA_E_BUG);
}

int main(void)
{
    test_s3req_uri_of_every_operation();
    test_s3req_key_is_encoded_once();
    test_s3req_head_of_a_get_is_exact();
    test_s3req_head_of_a_trailer_put_counts_the_frame();
    test_s3req_head_carries_the_session_token();
    test_s3req_small_buffers_are_toobig();
    test_s3req_wrong_calls_are_bugs();
    test_s3req_bad_bucket_is_a_bug();
    test_s3req_trailer_length_is_what_a_sender_writes();
    test_s3req_trailer_end_is_exact();
    test_s3req_sign_covers_host_and_amz_only();
    return test_report();
}
