/* Delivery by libcurl, see smtp.h. libcurl says "send failed" for a refused recipient and for a
 * broken line alike, so the verdict comes from the server's own last reply. */
#include "smtp.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "media/buf.h"

#define SMTP_CONNECT_S 15L
#define SMTP_REPLY_S 60L  /* for one reply */
#define SMTP_TOTAL_S 300L /* for all */
#define SMTP_URL_MAX 2048

typedef struct {
    const smtp_mail_t *mail;
    size_t sent;
    int replies; /* lines seen; the first is the greeting */
    int code;    /* of the last line, 0: none yet */
    int ticked_out;
    char last[200];
} smtp_talk_t;

/* One reply line: "250-text" or "250 text". */
static size_t on_reply(char *p, size_t size, size_t n, void *data)
{
    smtp_talk_t *t = data;
    size_t len = size * n, out = 0;

    if (len >= 3 && memcmp(p, "221", 3) == 0) {
        return len; /* the answer to QUIT says nothing about the mail */
    }
    t->replies++;
    t->code = 0;
    for (size_t i = 0; i < 3 && i < len && p[i] >= '0' && p[i] <= '9'; i++) {
        t->code = t->code * 10 + (p[i] - '0');
    }
    for (size_t i = 0; i < len && out + 1 < sizeof(t->last) && p[i] != '\r' && p[i] != '\n'; i++) {
        t->last[out++] = p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?';
    }
    t->last[out] = '\0';
    return len;
}

static size_t on_read(char *dst, size_t size, size_t n, void *data)
{
    smtp_talk_t *t = data;
    size_t left = t->mail->message.len - t->sent;
    size_t take = size * n < left ? size * n : left;

    memcpy(dst, t->mail->message.p + t->sent, take);
    t->sent += take;
    return take;
}

static int on_progress(void *data, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    smtp_talk_t *t = data;

    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    (void)ulnow;
    t->ticked_out = t->mail->tick != NULL && t->mail->tick(t->mail->data) != 0;
    return t->ticked_out;
}

/* curl has no smtp+starttls: it is smtp with TLS required. */
static int set_url(CURL *curl, const char *url, media_err_t *ei)
{
    static const char starttls[] = "smtp+starttls://";
    const size_t n = sizeof(starttls) - 1;
    media_buf_t plain;
    int required = strncmp(url, starttls, n) == 0;
    int rc;

    media_buf_init(&plain, SMTP_URL_MAX); /* cleansed by its free: there may be a password in it */
    rc = media_buf_fmt(&plain, "%s%s", required ? "smtp://" : "", required ? url + n : url);
    if (rc != 0 || curl_easy_setopt(curl, CURLOPT_URL, plain.p) != CURLE_OK) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "MEDIA_SMTP_URL cannot be used");
    }
    media_buf_free(&plain);
    curl_easy_setopt(curl, CURLOPT_USE_SSL, required ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
    if (strncmp(url, "smtp://", 7) == 0 && strchr(url, '@') == NULL) {
        /* opportunistic TLS without a password (RFC 7435): encryption without a proven peer is
         * still better than the plain text that would follow from a refusal */
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return rc;
}

static void set_options(CURL *curl, smtp_talk_t *t, struct curl_slist *rcpt)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, SMTP_CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, SMTP_REPLY_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, SMTP_TOTAL_S);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, t->mail->from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, rcpt);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->mail->message.len);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
}

static int verdict(CURLcode rc, const smtp_talk_t *t, media_err_t *ei)
{
    if (rc == CURLE_OK) {
        return 0;
    }
    if (t->ticked_out) {
        return media_err_set(ei, MEDIA_E_AGAIN, "the delivery was broken off");
    }
    if (rc == CURLE_LOGIN_DENIED || rc == CURLE_USE_SSL_FAILED || t->code == 530 ||
        t->code == 535) {
        /* our account or configuration: not this mail's fault */
        return media_err_set(ei, MEDIA_E_RETRY, "the mail server does not let us in: %s", t->last);
    }
    if (t->code >= 500 && t->code <= 599 && t->replies > 1) {
        return media_err_set(ei, MEDIA_E_REJECT, "the mail server refused: %s", t->last);
    }
    if (t->code >= 400) {
        return media_err_set(ei, MEDIA_E_RETRY, "the mail server put us off: %s", t->last);
    }
    return media_err_set(ei, MEDIA_E_RETRY, "the mail server: %s", curl_easy_strerror(rc));
}

/* curl's cleanup says QUIT and would wait for the answer, up to SMTP_REPLY_S without a tick: the
 * lease of an already accepted mail could run out meanwhile. With the reading side shut, QUIT is
 * still sent. */
static void stop_reading(CURL *curl)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD) {
        (void)shutdown(fd, SHUT_RD);
    }
}

int smtp_send(const smtp_mail_t *mail, char *reply, size_t cap, media_err_t *ei)
{
    smtp_talk_t t = {.mail = mail};
    CURL *curl = curl_easy_init();
    struct curl_slist *rcpt = curl_slist_append(NULL, mail->to);
    int rc = MEDIA_E_RETRY;

    reply[0] = '\0';
    if (curl == NULL || rcpt == NULL) {
        (void)media_err_set(ei, rc, "out of memory");
        goto done;
    }
    rc = set_url(curl, mail->url, ei);
    if (rc != 0) {
        goto done;
    }
    set_options(curl, &t, rcpt);
    rc = verdict(curl_easy_perform(curl), &t, ei);
    (void)snprintf(reply, cap, "%s", t.last);
    stop_reading(curl);

done:
    curl_slist_free_all(rcpt);
    curl_easy_cleanup(curl);
    return rc;
}
