/* wk_s3 against a scripted server (failures a real one does not show on demand) and, when
 * AWS_ENDPOINT_URL names one, against a real one. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include <openssl/evp.h>

#include "fake_s3.h"
#include "test.h"
#include "wk_log.h"
#include "wk_s3.h"

#define KEY "media/0193a000-0000-7000-8000-00000000000a/original"
#define SECRET "a-secret-nobody-may-see"
#define MIB (1ll << 20)

static wk_conf_t conf = {.s3[MEDIA_STORE_INPUT].access_key = "AKTEST",
                         .s3[MEDIA_STORE_INPUT].secret_key = SECRET,
                         .s3[MEDIA_STORE_INPUT].region = "us-east-1",
                         .s3[MEDIA_STORE_INPUT].bucket = "media"};
static char endpoint[64];
static media_err_t ei;
static fake_s3_t *fake;
static wk_s3_t *s3;

static void begin(const fake_s3_step_t *script, int steps)
{
    fake = fake_s3_start(script, steps);
    conf.s3[MEDIA_STORE_INPUT].endpoint =
        wk_fmt(endpoint, sizeof(endpoint), "http://127.0.0.1:%d/", fake->port);
    s3 = wk_s3_new(&conf);
    ei.text[0] = '\0';
    CHECK(s3 != NULL);
}

static void end(int requests)
{
    fake_s3_end(fake);
    CHECK_INT(fake->requests, requests);
    CHECK(strstr(ei.text, SECRET) == NULL && strstr(ei.text, "Signature") == NULL);
    wk_s3_free(s3);
    fake_s3_free(fake);
}

#define BEGIN(...)                                                                                 \
    static const fake_s3_step_t script[] = {__VA_ARGS__};                                          \
    begin(script, (int)(sizeof(script) / sizeof(script[0])))

static int has(int request, const char *text)
{
    return strcasestr(fake->head[request], text) != NULL;
}

static int file_of(int64_t size)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    CHECK_INT(ftruncate(fd, size), 0);
    CHECK_INT(pwrite(fd, "begin", 5, 0), 5);
    CHECK_INT(pwrite(fd, "end", 3, size - 3), 3);
    return fd;
}

static void test_wk_s3_get_range_is_signed(void)
{
    char buf[16], host[64];

    BEGIN({206, "hello", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 5, 5, buf, &ei), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[0], "GET /media/" KEY " HTTP/1.1\r\n", 30) == 0);
    CHECK(has(0, "\r\nRange: bytes=5-9\r\n"));
    CHECK(has(0, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKTEST/"));
    CHECK(has(0, "\r\nx-amz-date: 2") && has(0, "\r\nx-amz-content-sha256: "));
    CHECK(has(0, wk_fmt(host, sizeof(host), "\r\nHost: 127.0.0.1:%d\r\n", fake->port)));
    end(1);
}

static void test_wk_s3_get_range_behind_end_is_empty(void)
{
    char buf[16];

    BEGIN({416, "<Error><Code>InvalidRange</Code></Error>", 0}, {206, "ab", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 500, 5, buf, &ei), 0);
    CHECK_INT(wk_s3_get_range(s3, KEY, 3, 5, buf, &ei), 2); /* fewer at the end */
    end(2);
}

static void test_wk_s3_get_range_is_retried(void)
{
    char buf[16];

    BEGIN({503, "<Error><Code>SlowDown</Code></Error>", 0}, {0, "", 0}, {206, "hello", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), 5);
    end(3);
}

static void test_wk_s3_get_range_cut_answer_is_retried(void)
{
    char buf[16];

    BEGIN({206, "he", 3}, {206, "hello", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    end(2);
}

static void test_wk_s3_get_range_verdicts(void)
{
    char buf[16];

    BEGIN({404, "<Error><Code>NoSuchKey</Code></Error>", 0},
          {403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", 0}, {500, "", 0}, {500, "", 0},
          {500, "oops", 0}, {200, "whole", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_GONE);
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_AUTH);
    CHECK(strstr(ei.text, "SignatureDoesNotMatch") != NULL);
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_RETRY);
    CHECK_INT(wk_s3_get_range(s3, KEY, 9, 5, buf, &ei), MEDIA_E_RETRY); /* range ignored */
    end(6);
}

static void test_wk_s3_get_range_never_overruns(void)
{
    char buf[16];

    memset(buf, 'x', sizeof(buf));
    BEGIN({206, "much more than asked", 0}, {206, "much more than asked", 0},
          {206, "much more than asked", 0});
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_RETRY);
    CHECK(memcmp(buf + 5, "xxxxxxxxxxx", 11) == 0);
    end(3);
}

static void test_wk_s3_unreachable_is_retry(void)
{
    char buf[16];

    BEGIN({200, "", 0});
    fake_s3_end(fake);
    (void)shutdown(fake->listen_fd, SHUT_RDWR);
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_RETRY);
    CHECK(ei.text[0] != '\0');
    CHECK_INT(wk_s3_ready(s3, &ei), MEDIA_E_RETRY);
    end(0);
}

static void test_wk_s3_put_fd_small_is_one_put(void)
{
    unsigned char digest[32];
    char hex[65], etag[80], line[128];
    int fd = file_of(1000);

    BEGIN({500, "", 0}, {200, "", 0});
    CHECK_INT(wk_s3_put_fd(s3, KEY, "audio/mpeg", fd, 1000, NULL, NULL, etag, sizeof(etag), &ei),
              0);
    CHECK_STR(etag, "tag2");
    fake_s3_end(fake);
    CHECK_INT(fake->body_len[1], 1000);
    CHECK(memcmp(fake->body[1], "begin", 5) == 0 && memcmp(fake->body[1] + 997, "end", 3) == 0);
    CHECK_INT(EVP_Digest(fake->body[1], 1000, digest, NULL, EVP_sha256(), NULL), 1);
    (void)media_hex_encode(digest, 32, hex, sizeof(hex));
    CHECK(has(1, wk_fmt(line, sizeof(line), "\r\nx-amz-content-sha256: %s\r\n", hex)));
    CHECK(has(1, "\r\nContent-Type: audio/mpeg\r\n") && !has(1, "Expect:"));
    end(2);
    (void)close(fd);
}

typedef struct {
    int calls, rc;
    char id[64];
} seen_t;

static int on_id(void *data, const char *key, const char *upload_id)
{
    seen_t *s = data;

    CHECK_STR(key, KEY);
    (void)wk_fmt(s->id, sizeof(s->id), "%s", upload_id);
    s->calls++;
    return s->rc;
}

#define CREATED                                                                                    \
    "<InitiateMultipartUploadResult><UploadId>up+1/x</UploadId></InitiateMultipartUploadResult>"
#define COMPLETED                                                                                  \
    "<CompleteMultipartUploadResult><ETag>&quot;abc-5&quot;</ETag></"                              \
    "CompleteMultipartUploadResult>"
#define FAILED "<Error><Code>InternalError</Code><Message>x</Message></Error>"

static void test_wk_s3_put_fd_large_goes_in_parts(void)
{
    int64_t size = 64 * MIB + 5;
    int fd = file_of(size);
    char etag[80];
    seen_t seen = {0};

    BEGIN({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0},
          {200, COMPLETED, 0});
    CHECK_INT(wk_s3_put_fd(s3, KEY, "audio/wav", fd, size, on_id, &seen, etag, sizeof(etag), &ei),
              0);
    CHECK_STR(etag, "abc-5");
    CHECK_INT(seen.calls, 1);
    CHECK_STR(seen.id, "up+1/x");
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[0], "POST ", 5) == 0 && has(0, "?uploads="));
    CHECK(has(1, "partNumber=1&uploadId=up%2B1%2Fx"));
    CHECK_INT(fake->body_len[1], 16 * MIB);
    CHECK_INT(fake->body_len[5], 5);
    CHECK(has(5, "partNumber=5&") && memcmp(fake->body[5] + 2, "end", 3) == 0);
    CHECK(strstr(fake->body[6], "<PartNumber>5</PartNumber>") != NULL);
    CHECK(strstr(fake->body[6], "tag6") != NULL);
    end(7);
    (void)close(fd);
}

static void test_wk_s3_put_fd_complete_with_error_is_a_failure(void)
{
    int64_t size = 64 * MIB + 5;
    int fd = file_of(size);
    char etag[80];

    BEGIN({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0},
          {200, FAILED, 0}, {200, FAILED, 0}, {200, FAILED, 0}, /* HEAD: */ {404, "", 0},
          /* abort: */ {204, "", 0});
    CHECK_INT(wk_s3_put_fd(s3, KEY, "audio/wav", fd, size, NULL, NULL, etag, sizeof(etag), &ei),
              MEDIA_E_RETRY);
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[9], "HEAD ", 5) == 0);
    CHECK(strncmp(fake->head[10], "DELETE ", 7) == 0 && has(10, "uploadId="));
    end(11);
    (void)close(fd);
}

static void test_wk_s3_put_fd_lost_completion_is_found(void)
{
    int64_t size = 64 * MIB + 5;
    int fd = file_of(size);
    char etag[80];

    BEGIN({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, "", 0},
          {0, "", 0}, {404, "<Error><Code>NoSuchUpload</Code></Error>", 0}, {200, "", 0});
    CHECK_INT(wk_s3_put_fd(s3, KEY, "audio/wav", fd, size, NULL, NULL, etag, sizeof(etag), &ei), 0);
    CHECK_STR(etag, "tag9");
    end(9);
    (void)close(fd);
}

static void test_wk_s3_put_fd_refused_id_sends_nothing(void)
{
    int fd = file_of(65 * MIB);
    char etag[80];
    seen_t seen = {.rc = MEDIA_E_GONE};

    BEGIN({200, CREATED, 0}, {204, "", 0});
    CHECK_INT(
        wk_s3_put_fd(s3, KEY, "audio/wav", fd, 65 * MIB, on_id, &seen, etag, sizeof(etag), &ei),
        MEDIA_E_GONE);
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[1], "DELETE ", 7) == 0);
    end(2);
    (void)close(fd);
}

static int tick_third(void *data)
{
    return ++*(int *)data >= 3 ? MEDIA_E_GONE : 0;
}

static void test_wk_s3_tick_ends_a_hanging_request(void)
{
    int64_t started_ms = wk_mono_ms();
    char buf[16];
    int ticks = 0;

    BEGIN({-1, "", 0});
    wk_s3_on_tick(s3, tick_third, &ticks);
    CHECK_INT(wk_s3_get_range(s3, KEY, 0, 5, buf, &ei), MEDIA_E_GONE);
    CHECK_INT(ticks, 3);
    CHECK(wk_mono_ms() - started_ms < 5000);
    end(1);
}

#define VERSION(what, key, id)                                                                     \
    "<" what "><Key>" key "</Key><VersionId>" id "</VersionId></" what ">"

static void test_wk_s3_delete_versions_takes_all_of_the_exact_key(void)
{
    BEGIN(
        {200,
         "<ListVersionsResult>" VERSION("Version", KEY, "one") VERSION("Version", KEY "2", "x")
             VERSION("DeleteMarker", KEY, "two")
                 VERSION("Version", KEY, "null") "</ListVersionsResult>",
         0},
        {204, "", 0}, {404, "<Error><Code>NoSuchVersion</Code></Error>", 0}, {204, "", 0},
        {200, "<ListVersionsResult>" VERSION("Version", KEY "2", "x") "</ListVersionsResult>", 0});
    CHECK_INT(wk_s3_delete_versions(s3, KEY, &ei), 0);
    fake_s3_end(fake);
    CHECK(strstr(fake->head[0], "&versions= HTTP") != NULL);
    CHECK(strstr(fake->head[1], "?versionId=one HTTP") != NULL);
    CHECK(strstr(fake->head[2], "?versionId=two HTTP") != NULL);
    CHECK(strstr(fake->head[3], "?versionId=null HTTP") != NULL);
    end(5);
}

static void test_wk_s3_delete_versions_without_such_a_listing_deletes(void)
{
    BEGIN({501, "<Error><Code>NotImplemented</Code></Error>", 0}, {204, "", 0});
    CHECK_INT(wk_s3_delete_versions(s3, KEY, &ei), 0);
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[1], "DELETE ", 7) == 0 && strstr(fake->head[1], "?") == NULL);
    end(2);
}

static void test_wk_s3_delete_versions_refused_is_no_success(void)
{
    BEGIN({403, "<Error><Code>AccessDenied</Code></Error>", 0});
    CHECK_INT(wk_s3_delete_versions(s3, KEY, &ei), MEDIA_E_AUTH);
    end(1);
}

#define UPLOAD(key, id) "<Upload><Key>" key "</Key><UploadId>" id "</UploadId></Upload>"

static void test_wk_s3_abort_listed_takes_the_exact_key(void)
{
    BEGIN({200,
           "<ListMultipartUploadsResult>" UPLOAD(KEY, "one") UPLOAD(KEY "2", "other")
               UPLOAD(KEY, "two") "</ListMultipartUploadsResult>",
           0},
          {204, "", 0}, {404, "<Error><Code>NoSuchUpload</Code></Error>", 0},
          {200,
           "<ListMultipartUploadsResult>" UPLOAD(KEY "2", "other") "</ListMultipartUploadsResult>",
           0});
    CHECK_INT(wk_s3_abort_listed(s3, KEY, &ei), 0);
    fake_s3_end(fake);
    CHECK(has(0, "GET /media?") && has(0, "prefix=media%2F"));
    CHECK(has(1, "uploadId=one") && has(2, "uploadId=two"));
    end(4);
}

static void test_wk_s3_delete_absent_is_fine(void)
{
    BEGIN({404, "<Error><Code>NoSuchKey</Code></Error>", 0}, {204, "", 0}, {403, "", 0});
    CHECK_INT(wk_s3_delete(s3, KEY, &ei), 0);
    CHECK_INT(wk_s3_delete(s3, KEY, &ei), 0);
    CHECK_INT(wk_s3_delete(s3, KEY, &ei), MEDIA_E_AUTH);
    end(3);
}

/* ---- a real server ---- */

static int leave_open(void *data, const char *key, const char *upload_id)
{
    (void)data;
    (void)key;
    (void)upload_id;
    return MEDIA_E_AGAIN;
}

static void real_roundtrip(const char *key, int64_t size)
{
    int fd = file_of(size);
    char etag[80] = "", buf[16];

    CHECK_INT(wk_s3_put_fd(s3, key, "audio/wav", fd, size, NULL, NULL, etag, sizeof(etag), &ei), 0);
    CHECK(strlen(etag) >= 32 && strchr(etag, '"') == NULL);
    CHECK_INT(wk_s3_get_range(s3, key, 0, 5, buf, &ei), 5);
    CHECK(memcmp(buf, "begin", 5) == 0);
    CHECK_INT(wk_s3_get_range(s3, key, size - 3, 16, buf, &ei), 3);
    CHECK(memcmp(buf, "end", 3) == 0);
    CHECK_INT(wk_s3_get_range(s3, key, size, 16, buf, &ei), 0);
    CHECK_INT(wk_s3_delete(s3, key, &ei), 0);
    CHECK_INT(wk_s3_get_range(s3, key, 0, 5, buf, &ei), MEDIA_E_GONE);
    (void)close(fd);
}

static void test_wk_s3_real_server(void)
{
    char prog[] = "test", *argv[] = {prog, NULL};
    char key[64], etag[80];
    wk_conf_t real;
    int fd;

    wk_conf_load(&real, "test", 1, argv);
    if (real.s3[MEDIA_STORE_INPUT].endpoint == NULL) {
        printf("no AWS_ENDPOINT_URL: real server not tested\n");
        return;
    }
    s3 = wk_s3_new(&real);
    CHECK_INT(wk_s3_ready(s3, &ei), 0);
    (void)wk_fmt(key, sizeof(key), "test/wk s3+%d/\xc3\xa4", (int)getpid());
    real_roundtrip(key, 100000);
    real_roundtrip(key, 64 * MIB + 5);
    fd = file_of(65 * MIB);
    CHECK_INT(wk_s3_put_fd(s3, key, "x/y", fd, 65 * MIB, leave_open, NULL, etag, sizeof(etag), &ei),
              MEDIA_E_AGAIN);
    CHECK_INT(wk_s3_abort_listed(s3, key, &ei), 0);
    CHECK_INT(wk_s3_abort(s3, key, "no-such-upload", &ei), 0);
    (void)close(fd);
    wk_s3_free(s3);
    if (real.s3[MEDIA_STORE_INPUT].access_key == NULL) {
        return; /* whatever the environment names signed all this */
    }
    real.s3[MEDIA_STORE_INPUT].secret_key = "wrong";
    s3 = wk_s3_new(&real);
    CHECK_INT(wk_s3_ready(s3, &ei), MEDIA_E_AUTH);
    CHECK(strstr(ei.text, "wrong") == NULL);
    wk_s3_free(s3);
}

int main(void)
{
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    test_wk_s3_get_range_is_signed();
    test_wk_s3_get_range_behind_end_is_empty();
    test_wk_s3_get_range_is_retried();
    test_wk_s3_get_range_cut_answer_is_retried();
    test_wk_s3_get_range_verdicts();
    test_wk_s3_get_range_never_overruns();
    test_wk_s3_unreachable_is_retry();
    test_wk_s3_put_fd_small_is_one_put();
    test_wk_s3_put_fd_large_goes_in_parts();
    test_wk_s3_put_fd_complete_with_error_is_a_failure();
    test_wk_s3_put_fd_lost_completion_is_found();
    test_wk_s3_put_fd_refused_id_sends_nothing();
    test_wk_s3_tick_ends_a_hanging_request();
    test_wk_s3_abort_listed_takes_the_exact_key();
    test_wk_s3_delete_versions_takes_all_of_the_exact_key();
    test_wk_s3_delete_versions_without_such_a_listing_deletes();
    test_wk_s3_delete_versions_refused_is_no_success();
    test_wk_s3_delete_absent_is_fine();
    test_wk_s3_real_server();
    return test_report();
}
