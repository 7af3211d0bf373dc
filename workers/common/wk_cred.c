/* Credentials of the workers, see wk_cred.h. */
#include "wk_cred.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "wk_log.h"

#define CRED_CONNECT_MS 1000L
#define CRED_TIMEOUT_MS 3000L
#define CRED_PAUSE_S 5 /* between two failed attempts */
#define CRED_ANSWER_MAX 65536

struct wk_cred_s {
    wk_store_conf_t conf;
    const char *ca;
    media_getenv_pt env;
    pthread_mutex_t lock;
    int refs;
    media_s3_source_t source;
    int source_rc; /* of media_s3_source_load() */
    media_err_t source_ei;

    media_s3_cred_t now;
    int have;
    int64_t ask_at_s; /* 0: never */
    struct stat seen; /* the file, when it was read */
};

/* The keys of the environment come through the table of wk_conf.c, which checks them. */
static int from_conf(const wk_cred_t *c, media_s3_cred_t *out, media_err_t *ei)
{
    const wk_store_conf_t *conf = &c->conf;

    if (conf->access_key == NULL || conf->secret_key == NULL) {
        return media_err_set(ei, MEDIA_E_AUTH, "%s",
                             c->env == getenv
                                 ? "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set"
                                 : "MEDIA_S3_OUTPUT_ACCESS_KEY_ID and "
                                   "MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY must be set");
    }
    (void)wk_fmt(out->access_key, sizeof(out->access_key), "%s", conf->access_key);
    (void)wk_fmt(out->secret_key, sizeof(out->secret_key), "%s", conf->secret_key);
    if (conf->session_token != NULL) {
        (void)wk_fmt(out->session_token, sizeof(out->session_token), "%s", conf->session_token);
    }
    return 0;
}

static int load_source(wk_cred_t *c)
{
    const wk_store_conf_t *conf = &c->conf;
    int kind = conf->credentials == NULL ? -1 : media_s3_source_parse(media_str(conf->credentials));

    if (kind == MEDIA_S3_SOURCE_ENV || (kind < 0 && conf->access_key != NULL)) {
        c->source.kind = MEDIA_S3_SOURCE_ENV;
        c->have = 1;
        return from_conf(c, &c->now, &c->source_ei);
    }
    c->ask_at_s = 1;
    c->source.file = media_str(conf->credentials_file);
    c->source.profile = media_str(conf->profile);
    return media_s3_source_load(&c->source, kind, media_str(conf->region), c->env, &c->source_ei);
}

wk_cred_t *wk_cred_new(const wk_conf_t *conf, enum media_store which)
{
    wk_cred_t *c = calloc(1, sizeof(*c));

    if (c == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return NULL;
    }
    c->conf = wk_conf_store(conf, which);
    c->ca = conf->s3_ca;
    c->env = which == MEDIA_STORE_OUTPUT ? media_s3_output_env : getenv;
    c->refs = 1;
    c->source_rc = load_source(c);
    return c;
}

wk_cred_t *wk_cred_ref(wk_cred_t *c)
{
    (void)pthread_mutex_lock(&c->lock);
    c->refs++;
    (void)pthread_mutex_unlock(&c->lock);
    return c;
}

void wk_cred_unref(wk_cred_t *c)
{
    int refs;

    if (c == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    refs = --c->refs;
    (void)pthread_mutex_unlock(&c->lock);
    if (refs == 0) {
        (void)pthread_mutex_destroy(&c->lock);
        media_s3_cred_clear(&c->now);
        free(c);
    }
}

/* A whole small file into b. */
static int read_file(media_str_t path, struct stat *st, media_buf_t *b, media_err_t *ei)
{
    int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY); /* from argv, environ: NUL-terminated */
    char chunk[4096];
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode)) {
        while ((n = read(fd, chunk, sizeof(chunk))) > 0 &&
               media_buf_add(b, chunk, (size_t)n) == 0) {
        }
    }
    OPENSSL_cleanse(chunk, sizeof(chunk));
    if (fd >= 0) {
        (void)close(fd);
    }
    if (n != 0 || b->failed) {
        return media_err_set(ei, MEDIA_E_RETRY, "%s cannot be read", path.p);
    }
    return 0;
}

static int from_file(wk_cred_t *c, media_s3_cred_t *out, media_err_t *ei)
{
    media_buf_t text;
    int rc;

    media_buf_init(&text, MEDIA_S3_CRED_FILE_MAX);
    rc = read_file(c->source.file, &c->seen, &text, ei);
    if (rc == 0) {
        rc = media_s3_cred_ini(media_buf_view(&text), c->source.profile, out, ei);
    }
    media_buf_free(&text);
    return rc;
}

static int file_changed(wk_cred_t *c)
{
    struct stat st;

    return stat(c->source.file.p, &st) != 0 || st.st_mtim.tv_sec != c->seen.st_mtim.tv_sec ||
           st.st_mtim.tv_nsec != c->seen.st_mtim.tv_nsec || st.st_size != c->seen.st_size ||
           st.st_ino != c->seen.st_ino;
}

static size_t on_answer(char *p, size_t size, size_t n, void *data)
{
    return media_buf_add(data, p, size * n) == 0 ? size * n : 0;
}

/* One request of the exchange; its status, or 0. */
static long ask(const wk_cred_t *c, CURL *h, media_s3_exchange_t *x, media_buf_t *answer)
{
    const media_s3_source_t *s = &c->source;
    struct curl_slist *headers = NULL;
    char url[2048];
    long status = 0;

    (void)wk_fmt(url, sizeof(url), "%s://%.*s%s", s->tls ? "https" : "http", (int)s->host.len,
                 s->host.p, x->target);
    curl_easy_reset(h);
    (void)curl_easy_setopt(h, CURLOPT_URL, url);
    (void)curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(h, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CRED_CONNECT_MS);
    (void)curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, CRED_TIMEOUT_MS);
    (void)curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(h, CURLOPT_WRITEDATA, answer);
    if (c->ca != NULL) {
        (void)curl_easy_setopt(h, CURLOPT_CAINFO, c->ca);
    }
    if (strcmp(x->method, "POST") == 0) {
        (void)curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.len);
        (void)curl_easy_setopt(h, CURLOPT_POSTFIELDS, x->body.p);
    } else if (strcmp(x->method, "GET") != 0) {
        (void)curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, x->method);
    }
    headers = curl_slist_append(headers, "Expect:");
    if (x->header[0] != '\0') {
        headers = curl_slist_append(headers, x->header);
    }
    (void)curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    if (curl_easy_perform(h) == CURLE_OK) {
        (void)curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_slist_free_all(headers);
    return status;
}

static int step(wk_cred_t *c, CURL *h, media_s3_exchange_t *x, media_s3_cred_t *out,
                media_err_t *ei)
{
    media_buf_t secret, answer;
    struct stat st;
    long status;
    int rc = 0;

    media_buf_init(&secret, MEDIA_S3_CRED_FILE_MAX);
    media_buf_init(&answer, CRED_ANSWER_MAX);
    if (c->source.file.len != 0) {
        rc = read_file(c->source.file, &st, &secret, ei);
    }
    if (rc == 0) {
        rc = media_s3_exchange_next(x, media_buf_view(&secret), ei);
    }
    if (rc == 0) {
        status = ask(c, h, x, &answer);
        rc = status == 0 ? media_err_set(ei, MEDIA_E_RETRY, "%.*s does not answer",
                                         (int)c->source.host.len, c->source.host.p)
                         : media_s3_exchange_answer(x, (int)status, media_buf_view(&answer),
                                                    wk_now_ms() / 1000, out, ei);
    }
    media_buf_free(&secret);
    media_buf_free(&answer);
    return rc;
}

static int from_http(wk_cred_t *c, media_s3_cred_t *out, media_err_t *ei)
{
    media_s3_exchange_t *x = calloc(1, sizeof(*x));
    CURL *h = curl_easy_init();
    int rc = MEDIA_E_NOMEM;

    if (x != NULL && h != NULL) {
        media_s3_exchange_init(x, &c->source);
        do {
            rc = step(c, h, x, out, ei);
        } while (rc == MEDIA_E_AGAIN);
        media_s3_exchange_free(x);
    }
    free(x);
    if (h != NULL) {
        curl_easy_cleanup(h);
    }
    return rc;
}

static int is_due(wk_cred_t *c, int64_t now_s)
{
    if (c->ask_at_s != 0 && now_s >= c->ask_at_s) {
        return 1;
    }
    return c->have && c->source.kind == MEDIA_S3_SOURCE_FILE && file_changed(c);
}

static void renew(wk_cred_t *c, int64_t now_s, media_err_t *ei)
{
    media_s3_cred_t fresh;
    uint32_t random = 0;
    int rc;

    memset(&fresh, 0, sizeof(fresh));
    rc = c->source.kind == MEDIA_S3_SOURCE_FILE ? from_file(c, &fresh, ei)
                                                : from_http(c, &fresh, ei);
    if (rc == 0) {
        (void)RAND_bytes((unsigned char *)&random, sizeof(random));
        c->now = fresh;
        c->have = 1;
        c->ask_at_s = media_s3_cred_renew_at(&fresh, now_s, random);
    } else {
        wk_log(MEDIA_LOG_WARN, "no new S3 credentials", "cause", ei->text, NULL);
        c->ask_at_s = now_s + CRED_PAUSE_S;
    }
    media_s3_cred_clear(&fresh);
}

int wk_cred_get(wk_cred_t *c, media_s3_cred_t *out, media_err_t *ei)
{
    int64_t now_s = wk_now_ms() / 1000;
    media_err_t cause = {"S3 credentials were not to be had a moment ago"};
    int rc = 0;

    if (c->source_rc != 0) {
        return media_err_set(ei, MEDIA_E_AUTH, "no S3 credentials: %s", c->source_ei.text);
    }
    (void)pthread_mutex_lock(&c->lock);
    if (is_due(c, now_s)) {
        renew(c, now_s, &cause);
    }
    if (c->have && (c->now.expires_at_s == 0 || wk_now_ms() / 1000 < c->now.expires_at_s)) {
        *out = c->now;
    } else {
        rc = media_err_set(ei, MEDIA_E_RETRY, "no S3 credentials: %s", cause.text);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}
