/* sigv4 and s3req: five lines of input are query, header value, token, key and upload id. A
 * canonical query signs like the query it came from; no input breaks out of its line of a request
 * head. */
#include "media/s3req.h"
#include "fuzz.h"

static const media_sigv4_cred_t cred = {.access_key = {"AK", 2},
                                        .secret_key = {"secret", 6},
                                        .region = {"us-east-1", 9},
                                        .service = {"s3", 2}};

static media_str_t take_line(media_str_t *s)
{
    const char *lf = s->len == 0 ? NULL : memchr(s->p, '\n', s->len);
    media_str_t line = {s->p, lf == NULL ? s->len : (size_t)(lf - s->p)};

    s->p += line.len + (lf != NULL);
    s->len -= line.len + (lf != NULL);
    return line;
}

static void try_query(media_str_t query, media_str_t value, media_str_t token)
{
    static char a[1024], b[1024], canonical[65536], presigned[32768];
    media_sigv4_header_t h[2] = {{MEDIA_STR("x-v"), value}, {MEDIA_STR("host"), MEDIA_STR("h")}};
    media_sigv4_cred_t c = cred;
    media_sigv4_req_t req = {.method = MEDIA_STR("GET"),
                             .path = MEDIA_STR("/"),
                             .query = query,
                             .headers = h,
                             .nheaders = 2,
                             .payload_hash = MEDIA_STR(MEDIA_SHA256_EMPTY),
                             .now_s = 1369353600};
    ssize_t n = media_sigv4_authorization(&c, &req, a, sizeof(a), canonical, sizeof(canonical)), m;
    const char *line;

    if (n > 0) {
        line = canonical + strlen("GET\n/\n");
        req.query = (media_str_t){line, (size_t)(strchr(line, '\n') - line)};
        m = media_sigv4_authorization(&c, &req, b, sizeof(b), NULL, 0);
        MUST(m == n && strcmp(a, b) == 0);
    }
    c.session_token = token;
    n = media_sigv4_presign(&c, &req, 60, presigned, sizeof(presigned));
    if (n > 0) {
        char *exact = malloc((size_t)n + 1);

        MUST(media_sigv4_presign(&c, &req, 60, exact, (size_t)n + 1) == n);
        MUST(memcmp(exact, presigned, (size_t)n + 1) == 0);
        MUST(media_sigv4_presign(&c, &req, 60, exact, (size_t)n) == MEDIA_E_TOOBIG);
        free(exact);
    }
}

static void try_head(media_str_t token, media_str_t key, media_str_t upload_id, media_str_t type)
{
    static char head[32768];
    media_s3_target_t t = {.host = MEDIA_STR("h"), .bucket = MEDIA_STR("b"), .cred = cred};
    media_s3_req_t req = {.key = key,
                          .upload_id = upload_id,
                          .part_number = 1,
                          .content_type = type,
                          .now_s = 1369353600};

    t.cred.session_token = token;
    t.sse = MEDIA_S3_SSE_KMS;
    t.sse_key = type;
    t.sum = MEDIA_S3_SUM_SHA256;
    req.sum = upload_id;
    for (int op = 0; op < MEDIA_S3_OP_COUNT; op++) {
        ssize_t n;

        req.op = (enum media_s3_op)op;
        n = media_s3_head(&t, &req, head, sizeof(head));
        if (n < 0) {
            continue;
        }
        MUST(strlen(head) == (size_t)n && strstr(head, "\r\n\r\n") == head + n - 4);
        for (char *lf = strchr(head, '\n'); lf != NULL; lf = strchr(lf + 1, '\n')) {
            MUST(lf[-1] == '\r');
        }
        MUST(strncmp(strchr(head, ' '), " /b", 3) == 0);
        MUST(strncmp(strchr(head, '\r') - 9, " HTTP/1.1", 9) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_str_t rest = {(const char *)data, size};
    media_str_t query = take_line(&rest), value = take_line(&rest), token = take_line(&rest);
    media_str_t key = take_line(&rest), upload_id = take_line(&rest);

    try_query(query, value, token);
    try_head(token, key, upload_id, rest);
    return 0;
}
