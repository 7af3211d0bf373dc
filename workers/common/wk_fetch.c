#include "wk_fetch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#define FETCH_CONNECT_S 15L
#define FETCH_STALL_S 30L
#define FETCH_REDIRECTS 5L

typedef struct {
    int fd;
    int64_t left;
    int rc;
    int cause; /* errno of the disk */
} fetch_t;

static size_t on_bytes(char *p, size_t size, size_t n, void *data)
{
    fetch_t *f = data;
    size_t len = size * n, done = 0;

    if ((int64_t)len > f->left) {
        f->rc = MEDIA_E_TOOBIG;
        return 0;
    }
    while (done < len) {
        ssize_t got = write(f->fd, p + done, len - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            f->rc = MEDIA_E_RETRY;
            f->cause = errno;
            return 0;
        }
        done += (size_t)got;
    }
    f->left -= (int64_t)len;
    return len;
}

static int judge(CURLcode rc, CURL *curl, const fetch_t *f, const char *why, media_err_t *ei)
{
    long status = 0;

    if (f->rc == MEDIA_E_TOOBIG) {
        return media_err_set(ei, f->rc, "it is larger than it may be");
    }
    if (f->rc != 0) {
        return media_err_set(ei, f->rc, "it cannot be written: %s", strerror(f->cause));
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc == CURLE_HTTP_RETURNED_ERROR) {
        return media_err_set(ei, status >= 500 ? MEDIA_E_RETRY : MEDIA_E_GONE,
                             "the answer was status %ld", status);
    }
    if (rc == CURLE_FILE_COULDNT_READ_FILE) {
        return media_err_set(ei, MEDIA_E_GONE, "no such file");
    }
    return media_err_set(ei, MEDIA_E_RETRY, "%s", why[0] != '\0' ? why : curl_easy_strerror(rc));
}

int wk_fetch(const char *url, int fd, int64_t max_bytes, media_err_t *ei)
{
    char why[CURL_ERROR_SIZE] = "";
    fetch_t f = {.fd = fd, .left = max_bytes};
    CURL *curl = curl_easy_init();
    CURLcode rc;
    int out = 0;

    if (curl == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "no memory");
    }
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, FETCH_REDIRECTS);
    (void)curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, FETCH_CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, FETCH_STALL_S);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f);
    rc = curl_easy_setopt(curl, CURLOPT_URL, url);
    if (rc == CURLE_OK) {
        rc = curl_easy_perform(curl);
    }
    if (rc != CURLE_OK) {
        out = judge(rc, curl, &f, why, ei);
    }
    curl_easy_cleanup(curl);
    return out;
}
