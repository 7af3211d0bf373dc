/* Answers of S3: what its XML documents and its errors mean.
 *
 * Every document is walked to its end before anything is reported, so a truncated answer is never
 * taken for a good one; only listings report entry by entry. */
#include <stdio.h>
#include <string.h>

#include "media/s3resp.h"
#include "out.h"
#include "xml.h"

#define VALUE_MAX 1024 /* an object key, an upload id, an etag */

static int is(media_str_t name, const char *want)
{
    return media_str_eq(name, media_str(want));
}

/* 1 when the element that ends is /root/leaf. */
static int at(const xml_t *x, const char *root, const char *leaf)
{
    return x->depth == 1 && is(x->stack[0], root) && is(x->stack[1], leaf);
}

/* Text for logs and rows: cut at a character's end, control characters as spaces. */
static int set_text(media_str_t raw, char *dst, size_t cap)
{
    char value[2 * VALUE_MAX];
    ssize_t n = xml_decode(raw, value, sizeof(value));
    size_t len;

    if (n < 0) {
        return n == MEDIA_E_TOOBIG ? 0 : (int)n;
    }
    len = (size_t)n < cap ? (size_t)n : cap - 1;
    while (len < (size_t)n && len > 0 && ((unsigned char)value[len] & 0xc0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        dst[i] = (unsigned char)value[i] < 0x20 || value[i] == 0x7f ? ' ' : value[i];
    }
    dst[len] = '\0';
    return 0;
}

typedef struct {
    const char *root; /* the document expected */
    const char *leaf; /* its element whose text is wanted */
    char *dst;
    size_t cap;
    ssize_t len; /* of that text, or the failure */
    media_s3_error_t error;
    int is_error;
} answer_t;

static int answer_close(void *data, const xml_t *x, media_str_t raw)
{
    answer_t *a = data;

    if (x->depth == 0) {
        a->is_error = is(x->stack[0], "Error");
        return 0;
    }
    if (raw.p == NULL) {
        return 0;
    }
    if (at(x, "Error", "Code")) {
        return set_text(raw, a->error.code, sizeof(a->error.code));
    }
    if (at(x, "Error", "Message")) {
        return set_text(raw, a->error.message, sizeof(a->error.message));
    }
    if (a->root != NULL && at(x, a->root, a->leaf)) {
        a->len = xml_decode(raw, a->dst, a->cap);
    }
    return 0;
}

int media_s3_error_parse(media_str_t body, media_s3_error_t *out)
{
    answer_t a = {.root = NULL};
    int rc = xml_walk(body, MEDIA_S3_BODY_MAX, answer_close, &a);

    memset(out, 0, sizeof(*out));
    if (rc != 0) {
        return MEDIA_E_REJECT;
    }
    if (!a.is_error) {
        return MEDIA_E_GONE;
    }
    *out = a.error;
    return 0;
}

int media_s3_verdict(int status, const media_s3_error_t *e)
{
    static const struct {
        const char *code;
        int verdict;
    } codes[] = {
        {"SlowDown", MEDIA_E_RETRY},
        {"SlowDownRead", MEDIA_E_RETRY},
        {"SlowDownWrite", MEDIA_E_RETRY},
        {"InternalError", MEDIA_E_RETRY},
        {"ServiceUnavailable", MEDIA_E_RETRY},
        {"RequestTimeout", MEDIA_E_RETRY},
        {"OperationAborted", MEDIA_E_RETRY},
        /* the hash is ours and so is the way to S3: no fault of the client's bytes */
        {"BadDigest", MEDIA_E_RETRY},
        {"XAmzContentSHA256Mismatch", MEDIA_E_RETRY},
        {"XAmzContentChecksumMismatch", MEDIA_E_RETRY},
        {"IncompleteBody", MEDIA_E_RETRY},
        {"NoSuchUpload", MEDIA_E_GONE},
        {"NoSuchKey", MEDIA_E_GONE},
        {"AccessDenied", MEDIA_E_AUTH},
        /* no word about the object: nothing is known of what is in another bucket */
        {"NoSuchBucket", MEDIA_E_AUTH},
        {"NotImplemented", MEDIA_E_REJECT},
    };
    int has_code = e != NULL && e->code[0] != '\0';

    for (size_t i = 0; has_code && i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(e->code, codes[i].code) == 0) {
            return codes[i].verdict;
        }
    }
    if (status >= 500 || status == 429 || status == 408) {
        return MEDIA_E_RETRY;
    }
    if (status == 404) {
        return MEDIA_E_GONE;
    }
    if (status == 401 || status == 403) {
        return MEDIA_E_AUTH;
    }
    return status >= 200 && status < 300 && !has_code ? 0 : MEDIA_E_REJECT;
}

/* The text of /root/leaf into (dst, cap). */
static ssize_t answer_read(media_str_t body, answer_t *a, media_s3_error_t *e, media_err_t *ei)
{
    int rc;

    a->len = MEDIA_E_GONE;
    rc = xml_walk(body, MEDIA_S3_BODY_MAX, answer_close, a);
    if (rc == 0 && a->is_error) {
        if (e != NULL) {
            *e = a->error;
        }
        return media_err_set(ei, MEDIA_E_REJECT, "S3 answered %s: %s", a->error.code,
                             a->error.message);
    }
    if (rc != 0 || a->len == MEDIA_E_GONE || a->len == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "S3's answer is no %s with an %s", a->root,
                             a->leaf);
    }
    if (a->len < 0) {
        return media_err_set(ei, (int)a->len, "the %s of S3's answer is too long", a->leaf);
    }
    return a->len;
}

ssize_t media_s3_create_parse(media_str_t body, char *dst, size_t cap, media_err_t *ei)
{
    answer_t a = {
        .root = "InitiateMultipartUploadResult", .leaf = "UploadId", .dst = dst, .cap = cap};

    return answer_read(body, &a, NULL, ei);
}

ssize_t media_s3_complete_parse(media_str_t body, char *dst, size_t cap, media_s3_error_t *e,
                                media_err_t *ei)
{
    answer_t a = {.root = "CompleteMultipartUploadResult", .leaf = "ETag", .dst = dst, .cap = cap};
    media_str_t etag;
    ssize_t n;

    if (e != NULL) {
        memset(e, 0, sizeof(*e));
    }
    n = answer_read(body, &a, e, ei);
    if (n < 0) {
        return n;
    }
    etag = media_s3_etag((media_str_t){dst, (size_t)n});
    memmove(dst, etag.p, etag.len);
    dst[etag.len] = '\0';
    return (ssize_t)etag.len;
}

/* The listings that are read, and what their entries are called. */
static const struct listing {
    const char *root, *entry, *other, *id;
} listings[] = {{"ListBucketResult", "Contents", "Contents", "Size"},
                {"ListMultipartUploadsResult", "Upload", "Upload", "UploadId"},
                {"ListVersionsResult", "Version", "DeleteMarker", "VersionId"}};

typedef struct {
    media_s3_each_pt each;
    void *data;
    const struct listing *of; /* NULL: the root element is none of them */
    char key[VALUE_MAX + 1];
    char id[VALUE_MAX + 1];
    ssize_t key_len;
    ssize_t id_len;
    int count;
    int stopped;
} list_t;

static const struct listing *find_listing(media_str_t root)
{
    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
        if (is(root, listings[i].root)) {
            return &listings[i];
        }
    }
    return NULL;
}

static int list_entry(list_t *l)
{
    int rc;

    if (l->key_len <= 0 || l->id_len <= 0) {
        return MEDIA_E_REJECT;
    }
    l->count++;
    rc = l->each(l->data, (media_str_t){l->key, (size_t)l->key_len},
                 (media_str_t){l->id, (size_t)l->id_len});
    l->key_len = l->id_len = 0;
    l->stopped = rc > 0;
    return rc;
}

static int list_close(void *data, const xml_t *x, media_str_t raw)
{
    list_t *l = data;

    l->of = find_listing(x->stack[0]);
    if (l->of == NULL || x->depth < 1 ||
        (!is(x->stack[1], l->of->entry) && !is(x->stack[1], l->of->other))) {
        return 0;
    }
    if (x->depth == 1) {
        return list_entry(l);
    }
    if (x->depth == 2 && raw.p != NULL && is(x->stack[2], "Key")) {
        l->key_len = xml_decode(raw, l->key, sizeof(l->key));
    } else if (x->depth == 2 && raw.p != NULL && is(x->stack[2], l->of->id)) {
        l->id_len = xml_decode(raw, l->id, sizeof(l->id));
    }
    return 0;
}

int media_s3_list_parse(media_str_t body, media_s3_each_pt each, void *data, media_err_t *ei)
{
    list_t l = {.each = each, .data = data};
    int rc = xml_walk(body, MEDIA_S3_LIST_MAX, list_close, &l);

    if (l.stopped) {
        return l.count;
    }
    if (rc != 0 || l.of == NULL) {
        return media_err_set(ei, rc != 0 ? rc : MEDIA_E_REJECT, "S3's answer is no good listing");
    }
    return l.count;
}

static void out_xml(out_t *o, media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.p[i]) {
        case '&':
            out_cstr(o, "&amp;");
            break;
        case '<':
            out_cstr(o, "&lt;");
            break;
        case '>':
            out_cstr(o, "&gt;");
            break;
        default:
            out_str(o, (media_str_t){s.p + i, 1});
            break;
        }
    }
}

ssize_t media_s3_complete_part(int part_number, media_str_t etag, enum media_s3_sum_alg alg,
                               const char *sum, char *dst, size_t cap)
{
    static const char *const open[] = {
#define X(name, word, wire, kind, len) "<Checksum" wire ">",
        MEDIA_S3_SUMS(X)
#undef X
    };
    static const char *const close[] = {
#define X(name, word, wire, kind, len) "</Checksum" wire ">",
        MEDIA_S3_SUMS(X)
#undef X
    };
    out_t o = {dst, 0, cap};
    char num[16];

    snprintf(num, sizeof(num), "%d", part_number);
    out_cstr(&o, "<Part><PartNumber>");
    out_cstr(&o, num);
    out_cstr(&o, "</PartNumber><ETag>\"");
    out_xml(&o, etag);
    out_cstr(&o, "\"</ETag>");
    if (alg != MEDIA_S3_SUM_NONE && sum != NULL && sum[0] != '\0') {
        out_cstr(&o, open[alg]);
        out_cstr(&o, sum);
        out_cstr(&o, close[alg]);
    }
    out_cstr(&o, "</Part>");
    return out_end(&o);
}

media_str_t media_s3_etag(media_str_t header)
{
    if (header.len >= 2 && header.p[0] == '"' && header.p[header.len - 1] == '"') {
        return (media_str_t){header.p + 1, header.len - 2};
    }
    return header;
}
