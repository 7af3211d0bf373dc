/* S3 operations of the workers, each one or a few signed requests (wk_s3_call.c). */
#include "wk_s3.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wk_log.h"
#include "wk_s3_call.h"

#define S3_SWEEPS_MAX 16
#define S3_LISTING_MAX (4u << 20) /* a page has up to 1000 entries */

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

void wk_s3_patience(wk_s3_t *s, int64_t ms)
{
    s->patience_ms = ms;
}

void wk_s3_on_tick(wk_s3_t *s, wk_s3_tick_pt tick, void *data)
{
    s->tick = tick;
    s->tick_data = data;
    s->ticked_ms = wk_mono_ms();
}

/* The size of the object is left in *size, -1 if the answer does not say it. */
static ssize_t get_range(wk_s3_t *s, const char *key, int64_t off, size_t len, void *dst,
                         int64_t *size, media_err_t *ei)
{
    wk_s3_call_t c;
    char range[64];
    ssize_t rc;

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
    *size = c.status == 416 && off == 0 ? 0 : c.length;
    wk_s3_call_free(&c);
    return rc;
}

ssize_t wk_s3_get_range(wk_s3_t *s, const char *key, int64_t off, size_t len, void *dst,
                        media_err_t *ei)
{
    int64_t size;

    if (len == 0 || off < 0) {
        return len == 0 ? 0 : media_err_set(ei, MEDIA_E_BUG, "object store: negative offset");
    }
    return get_range(s, key, off, len, dst, &size, ei);
}

ssize_t wk_s3_get_first(wk_s3_t *s, const char *key, size_t len, void *dst, int64_t *size,
                        media_err_t *ei)
{
    ssize_t n = get_range(s, key, 0, len, dst, size, ei);

    return n < 0 || *size >= n
               ? n
               : media_err_set(ei, MEDIA_E_RETRY, "object store: no size of an object");
}

int wk_s3_head(wk_s3_t *s, const char *key, int64_t *size, media_err_t *ei)
{
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_HEAD, key);
    rc = wk_s3_call(s, &c, ei);
    *size = c.length;
    if (rc == 0 && c.length < 0) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "object store: no length of an object");
    }
    wk_s3_call_free(&c);
    return rc;
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
    media_buf_init(&c.answer, S3_LISTING_MAX);
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

typedef struct {
    wk_s3_each_pt each;
    void *data;
    char last[1024]; /* key of the page */
} list_each_t;

static int list_each(void *data, media_str_t key, media_str_t size_text)
{
    list_each_t *l = data;
    int64_t size;

    if (key.len >= sizeof(l->last) || media_str_to_i64(size_text, &size) != 0) {
        return MEDIA_E_REJECT;
    }
    memcpy(l->last, key.p, key.len);
    l->last[key.len] = '\0';
    return l->each(l->data, key, size);
}

/* What comes after l->last, a page of it; the count. */
static int list_page(wk_s3_t *s, const char *prefix, list_each_t *l, media_err_t *ei)
{
    char after[sizeof(l->last)];
    wk_s3_call_t c;
    int rc;

    wk_s3_call_init(&c, MEDIA_S3_LIST_OBJECTS, prefix);
    media_buf_free(&c.answer);
    media_buf_init(&c.answer, S3_LISTING_MAX);
    memcpy(after, l->last, sizeof(after));
    c.req.upload_id = media_str(after);
    rc = wk_s3_call(s, &c, ei);
    if (rc == 0) {
        rc = media_s3_list_parse(media_buf_view(&c.answer), list_each, l, ei);
    }
    wk_s3_call_free(&c);
    return rc;
}

int wk_s3_list(wk_s3_t *s, const char *prefix, wk_s3_each_pt each, void *data, media_err_t *ei)
{
    list_each_t l = {.each = each, .data = data};
    int rc;

    do {
        rc = list_page(s, prefix, &l, ei);
    } while (rc > 0);
    return rc;
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
