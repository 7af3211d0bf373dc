/* s3req.c: request targets, heads and what of them is signed, the aws-chunked frame. */
#include "media/s3req.h"

#include "test.h"

static const media_s3_target_t target = {.host = {"127.0.0.1:9000", 14},
                                         .bucket = {"media", 5},
                                         .sum = MEDIA_S3_SUM_SHA256,
                                         .cred = {.access_key = {"AK", 2},
                                                  .secret_key = {"secret-key-text", 15},
                                                  .region = {"us-east-1", 9},
                                                  .service = {"s3", 2}}};

static void check_uri_of(const media_s3_target_t *t, media_s3_req_t req, const char *want)
{
    char dst[4096];
    ssize_t n = media_s3_uri(t, &req, dst, sizeof(dst));

    CHECK(n > 0 && (size_t)n == strlen(dst));
    CHECK_STR(dst, want);
}

static void check_uri(media_s3_req_t req, const char *want)
{
    check_uri_of(&target, req, want);
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
    r.op = MEDIA_S3_DELETE_VERSION;
    check_uri(r, "/media/media/1/original?versionId=up%2Fload%2Bid%3D");
    r.op = MEDIA_S3_LIST_VERSIONS;
    check_uri(r, "/media?prefix=media%2F1%2Foriginal&versions=");
    r.op = MEDIA_S3_LIST_MULTIPART;
    check_uri(r, "/media?prefix=media%2F1%2Foriginal&uploads=");
    r.op = MEDIA_S3_LIST_OBJECTS;
    check_uri(r, "/media?list-type=2&prefix=media%2F1%2Foriginal&start-after=up%2Fload%2Bid%3D");
    r.key = r.upload_id = MEDIA_STR("");
    check_uri(r, "/media?list-type=2&prefix=&start-after=");
    r.op = MEDIA_S3_CREATE_BUCKET;
    check_uri(r, "/media");
    r.op = MEDIA_S3_HEAD_BUCKET;
    check_uri(r, "/media");
}

static void test_s3req_virtual_host_has_no_bucket_in_its_path(void)
{
    media_s3_target_t t = target;
    media_s3_req_t r = {.op = MEDIA_S3_GET, .key = MEDIA_STR("media/1/original")};
    char host[64], dst[2048];

    CHECK_INT(media_s3_host(MEDIA_STR("s3.example.org:9000"), MEDIA_STR("media"), host, 64), 25);
    CHECK_STR(host, "media.s3.example.org:9000");
    CHECK_INT(media_s3_host(MEDIA_STR("s3.example.org:9000"), MEDIA_STR("media"), host, 25),
              MEDIA_E_TOOBIG);
    t.host = media_str("media.s3.example.org:9000");
    t.virtual_host = 1;
    check_uri_of(&t, r, "/media/1/original");
    CHECK(media_s3_head(&t, &r, dst, sizeof(dst)) > 0);
    CHECK(strstr(dst, "GET /media/1/original HTTP/1.1\r\n"
                      "host: media.s3.example.org:9000\r\n") == dst);
    r.op = MEDIA_S3_LIST_MULTIPART;
    check_uri_of(&t, r, "/?prefix=media%2F1%2Foriginal&uploads=");
    r.key = MEDIA_STR("");
    r.op = MEDIA_S3_HEAD_BUCKET;
    check_uri_of(&t, r, "/");
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

/* 1 when the head of `op` has that line, and signs it. */
static int states(const media_s3_target_t *t, enum media_s3_op op, const char *sum,
                  const char *name, const char *value)
{
    media_s3_req_t r = {.op = op,
                        .key = MEDIA_STR("k"),
                        .upload_id = MEDIA_STR("u"),
                        .part_number = 1,
                        .sum = media_str(sum),
                        .content_length = 0};
    char dst[4096], line[256], in_list[128];
    int found, is_signed;

    if (op >= MEDIA_S3_CREATE_BUCKET) {
        r.key = MEDIA_STR("");
    }
    CHECK(media_s3_head(t, &r, dst, sizeof(dst)) > 0);
    (void)snprintf(line, sizeof(line), "\r\n%s: %s\r\n", name, value);
    (void)snprintf(in_list, sizeof(in_list), ";%s", name);
    found = strstr(dst, line) != NULL;
    is_signed = strstr(dst, in_list) != NULL;
    CHECK_INT(found, is_signed);
    return found;
}

static void test_s3req_encryption_is_stated_where_objects_begin(void)
{
    media_s3_target_t t = target;

    t.sse = MEDIA_S3_SSE_AES256;
    for (int op = 0; op < MEDIA_S3_OP_COUNT; op++) {
        int begins = op == MEDIA_S3_PUT || op == MEDIA_S3_CREATE_MULTIPART;

        t.sse = MEDIA_S3_SSE_AES256;
        CHECK_INT(states(&t, op, "", "x-amz-server-side-encryption", "AES256"), begins);
        t.sse = MEDIA_S3_SSE_KMS;
        t.sse_key = MEDIA_STR("arn:aws:kms:eu-west-1:1:key/2");
        t.sse_bucket_key = 1;
        CHECK_INT(states(&t, op, "", "x-amz-server-side-encryption", "aws:kms"), begins);
        CHECK_INT(states(&t, op, "", "x-amz-server-side-encryption-aws-kms-key-id",
                         "arn:aws:kms:eu-west-1:1:key/2"),
                  begins);
        CHECK_INT(states(&t, op, "", "x-amz-server-side-encryption-bucket-key-enabled", "true"),
                  begins);
    }
    t.sse_key = MEDIA_STR("");
    t.sse_bucket_key = 0;
    CHECK(states(&t, MEDIA_S3_PUT, "", "x-amz-server-side-encryption", "aws:kms"));
    CHECK(!states(&t, MEDIA_S3_PUT, "", "x-amz-server-side-encryption-aws-kms-key-id", ""));
    CHECK(media_s3_sse_kept(MEDIA_S3_SSE_AES256, MEDIA_S3_PUT, MEDIA_STR("AES256")));
    CHECK(media_s3_sse_kept(MEDIA_S3_SSE_KMS, MEDIA_S3_CREATE_MULTIPART, MEDIA_STR("")));
    CHECK(media_s3_sse_kept(MEDIA_S3_SSE_KMS, MEDIA_S3_UPLOAD_PART, MEDIA_STR("aws:kms")));
    CHECK(!media_s3_sse_kept(MEDIA_S3_SSE_KMS, MEDIA_S3_UPLOAD_PART, MEDIA_STR("")));
    CHECK(media_s3_sse_kept(MEDIA_S3_SSE_AES256, MEDIA_S3_COMPLETE_MULTIPART, MEDIA_STR("")));
    CHECK(media_s3_sse_kept(MEDIA_S3_SSE_NONE, MEDIA_S3_PUT, MEDIA_STR("AES256")));
    CHECK(!media_s3_sse_kept(MEDIA_S3_SSE_AES256, MEDIA_S3_PUT, MEDIA_STR("")));
    CHECK(!media_s3_sse_kept(MEDIA_S3_SSE_KMS, MEDIA_S3_PUT, MEDIA_STR("AES256")));
    CHECK_INT(media_s3_sse_parse(MEDIA_STR("AES256")), MEDIA_S3_SSE_AES256);
    CHECK_INT(media_s3_sse_parse(MEDIA_STR("aws:kms")), MEDIA_S3_SSE_KMS);
    CHECK_INT(media_s3_sse_parse(MEDIA_STR("")), -1);
    CHECK_INT(media_s3_sse_parse(MEDIA_STR("aes256")), -1);
}

static void test_s3req_checksums_are_declared_then_carried(void)
{
    media_s3_target_t t = target;

    CHECK(states(&t, MEDIA_S3_CREATE_MULTIPART, "", "x-amz-checksum-algorithm", "SHA256"));
    CHECK(states(&t, MEDIA_S3_CREATE_MULTIPART, "", "x-amz-checksum-type", "COMPOSITE"));
    CHECK(states(&t, MEDIA_S3_UPLOAD_PART, "ab=", "x-amz-checksum-sha256", "ab="));
    CHECK(states(&t, MEDIA_S3_PUT, "ab=", "x-amz-checksum-sha256", "ab="));
    CHECK(!states(&t, MEDIA_S3_PUT, "", "x-amz-checksum-algorithm", "SHA256"));
    CHECK(!states(&t, MEDIA_S3_COMPLETE_MULTIPART, "ab=", "x-amz-checksum-sha256", "ab="));
    CHECK(!states(&t, MEDIA_S3_GET, "ab=", "x-amz-checksum-sha256", "ab="));
    t.sum = MEDIA_S3_SUM_CRC64NVME;
    CHECK(states(&t, MEDIA_S3_CREATE_MULTIPART, "", "x-amz-checksum-algorithm", "CRC64NVME"));
    CHECK(states(&t, MEDIA_S3_CREATE_MULTIPART, "", "x-amz-checksum-type", "FULL_OBJECT"));
    CHECK(states(&t, MEDIA_S3_UPLOAD_PART, "ab=", "x-amz-checksum-crc64nvme", "ab="));
    CHECK(states(&t, MEDIA_S3_PUT, "ab=", "x-amz-checksum-sha256", "ab="));
    CHECK(states(&t, MEDIA_S3_COMPLETE_MULTIPART, "ab=", "x-amz-checksum-crc64nvme", "ab="));
    CHECK(states(&t, MEDIA_S3_COMPLETE_MULTIPART, "ab=", "x-amz-checksum-type", "FULL_OBJECT"));
    CHECK(!states(&t, MEDIA_S3_COMPLETE_MULTIPART, "", "x-amz-checksum-type", "FULL_OBJECT"));
    t.sum = MEDIA_S3_SUM_NONE;
    CHECK(!states(&t, MEDIA_S3_CREATE_MULTIPART, "", "x-amz-checksum-algorithm", ""));
    CHECK(!states(&t, MEDIA_S3_UPLOAD_PART, "ab=", "x-amz-checksum-sha256", "ab="));
    CHECK(!states(&t, MEDIA_S3_PUT, "ab=", "x-amz-checksum-sha256", "ab="));
}

static void test_s3req_trailer_of_a_part_is_the_targets(void)
{
    media_s3_target_t t = target;
    char dst[2048];
    media_s3_req_t r = {.op = MEDIA_S3_UPLOAD_PART,
                        .key = MEDIA_STR("k"),
                        .upload_id = MEDIA_STR("u"),
                        .part_number = 1,
                        .content_length = 0,
                        .payload_hash = MEDIA_STR(MEDIA_PAYLOAD_TRAILER),
                        .trailer_chunk = 256};

    t.sum = MEDIA_S3_SUM_CRC64NVME;
    CHECK(media_s3_head(&t, &r, dst, sizeof(dst)) > 0);
    CHECK(strstr(dst, "\r\nx-amz-trailer: x-amz-checksum-crc64nvme\r\n") != NULL);
    CHECK(strstr(dst, "\r\ncontent-length: 44\r\n") != NULL);
    t.sum = MEDIA_S3_SUM_NONE;
    CHECK_INT(media_s3_head(&t, &r, dst, sizeof(dst)), MEDIA_E_BUG);
}

/* The example of "Authenticating Requests: Using the Authorization Header" (PutObject). */
static void test_s3req_headers_sign_as_amazon_does(void)
{
    media_s3_target_t t = {
        .host = MEDIA_STR("examplebucket.s3.amazonaws.com"),
        .bucket = MEDIA_STR("examplebucket"),
        .virtual_host = 1,
        .cred = {.access_key = MEDIA_STR("AKIAIOSFODNN7EXAMPLE"),
                 .secret_key = MEDIA_STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                 .region = MEDIA_STR("us-east-1"),
                 .service = MEDIA_STR("s3")}};
    media_s3_req_t r = {.op = MEDIA_S3_GET,
                        .key = MEDIA_STR("test.txt"),
                        .range = MEDIA_STR("bytes=0-9"),
                        .content_length = -1,
                        .now_s = 1369353600};
    media_s3_headers_t hs;

    CHECK_INT(media_s3_headers(&t, &r, &hs), 0);
    CHECK_INT(hs.n, 5);
    CHECK_STR(hs.h[4].name.p, "authorization");
    CHECK_STR(
        hs.h[4].value.p,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
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
    CHECK(strstr(dst, "\r\nx-amz-checksum-mode: ENABLED\r\n") != NULL);
    CHECK(strstr(dst, ";x-amz-checksum-mode;") != NULL);
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
    r = put, r.sum = MEDIA_STR("ab=\r\n"), check_bug(r);
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
static size_t frame(enum media_s3_sum_alg alg, int64_t n, int chunk, char *dst, size_t cap)
{
    const char *sum = alg == MEDIA_S3_SUM_SHA256 ? "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
                                                 : "AAAAAAAAAAA=";
    size_t len = 0;

    while (n > 0) {
        int64_t k = n < chunk ? n : chunk;

        len += (size_t)snprintf(dst + len, cap - len, "%llx\r\n", (unsigned long long)k);
        len += (size_t)k + 2;
        n -= k;
    }
    return len + (size_t)media_s3_trailer_end(alg, sum, dst + len, cap - len);
}

static void test_s3req_trailer_length_is_what_a_sender_writes(void)
{
    static char dst[400000];
    static const int chunks[] = {1, 15, 16, 255, 256, 4096, 65536};
    static const int sizes[] = {0, 1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 65537};

    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            for (int alg = MEDIA_S3_SUM_SHA256; alg < MEDIA_S3_SUM_COUNT; alg++) {
                CHECK_INT(media_s3_trailer_length(alg, sizes[j], chunks[i]),
                          frame(alg, sizes[j], chunks[i], dst, sizeof(dst)));
            }
        }
    }
    CHECK_INT(media_s3_trailer_length(MEDIA_S3_SUM_SHA256, 1, 0), MEDIA_E_BUG);
    CHECK_INT(media_s3_trailer_length(MEDIA_S3_SUM_SHA256, -1, 1), MEDIA_E_BUG);
    CHECK_INT(media_s3_trailer_length(MEDIA_S3_SUM_NONE, 1, 1), MEDIA_E_BUG);
}

static void test_s3req_trailer_end_is_exact(void)
{
    const char *sha = "47DEQgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    char dst[MEDIA_S3_TRAILER_MAX];

    CHECK_INT(media_s3_trailer_end(MEDIA_S3_SUM_SHA256, sha, dst, sizeof(dst)), 73);
    CHECK_STR(dst,
              "0\r\nx-amz-checksum-sha256:47DEQgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
    CHECK_INT(media_s3_trailer_end(MEDIA_S3_SUM_SHA256, sha, dst, 73), MEDIA_E_TOOBIG);
    CHECK_INT(media_s3_trailer_end(MEDIA_S3_SUM_CRC64NVME, "rosUhgp5mIg=", dst, sizeof(dst)), 44);
    CHECK_STR(dst, "0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg=\r\n\r\n");
    CHECK_INT(media_s3_trailer_end(MEDIA_S3_SUM_CRC64NVME, sha, dst, sizeof(dst)), MEDIA_E_BUG);
    CHECK_INT(media_s3_trailer_end(MEDIA_S3_SUM_NONE, "", dst, sizeof(dst)), MEDIA_E_BUG);
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
    r.key = MEDIA_STR("k");
    r.op = MEDIA_S3_PUT;
    CHECK_INT(media_s3_sign(&target, &r, &s), MEDIA_E_BUG);
}

int main(void)
{
    test_s3req_uri_of_every_operation();
    test_s3req_virtual_host_has_no_bucket_in_its_path();
    test_s3req_key_is_encoded_once();
    test_s3req_head_of_a_get_is_exact();
    test_s3req_head_of_a_trailer_put_counts_the_frame();
    test_s3req_encryption_is_stated_where_objects_begin();
    test_s3req_checksums_are_declared_then_carried();
    test_s3req_trailer_of_a_part_is_the_targets();
    test_s3req_headers_sign_as_amazon_does();
    test_s3req_head_carries_the_session_token();
    test_s3req_small_buffers_are_toobig();
    test_s3req_wrong_calls_are_bugs();
    test_s3req_bad_bucket_is_a_bug();
    test_s3req_trailer_length_is_what_a_sender_writes();
    test_s3req_trailer_end_is_exact();
    test_s3req_sign_covers_host_and_amz_only();
    return test_report();
}
