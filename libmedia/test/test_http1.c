/* http1.c: good responses in one piece and byte by byte, and every framing that must be refused. */
#include "media/http1.h"

#include "test.h"

typedef struct {
    media_http1_t h;
    media_err_t ei;
    char body[4096];
    size_t body_len;
    size_t used;
    int rc;
} run_t;

/* Feeds `text` in pieces of `step` bytes. */
static void feed(run_t *r, const char *text, size_t len, size_t step)
{
    media_str_t body;
    ssize_t n;

    for (size_t at = 0; at < len && r->rc == 0 && !r->h.done;) {
        size_t piece = len - at < step ? len - at : step;
        size_t end = at + piece;

        while (at < end && !r->h.done) {
            n = media_http1_feed(&r->h, text + at, end - at, &body, &r->ei);
            if (n < 0) {
                r->rc = (int)n;
                return;
            }
            if (body.len != 0) {
                CHECK(body.p >= text + at && body.p + body.len <= text + at + n);
                memcpy(r->body + r->body_len, body.p, body.len);
                r->body_len += body.len;
            }
            at += (size_t)n;
            r->used = at;
        }
    }
}

static void feed_text(run_t *r, const char *text, size_t step)
{
    feed(r, text, strlen(text), step);
}

static void start(run_t *r, int head_request)
{
    memset(r, 0, sizeof(*r));
    media_http1_init(&r->h, head_request);
}

static const size_t steps[] = {1, 2, 3, 7, 64, 100000};

/* A complete response, whatever the pieces; what follows it must stay untouched. */
static void check_good(const char *text, int head_request, int status, const char *body,
                       int keepalive)
{
    static run_t r;
    static char more[MEDIA_HTTP1_HEAD_MAX + 4096];
    size_t len = strlen(text);

    memcpy(more, text, len);
    memcpy(more + len, "HTTP/1.1 ", 9);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        start(&r, head_request);
        feed(&r, more, len + 9, steps[i]);
        CHECK_INT(r.rc, 0);
        CHECK(r.h.done && r.h.head_done);
        CHECK_INT(r.h.status, status);
        CHECK_MEM(r.body, r.body_len, body);
        CHECK_INT(r.h.keepalive, keepalive);
        CHECK_INT(r.used, len);
        CHECK_INT(media_http1_eof(&r.h, &r.ei), 0);
        CHECK_INT(r.h.keepalive, 0);
    }
}

static void check_refused(const char *text, int rc, const char *cause)
{
    static run_t r;
    media_str_t body;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        start(&r, 0);
        feed_text(&r, text, steps[i]);
        CHECK_INT(r.rc, rc);
        CHECK_STR(r.ei.text, cause);
        CHECK(!r.h.done && !r.h.keepalive);
        CHECK_INT(media_http1_feed(&r.h, "x", 1, &body, &r.ei), MEDIA_E_REJECT);
    }
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

static void test_http1_bodies_are_framed(void)
{
    check_good(OK_HEAD "Content-Length: 5\r\n\r\nhello", 0, 200, "hello", 1);
    check_good(OK_HEAD "content-length:0\r\n\r\n", 0, 200, "", 1);
    check_good("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", 1);
    check_good("HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx", 0, 404, "x", 1);
    check_good(CHUNKED "5\r\nhello\r\n0\r\n\r\n", 0, 200, "hello", 1);
    check_good(CHUNKED "005;a=\"b c\"\r\nhello\r\nA\r\n0123456789\r\n0;x\r\n\r\n", 0, 200,
               "hello0123456789", 1);
    check_good(CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n1\r\nf\r\n"
                       "000000000000001\r\ng\r\n00\r\n\r\n",
               0, 200, "abcdefg", 1);
    check_good(CHUNKED "0\r\nx-amz-a: b\r\nEtag: \"c\"\r\n\r\n", 0, 200, "", 1);
}

static void test_http1_no_body_by_status_or_method(void)
{
    check_good("HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "", 1);
    check_good("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 0, 204, "", 1);
    check_good("HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", 0, 304, "", 1);
    check_good(OK_HEAD "Content-Length: 77\r\n\r\n", 1, 200, "", 1);
    check_good(CHUNKED, 1, 200, "", 1);
    check_good("HTTP/1.1 404 Not Found\r\n\r\n", 1, 404, "", 1);
}

static void test_http1_head_request_reports_the_length(void)
{
    static run_t r;

    start(&r, 1);
    feed_text(&r, OK_HEAD "Content-Length: 77\r\n\r\n", 100);
    CHECK(r.h.done);
    CHECK_INT(r.h.content_length, 77);
}

static void test_http1_interim_length_is_forgotten(void)
{
    static run_t r;

    start(&r, 0);
    feed_text(&r, "HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" CHUNKED, 1000);
    CHECK(r.h.head_done);
    CHECK_INT(r.h.content_length, -1);
    CHECK_INT(r.h.nheaders, 1);
}

static void test_http1_doubtful_connections_are_not_reused(void)
{
    check_good(OK_HEAD "Connection: close\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", 0);
    check_good(OK_HEAD "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", 0);
    check_good("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", 0);
    check_good("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0, 204, "", 0);
    check_good("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 204, "", 0);
}

static void test_http1_interim_heads_are_skipped(void)
{
    check_good("HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 1\r\n\r\nx", 0, 200, "x",
               1);
    check_good("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n" OK_HEAD
               "Content-Length: 1\r\n\r\nx",
               0, 200, "x", 1);
    check_refused("HTTP/1.1 101 Switching\r\n\r\n", MEDIA_E_REJECT,
                  "status 101 is not possible here");
    check_refused("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                  "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
                  "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n",
                  MEDIA_E_TOOBIG, "more than 8 interim responses");
}

static void test_http1_interim_heads_begin_no_response(void)
{
    static run_t r;

    start(&r, 0);
    CHECK_INT(media_http1_begun(&r.h), 0);
    feed_text(&r, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    CHECK_INT(media_http1_begun(&r.h), 0);
    feed_text(&r, "H", 1);
    CHECK_INT(media_http1_begun(&r.h), 1);
    feed_text(&r, "TTP/1.1 200 OK\r\n\r\n", 100);
    CHECK_INT(r.rc, 0);
    CHECK_INT(media_http1_begun(&r.h), 1);
}

static void test_http1_close_ends_a_body_without_length(void)
{
    static run_t r;

    start(&r, 0);
    feed_text(&r, OK_HEAD "\r\nabc", 4);
    CHECK(!r.h.done && r.h.head_done && !r.h.keepalive);
    CHECK_MEM(r.body, r.body_len, "abc");
    CHECK_INT(r.h.content_length, -1);
    CHECK_INT(media_http1_eof(&r.h, &r.ei), 0);
    CHECK(r.h.done && !r.h.keepalive);
}

static void check_cut(const char *text, const char *cause)
{
    static run_t r;

    start(&r, 0);
    feed_text(&r, text, 1000);
    CHECK_INT(r.rc, 0);
    CHECK_INT(media_http1_eof(&r.h, &r.ei), MEDIA_E_REJECT);
    CHECK_STR(r.ei.text, cause);
}

static void test_http1_early_close_is_refused(void)
{
    check_cut("", "the connection was closed in the middle of the head");
    check_cut(OK_HEAD "\r", "the connection was closed in the middle of the head");
    check_cut("HTTP/1.1 100 Continue\r\n\r\n",
              "the connection was closed in the middle of the head");
    check_cut(OK_HEAD "Content-Length: 5\r\n\r\nhell",
              "the connection was closed in the middle of the body");
    check_cut(CHUNKED "5\r\nhello\r\n0\r\n", "the connection was closed in the middle of the body");
    check_cut(CHUNKED "5\r\nhello", "the connection was closed in the middle of the body");
}

static void test_http1_doubtful_framing_is_refused(void)
{
    check_refused(OK_HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", MEDIA_E_REJECT,
                  "two different Content-Length headers");
    check_good(OK_HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "hello", 1);
    check_refused(OK_HEAD "Content-Length: 5, 5\r\n\r\nhello", MEDIA_E_REJECT,
                  "bad Content-Length");
    check_refused(OK_HEAD "Content-Length: +5\r\n\r\nhello", MEDIA_E_REJECT, "bad Content-Length");
    check_refused(OK_HEAD "Content-Length: 0x5\r\n\r\nhello", MEDIA_E_REJECT, "bad Content-Length");
    check_refused(OK_HEAD "Content-Length:\r\n\r\n", MEDIA_E_REJECT, "bad Content-Length");
    check_refused(OK_HEAD "Content-Length: 9223372036854775808\r\n\r\n", MEDIA_E_REJECT,
                  "bad Content-Length");
    check_refused(OK_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", MEDIA_E_REJECT,
                  "both Content-Length and Transfer-Encoding");
    check_refused(OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", MEDIA_E_REJECT,
                  "a Transfer-Encoding other than chunked");
    check_refused(OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                  MEDIA_E_REJECT, "a Transfer-Encoding other than chunked");
    check_refused(OK_HEAD "Transfer-Encoding: identity\r\n\r\n", MEDIA_E_REJECT,
                  "a Transfer-Encoding other than chunked");
    check_refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", MEDIA_E_REJECT,
                  "Transfer-Encoding in HTTP/1.0");
}

static void test_http1_bad_heads_are_refused(void)
{
    check_refused("HTTP/2 200\r\n\r\n", MEDIA_E_REJECT, "this is not HTTP/1.1");
    check_refused("<html>\r\n", MEDIA_E_REJECT, "this is not HTTP/1.1");
    check_refused("\r\nHTTP/1.1 200 OK\r\n\r\n", MEDIA_E_REJECT, "this is not HTTP/1.1");
    check_refused("HTTP/1.2 200 OK\r\n\r\n", MEDIA_E_REJECT, "bad status line");
    check_refused("HTTP/1.1 20 OK\r\n\r\n", MEDIA_E_REJECT, "bad status line");
    check_refused("HTTP/1.1 2000 OK\r\n\r\n", MEDIA_E_REJECT, "bad status line");
    check_refused("HTTP/1.1  200 OK\r\n\r\n", MEDIA_E_REJECT, "bad status line");
    check_refused("HTTP/1.1 200 O\x01K\r\n\r\n", MEDIA_E_REJECT, "bad status line");
    check_refused("HTTP/1.1 600 OK\r\n\r\n", MEDIA_E_REJECT, "status 600 is not possible here");
    check_refused("HTTP/1.1 099 OK\r\n\r\n", MEDIA_E_REJECT, "status 99 is not possible here");
    check_refused(OK_HEAD "A: b\n\r\n", MEDIA_E_REJECT, "a line that ends in a bare LF");
    check_refused("HTTP/1.1 200 OK\n\n", MEDIA_E_REJECT, "a line that ends in a bare LF");
    check_refused(OK_HEAD "A: b\r\n c\r\n\r\n", MEDIA_E_REJECT, "a folded header line");
    check_refused(OK_HEAD "A : b\r\n\r\n", MEDIA_E_REJECT, "a bad character in a header");
    check_refused(OK_HEAD ": b\r\n\r\n", MEDIA_E_REJECT, "a bad character in a header");
    check_refused(OK_HEAD "A: b\rc\r\n\r\n", MEDIA_E_REJECT, "a bad character in a header");
    check_refused(OK_HEAD "A\r\n\r\n", MEDIA_E_REJECT, "a header line without a colon");
}

static void test_http1_bad_chunks_are_refused(void)
{
    check_refused(CHUNKED "\r\n", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "x\r\n", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "-5\r\nhello", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "5 \r\nhello", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "5g\r\nhello", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED ";a\r\n", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "5\nhello", MEDIA_E_REJECT, "bad chunk size");
    check_refused(CHUNKED "5\rxhello", MEDIA_E_REJECT, "a chunk that does not end in CRLF");
    check_refused(CHUNKED "5\r\nhellox", MEDIA_E_REJECT, "a chunk that does not end in CRLF");
    check_refused(CHUNKED "5\r\nhello\n0\r\n\r\n", MEDIA_E_REJECT,
                  "a chunk that does not end in CRLF");
    check_refused(CHUNKED "5;a\nb\r\nhello", MEDIA_E_REJECT,
                  "a bad character in a chunk extension");
    check_refused(CHUNKED "0000000000000001\r\nx", MEDIA_E_REJECT,
                  "a chunk size of more than 15 digits");
    check_refused(CHUNKED "0\r\n x: folded\r\n\r\n", MEDIA_E_REJECT, "a bad trailer");
    check_refused(CHUNKED "0\r\nno colon\r\n\r\n", MEDIA_E_REJECT, "a bad trailer");
    check_refused(CHUNKED "0\r\na: b\n\r\n", MEDIA_E_REJECT, "a bad trailer");
    check_refused(CHUNKED "0\r\n\rx", MEDIA_E_REJECT, "a bad trailer");
}

/* `prefix`, then n times `unit`, then `suffix`. */
static char *repeat(const char *prefix, const char *unit, size_t n, const char *suffix)
{
    size_t p = strlen(prefix), u = strlen(unit), s = strlen(suffix);
    char *text = malloc(p + n * u + s + 1);

    memcpy(text, prefix, p);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + p + i * u, unit, u);
    }
    memcpy(text + p + n * u, suffix, s + 1);
    return text;
}

static void check_cap(char *text, const char *cause)
{
    check_refused(text, MEDIA_E_TOOBIG, cause);
    free(text);
}

static void test_http1_caps_hold(void)
{
    char *text = repeat(OK_HEAD, "a: b\r\n", 63, "Content-Length: 1\r\n\r\nx");

    check_good(text, 0, 200, "x", 1);
    free(text);
    check_cap(repeat(OK_HEAD, "a: b\r\n", 65, "\r\n"), "more than 64 headers");
    text = repeat(OK_HEAD "Content-Length: 0\r\na: ", "x", 16384 - 17 - 19 - 3 - 4, "\r\n\r\n");
    check_good(text, 0, 200, "", 1);
    free(text);
    check_cap(repeat(OK_HEAD "Content-Length: 0\r\na: ", "x", 16384 - 17 - 19 - 3 - 3, "\r\n\r\n"),
              "a head larger than 16384 bytes");
    check_cap(repeat(OK_HEAD "a: ", "x", 16384, "\r\n\r\n"), "a head larger than 16384 bytes");
    check_cap(repeat(CHUNKED "5;", "x", 300, "\r\n"), "a chunk size line larger than 256 bytes");
    check_cap(repeat(CHUNKED "0\r\n", "a: b\r\n", 3000, "\r\n"),
              "trailers larger than 16384 bytes");
}

static void test_http1_headers_are_found(void)
{
    static run_t r;

    start(&r, 0);
    feed_text(&r, OK_HEAD "ETag:  \"abc\" \t\r\nX-A:\r\nx-a: 2\r\n\r\n", 5);
    CHECK(r.h.head_done);
    CHECK_INT(r.h.nheaders, 3);
    CHECK_MEM(media_http1_header(&r.h, "etag").p, media_http1_header(&r.h, "etag").len, "\"abc\"");
    CHECK_INT(media_http1_header(&r.h, "X-a").len, 0);
    CHECK(media_http1_header(&r.h, "X-a").p != NULL);
    CHECK(media_http1_header(&r.h, "x-b").p == NULL);
}

int main(void)
{
    test_http1_bodies_are_framed();
    test_http1_no_body_by_status_or_method();
    test_http1_head_request_reports_the_length();
    test_http1_interim_length_is_forgotten();
    test_http1_doubtful_connections_are_not_reused();
    test_http1_interim_heads_are_skipped();
    test_http1_interim_heads_begin_no_response();
    test_http1_close_ends_a_body_without_length();
    test_http1_early_close_is_refused();
    test_http1_doubtful_framing_is_refused();
    test_http1_bad_heads_are_refused();
    test_http1_bad_chunks_are_refused();
    test_http1_caps_hold();
    test_http1_headers_are_found();
    return test_report();
}
