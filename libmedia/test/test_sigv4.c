/* sigv4.c against AWS's published examples (vectors/sigv4.txt) and its own limits. */
#include "media/sigv4.h"

#include <openssl/sha.h>

#include "test.h"

#define LINE_MAX_LEN 512

typedef struct {
    char cred[4][64];
    int64_t now_s;
    char name[64], method[8], path[128], query[LINE_MAX_LEN], payload[72];
    char canonical[72], signature[72];
    char names[8][32], values[8][LINE_MAX_LEN];
    media_sigv4_header_t headers[8];
    size_t nheaders;
    int64_t ttl_s;
} case_t;

static void set(char *dst, size_t cap, const char *value)
{
    snprintf(dst, cap, "%s", value);
}

static void read_line(case_t *c, char *line)
{
    char *value = strchr(line, ' ');
    size_t i = c->nheaders;

    if (value == NULL) {
        return;
    }
    *value++ = '\0';
    if (strcmp(line, "cred") == 0) {
        CHECK_INT(
            sscanf(value, "%63s %63s %63s %63s", c->cred[0], c->cred[1], c->cred[2], c->cred[3]),
            4);
    } else if (strcmp(line, "now") == 0) {
        c->now_s = strtoll(value, NULL, 10);
    } else if (strcmp(line, "presign") == 0) {
        c->ttl_s = strtoll(value, NULL, 10);
    } else if (strcmp(line, "name") == 0) {
        set(c->name, sizeof(c->name), value);
    } else if (strcmp(line, "method") == 0) {
        set(c->method, sizeof(c->method), value);
    } else if (strcmp(line, "path") == 0) {
        set(c->path, sizeof(c->path), value);
    } else if (strcmp(line, "query") == 0) {
        set(c->query, sizeof(c->query), value);
    } else if (strcmp(line, "payload") == 0) {
        set(c->payload, sizeof(c->payload), value);
    } else if (strcmp(line, "canonical") == 0) {
        set(c->canonical, sizeof(c->canonical), value);
    } else if (strcmp(line, "signature") == 0) {
        set(c->signature, sizeof(c->signature), value);
    } else if (strcmp(line, "header") == 0 && i < 8) {
        char *v = strchr(value, ' ');

        *v++ = '\0';
        set(c->names[i], sizeof(c->names[i]), value);
        set(c->values[i], sizeof(c->values[i]), v);
        c->headers[i] = (media_sigv4_header_t){media_str(c->names[i]), media_str(c->values[i])};
        c->nheaders++;
    }
}

static media_sigv4_cred_t case_cred(const case_t *c)
{
    return (media_sigv4_cred_t){.access_key = media_str(c->cred[0]),
                                .secret_key = media_str(c->cred[1]),
                                .region = media_str(c->cred[2]),
                                .service = media_str(c->cred[3])};
}

static void run_case(const case_t *c)
{
    media_sigv4_cred_t cred = case_cred(c);
    media_sigv4_req_t req = {.method = media_str(c->method),
                             .path = media_str(c->path),
                             .query = media_str(c->query),
                             .headers = c->headers,
                             .nheaders = c->nheaders,
                             .payload_hash = media_str(c->payload),
                             .now_s = c->now_s};
    char dst[1024], canonical[2048], hex[65];
    unsigned char sum[32];
    const char *sig;
    ssize_t n;

    if (c->ttl_s != 0) {
        n = media_sigv4_presign(&cred, &req, c->ttl_s, dst, sizeof(dst));
        sig = n > 0 ? strstr(dst, "&X-Amz-Signature=") : NULL;
    } else {
        n = media_sigv4_authorization(&cred, &req, dst, sizeof(dst), canonical, sizeof(canonical));
        sig = n > 0 ? strstr(dst, ", Signature=") : NULL;
    }
    CHECK(n > 0 && (size_t)n == strlen(dst));
    if (sig == NULL || strcmp(strchr(sig, '=') + 1, c->signature) != 0) {
        printf("case %s\n", c->name);
    }
    CHECK_STR(sig == NULL ? NULL : strchr(sig, '=') + 1, c->signature);
    if (c->canonical[0] != '\0') {
        SHA256((const unsigned char *)canonical, strlen(canonical), sum);
        media_hex_encode(sum, sizeof(sum), hex, sizeof(hex));
        CHECK_STR(hex, c->canonical);
    }
}

static void test_sigv4_vectors_match(void)
{
    char *text = test_read(VECTORS "/sigv4.txt", NULL), *line = text, *next;
    case_t c;
    int cases = 0;

    memset(&c, 0, sizeof(c));
    for (; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (line[0] != '\0') {
            read_line(&c, line[0] == '#' ? (char[]){""} : line);
        }
        if ((line[0] == '\0' || next == NULL) && c.name[0] != '\0') {
            run_case(&c);
            cases++;
            memset(c.name, 0, sizeof(c) - offsetof(case_t, name));
        }
    }
    free(text);
    CHECK_INT(cases, 23);
}

static const media_sigv4_cred_t cred = {.access_key = {"AK", 2},
                                        .secret_key = {"secret", 6},
                                        .region = {"us-east-1", 9},
                                        .service = {"s3", 2}};

static ssize_t sign_query(const char *query, char *canonical, size_t cap)
{
    media_sigv4_header_t host = {MEDIA_STR("host"), MEDIA_STR("h")};
    media_sigv4_req_t req = {.method = MEDIA_STR("GET"),
                             .path = MEDIA_STR("/"),
                             .query = media_str(query),
                             .headers = &host,
                             .nheaders = 1,
                             .payload_hash = MEDIA_STR(MEDIA_SHA256_EMPTY)};
    char dst[512];

    return media_sigv4_authorization(&cred, &req, dst, sizeof(dst), canonical, cap);
}

static void check_query(const char *query, const char *want)
{
    char canonical[4096], *line, *end;

    CHECK(sign_query(query, canonical, sizeof(canonical)) > 0);
    line = strchr(strchr(canonical, '\n') + 1, '\n') + 1;
    end = strchr(line, '\n');
    CHECK_MEM(line, end - line, want);
}

static void test_sigv4_query_is_sorted_and_encoded_once(void)
{
    check_query("uploads=", "uploads=");
    check_query("uploads", "uploads=");
    check_query("b=1&a=2", "a=2&b=1");
    check_query("a=2&a=1&a", "a=&a=1&a=2");
    check_query("a-b=1&a=2&a.c=3", "a=2&a-b=1&a.c=3");
    check_query("x=%2f%7e%e1", "x=%2F~%E1");
    check_query("x=a/b+c", "x=a%2Fb%2Bc");
    check_query("x=a=b&", "x=a%3Db");
    check_query("", "");
}

static void test_sigv4_query_limits(void)
{
    char q[16384];
    size_t n = 0;

    for (int i = 0; i < 32; i++) {
        n += (size_t)snprintf(q + n, sizeof(q) - n, "%sp%d=1", i ? "&" : "", i);
    }
    CHECK(sign_query(q, NULL, 0) > 0);
    snprintf(q + n, sizeof(q) - n, "&q=1");
    CHECK_INT(sign_query(q, NULL, 0), MEDIA_E_BUG);
    CHECK_INT(sign_query("a=%0", NULL, 0), MEDIA_E_BUG);
    CHECK_INT(sign_query("a=%00", NULL, 0), MEDIA_E_BUG);
    memset(q, 'x', sizeof(q) - 1);
    q[sizeof(q) - 1] = '\0';
    CHECK_INT(sign_query(q, NULL, 0), MEDIA_E_TOOBIG);
}

static void test_sigv4_small_buffers_are_toobig(void)
{
    media_sigv4_header_t h[2] = {{MEDIA_STR("host"), MEDIA_STR("h")},
                                 {MEDIA_STR("x-amz-date"), MEDIA_STR("d")}};
    media_sigv4_req_t req = {.method = MEDIA_STR("GET"),
                             .path = MEDIA_STR("/"),
                             .headers = h,
                             .nheaders = 2,
                             .payload_hash = MEDIA_STR(MEDIA_PAYLOAD_UNSIGNED)};
    char full[1024], dst[1024];
    ssize_t n = media_sigv4_authorization(&cred, &req, full, sizeof(full), NULL, 0), i;
    ssize_t m = media_sigv4_presign(&cred, &req, 60, dst, sizeof(dst));

    CHECK(n > 0 && m > 0);
    for (i = 0; i <= n; i++) {
        CHECK_INT(media_sigv4_authorization(&cred, &req, dst, (size_t)i, NULL, 0), MEDIA_E_TOOBIG);
    }
    CHECK_INT(media_sigv4_authorization(&cred, &req, dst, (size_t)n + 1, NULL, 0), n);
    CHECK_STR(dst, full);
    for (i = 0; i <= m; i++) {
        CHECK_INT(media_sigv4_presign(&cred, &req, 60, dst, (size_t)i), MEDIA_E_TOOBIG);
    }
    CHECK_INT(media_sigv4_presign(&cred, &req, 60, dst, (size_t)m + 1), m);
}

static void test_sigv4_wrong_calls_are_bugs(void)
{
    media_sigv4_header_t h[33];
    media_sigv4_req_t req = {.method = MEDIA_STR("GET"),
                             .path = MEDIA_STR("/"),
                             .headers = h,
                             .payload_hash = MEDIA_STR(MEDIA_PAYLOAD_UNSIGNED)};
    char dst[1024];

    for (int i = 0; i < 33; i++) {
        h[i] = (media_sigv4_header_t){MEDIA_STR("x-a"), MEDIA_STR("v")};
    }
    CHECK_INT(media_sigv4_authorization(&cred, &req, dst, sizeof(dst), NULL, 0), MEDIA_E_BUG);
    req.nheaders = 32;
    CHECK(media_sigv4_authorization(&cred, &req, dst, sizeof(dst), NULL, 0) > 0);
    CHECK_INT(media_sigv4_presign(&cred, &req, 60, dst, sizeof(dst)), MEDIA_E_BUG);
    req.nheaders = 33;
    CHECK_INT(media_sigv4_authorization(&cred, &req, dst, sizeof(dst), NULL, 0), MEDIA_E_BUG);
    h[0].name = MEDIA_STR("host");
    req.nheaders = 1;
    CHECK_INT(media_sigv4_presign(&cred, &req, 0, dst, sizeof(dst)), MEDIA_E_BUG);
    CHECK_INT(media_sigv4_presign(&cred, &req, 604801, dst, sizeof(dst)), MEDIA_E_BUG);
    CHECK(media_sigv4_presign(&cred, &req, 604800, dst, sizeof(dst)) > 0);
}

static void test_sigv4_presign_carries_token_and_own_query(void)
{
    media_sigv4_cred_t c = cred;
    media_sigv4_header_t host = {MEDIA_STR("host"), MEDIA_STR("h")};
    media_sigv4_req_t req = {.method = MEDIA_STR("GET"),
                             .path = MEDIA_STR("/b/k"),
                             .query = MEDIA_STR("partNumber=1&a=%2f"),
                             .headers = &host,
                             .nheaders = 1,
                             .now_s = 1369353600};
    char dst[1024];

    c.session_token = MEDIA_STR("to/ken==");
    CHECK(media_sigv4_presign(&c, &req, 60, dst, sizeof(dst)) > 0);
    *strstr(dst, "&X-Amz-Signature=") = '\0';
    CHECK_STR(dst, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                   "AK%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
                   "&X-Amz-Expires=60&X-Amz-Security-Token=to%2Fken%3D%3D&X-Amz-SignedHeaders=host"
                   "&a=%2F&partNumber=1");
}

static void test_sigv4_date_formats(void)
{
    char d[17];

    media_sigv4_date(1369353600, d);
    CHECK_STR(d, "20130524T000000Z");
    media_sigv4_date(1709210096, d);
    CHECK_STR(d, "20240229T123456Z");
}

int main(void)
{
    test_sigv4_vectors_match();
    test_sigv4_query_is_sorted_and_encoded_once();
    test_sigv4_query_limits();
    test_sigv4_small_buffers_are_toobig();
    test_sigv4_wrong_calls_are_bugs();
    test_sigv4_presign_carries_token_and_own_query();
    test_sigv4_date_formats();
    return test_report();
}
