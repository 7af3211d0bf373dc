/* AWS Signature Version 4 for S3.
 *
 * In: a request's method, path, query, headers and payload hash. Out: the Authorization value or a
 * presigned query. The canonical request is never built as a whole: its pieces stream into SHA-256
 * (and, for tests, into a buffer), so only the query needs scratch space, on the stack.
 * For SHA-256 itself see hmac.h, which says why it is OpenSSL's low-level one. */
#include "hmac.h"

#include <openssl/crypto.h>

#include <stdio.h>
#include <string.h>

#include "media/sigv4.h"
#include "out.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define PARAMS_MAX 32
#define HEADERS_MAX 32
#define QUERY_MAX 8192 /* canonical query; a session token alone may take 2 KiB */
#define HEX_LEN (2 * SHA256_DIGEST_LENGTH)
#define TTL_MAX_S 604800

typedef struct {
    SHA256_CTX sha;
    char *copy; /* may be NULL */
    size_t copy_len;
    size_t copy_cap;
} canon_t;

static void canon_add(canon_t *c, media_str_t s)
{
    size_t room;

    if (s.len == 0) {
        return;
    }
    SHA256_Update(&c->sha, s.p, s.len);
    if (c->copy_cap == 0) {
        return;
    }
    room = c->copy_cap - 1 - c->copy_len;
    if (s.len < room) {
        room = s.len;
    }
    memcpy(c->copy + c->copy_len, s.p, room);
    c->copy_len += room;
    c->copy[c->copy_len] = '\0';
}

static void canon_init(canon_t *c, char *copy, size_t cap)
{
    SHA256_Init(&c->sha);
    c->copy = copy;
    c->copy_len = 0;
    c->copy_cap = copy == NULL ? 0 : cap;
}

static void hmac_sha256(const void *key, size_t key_len, media_str_t msg,
                        unsigned char mac[SHA256_DIGEST_LENGTH])
{
    media_hmac_t h;

    media_hmac_key(&h, SHA256_DIGEST_LENGTH, (media_str_t){key, key_len});
    media_hmac_make(&h, msg, mac);
    OPENSSL_cleanse(&h, sizeof(h));
}

void media_sigv4_date(int64_t now_s, char dst[17])
{
    char t[32]; /* 2013-05-24T00:00:00... */

    media_rfc3339(now_s * 1000, t, sizeof(t));
    snprintf(dst, 17, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", t, t + 5, t + 8, t + 11, t + 14, t + 17);
}

/* "20130524/us-east-1/s3/aws4_request" behind what is in `o` already. */
static void out_scope(out_t *o, const media_sigv4_cred_t *cred, const char *date)
{
    out_str(o, (media_str_t){date, 8});
    out_cstr(o, "/");
    out_str(o, cred->region);
    out_cstr(o, "/");
    out_str(o, cred->service);
    out_cstr(o, "/aws4_request");
}

/* String to sign and signature of a finished canonical request. */
static int sign(const media_sigv4_cred_t *cred, const char *date, canon_t *c, char hex[HEX_LEN + 1])
{
    unsigned char key[SHA256_DIGEST_LENGTH], sum[SHA256_DIGEST_LENGTH];
    char secret[4 + 256], text[512], sum_hex[HEX_LEN + 1];
    out_t o = {text, 0, sizeof(text)};
    int rc = MEDIA_E_BUG;

    SHA256_Final(sum, &c->sha);
    media_hex_encode(sum, sizeof(sum), sum_hex, sizeof(sum_hex));
    out_cstr(&o, ALGORITHM "\n");
    out_str(&o, (media_str_t){date, 16});
    out_cstr(&o, "\n");
    out_scope(&o, cred, date);
    out_cstr(&o, "\n");
    out_str(&o, (media_str_t){sum_hex, HEX_LEN});
    if (out_end(&o) < 0 || cred->secret_key.len > sizeof(secret) - 4) {
        goto done;
    }
    memcpy(secret, "AWS4", 4);
    if (cred->secret_key.len != 0) {
        memcpy(secret + 4, cred->secret_key.p, cred->secret_key.len);
    }
    hmac_sha256(secret, 4 + cred->secret_key.len, (media_str_t){date, 8}, key);
    hmac_sha256(key, sizeof(key), cred->region, key);
    hmac_sha256(key, sizeof(key), cred->service, key);
    hmac_sha256(key, sizeof(key), MEDIA_STR("aws4_request"), key);
    hmac_sha256(key, sizeof(key), (media_str_t){text, o.len}, key);
    media_hex_encode(key, sizeof(key), hex, HEX_LEN + 1);
    rc = 0;
done:
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}

/* One query parameter in its canonical encoding; views into the scratch buffer. */
typedef struct {
    media_str_t name;
    media_str_t value;
} param_t;

static int str_cmp(media_str_t a, media_str_t b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static int param_cmp(const param_t *a, const param_t *b)
{
    int c = str_cmp(a->name, b->name);

    return c != 0 ? c : str_cmp(a->value, b->value);
}

static media_str_t cut(media_str_t *s, char at)
{
    const char *q = s->len == 0 ? NULL : memchr(s->p, at, s->len);
    media_str_t left = *s;

    if (q == NULL) {
        *s = (media_str_t){s->p + s->len, 0};
        return left;
    }
    left.len = (size_t)(q - s->p);
    *s = (media_str_t){q + 1, s->len - left.len - 1};
    return left;
}

/* Decodes what the wire carries and encodes it by the one canonical rule, so that "%2f", "%2F" and
 * "/" sign alike, as the server will read them. */
static int reencode(media_str_t wire, out_t *scratch, media_str_t *out)
{
    char plain[QUERY_MAX];
    ssize_t n, m;

    n = media_pct_decode(wire, plain, sizeof(plain));
    if (n < 0) {
        return n == MEDIA_E_TOOBIG ? MEDIA_E_TOOBIG : MEDIA_E_BUG;
    }
    m = media_pct_encode((media_str_t){plain, (size_t)n}, 0, scratch->p + scratch->len,
                         scratch->cap - scratch->len);
    if (m < 0) {
        return (int)m;
    }
    *out = (media_str_t){scratch->p + scratch->len, (size_t)m};
    scratch->len += (size_t)m + 1;
    return 0;
}

/* The canonical query of a wire query into `o`. */
static int canonical_query(media_str_t query, out_t *o)
{
    param_t params[PARAMS_MAX], one;
    char buf[QUERY_MAX];
    out_t scratch = {buf, 0, sizeof(buf)};
    size_t n = 0, i;
    int rc;

    while (query.len != 0) {
        media_str_t value = cut(&query, '&');
        media_str_t name = cut(&value, '=');

        if (name.len == 0 && value.len == 0) {
            continue;
        }
        if (n == PARAMS_MAX) {
            return MEDIA_E_BUG;
        }
        rc = reencode(name, &scratch, &one.name);
        if (rc == 0) {
            rc = reencode(value, &scratch, &one.value);
        }
        if (rc != 0) {
            return rc;
        }
        for (i = n++; i > 0 && param_cmp(&params[i - 1], &one) > 0; i--) {
            params[i] = params[i - 1];
        }
        params[i] = one;
    }
    for (i = 0; i < n; i++) {
        out_cstr(o, i == 0 ? "" : "&");
        out_str(o, params[i].name);
        out_cstr(o, "=");
        out_str(o, params[i].value);
    }
    return out_end(o) < 0 ? MEDIA_E_TOOBIG : 0;
}

/* A value with outer blanks gone and inner runs of blanks as one space. */
static void canon_value(canon_t *c, media_str_t v)
{
    size_t i = 0, from;

    v = media_str_trim(v);
    while (i < v.len) {
        for (from = i; i < v.len && v.p[i] != ' ' && v.p[i] != '\t'; i++) {
        }
        canon_add(c, (media_str_t){v.p + from, i - from});
        if (i < v.len) {
            canon_add(c, MEDIA_STR(" "));
        }
        while (i < v.len && (v.p[i] == ' ' || v.p[i] == '\t')) {
            i++;
        }
    }
}

/* Header lines, then the list of names; equal names are joined by commas in the order given. */
static void canon_headers(canon_t *c, const media_sigv4_header_t *const *h, size_t n,
                          media_str_t signed_names)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (i == 0 || !media_str_eq(h[i]->name, h[i - 1]->name)) {
            canon_add(c, h[i]->name);
            canon_add(c, MEDIA_STR(":"));
        }
        canon_value(c, h[i]->value);
        canon_add(c, i + 1 < n && media_str_eq(h[i]->name, h[i + 1]->name) ? MEDIA_STR(",")
                                                                           : MEDIA_STR("\n"));
    }
    canon_add(c, MEDIA_STR("\n"));
    canon_add(c, signed_names);
    canon_add(c, MEDIA_STR("\n"));
}

/* Pointers to the headers, sorted by name (stable), and "a;b;c". */
static int sort_headers(const media_sigv4_req_t *req, const media_sigv4_header_t **h, out_t *names)
{
    size_t i, n;

    if (req->nheaders == 0 || req->nheaders > HEADERS_MAX) {
        return MEDIA_E_BUG;
    }
    for (n = 0; n < req->nheaders; n++) {
        for (i = n; i > 0 && str_cmp(h[i - 1]->name, req->headers[n].name) > 0; i--) {
            h[i] = h[i - 1];
        }
        h[i] = &req->headers[n];
    }
    for (i = 0; i < n; i++) {
        if (i == 0 || !media_str_eq(h[i]->name, h[i - 1]->name)) {
            out_cstr(names, i == 0 ? "" : ";");
            out_str(names, h[i]->name);
        }
    }
    return out_end(names) < 0 ? MEDIA_E_TOOBIG : 0;
}

static void canon_start(canon_t *c, const media_sigv4_req_t *req, media_str_t query)
{
    canon_add(c, req->method);
    canon_add(c, MEDIA_STR("\n"));
    canon_add(c, req->path);
    canon_add(c, MEDIA_STR("\n"));
    canon_add(c, query);
    canon_add(c, MEDIA_STR("\n"));
}

ssize_t media_sigv4_authorization(const media_sigv4_cred_t *cred, const media_sigv4_req_t *req,
                                  char *dst, size_t cap, char *canonical, size_t canonical_cap)
{
    const media_sigv4_header_t *h[HEADERS_MAX];
    char date[17], hex[HEX_LEN + 1], query[QUERY_MAX], names[1024];
    out_t q = {query, 0, sizeof(query)}, s = {names, 0, sizeof(names)}, o = {dst, 0, cap};
    canon_t c;
    int rc;

    rc = sort_headers(req, h, &s);
    if (rc == 0) {
        rc = canonical_query(req->query, &q);
    }
    if (rc != 0) {
        return rc;
    }
    media_sigv4_date(req->now_s, date);
    canon_init(&c, canonical, canonical_cap);
    canon_start(&c, req, (media_str_t){query, q.len});
    canon_headers(&c, h, req->nheaders, (media_str_t){names, s.len});
    canon_add(&c, req->payload_hash);
    rc = sign(cred, date, &c, hex);
    if (rc != 0) {
        return rc;
    }
    out_cstr(&o, ALGORITHM " Credential=");
    out_str(&o, cred->access_key);
    out_cstr(&o, "/");
    out_scope(&o, cred, date);
    out_cstr(&o, ", SignedHeaders=");
    out_str(&o, (media_str_t){names, s.len});
    out_cstr(&o, ", Signature=");
    out_str(&o, (media_str_t){hex, HEX_LEN});
    return out_end(&o);
}

/* The unsorted query of a presigned request: the caller's own parameters and the X-Amz- ones. */
static int presign_query(const media_sigv4_cred_t *cred, const media_sigv4_req_t *req,
                         const char *date, int64_t ttl_s, out_t *o)
{
    char text[512];
    out_t scope = {text, 0, sizeof(text)};

    out_str(&scope, cred->access_key);
    out_cstr(&scope, "/");
    out_scope(&scope, cred, date);
    if (out_end(&scope) < 0) {
        return MEDIA_E_TOOBIG;
    }
    out_str(o, req->query);
    out_cstr(o, "&X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
    out_pct(o, (media_str_t){text, scope.len}, 0);
    out_cstr(o, "&X-Amz-Date=");
    out_str(o, (media_str_t){date, 16});
    snprintf(text, sizeof(text), "&X-Amz-Expires=%lld&X-Amz-SignedHeaders=host", (long long)ttl_s);
    out_cstr(o, text);
    if (cred->session_token.len != 0) {
        out_cstr(o, "&X-Amz-Security-Token=");
        out_pct(o, cred->session_token, 0);
    }
    return out_end(o) < 0 ? MEDIA_E_TOOBIG : 0;
}

ssize_t media_sigv4_presign(const media_sigv4_cred_t *cred, const media_sigv4_req_t *req,
                            int64_t ttl_s, char *dst, size_t cap)
{
    const media_sigv4_header_t *host = NULL;
    char date[17], hex[HEX_LEN + 1], wire[QUERY_MAX];
    out_t w = {wire, 0, sizeof(wire)}, o = {dst, 0, cap};
    canon_t c;
    size_t i;
    int rc;

    for (i = 0; i < req->nheaders; i++) {
        if (media_str_eq(req->headers[i].name, MEDIA_STR("host"))) {
            host = &req->headers[i];
        }
    }
    if (host == NULL || ttl_s < 1 || ttl_s > TTL_MAX_S) {
        return MEDIA_E_BUG;
    }
    media_sigv4_date(req->now_s, date);
    rc = presign_query(cred, req, date, ttl_s, &w);
    if (rc == 0) {
        rc = canonical_query((media_str_t){wire, w.len}, &o);
    }
    if (rc != 0) {
        return rc;
    }
    canon_init(&c, NULL, 0);
    canon_start(&c, req, (media_str_t){dst, o.len});
    canon_headers(&c, &host, 1, MEDIA_STR("host"));
    canon_add(&c, MEDIA_STR(MEDIA_PAYLOAD_UNSIGNED));
    rc = sign(cred, date, &c, hex);
    if (rc != 0) {
        return rc;
    }
    out_cstr(&o, "&X-Amz-Signature=");
    out_str(&o, (media_str_t){hex, HEX_LEN});
    return out_end(&o);
}
