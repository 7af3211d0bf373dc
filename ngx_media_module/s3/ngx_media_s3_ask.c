
/*
 * Asking STS or a metadata service for credentials: the requests of an exchange
 * (libmedia's s3cred says which) one after the other, over ngx_media_http. The
 * token file of a web identity or a container is small and local, and read
 * anew for each exchange: whoever issues tokens replaces it.
 */

#include "ngx_media.h"
#include "ngx_media_s3_ask.h"


#define NGX_MEDIA_S3_ASK_TIMEOUT  10000     /* ms, one request */
#define NGX_MEDIA_S3_ASK_HEAD                                                 \
    (sizeof(((media_s3_exchange_t *) 0)->target)                              \
     + sizeof(((media_s3_exchange_t *) 0)->header) + 1024)


static void ngx_media_s3_ask_next(ngx_media_s3_cred_t *c);
static ngx_int_t ngx_media_s3_ask_secret(ngx_media_s3_cred_t *c,
    media_err_t *err);
static ngx_int_t ngx_media_s3_ask_send(ngx_media_s3_cred_t *c);
static void ngx_media_s3_ask_done(void *data, ngx_media_http_response_t *res);


void
ngx_media_s3_cred_ask(ngx_media_s3_cred_t *c)
{
    media_s3_exchange_free(&c->exchange);
    ngx_media_s3_ask_next(c);
}


static void
ngx_media_s3_ask_next(ngx_media_s3_cred_t *c)
{
    media_err_t  err;

    if (ngx_media_s3_ask_secret(c, &err) != NGX_OK) {
        ngx_media_s3_cred_failed(c, err.text);
        return;
    }

    if (ngx_media_s3_ask_send(c) != NGX_OK) {
        ngx_media_s3_cred_failed(c, "out of memory");
        return;
    }

    ngx_add_timer(&c->timer, NGX_MEDIA_S3_ASK_TIMEOUT);
}


/* Prepares the next request. */

static ngx_int_t
ngx_media_s3_ask_secret(ngx_media_s3_cred_t *c, media_err_t *err)
{
    int               rc;
    u_char            text[MEDIA_S3_CRED_FILE_MAX];
    ssize_t           n;
    media_str_t       secret;
    ngx_file_info_t   fi;

    n = 0;

    if (c->source.file.len != 0) {
        n = ngx_media_s3_cred_read(c->source.file.p, text, &fi);

        if (n < 0) {
            (void) media_err_set(err, MEDIA_E_RETRY,
                                 "the token file cannot be read");
            return NGX_ERROR;
        }
    }

    secret.p = (char *) text;
    secret.len = n;

    rc = media_s3_exchange_next(&c->exchange, secret, err);

    ngx_explicit_memzero(text, n);

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_media_s3_ask_send(ngx_media_s3_cred_t *c)
{
    u_char                     head[NGX_MEDIA_S3_ASK_HEAD], *p;
    media_s3_exchange_t       *x;
    ngx_media_http_request_t   hr;

    x = &c->exchange;

    p = ngx_snprintf(head, sizeof(head),
                     "%s %s HTTP/1.1" CRLF
                     "host: %*s" CRLF
                     "accept: */*" CRLF
                     "connection: close" CRLF
                     "content-length: %uz" CRLF
                     "%s%s" CRLF,
                     x->method, x->target, c->source.host.len,
                     c->source.host.p, x->body.len, x->header,
                     x->header[0] != '\0' ? CRLF : "");

    ngx_memzero(&hr, sizeof(ngx_media_http_request_t));

    hr.peer = &c->peer;
    hr.head.data = head;
    hr.head.len = p - head;
    hr.body.data = (u_char *) x->body.p;
    hr.body.len = x->body.len;
    hr.body_max = MEDIA_S3_CRED_FILE_MAX;
    hr.done = ngx_media_s3_ask_done;
    hr.data = c;
    hr.log = ngx_cycle->log;

    c->call = ngx_media_http_call(&hr);

    ngx_explicit_memzero(head, p - head);

    return c->call != NULL ? NGX_OK : NGX_ERROR;
}


static void
ngx_media_s3_ask_done(void *data, ngx_media_http_response_t *res)
{
    ngx_media_s3_cred_t  *c = data;

    int              rc;
    media_err_t      err;
    media_str_t      body;
    media_s3_cred_t  cred;

    c->call = NULL;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (res->rc != NGX_MEDIA_HTTP_OK) {
        ngx_media_s3_cred_failed(c, res->cause ? res->cause : "no answer");
        return;
    }

    body.p = (char *) res->body.data;
    body.len = res->body.len;

    rc = media_s3_exchange_answer(&c->exchange, res->h1->status, body,
                                  ngx_time(), &cred, &err);

    ngx_explicit_memzero(res->body.data, res->body.len);

    if (rc == MEDIA_E_AGAIN) {
        ngx_media_s3_ask_next(c);
        return;
    }

    media_s3_exchange_free(&c->exchange);

    if (rc != 0) {
        ngx_media_s3_cred_failed(c, err.text);
        return;
    }

    ngx_media_s3_cred_got(c, &cred);
    media_s3_cred_clear(&cred);
}
