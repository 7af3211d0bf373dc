/* Heads of S3 requests (path-style addressing), signed.
 *
 * One header list is made per request and used twice: once for the signature, once for the wire, so
 * that nothing can be sent that was not signed or the other way round. */
#include <stdio.h>
#include <string.h>

#include "media/s3req.h"
#include "out.h"

#define KEY_MAX 1024
#define PART_MAX 10000
#define URI_MAX 8192
#define HEADERS_MAX 10
#define CHECKSUM_TRAILER "x-amz-checksum-sha256"
#define SHA256_B64_LEN 44

static const struct {
    const char *method;
    const char *query;
} ops[MEDIA_S3_OP_COUNT] = {
#define X(name, method, query) {method, query},
    MEDIA_S3_OPS(X)
#undef X
};

/* The signed headers of one request and the room their values live in. */
typedef struct {
    media_sigv4_header_t h[HEADERS_MAX];
    size_t n;
    char date[17];
    char decoded_length[24];
} headers_t;

static int on_bucket(enum media_s3_op op)
{
    return op >= MEDIA_S3_LIST_MULTIPART;
}

static int is_list(enum media_s3_op op)
{
    return op == MEDIA_S3_LIST_MULTIPART || op == MEDIA_S3_LIST_OBJECTS;
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
    if (strstr(ops[req->op].query, "uploadId") != NULL && req->upload_id.len == 0) {
        return MEDIA_E_BUG;
    }
    if (is_trailer(req) && (req->content_length < 0 || req->trailer_chunk <= 0)) {
        return MEDIA_E_BUG;
    }
    if (!is_header_text(t->host) || !is_header_text(req->content_type) ||
        !is_header_text(req->range) || !is_header_text(req->payload_hash) ||
        !is_header_text(t->cred.access_key) || !is_header_text(t->cred.session_token) ||
        !is_header_text(t->cred.region)) {
        return MEDIA_E_BUG;
    }
    return 0;
}

static void out_path(out_t *o, const media_s3_target_t *t, const media_s3_req_t *req)
{
    out_cstr(o, "/");
    out_str(o, t->bucket);
    if (!on_bucket(req->op)) {
        out_cstr(o, "/");
        out_pct(o, req->key, 1);
    }
}

/* The operation's query template with %d and %s filled in. */
static void out_query(out_t *o, const media_s3_req_t *req)
{
    const char *q = ops[req->op].query, *pct;
    char num[16];

    while ((pct = strchr(q, '%')) != NULL) {
        out_str(o, (media_str_t){q, (size_t)(pct - q)});
        if (pct[1] == 'd') {
            snprintf(num, sizeof(num), "%d", req->part_number);
            out_cstr(o, num);
        } else {
            out_pct(o, is_list(req->op) ? req->key : req->upload_id, 0);
        }
        q = pct + 2;
    }
    out_cstr(o, q);
}

static void add(headers_t *hs, const char *name, media_str_t value)
{
    hs->h[hs->n++] = (media_sigv4_header_t){media_str(name), value};
}

/* host and x-amz-*: what every request carries and signs, whoever writes its head. */
static void headers_base(headers_t *hs, const media_s3_target_t *t, const media_s3_req_t *req)
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
    if (is_trailer(req)) {
        snprintf(hs->decoded_length, sizeof(hs->decoded_length), "%lld",
                 (long long)req->content_length);
        add(hs, "x-amz-decoded-content-length", media_str(hs->decoded_length));
        add(hs, "x-amz-trailer", MEDIA_STR(CHECKSUM_TRAILER));
    }
}

/* What we send and sign only where we write the head ourselves. */
static void headers_more(headers_t *hs, const media_s3_req_t *req)
{
    if (is_trailer(req)) {
        add(hs, "content-encoding", MEDIA_STR("aws-chunked"));
    }
    if (req->content_type.len != 0) {
        add(hs, "content-type", req->content_type);
    }
    if (req->range.len != 0) {
        add(hs, "range", req->range);
    }
}

static ssize_t authorize(const media_s3_target_t *t, const media_s3_req_t *req, const headers_t *hs,
                         media_str_t path, media_str_t query, char *dst, size_t cap)
{
    media_sigv4_req_t s = {.method = media_str(ops[req->op].method),
                           .path = path,
                           .query = query,
                           .headers = hs->h,
                           .nheaders = hs->n,
                           .payload_hash = hs->h[1].value,
                           .now_s = req->now_s};

    return media_sigv4_authorization(&t->cred, &s, dst, cap, NULL, 0);
}

static size_t hex_digits(int64_t n)
{
    size_t d = 1;

    while ((n >>= 4) != 0) {
        d++;
    }
    return d;
}

int64_t media_s3_trailer_length(int64_t n, int chunk)
{
    const int64_t end = 3 + (int64_t)sizeof(CHECKSUM_TRAILER) + SHA256_B64_LEN + 4;
    int64_t rest, len;

    if (n < 0 || chunk <= 0) {
        return MEDIA_E_BUG;
    }
    rest = n % chunk;
    len = n / chunk * ((int64_t)hex_digits(chunk) + 4 + chunk);
    if (rest != 0) {
        len += (int64_t)hex_digits(rest) + 4 + rest;
    }
    return len + end;
}

ssize_t media_s3_trailer_end(const uint8_t sha256[32], char *dst, size_t cap)
{
    char b64[SHA256_B64_LEN + 1];
    out_t o = {dst, 0, cap};

    media_b64_encode(sha256, 32, b64, sizeof(b64));
    out_cstr(&o, "0\r\n" CHECKSUM_TRAILER ":");
    out_cstr(&o, b64);
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

/* The request target and its two halves as the signer wants them. */
static ssize_t target(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap,
                      media_str_t *path, media_str_t *query)
{
    ssize_t n = media_s3_uri(t, req, dst, cap);
    const char *q;

    if (n < 0) {
        return n;
    }
    q = memchr(dst, '?', (size_t)n);
    *path = (media_str_t){dst, q == NULL ? (size_t)n : (size_t)(q - dst)};
    *query = q == NULL ? MEDIA_STR("") : (media_str_t){q + 1, (size_t)n - path->len - 1};
    return n;
}

static void out_header(out_t *o, const char *name, media_str_t value)
{
    out_cstr(o, name);
    out_cstr(o, ": ");
    out_str(o, value);
    out_cstr(o, "\r\n");
}

ssize_t media_s3_head(const media_s3_target_t *t, const media_s3_req_t *req, char *dst, size_t cap)
{
    char uri[URI_MAX], auth[1024], num[24];
    media_str_t path, query;
    headers_t hs;
    out_t o = {dst, 0, cap};
    int64_t wire_length;
    ssize_t n, m;

    n = target(t, req, uri, sizeof(uri), &path, &query);
    if (n < 0) {
        return n;
    }
    headers_base(&hs, t, req);
    headers_more(&hs, req);
    m = authorize(t, req, &hs, path, query, auth, sizeof(auth));
    if (m < 0) {
        return m;
    }
    out_cstr(&o, ops[req->op].method);
    out_cstr(&o, " ");
    out_str(&o, (media_str_t){uri, (size_t)n});
    out_cstr(&o, " HTTP/1.1\r\n");
    for (size_t i = 0; i < hs.n; i++) {
        out_header(&o, hs.h[i].name.p, hs.h[i].value);
    }
    out_header(&o, "authorization", (media_str_t){auth, (size_t)m});
    if (req->content_length >= 0) {
        wire_length = is_trailer(req)
                          ? media_s3_trailer_length(req->content_length, req->trailer_chunk)
                          : req->content_length;
        snprintf(num, sizeof(num), "%lld", (long long)wire_length);
        out_header(&o, "content-length", media_str(num));
    }
    out_cstr(&o, "connection: keep-alive\r\n\r\n");
    return out_end(&o);
}

int media_s3_sign(const media_s3_target_t *t, const media_s3_req_t *req, media_s3_signed_t *out)
{
    char uri[URI_MAX];
    media_str_t path, query;
    headers_t hs;
    ssize_t n;

    n = target(t, req, uri, sizeof(uri), &path, &query);
    if (n < 0) {
        return (int)n;
    }
    headers_base(&hs, t, req);
    if (hs.h[1].value.len >= sizeof(out->content_sha256)) {
        return MEDIA_E_BUG;
    }
    memcpy(out->date, hs.date, sizeof(out->date));
    memcpy(out->content_sha256, hs.h[1].value.p, hs.h[1].value.len);
    out->content_sha256[hs.h[1].value.len] = '\0';
    n = authorize(t, req, &hs, path, query, out->authorization, sizeof(out->authorization));
    return n < 0 ? (int)n : 0;
}
