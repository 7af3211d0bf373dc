/* S3 operations of the workers, each one or a few signed requests (wk_s3_call.c). */
#include "wk_s3.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "wk_log.h"
#include "wk_s3_call.h"

#define S3_PUT_MAX (64ll << 20) /* larger files go in parts */
#define S3_PART_SIZE (16ll << 20)
#define S3_PARTS_MAX 10000
#define S3_COMPLETE_MAX (4u << 20) /* S3_PARTS_MAX times one part's XML */
#define S3_SWEEPS_MAX 16

/* "http://host:port/" -> base without the slash, host as it goes into the Host header. */
static int endpoint_parse(wk_s3_store_t *s, const char *endpoint)
{
    size_t len = strlen(endpoint), scheme;
    const char *host = strstr(endpoint, "://");
    media_str_t name;

    while (len > 0 && endpoint[len - 1] == '/') {
        len--;
    }
    if (host == NULL || len + s->target.bucket.len + 2 > sizeof(s->base)) {
        return MEDIA_E_REJECT;
    }
    scheme = (size_t)(host + 3 - endpoint);
    name = (media_str_t){endpoint + scheme, len - scheme};
    memcpy(s->base, endpoint, len);
    s->base[len] = '\0';
    if (s->target.virtual_host) {
        if (media_s3_host(name, s->target.bucket, s->base + scheme, sizeof(s->base) - scheme) < 0) {
            return MEDIA_E_REJECT;
        }
        /* the gateway connects to the endpoint's addresses, so do we */
        (void)wk_fmt(s->connect_to, sizeof(s->connect_to), "::%.*s", (int)name.len, name.p);
        s->connect_list = curl_slist_append(NULL, s->connect_to);
    }
    s->target.host = media_str(s->base + scheme);
    /* curl would leave a default port out of the Host header it is asked to send as given, but the
     * signature must cover what the server sees: we always send ours */
    return name.len > 0 && (!s->target.virtual_host || s->connect_list != NULL) ? 0
                                                                                : MEDIA_E_REJECT;
}

/* The dialect of the store. What wk_conf_load() did not fill (in tests) has its default. */
static void dialect(media_s3_target_t *t, const wk_store_conf_t *conf)
{
    int sum = conf->checksum != NULL ? media_s3_sum_parse(media_str(conf->checksum))
                                     : MEDIA_S3_SUM_SHA256;
    int sse = conf->sse != NULL ? media_s3_sse_parse(media_str(conf->sse)) : 0;

    t->bucket = media_str(conf->bucket);
    t->virtual_host = conf->addressing != NULL && strcmp(conf->addressing, "virtual") == 0;
    t->sum = (enum media_s3_sum_alg)sum;
    t->sse = (enum media_s3_sse)sse;
    t->sse_key = media_str(conf->sse_key);
    t->sse_bucket_key = conf->sse_bucket_key;
    t->cred.region = media_str(conf->region);
    t->cred.service = MEDIA_STR("s3");
}

/* Takes cred over. */
static int store_open(wk_s3_store_t *store, const wk_store_conf_t *conf, wk_cred_t *cred)
{
    store->cred = cred;
    dialect(&store->target, conf);
    return cred == NULL ? MEDIA_E_NOMEM
                        : endpoint_parse(store, conf->endpoint != NULL ? conf->endpoint
                                                                       : "http://127.0.0.1:9000");
}

/* As `other`, or by its configuration if that is NULL. */
static wk_s3_t *new_with(const wk_conf_t *conf, const wk_s3_t *other)
{
    wk_s3_t *s = calloc(1, sizeof(*s));
    int rc = 0;

    if (s == NULL) {
        return NULL;
    }
    s->conf = conf;
    for (int i = 0; rc == 0 && i < MEDIA_STORE_COUNT; i++) {
        enum media_store which = (enum media_store)i;
        wk_store_conf_t store = wk_conf_store(conf, which);
        wk_cred_t *cred;

        if (other != NULL) {
            cred = wk_cred_ref(other->store[i].cred);
        } else if (which == MEDIA_STORE_OUTPUT && !wk_conf_output_keys(conf)) {
            cred = wk_cred_ref(s->store[MEDIA_STORE_INPUT].cred);
        } else {
            cred = wk_cred_new(conf, which);
        }
        rc = store_open(&s->store[i], &store, cred);
    }
    s->curl = curl_easy_init();
    if (rc != 0 || s->curl == NULL) {
        wk_s3_free(s);
        return NULL;
    }
    return s;
}

wk_s3_t *wk_s3_new(const wk_conf_t *conf)
{
    return new_with(conf, NULL);
}

wk_s3_t *wk_s3_like(const wk_s3_t *other)
{
    return new_with(other->conf, other);
}

void wk_s3_free(wk_s3_t *s)
{
    if (s != NULL) {
        if (s->curl != NULL) {
            curl_easy_cleanup(s->curl);
        }
        for (int i = 0; i < MEDIA_STORE_COUNT; i++) {
            curl_slist_free_all(s->store[i].connect_list);
            wk_cred_unref(s->store[i].cred);
        }
        free(s);
    }
}

void wk_s3_on_tick(wk_s3_t *s, wk_s3_tick_pt tick, void *data)
{
    s->tick = tick;
    s->tick_data = data;
    s->ticked_ms = wk_mono_ms();
}

ssize_t wk_s3_get_range(wk_s3_t *s, const char *key, int64_t off, size_t len, void *dst,
                        media_err_t *ei)
{
    wk_s3_call_t c;
    char range[64];
    ssize_t rc;

    if (len == 0 || off < 0) {
        return len == 0 ? 0 : media_err_set(ei, MEDIA_E_BUG, "object store: negative offset");
    }
    wk_s3_call_init(&c, MEDIA_S3_GET, key);
    c.req.range = media_str(wk_fmt(range, sizeof(range), "bytes=%lld-%lld", (long long)off,
                                   (long long)(off + (int64_t)len - 1)));
    c.dst = dst;
    c.dst_cap = len;
    rc = wk_s3_call(s, &c, ei);
    if (rc == 0 && c.status != 206 && off > 0) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "object store: the range was ignored");
    } else if (rc == 0) {
        rc = (ssize_t)c.dst_len;
    } else if (c.status == 416) {
        rc = 0; /* at or behind the end */
    }
    wk_s3_call_free(&c);
    return rc;
}

/* What is said of a body before it is sent. */
typedef struct {
    char sha256[65]; /* hex */
    char sum[MEDIA_S3_SUM_TEXT];
    uint64_t crc;
} window_sums_t;

/* The sums of a window of fd, `alg` besides SHA-256. */
static int window_sums(int fd, int64_t off, int64_t len, enum media_s3_sum_alg alg,
                       window_sums_t *out)
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
    while (len > 0) {
        ssize_t n = pread(fd, buf, len < (int64_t)chunk ? (size_t)len : chunk, off);
        if (n <= 0) {
            rc = MEDIA_E_RETRY;
            goto done;
        }
        if (EVP_DigestUpdate(md, buf, (size_t)n) != 1) {
            goto done;
        }
        if (alg == MEDIA_S3_SUM_CRC64NVME) {
            out->crc = media_crc64nvme(out->crc, buf, (size_t)n);
        }
        off += n;
        len -= n;
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

/* Sends a window of fd by the prepared call; its sums are left in `sums`. */
static int send_window(wk_s3_t *s, wk_s3_call_t *c, int fd, int64_t off, int64_t len,
                       window_sums_t *sums, media_err_t *ei)
{
    if (window_sums(fd, off, len, media_s3_op_sum(&wk_s3_store(s, c->req.key)->target, c->req.op),
                    sums) != 0) {
        return media_err_set(ei, MEDIA_E_RETRY, "the temporary file cannot be read");
    }
    c->req.payload_hash = media_str(sums->sha256);
    c->req.sum = media_str(sums->sum);
    c->req.content_length = len;
    c->fd = fd;
    c->body_off = off;
    c->body_len = len;
    return wk_s3_call(s, c, ei);
}

static int put_whole(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                     char *etag_out, size_t etag_cap, media_err_t *ei)
{
    wk_s3_call_t c;
    window_sums_t sums;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_PUT, key);
    c.req.content_type = media_str(content_type);
    rc = send_window(s, &c, fd, 0, size, &sums, ei);
    if (rc == 0) {
        (void)wk_fmt(etag_out, etag_cap, "%s", c.etag);
    }
    wk_s3_call_free(&c);
    return rc;
}

static int multipart_create(wk_s3_t *s, const char *key, const char *content_type, char *id,
                            size_t cap, media_err_t *ei)
{
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_CREATE_MULTIPART, key);
    c.req.content_type = media_str(content_type);
    c.req.content_length = 0;
    /* a repeated create would leave an upload nobody knows: one try */
    c.tries = 1;
    rc = wk_s3_call(s, &c, ei);
    if (rc == 0 && media_s3_create_parse(media_buf_view(&c.answer), id, cap, ei) < 0) {
        rc = MEDIA_E_RETRY;
    }
    wk_s3_call_free(&c);
    return rc;
}

/* The parts sent so far, as Complete lists them. */
typedef struct {
    const char *key;
    const char *id;
    media_buf_t xml;
    uint64_t crc; /* of all parts in a row, if the target has CRC64NVME */
} parts_t;

static int multipart_part(wk_s3_t *s, parts_t *p, int part, int fd, int64_t off, int64_t len,
                          media_err_t *ei)
{
    enum media_s3_sum_alg alg = wk_s3_store(s, media_str(p->key))->target.sum;
    window_sums_t sums;
    wk_s3_call_t c;
    char text[320];
    ssize_t n;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_UPLOAD_PART, p->key);
    c.req.upload_id = media_str(p->id);
    c.req.part_number = part;
    rc = send_window(s, &c, fd, off, len, &sums, ei);
    if (rc == 0) {
        p->crc = media_crc64nvme_combine(p->crc, sums.crc, len);
        n = media_s3_complete_part(part, media_str(c.etag), alg, sums.sum, text, sizeof(text));
        if (n < 0 || media_buf_add(&p->xml, text, (size_t)n) != 0) {
            rc = media_err_set(ei, MEDIA_E_RETRY, "object store: no usable etag of a part");
        }
    }
    wk_s3_call_free(&c);
    return rc;
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

static int multipart_complete(wk_s3_t *s, const parts_t *p, char *etag_out, size_t etag_cap,
                              media_err_t *ei)
{
    const media_buf_t *xml = &p->xml;
    wk_s3_call_t c;
    unsigned char digest[32];
    char hash[65], sum[MEDIA_S3_SUM_TEXT];
    int rc;

    if (EVP_Digest(xml->p, xml->len, digest, NULL, EVP_sha256(), NULL) != 1) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    (void)media_hex_encode(digest, sizeof(digest), hash, sizeof(hash));
    wk_s3_call_init(&c, MEDIA_S3_COMPLETE_MULTIPART, p->key);
    c.req.upload_id = media_str(p->id);
    if (wk_s3_store(s, c.req.key)->target.sum == MEDIA_S3_SUM_CRC64NVME) {
        media_s3_sum_crc_text(p->crc, sum);
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
        /* the key is used by this attempt only: if something stands there, it is ours */
        rc = object_stands(s, p->key, etag_out, etag_cap) == 0 ? 0 : MEDIA_E_RETRY;
    }
    wk_s3_call_free(&c);
    return rc;
}

static int put_parts(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                     wk_s3_upload_id_pt on_upload_id, void *data, char *etag_out, size_t etag_cap,
                     media_err_t *ei)
{
    int64_t part_size = S3_PART_SIZE;
    char id[1024];
    parts_t p = {.key = key, .id = id};
    int rc;

    while (size / part_size >= S3_PARTS_MAX) {
        part_size *= 2;
    }
    rc = multipart_create(s, key, content_type, id, sizeof(id), ei);
    if (rc != 0) {
        return rc;
    }
    media_buf_init(&p.xml, S3_COMPLETE_MAX);
    (void)media_buf_cstr(&p.xml, MEDIA_S3_COMPLETE_OPEN);
    if (on_upload_id != NULL) {
        rc = on_upload_id(data, key, id);
    }
    for (int64_t off = 0, part = 1; rc == 0 && off < size; off += part_size, part++) {
        int64_t len = size - off < part_size ? size - off : part_size;
        rc = multipart_part(s, &p, (int)part, fd, off, len, ei);
    }
    if (rc == 0) {
        rc = media_buf_cstr(&p.xml, MEDIA_S3_COMPLETE_CLOSE);
    }
    if (rc == 0) {
        rc = multipart_complete(s, &p, etag_out, etag_cap, ei);
    }
    if (rc != 0 && s->tick_rc == 0) {
        (void)wk_s3_abort(s, key, id, NULL); /* else the janitor does it */
    }
    media_buf_free(&p.xml);
    return rc;
}

int wk_s3_put_fd(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                 wk_s3_upload_id_pt on_upload_id, void *data, char *etag_out, size_t etag_cap,
                 media_err_t *ei)
{
    if (size <= S3_PUT_MAX) {
        return put_whole(s, key, content_type, fd, size, etag_out, etag_cap, ei);
    }
    return put_parts(s, key, content_type, fd, size, on_upload_id, data, etag_out, etag_cap, ei);
}

int wk_s3_delete(wk_s3_t *s, const char *key, media_err_t *ei)
{
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_DELETE, key);
    rc = wk_s3_call(s, &c, ei);
    wk_s3_call_free(&c);
    return rc == MEDIA_E_GONE ? 0 : rc;
}

/* A multipart upload or a version of a key; one that is not there is removed. */
static int remove_id(wk_s3_t *s, enum media_s3_op op, const char *key, const char *id,
                     media_err_t *ei)
{
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, op, key);
    c.req.upload_id = media_str(id);
    rc = wk_s3_call(s, &c, ei);
    wk_s3_call_free(&c);
    return rc == MEDIA_E_GONE ? 0 : rc;
}

int wk_s3_abort(wk_s3_t *s, const char *key, const char *upload_id, media_err_t *ei)
{
    return remove_id(s, MEDIA_S3_ABORT_MULTIPART, key, upload_id, ei);
}

typedef struct {
    wk_s3_t *s3;
    enum media_s3_op op;
    const char *key;
    int removed;
    int rc;
    media_err_t *ei;
} remove_each_t;

static int remove_each(void *data, media_str_t key, media_str_t id_listed)
{
    remove_each_t *r = data;
    char id[1024];

    if (!media_str_eq(key, media_str(r->key)) || id_listed.len >= sizeof(id)) {
        return 0; /* a longer key with the same beginning */
    }
    memcpy(id, id_listed.p, id_listed.len);
    id[id_listed.len] = '\0';
    r->rc = remove_id(r->s3, r->op, r->key, id, r->ei);
    r->removed++;
    return r->rc;
}

/* Removes by r->op what one page lists. 0; MEDIA_E_GONE: S3 does not know such a listing. */
static int remove_page(remove_each_t *r, enum media_s3_op list)
{
    wk_s3_call_t c;

    wk_s3_call_init(&c, list, r->key);
    media_buf_free(&c.answer);
    media_buf_init(&c.answer, 4u << 20); /* a page lists up to 1000 entries */
    r->rc = wk_s3_call(r->s3, &c, r->ei);
    r->removed = 0;
    if (r->rc == MEDIA_E_REJECT && strcmp(c.error.code, "NotImplemented") == 0) {
        r->rc = MEDIA_E_GONE;
    } else if (r->rc == 0 &&
               media_s3_list_parse(media_buf_view(&c.answer), remove_each, r, r->ei) < 0 &&
               r->rc == 0) {
        r->rc = MEDIA_E_RETRY;
    }
    wk_s3_call_free(&c);
    return r->rc;
}

/* Removes all that is listed under exactly the key. */
static int remove_listed(remove_each_t *r, enum media_s3_op list)
{
    for (int i = 0; i < S3_SWEEPS_MAX; i++) {
        if (remove_page(r, list) != 0 || r->removed == 0) {
            return r->rc;
        }
    }
    return media_err_set(r->ei, MEDIA_E_RETRY, "object store: not all that is listed is gone");
}

int wk_s3_abort_listed(wk_s3_t *s, const char *key, media_err_t *ei)
{
    remove_each_t r = {.s3 = s, .op = MEDIA_S3_ABORT_MULTIPART, .key = key, .ei = ei};

    return remove_listed(&r, MEDIA_S3_LIST_MULTIPART);
}

int wk_s3_delete_versions(wk_s3_t *s, const char *key, media_err_t *ei)
{
    remove_each_t r = {.s3 = s, .op = MEDIA_S3_DELETE_VERSION, .key = key, .ei = ei};
    int rc = remove_listed(&r, MEDIA_S3_LIST_VERSIONS);

    return rc == MEDIA_E_GONE ? wk_s3_delete(s, key, ei) : rc;
}

/* 1 when both stores are the same bucket under the same keys. */
static int one_store(const wk_s3_t *s)
{
    const wk_s3_store_t *in = &s->store[MEDIA_STORE_INPUT], *out = &s->store[MEDIA_STORE_OUTPUT];

    return in->cred == out->cred && strcmp(in->base, out->base) == 0 &&
           media_str_eq(in->target.bucket, out->target.bucket);
}

int wk_s3_ready(wk_s3_t *s, media_err_t *ei)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < (one_store(s) ? 1 : MEDIA_STORE_COUNT); i++) {
        wk_s3_call_t c;

        wk_s3_call_init(&c, MEDIA_S3_HEAD_BUCKET, "");
        c.store = &s->store[i];
        c.tries = 1;
        rc = wk_s3_call(s, &c, ei);
        wk_s3_call_free(&c);
    }
    return rc;
}
