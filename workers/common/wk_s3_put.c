/* What workers write to S3: bytes of a file or of memory as one PUT, or as a multipart upload. */
#include "wk_s3.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "wk_log.h"
#include "wk_s3_call.h"

#define S3_PUT_MAX (64ll << 20) /* larger files go in parts */
#define S3_PART_SIZE (16ll << 20)
#define S3_COMPLETE_MAX (4u << 20) /* WK_S3_PARTS_MAX times one part's XML */

/* Bytes to send: of memory, or of a file. */
typedef struct {
    const char *mem; /* NULL: of fd */
    int fd;
    int64_t off;
    int64_t len;
} window_t;

/* What is said of a body before it is sent. */
typedef struct {
    char sha256[65]; /* hex */
    char sum[MEDIA_S3_SUM_TEXT];
    uint64_t crc;
} window_sums_t;

/* The next bytes of the window, at most `cap`, in buf or where they are; their count. */
static ssize_t window_next(window_t *w, char *buf, size_t cap, const char **p)
{
    size_t want = w->len < (int64_t)cap ? (size_t)w->len : cap;
    ssize_t n = w->mem != NULL ? (ssize_t)want : pread(w->fd, buf, want, w->off);

    *p = w->mem != NULL ? w->mem + w->off : buf;
    if (n > 0) {
        w->off += n;
        w->len -= n;
    }
    return n;
}

/* The sums of a window, `alg` besides SHA-256. */
static int window_sums(window_t w, enum media_s3_sum_alg alg, window_sums_t *out)
{
    static const size_t chunk = 256 * 1024;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    char *buf = malloc(chunk);
    unsigned char digest[32];
    int rc = MEDIA_E_NOMEM;

    memset(out, 0, sizeof(*out));
    if (md == NULL || buf == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        goto done;
    }
    while (w.len > 0) {
        const char *p;
        ssize_t n = window_next(&w, buf, chunk, &p);

        if (n <= 0) {
            rc = MEDIA_E_RETRY;
            goto done;
        }
        if (EVP_DigestUpdate(md, p, (size_t)n) != 1) {
            goto done;
        }
        if (alg == MEDIA_S3_SUM_CRC64NVME) {
            out->crc = media_crc64nvme(out->crc, p, (size_t)n);
        }
    }
    if (EVP_DigestFinal_ex(md, digest, NULL) != 1) {
        goto done;
    }
    (void)media_hex_encode(digest, sizeof(digest), out->sha256, sizeof(out->sha256));
    if (alg == MEDIA_S3_SUM_SHA256) {
        media_s3_sum_sha256_text(digest, out->sum);
    } else if (alg == MEDIA_S3_SUM_CRC64NVME) {
        media_s3_sum_crc_text(out->crc, out->sum);
    }
    rc = 0;
done:
    EVP_MD_CTX_free(md);
    free(buf);
    return rc;
}

/* Sends a window by the prepared call; its sums are left in `sums`. */
static int send_window(wk_s3_t *s, wk_s3_call_t *c, const window_t *w, window_sums_t *sums,
                       media_err_t *ei)
{
    if (window_sums(*w, media_s3_op_sum(&wk_s3_store(s, c->req.key)->target, c->req.op), sums) !=
        0) {
        return media_err_set(ei, MEDIA_E_RETRY, "the temporary file cannot be read");
    }
    c->req.payload_hash = media_str(sums->sha256);
    c->req.sum = media_str(sums->sum);
    c->req.content_length = w->len;
    c->mem = w->mem;
    c->fd = w->fd;
    c->body_off = w->off;
    c->body_len = w->len;
    return wk_s3_call(s, c, ei);
}

static int put_whole(wk_s3_t *s, const char *key, const char *content_type, const window_t *w,
                     char *etag_out, size_t etag_cap, media_err_t *ei)
{
    wk_s3_call_t c;
    window_sums_t sums;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_PUT, key);
    c.req.content_type = media_str(content_type);
    rc = send_window(s, &c, w, &sums, ei);
    if (rc == 0) {
        (void)wk_fmt(etag_out, etag_cap, "%s", c.etag);
    }
    wk_s3_call_free(&c);
    return rc;
}

int wk_s3_put_mem(wk_s3_t *s, const char *key, const char *content_type, const void *p, size_t len,
                  media_err_t *ei)
{
    window_t w = {.mem = p, .fd = -1, .len = (int64_t)len};
    char etag[128];

    return put_whole(s, key, content_type, &w, etag, sizeof(etag), ei);
}

int64_t wk_s3_part_size(int64_t size, int64_t least)
{
    while (size / least >= WK_S3_PARTS_MAX) {
        least *= 2;
    }
    return least;
}

int wk_s3_upload_begin(wk_s3_t *s, wk_s3_upload_t *u, const char *key, const char *content_type,
                       media_err_t *ei)
{
    wk_s3_call_t c;
    int rc;

    *u = (wk_s3_upload_t){.key = key};
    wk_s3_call_init(&c, MEDIA_S3_CREATE_MULTIPART, key);
    c.req.content_type = media_str(content_type);
    c.req.content_length = 0;
    c.tries = 1;
    rc = wk_s3_call(s, &c, ei);
    if (rc == 0 && media_s3_create_parse(media_buf_view(&c.answer), u->id, sizeof(u->id), ei) < 0) {
        rc = MEDIA_E_RETRY;
    }
    wk_s3_call_free(&c);
    if (rc == 0) {
        media_buf_init(&u->xml, S3_COMPLETE_MAX);
        (void)media_buf_cstr(&u->xml, MEDIA_S3_COMPLETE_OPEN);
    }
    return rc;
}

static int upload_window(wk_s3_t *s, wk_s3_upload_t *u, const window_t *w, media_err_t *ei)
{
    enum media_s3_sum_alg alg = wk_s3_store(s, media_str(u->key))->target.sum;
    window_sums_t sums;
    wk_s3_call_t c;
    char text[320];
    ssize_t n;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_UPLOAD_PART, u->key);
    c.req.upload_id = media_str(u->id);
    c.req.part_number = ++u->parts;
    rc = send_window(s, &c, w, &sums, ei);
    if (rc == 0) {
        u->crc = media_crc64nvme_combine(u->crc, sums.crc, w->len);
        n = media_s3_complete_part(u->parts, media_str(c.etag), alg, sums.sum, text, sizeof(text));
        if (n < 0 || media_buf_add(&u->xml, text, (size_t)n) != 0) {
            rc = media_err_set(ei, MEDIA_E_RETRY, "object store: no usable etag of a part");
        }
    }
    wk_s3_call_free(&c);
    return rc;
}

int wk_s3_upload_part(wk_s3_t *s, wk_s3_upload_t *u, const void *p, size_t len, media_err_t *ei)
{
    window_t w = {.mem = p, .fd = -1, .len = (int64_t)len};

    return upload_window(s, u, &w, ei);
}

/* 0 when the object stands complete under its key (a completion whose answer was lost). */
static int object_stands(wk_s3_t *s, const char *key, char *etag_out, size_t etag_cap)
{
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_HEAD, key);
    rc = wk_s3_call(s, &c, NULL);
    if (rc == 0) {
        (void)wk_fmt(etag_out, etag_cap, "%s", c.etag);
    }
    wk_s3_call_free(&c);
    return rc;
}

static int upload_complete(wk_s3_t *s, const wk_s3_upload_t *u, char *etag_out, size_t etag_cap,
                           media_err_t *ei)
{
    const media_buf_t *xml = &u->xml;
    wk_s3_call_t c;
    unsigned char digest[32];
    char hash[65], sum[MEDIA_S3_SUM_TEXT];
    int rc;

    if (EVP_Digest(xml->p, xml->len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    (void)media_hex_encode(digest, sizeof(digest), hash, sizeof(hash));
    wk_s3_call_init(&c, MEDIA_S3_COMPLETE_MULTIPART, u->key);
    c.req.upload_id = media_str(u->id);
    if (wk_s3_store(s, c.req.key)->target.sum == MEDIA_S3_SUM_CRC64NVME) {
        media_s3_sum_crc_text(u->crc, sum);
        c.req.sum = media_str(sum);
    }
    c.req.payload_hash = media_str(hash);
    c.req.content_length = (int64_t)xml->len;
    c.mem = xml->p;
    c.body_len = (int64_t)xml->len;
    rc = wk_s3_call(s, &c, ei);
    if (rc == 0 &&
        media_s3_complete_parse(media_buf_view(&c.answer), etag_out, etag_cap, &c.error, ei) < 0) {
        rc = MEDIA_E_RETRY; /* a 200 that carries an <Error> */
    }
    if ((rc == MEDIA_E_GONE || rc == MEDIA_E_RETRY) && s->tick_rc == 0) {
        rc = object_stands(s, u->key, etag_out, etag_cap) == 0 ? 0 : MEDIA_E_RETRY;
    }
    wk_s3_call_free(&c);
    return rc;
}

int wk_s3_upload_end(wk_s3_t *s, wk_s3_upload_t *u, char *etag_out, size_t etag_cap,
                     media_err_t *ei)
{
    int rc = media_buf_cstr(&u->xml, MEDIA_S3_COMPLETE_CLOSE);

    if (rc == 0) {
        rc = upload_complete(s, u, etag_out, etag_cap, ei);
    }
    if (rc == 0) {
        media_buf_free(&u->xml);
    }
    return rc;
}

void wk_s3_upload_abort(wk_s3_t *s, wk_s3_upload_t *u)
{
    (void)wk_s3_abort(s, u->key, u->id, NULL);
    media_buf_free(&u->xml);
}

static int put_parts(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                     wk_s3_upload_id_pt on_upload_id, void *data, char *etag_out, size_t etag_cap,
                     media_err_t *ei)
{
    int64_t part_size = wk_s3_part_size(size, S3_PART_SIZE);
    wk_s3_upload_t u;
    int rc;

    rc = wk_s3_upload_begin(s, &u, key, content_type, ei);
    if (rc != 0) {
        return rc;
    }
    if (on_upload_id != NULL) {
        rc = on_upload_id(data, key, u.id);
    }
    for (int64_t off = 0; rc == 0 && off < size; off += part_size) {
        window_t w = {.fd = fd, .off = off, .len = size - off < part_size ? size - off : part_size};

        rc = upload_window(s, &u, &w, ei);
    }
    if (rc == 0) {
        rc = wk_s3_upload_end(s, &u, etag_out, etag_cap, ei);
    }
    if (rc != 0 && s->tick_rc == 0) {
        wk_s3_upload_abort(s, &u);
    }
    media_buf_free(&u.xml); /* given up by the tick: the janitor aborts it */
    return rc;
}

int wk_s3_put_fd(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                 wk_s3_upload_id_pt on_upload_id, void *data, char *etag_out, size_t etag_cap,
                 media_err_t *ei)
{
    window_t w = {.fd = fd, .len = size};

    if (size <= S3_PUT_MAX) {
        return put_whole(s, key, content_type, &w, etag_out, etag_cap, ei);
    }
    return put_parts(s, key, content_type, fd, size, on_upload_id, data, etag_out, etag_cap, ei);
}
