/* One signed S3 request over libcurl.
 *
 * The easy handle is reset for each request and keeps its connection. Every wait has an end: 5 s to
 * connect, 30 s without a byte, and the caller's tick is asked in between. curl's own verbose
 * output and error buffer are not used: they would show signed headers and URLs. */
#include "wk_s3_call.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wk_alive.h"
#include "wk_log.h"

#define S3_CONNECT_MS 5000L
#define S3_STALL_S 30L
#define S3_TRIES 3
#define S3_BACKOFF_MS 200
#define S3_BACKOFF_MAX_MS 3200
#define S3_TICK_MS 250
#define S3_URI_MAX 8192

void wk_s3_call_init(wk_s3_call_t *c, enum media_s3_op op, const char *key)
{
    memset(c, 0, sizeof(*c));
    c->req.op = op;
    c->req.key = media_str(key);
    c->req.content_length = -1;
    c->body_len = -1;
    c->fd = -1;
    media_buf_init(&c->answer, MEDIA_S3_BODY_MAX);
}

void wk_s3_call_free(wk_s3_call_t *c)
{
    media_buf_free(&c->answer);
}

static int call_tick(wk_s3_t *s)
{
    int64_t now_ms = wk_mono_ms();

    wk_alive();
    if (s->tick == NULL || s->tick_rc != 0 || now_ms - s->ticked_ms < S3_TICK_MS) {
        return s->tick_rc;
    }
    s->ticked_ms = now_ms;
    s->tick_rc = s->tick(s->tick_data);
    return s->tick_rc;
}

static int on_progress(void *data, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    (void)ulnow;
    return call_tick(data) != 0;
}

static size_t on_body_read(char *p, size_t size, size_t n, void *data)
{
    wk_s3_call_t *c = data;
    int64_t left = c->body_len - c->sent;
    size_t want = size * n;
    ssize_t got;

    if (left <= 0) {
        return 0;
    }
    if ((int64_t)want > left) {
        want = (size_t)left;
    }
    if (c->mem != NULL) {
        memcpy(p, c->mem + c->sent, want);
        got = (ssize_t)want;
    } else {
        got = pread(c->fd, p, want, c->body_off + c->sent);
        if (got <= 0) {
            return CURL_READFUNC_ABORT;
        }
    }
    c->sent += got;
    return (size_t)got;
}

/* curl starts a body again when a kept connection turned out to be dead. */
static int on_body_seek(void *data, curl_off_t offset, int origin)
{
    wk_s3_call_t *c = data;

    if (origin != SEEK_SET || offset < 0 || offset > c->body_len) {
        return CURL_SEEKFUNC_FAIL;
    }
    c->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_answer(char *p, size_t size, size_t n, void *data)
{
    wk_s3_call_t *c = data;
    size_t len = size * n;
    long status = 0;

    (void)curl_easy_getinfo(c->s3->curl, CURLINFO_RESPONSE_CODE, &status);
    if (c->dst == NULL || status < 200 || status > 299) {
        return media_buf_add(&c->answer, p, len) == 0 ? len : 0;
    }
    if (len > c->dst_cap - c->dst_len) {
        return 0; /* more than was asked for: not the answer to our range */
    }
    memcpy(c->dst + c->dst_len, p, len);
    c->dst_len += len;
    return len;
}

/* The value of a header line if it is `name`'s, else p == NULL. */
static media_str_t header_value(media_str_t line, const char *name)
{
    size_t n = strlen(name);

    if (line.len <= n || line.p[n] != ':' ||
        !media_str_ieq((media_str_t){line.p, n}, media_str(name))) {
        return MEDIA_STR_NULL;
    }
    line = (media_str_t){line.p + n + 1, line.len - n - 1};
    while (line.len > 0 && (line.p[line.len - 1] == '\r' || line.p[line.len - 1] == '\n')) {
        line.len--;
    }
    return media_str_trim(line);
}

static void keep(char *dst, size_t cap, media_str_t value)
{
    if (value.p != NULL && value.len < cap) {
        memcpy(dst, value.p, value.len);
        dst[value.len] = '\0';
    }
}

/* "bytes 0-5/100": 100, else -1 */
static int64_t range_total(media_str_t value)
{
    const char *slash = value.len != 0 ? memchr(value.p, '/', value.len) : NULL;
    int64_t total = -1;

    if (slash != NULL) {
        (void)media_str_to_i64((media_str_t){slash + 1, value.len - (size_t)(slash + 1 - value.p)},
                               &total);
    }
    return total;
}

static size_t on_header(char *p, size_t size, size_t n, void *data)
{
    wk_s3_call_t *c = data;
    media_str_t line = {p, size * n};
    media_str_t etag = header_value(line, "etag");
    media_str_t range = header_value(line, "content-range");

    if (etag.p != NULL) {
        keep(c->etag, sizeof(c->etag), media_s3_etag(etag));
    }
    if (range.p != NULL) {
        c->length = range_total(range);
    }
    keep(c->sse, sizeof(c->sse), header_value(line, MEDIA_S3_SSE_HEADER));
    return line.len;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, media_str_t value,
                                     int *failed)
{
    char line[MEDIA_S3_CRED_TOKEN_MAX + 64];
    struct curl_slist *more;

    if (*failed) {
        return list;
    }
    if ((size_t)snprintf(line, sizeof(line), "%s: %.*s", name, (int)value.len, value.p) >=
        sizeof(line)) {
        *failed = 1;
        return list;
    }
    more = curl_slist_append(list, line);
    if (more == NULL) {
        *failed = 1;
        return list;
    }
    return more;
}

/* The signed headers of one try. NULL: out of memory or not signable. */
static struct curl_slist *call_headers(wk_s3_call_t *c)
{
    struct curl_slist *list = NULL;
    media_s3_headers_t hs;
    int failed = 0;

    c->req.now_s = wk_now_ms() / 1000;
    if (media_s3_headers(&c->store->target, &c->req, &hs) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < hs.n; i++) {
        list = add_header(list, hs.h[i].name.p, hs.h[i].value, &failed);
    }
    /* S3 refuses on the head alone too rarely to pay a round trip for each body */
    list = failed ? list : curl_slist_append(list, "Expect:");
    if (failed) {
        curl_slist_free_all(list);
        list = NULL;
    }
    return list;
}

static void call_options_method(wk_s3_t *s, wk_s3_call_t *c)
{
    switch (c->req.op) {
    case MEDIA_S3_HEAD:
    case MEDIA_S3_HEAD_BUCKET:
        (void)curl_easy_setopt(s->curl, CURLOPT_NOBODY, 1L);
        break;
    case MEDIA_S3_PUT:
    case MEDIA_S3_UPLOAD_PART:
    case MEDIA_S3_CREATE_BUCKET:
        (void)curl_easy_setopt(s->curl, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE,
                               (curl_off_t)(c->body_len > 0 ? c->body_len : 0));
        break;
    case MEDIA_S3_CREATE_MULTIPART:
    case MEDIA_S3_COMPLETE_MULTIPART:
        (void)curl_easy_setopt(s->curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t)(c->body_len > 0 ? c->body_len : 0));
        (void)curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, c->body_len > 0 ? c->mem : "");
        break;
    case MEDIA_S3_DELETE:
    case MEDIA_S3_ABORT_MULTIPART:
    case MEDIA_S3_DELETE_VERSION:
        (void)curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    case MEDIA_S3_GET:
    case MEDIA_S3_LIST_MULTIPART:
    case MEDIA_S3_LIST_OBJECTS:
    case MEDIA_S3_LIST_VERSIONS:
    case MEDIA_S3_OP_COUNT:
        (void)curl_easy_setopt(s->curl, CURLOPT_HTTPGET, 1L);
        break;
    }
}

static void call_options(wk_s3_t *s, wk_s3_call_t *c)
{
    CURL *h = s->curl;

    (void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    /* the gateway has no proxy setting either: both must reach the same store */
    (void)curl_easy_setopt(h, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, S3_CONNECT_MS);
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, S3_STALL_S);
    (void)curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    (void)curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 256L * 1024);
    (void)curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(h, CURLOPT_XFERINFODATA, s);
    (void)curl_easy_setopt(h, CURLOPT_READFUNCTION, on_body_read);
    (void)curl_easy_setopt(h, CURLOPT_READDATA, c);
    (void)curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_body_seek);
    (void)curl_easy_setopt(h, CURLOPT_SEEKDATA, c);
    (void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    if (c->store->connect_list != NULL) {
        (void)curl_easy_setopt(h, CURLOPT_CONNECT_TO, c->store->connect_list);
    }
    if (s->conf->s3_ca != NULL) {
        (void)curl_easy_setopt(h, CURLOPT_CAINFO, s->conf->s3_ca);
    }
    call_options_method(s, c);
}

/* The code of a finished HTTP exchange. */
static int call_verdict(wk_s3_call_t *c, media_err_t *ei)
{
    int rc;

    if (media_s3_error_parse(media_buf_view(&c->answer), &c->error) != 0) {
        memset(&c->error, 0, sizeof(c->error));
    }
    rc = media_s3_verdict((int)c->status, &c->error);
    if (rc != 0) {
        return media_err_set(ei, rc, "object store: %ld %s", c->status, c->error.code);
    }
    if (!media_s3_sse_kept(c->store->target.sse, c->req.op, media_str(c->sse))) {
        return media_err_set(ei, MEDIA_E_REJECT, "object store: it does not encrypt as asked");
    }
    return 0;
}

static int call_perform(wk_s3_t *s, wk_s3_call_t *c, media_err_t *ei)
{
    const wk_s3_store_t *store = c->store;
    char url[sizeof(store->base) + S3_URI_MAX];
    size_t base_len = strlen(store->base);
    struct curl_slist *headers = NULL;
    CURLcode code;
    int rc = MEDIA_E_BUG;

    memcpy(url, store->base, base_len);
    if (media_s3_uri(&store->target, &c->req, url + base_len, S3_URI_MAX) < 0) {
        (void)media_err_set(ei, rc, "object store: not a valid request");
        goto done;
    }
    headers = call_headers(c);
    if (headers == NULL) {
        (void)media_err_set(ei, rc, "object store: the request cannot be signed");
        goto done;
    }
    (void)curl_easy_setopt(s->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);

    code = curl_easy_perform(s->curl);
    (void)curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &c->status);
    if (c->status != 206 && c->status != 416) {
        (void)curl_easy_getinfo(s->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &c->length);
    }
    if (s->tick_rc != 0) {
        rc = media_err_set(ei, s->tick_rc, "object store: the request was given up");
    } else if (code != CURLE_OK && c->status < 300) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "object store: %s", curl_easy_strerror(code));
    } else {
        /* an error answer counts even if the connection broke under our body */
        rc = call_verdict(c, ei);
    }
done:
    curl_slist_free_all(headers);
    return rc;
}

static int call_once(wk_s3_t *s, wk_s3_call_t *c, media_err_t *ei)
{
    media_s3_cred_t cred;
    int rc;

    media_buf_reset(&c->answer);
    c->dst_len = 0;
    c->status = 0;
    c->length = -1;
    c->sent = 0;
    c->etag[0] = '\0';
    c->sse[0] = '\0';
    curl_easy_reset(s->curl);
    call_options(s, c);

    rc = wk_cred_get(c->store->cred, &cred, ei);
    if (rc == 0) {
        media_s3_cred_view(&cred, &c->store->target.cred);
        rc = call_perform(s, c, ei);
        media_s3_cred_clear(&cred);
    }
    return rc;
}

/* Waits before the next try, asking the tick. 0 or what the tick said. */
static int call_pause(wk_s3_t *s, int64_t ms)
{
    int64_t until_ms = wk_mono_ms() + ms;
    int64_t left;

    while ((left = until_ms - wk_mono_ms()) > 0) {
        if (call_tick(s) != 0) {
            return s->tick_rc;
        }
        (void)poll(NULL, 0, (int)(left < S3_TICK_MS ? left : S3_TICK_MS));
    }
    return call_tick(s);
}

wk_s3_store_t *wk_s3_store(wk_s3_t *s, media_str_t key)
{
    return &s->store[media_objkey_store(key)];
}

/* 1 after the last of `tries`. */
static int call_enough(const wk_s3_t *s, const wk_s3_call_t *c, int tries, int64_t began_ms)
{
    if (c->tries == 0 && s->patience_ms > 0) {
        return wk_mono_ms() - began_ms >= s->patience_ms;
    }
    return tries >= (c->tries > 0 ? c->tries : S3_TRIES);
}

int wk_s3_call(wk_s3_t *s, wk_s3_call_t *c, media_err_t *ei)
{
    int64_t began_ms = wk_mono_ms();
    int64_t pause_ms = S3_BACKOFF_MS;
    int rc;

    c->s3 = s;
    if (c->store == NULL) {
        c->store = wk_s3_store(s, c->req.key);
    }
    s->tick_rc = 0;
    for (int i = 1;; i++) {
        rc = call_once(s, c, ei);
        if (rc != MEDIA_E_RETRY || s->tick_rc != 0 || call_enough(s, c, i, began_ms)) {
            return rc;
        }
        rc = call_pause(s, pause_ms);
        if (rc != 0) {
            return media_err_set(ei, rc, "object store: the request was given up");
        }
        pause_ms = pause_ms * 4 < S3_BACKOFF_MAX_MS ? pause_ms * 4 : S3_BACKOFF_MAX_MS;
    }
}
