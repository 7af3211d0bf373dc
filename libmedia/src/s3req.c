/* Heads of S3 requests, signed.
 *
 * One header list is made per request and used twice: once for the signature, once for the wire, so
 * that nothing can be sent that was not signed or the other way round. What the dialect of a target
 * adds to it depends on the operation alone. */
#include <stdio.h>
#include <string.h>

#include "media/s3req.h"
#include "out.h"

#define KEY_MAX 1024
#define PART_MAX 10000
#define URI_MAX 8192

static const struct {
    const char *method;
    const char *query;
} ops[MEDIA_S3_OP_COUNT] = {
#define X(name, method, query) {method, query},
    MEDIA_S3_OPS(X)
#undef X
};

static const char *const sses[MEDIA_S3_SSE_COUNT] = {
#define X(name, wire) wire,
    MEDIA_S3_SSES(X)
#undef X
};

static const struct {
    const char *wire;
    const char *kind;
    size_t len; /* of a value in base64 */
} sums[MEDIA_S3_SUM_COUNT] = {
#define X(name, word, wire, kind, len) {wire, kind, len},
    MEDIA_S3_SUMS(X)
#undef X
};

int media_s3_sse_parse(media_str_t word)
{
    for (int i = 1; i < MEDIA_S3_SSE_COUNT; i++) {
        if (media_str_eq(word, media_str(sses[i]))) {
            return i;
        }
    }
    return -1;
}

/* Encryption is stated once, where an object begins. */
static int begins_object(enum media_s3_op op)
{
    return op == MEDIA_S3_PUT || op == MEDIA_S3_CREATE_MULTIPART;
}

int media_s3_sse_kept(enum media_s3_sse asked, enum media_s3_op op, media_str_t header)
{
    int carries_bytes = op == MEDIA_S3_PUT || op == MEDIA_S3_UPLOAD_PART;

    return asked == MEDIA_S3_SSE_NONE || !carries_bytes ||
           media_str_eq(header, media_str(sses[asked]));
}

enum media_s3_sum_alg media_s3_op_sum(const media_s3_target_t *t, enum media_s3_op op)
{
    if (op == MEDIA_S3_UPLOAD_PART || t->sum == MEDIA_S3_SUM_NONE) {
        return t->sum;
    }
    return op == MEDIA_S3_PUT ? MEDIA_S3_SUM_SHA256 : MEDIA_S3_SUM_NONE;
}

static int on_bucket(enum media_s3_op op)
{
    return op >= MEDIA_S3_LIST_MULTIPART;
}

static int is_list(enum media_s3_op op)
{
    return op == MEDIA_S3_LIST_MULTIPART || op == MEDIA_S3_LIST_OBJECTS ||
           op == MEDIA_S3_LIST_VERSIONS;
}

static int is_trailer(const media_s3_req_t *req)
{
    return media_str_eq(req->payload_hash, MEDIA_STR(MEDIA_PAYLOAD_TRAILER));
}

/* 1 if `s` can stand in a request head without ending a line. */
static int is_header_text(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return 0;
        }
    }
    return 1;
}

static int is_bucket_name(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !(i > 0 && (c == '.' || c == '-' || c == '_'))) {
            return 0;
        }
    }
    return s.len != 0;
}

static int text_check(const media_s3_target_t *t, const media_s3_req_t *req)
{
    const media_str_t texts[] = {
        t->host,        t->sse_key,        t->cred.access_key, t->cred.session_token,
        t->cred.region, req->content_type, req->range,         req->payload_hash,
        req->sum,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!is_header_text(texts[i])) {
            return MEDIA_E_BUG;
        }
    }
    return 0;
}

static int req_check(const media_s3_target_t *t, const media_s3_req_t *req)
{
    if (req->op < 0 || req->op >= MEDIA_S3_OP_COUNT || t->host.len == 0 ||
        !is_bucket_name(t->bucket)) {
        return MEDIA_E_BUG;
    }
    if (req->key.len > KEY_MAX ||
        (req->key.len != 0 && memchr(req->key.p, '\0', req->key.len) != NULL)) {
        return MEDIA_E_BUG;
    }
    if (!is_list(req->op) && (req->key.len == 0) != on_bucket(req->op)) {
        return MEDIA_E_BUG;
    }
    if (req->op == MEDIA_S3_UPLOAD_PART && (req->part_number < 1 || req->part_number > PART_MAX)) {
        return MEDIA_E_BUG;
    }
    if (strstr(ops[req->op].query, "Id=%s") != NULL && req->upload_id.len == 0) {
        return MEDIA_E_BUG;
    }
    if (is_trailer(req) && (req->content_length < 0 || req->trailer_chunk <= 0 ||
                            media_s3_op_sum(t, req->op) == MEDIA_S3_SUM_NONE)) {
        return MEDIA_E_BUG;
    }
    return text_check(t, req);
}

static void out_path(out_t *o, const media_s3_target_t *t, const media_s3_req_t *req)
{
    if (!t->virtual_host) {
        out_cstr(o, "/");
        out_str(o, t->bucket);
    }
    if (!on_bucket(req->op)) {
        out_cstr(o, "/");
        out_pct(o, req->key, 1);
    } else if (t->virtual_host) {
        out_cstr(o, "/");
    }
}

/* The operation's query template with %d and %s filled in. */
static void out_query(out_t *o, const media_s3_req_t *req)
{
    const char *q = ops[req->op].query, *pct;
    int prefix_next = is_list(req->op);
    char num[16];

    while ((pct = strchr(q, '%')) != NULL) {
        out_str(o, (media_str_t){q, (size_t)(pct - q)});
        if (pct[1] == 'd') {
            snprintf(num, sizeof(num), "%d", req->part_number);
            out_cstr(o, num);
        } else {
            out_pct(o, prefix_next ? req->key : req->upload_id, 0);
            prefix_next = 0;
        }
        q = pct + 2;
    }
    out_cstr(o, q);
}

static void add(media_s3_headers_t *hs, const char *name, media_str_t value)
{
    hs->h[hs->n++] = (media_sigv4_header_t){media_str(name), value};
}

/* host and x-amz-*: what every request carries and signs, whoever writes its head. */
static void add_base(media_s3_headers_t *hs, const media_s3_target_t *t, const media_s3_req_t *req)
{
    hs->n = 0;
    media_sigv4_date(req->now_s, hs->date);
    add(hs, "host", t->host);
    add(hs, "x-amz-content-sha256",
        req->payload_hash.len != 0 ? req->payload_hash : MEDIA_STR(MEDIA_SHA256_EMPTY));
    add(hs, "x-amz-date", media_str(hs->date));
    if (t->cred.session_token.len != 0) {
        add(hs, "x-amz-security-token", t->cred.session_token);
    }
}

static void add_sse(media_s3_headers_t *hs, const media_s3_target_t *t, const media_s3_req_t *req)
{
    if (t->sse == MEDIA_S3_SSE_NONE || !begins_object(req->op)) {
        return;
    }
    add(hs, MEDIA_S3_SSE_HEADER, media_str(sses[t->sse]));
    if (t->sse == MEDIA_S3_SSE_KMS && t->sse_key.len != 0) {
        add(hs, MEDIA_S3_SSE_HEADER "-aws-kms-key-id", t->sse_key);
    }
    if (t->sse == MEDIA_S3_SSE_KMS && t->sse_bucket_key) {
        add(hs, MEDIA_S3_SSE_HEADER "-bucket-key-enabled", MEDIA_STR("true"));
    }
}

/* CREATE says what the parts will carry; a part carries it in a header or in its trailer; COMPLETE
 * lists them, and states that of the whole object where there is one. */
static void add_sum(media_s3_headers_t *hs, const media_s3_target_t *t, const media_s3_req_t *req)
{
    enum media_s3_sum_alg sum = media_s3_op_sum(t, req->op);

    if (is_trailer(req)) {
        snprintf(hs->decoded_length, sizeof(hs->decoded_length), "%lld",
                 (long long)req->content_length);
        add(hs, "x-amz-decoded-content-length", media_str(hs->decoded_length));
        add(hs, "x-amz-trailer", media_str(media_s3_sum_header(sum)));
    } else if (sum != MEDIA_S3_SUM_NONE && req->sum.len != 0) {
        add(hs, media_s3_sum_header(sum), req->sum);
    } else if (t->sum != MEDIA_S3_SUM_NONE && req->op == MEDIA_S3_CREATE_MULTIPART) {
        add(hs, "x-amz-checksum-algorithm", media_str(sums[t->sum].wire));
        add(hs, "x-amz-checksum-type", media_str(sums[t->sum].kind));
    } else if (t->sum == MEDIA_S3_SUM_CRC64NVME && req->op == MEDIA_S3_COMPLETE_MULTIPART &&
               req->sum.len != 0) {
        add(hs, media_s3_sum_header(t->sum), req->sum);
        add(hs, "x-amz-checksum-type", media_str(sums[t->sum].kind));
    }
}

/* What we send and sign only where we write the head ourselves. */
static void add_more(media_s3_headers_t *hs, const media_s3_target_t *t, const media_s3_req_t *req)
{
    add_sse(hs, t, req);
    add_sum(hs, t, req);
    if (is_trailer(req)) {
        add(hs, "content-encoding", MEDIA_STR("aws-chunked"));
    }
    if (req->content_type.len != 0) {
        add(hs, "content-type", req->content_type);
    }
    if (req->op == MEDIA_S3_HEAD) {
        add(hs, "x-amz-checksum-mode", MEDIA_STR("ENABLED"));
    }
    if (req->range.len != 0) {
        add(hs, "range", req->range);
    }
}

ssize_t media_s3_host(media_str_t endpoint_host, media_str_t bucket, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};

    out_str(&o, bucket);
    out_cstr(&o, ".");
    out_str(&o, endpoint_host);
    return out_end(&o);
}

static size_t hex_digits(int64_t n)
{
    size_t d = 1;

    while ((n >>= 4) != 0) {
        d++;
    }
    return d;
}

int64_t media_s3_trailer_length(enum media_s3_sum_alg alg, int64_t n, int chunk)
{
    int64_t rest, len, end;

    if (n < 0 || chunk <= 0 || alg <= MEDIA_S3_SUM_NONE || alg >= MEDIA_S3_SUM_COUNT) {
        return MEDIA_E_BUG;
    }
    end = (int64_t)(strlen("0\r\n:\r\n\r\n") + strlen(media_s3_sum_header(alg)) + sums[alg].len);
    rest = n % chunk;
    len = n / chunk * ((int64_t)hex_digits(chunk) + 4 + chunk);
    if (rest != 0) {
        len += (int64_t)hex_digits(rest) + 4 + rest;
    }
    return len + end;
}

ssize_t media_s3_trailer_end(enum media_s3_sum_alg alg, const char *sum, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};

    if (alg <= MEDIA_S3_SUM_NONE || alg >= MEDIA_S3_SUM_COUNT || strlen(sum) != sums[alg].len) {
        return MEDIA_E_BUG;
    }
    out_cstr(&o, "0\r\n");
    out_cstr(&o, media_s3_sum_header(alg));
    out_cstr(&o, ":");
    out_cstr(&o, sum);
    out_cstr(&o, "\r\n\r\n");
    return out_end(&o);
}

ssize_t media_s3_uri(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap)
{
    out_t o = {dst, 0, cap};

    if (req_check(t, req) != 0) {
        return MEDIA_E_BUG;
    }
    out_path(&o, t, req);
    if (ops[req->op].query[0] != '\0') {
        out_cstr(&o, "?");
        out_query(&o, req);
    }
    return out_end(&o);
}

/* The Authorization over the headers of `hs`; `uri` is the request target. */
static ssize_t authorize(const media_s3_target_t *t, const media_s3_req_t *req,
                         const media_s3_headers_t *hs, char *dst, size_t cap)
{
    char uri[URI_MAX];
    ssize_t n = media_s3_uri(t, req, uri, sizeof(uri));
    const char *q;
    media_sigv4_req_t s = {.method = media_str(ops[req->op].method),
                           .headers = hs->h,
                           .nheaders = hs->n,
                           .payload_hash = hs->h[1].value,
                           .now_s = req->now_s};

    if (n < 0) {
        return n;
    }
    q = memchr(uri, '?', (size_t)n);
    s.path = (media_str_t){uri, q == NULL ? (size_t)n : (size_t)(q - uri)};
    s.query = q == NULL ? MEDIA_STR("") : (media_str_t){q + 1, (size_t)n - s.path.len - 1};
    return media_sigv4_authorization(&t->cred, &s, dst, cap, NULL, 0);
}

int media_s3_headers(const media_s3_target_t *t, const media_s3_req_t *req, media_s3_headers_t *out)
{
    ssize_t n;

    if (req_check(t, req) != 0) {
        return MEDIA_E_BUG;
    }
    add_base(out, t, req);
    add_more(out, t, req);
    n = authorize(t, req, out, out->authorization, sizeof(out->authorization));
    if (n < 0) {
        return (int)n;
    }
    add(out, "authorization", (media_str_t){out->authorization, (size_t)n});
    return 0;
}

ssize_t media_s3_head(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap)
{
    char uri[URI_MAX], num[48];
    media_s3_headers_t hs;
    out_t o = {dst, 0, cap};
    int64_t length = req->content_length;
    ssize_t n;
    int rc = media_s3_headers(t, req, &hs);

    if (rc != 0) {
        return rc;
    }
    n = media_s3_uri(t, req, uri, sizeof(uri));
    if (n < 0) {
        return n;
    }
    out_cstr(&o, ops[req->op].method);
    out_cstr(&o, " ");
    out_str(&o, (media_str_t){uri, (size_t)n});
    out_cstr(&o, " HTTP/1.1\r\n");
    for (size_t i = 0; i < hs.n; i++) {
        out_str(&o, hs.h[i].name);
        out_cstr(&o, ": ");
        out_str(&o, hs.h[i].value);
        out_cstr(&o, "\r\n");
    }
    if (length >= 0) {
        if (is_trailer(req)) {
            length =
                media_s3_trailer_length(media_s3_op_sum(t, req->op), length, req->trailer_chunk);
        }
        snprintf(num, sizeof(num), "content-length: %lld\r\n", (long long)length);
        out_cstr(&o, num);
    }
    out_cstr(&o, "connection: keep-alive\r\n\r\n");
    return out_end(&o);
}

int media_s3_sign(const media_s3_target_t *t, const media_s3_req_t *req, media_s3_signed_t *out)
{
    media_s3_headers_t hs;
    ssize_t n;

    if (req_check(t, req) != 0 || (req->op != MEDIA_S3_GET && req->op != MEDIA_S3_HEAD)) {
        return MEDIA_E_BUG;
    }
    add_base(&hs, t, req);
    if (hs.h[1].value.len >= sizeof(out->content_sha256)) {
        return MEDIA_E_BUG;
    }
    memcpy(out->date, hs.date, sizeof(out->date));
    memcpy(out->content_sha256, hs.h[1].value.p, hs.h[1].value.len);
    out->content_sha256[hs.h[1].value.len] = '\0';
    n = authorize(t, req, &hs, out->authorization, sizeof(out->authorization));
    return n < 0 ? (int)n : 0;
}
