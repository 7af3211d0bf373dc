
/*
 * Credentials for S3, see ngx_media_s3_cred.h: when to look, the file, what is
 * shared. The requests to STS and metadata services are in
 * ngx_media_s3_cred_ask.c.
 *
 * One timer per process does all; it never keeps a worker from exiting.
 *
 *   source       the timer comes
 *   env          never
 *   file         every two seconds: has the file changed?
 *   over HTTP    at once, then before the end of what is there; soon again
 *                after a failure; while a request runs, at its deadline
 */

#include "ngx_media.h"
#include "ngx_media_s3_ask.h"


#define NGX_MEDIA_S3_CRED_LOOK   2000   /* ms between two looks at a file */
#define NGX_MEDIA_S3_CRED_RETRY  30     /* s, the longest pause */


static void ngx_media_s3_cred_timer(ngx_event_t *ev);
static void ngx_media_s3_cred_look(ngx_media_s3_cred_t *c);
static void ngx_media_s3_cred_schedule(ngx_media_s3_cred_t *c);
static ngx_uint_t ngx_media_s3_cred_adopt(ngx_media_s3_cred_t *c);
static void ngx_media_s3_cred_share(ngx_media_s3_cred_t *c);


void
ngx_media_s3_cred_init(ngx_cycle_t *cycle, ngx_media_s3_cred_t *c)
{
    c->timer.handler = ngx_media_s3_cred_timer;
    c->timer.data = c;
    c->timer.log = cycle->log;
    c->timer.cancelable = 1;

    switch (c->source.kind) {

    case MEDIA_S3_SOURCE_ENV:
        return;

    case MEDIA_S3_SOURCE_FILE:
        ngx_add_timer(&c->timer, NGX_MEDIA_S3_CRED_LOOK);
        return;

    default:
        media_s3_exchange_init(&c->exchange, &c->source);

        if (ngx_media_s3_cred_adopt(c)) {
            ngx_media_s3_cred_schedule(c);
            return;
        }

        ngx_media_s3_cred_ask(c);
    }
}


void
ngx_media_s3_cred_done(ngx_media_s3_cred_t *c)
{
    ngx_media_http_cancel(c->call);
    c->call = NULL;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (c->exchange.source != NULL) {
        media_s3_exchange_free(&c->exchange);
    }

    media_s3_cred_clear(&c->cred);
}


ngx_uint_t
ngx_media_s3_cred_usable(ngx_media_s3_cred_t *c)
{
    return c->generation != 0
           && (c->cred.expires_at_s == 0
               || ngx_time() < c->cred.expires_at_s);
}


static void
ngx_media_s3_cred_timer(ngx_event_t *ev)
{
    ngx_media_s3_cred_t  *c = ev->data;

    if (c->source.kind == MEDIA_S3_SOURCE_FILE) {
        ngx_media_s3_cred_look(c);
        ngx_add_timer(ev, NGX_MEDIA_S3_CRED_LOOK);
        return;
    }

    if (c->call != NULL) {
        ngx_media_http_abort(c->call, "no answer in time");
        return;
    }

    /* another process may have asked meanwhile */

    if (ngx_media_s3_cred_adopt(c)) {
        ngx_media_s3_cred_schedule(c);
        return;
    }

    ngx_media_s3_cred_ask(c);
}


/* Reads the file into `text`, which has room for MEDIA_S3_CRED_FILE_MAX. */

ssize_t
ngx_media_s3_cred_read(const char *path, u_char *text, ngx_file_info_t *fi)
{
    ssize_t   n;
    ngx_fd_t  fd;

    fd = ngx_open_file(path, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK, NGX_FILE_OPEN,
                       0);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    n = NGX_ERROR;

    if (ngx_fd_info(fd, fi) != NGX_FILE_ERROR && ngx_is_file(fi)
        && ngx_file_size(fi) < MEDIA_S3_CRED_FILE_MAX)
    {
        n = ngx_read_fd(fd, text, MEDIA_S3_CRED_FILE_MAX);
    }

    (void) ngx_close_file(fd);

    return n;
}


ngx_int_t
ngx_media_s3_cred_load(ngx_media_s3_cred_t *c, media_err_t *err)
{
    int               rc;
    u_char            text[MEDIA_S3_CRED_FILE_MAX];
    ssize_t           n;
    media_str_t       view;
    media_s3_cred_t   cred;
    ngx_file_info_t   fi;

    ngx_memzero(&fi, sizeof(ngx_file_info_t));

    n = ngx_media_s3_cred_read(c->source.file.p, text, &fi);

    if (n < 0) {
        (void) media_err_set(err, MEDIA_E_RETRY, "it cannot be read");
        return NGX_ERROR;
    }

    view.p = (char *) text;
    view.len = n;

    rc = media_s3_cred_ini(view, c->source.profile, &cred, err);

    ngx_explicit_memzero(text, n);

    if (rc != 0) {
        return NGX_ERROR;
    }

    c->mtime = ngx_file_mtime(&fi);
    c->size = ngx_file_size(&fi);
    c->uniq = ngx_file_uniq(&fi);

    c->cred = cred;
    c->generation++;

    media_s3_cred_clear(&cred);

    return NGX_OK;
}


/* A file is often replaced by renaming, and what is there may be half a file:
 * it stays unread until it is good. */

static void
ngx_media_s3_cred_look(ngx_media_s3_cred_t *c)
{
    media_err_t      err;
    ngx_file_info_t  fi;

    if (ngx_file_info(c->source.file.p, &fi) != NGX_FILE_ERROR
        && ngx_file_mtime(&fi) == c->mtime && ngx_file_size(&fi) == c->size
        && ngx_file_uniq(&fi) == c->uniq)
    {
        return;
    }

    if (ngx_media_s3_cred_load(c, &err) == NGX_OK) {
        c->failures = 0;
        ngx_media_count(NGX_MEDIA_C_S3_CRED_RENEWED, 1);

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "media s3 credentials: read \"%s\" anew",
                      c->source.file.p);
        return;
    }

    ngx_media_count(NGX_MEDIA_C_S3_CRED_FAILED, 1);

    if (c->failures++ == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "media s3 credentials: \"%s\": %s; the old ones stay",
                      c->source.file.p, err.text);
    }
}


/* What an exchange ended with. */

void
ngx_media_s3_cred_got(ngx_media_s3_cred_t *c, media_s3_cred_t *cred)
{
    c->cred = *cred;
    c->generation++;
    c->failures = 0;

    ngx_media_count(NGX_MEDIA_C_S3_CRED_RENEWED, 1);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "media s3 credentials: new ones for %L s",
                  c->cred.expires_at_s - ngx_time());

    ngx_media_s3_cred_share(c);
    ngx_media_s3_cred_schedule(c);
}


void
ngx_media_s3_cred_failed(ngx_media_s3_cred_t *c, const char *cause)
{
    time_t      pause;
    ngx_uint_t  level, usable;

    usable = ngx_media_s3_cred_usable(c);
    level = usable ? NGX_LOG_WARN : NGX_LOG_ERR;

    ngx_media_count(NGX_MEDIA_C_S3_CRED_FAILED, 1);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "media s3 credentials: %*s: %s; %s",
                  c->source.host.len, c->source.host.p, cause,
                  usable ? "the old ones are still good" : "there are none");

    pause = ngx_min((time_t) 1 << ngx_min(c->failures, 10),
                    NGX_MEDIA_S3_CRED_RETRY);
    c->failures++;

    ngx_add_timer(&c->timer, pause * 1000 + ngx_random() % 1000);
}


static void
ngx_media_s3_cred_schedule(ngx_media_s3_cred_t *c)
{
    time_t  wait;

    c->renew_at = media_s3_cred_renew_at(&c->cred, ngx_time(), ngx_random());

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (c->renew_at == 0) {
        return;
    }

    wait = ngx_max(c->renew_at - ngx_time(), 1);

    ngx_add_timer(&c->timer, (ngx_msec_t) ngx_min(wait, 86400) * 1000);
}


/* Takes over what is in shared memory, if it is of this source and newer than
 * ours. 1: it was, and is not due yet. */

static ngx_uint_t
ngx_media_s3_cred_adopt(ngx_media_s3_cred_t *c)
{
    ngx_uint_t                taken;
    ngx_slab_pool_t          *shpool;
    ngx_media_s3_cred_shm_t  *shared;

    shared = ngx_media_shm_s3_cred(c->which, &shpool);
    if (shared == NULL) {
        return 0;
    }

    taken = 0;

    ngx_shmtx_lock(&shpool->mutex);

    if (shared->generation != 0 && shared->generation != c->shared
        && shared->source == c->source_crc
        && shared->cred.expires_at_s > c->cred.expires_at_s)
    {
        c->cred = shared->cred;
        c->shared = shared->generation;
        taken = 1;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    if (!taken) {
        return 0;
    }

    c->generation++;
    c->failures = 0;

    return ngx_media_s3_cred_usable(c)
           && media_s3_cred_renew_at(&c->cred, ngx_time(), 0) > ngx_time();
}


static void
ngx_media_s3_cred_share(ngx_media_s3_cred_t *c)
{
    ngx_slab_pool_t          *shpool;
    ngx_media_s3_cred_shm_t  *shared;

    shared = ngx_media_shm_s3_cred(c->which, &shpool);
    if (shared == NULL) {
        return;
    }

    ngx_shmtx_lock(&shpool->mutex);

    shared->cred = c->cred;
    shared->source = c->source_crc;
    shared->generation++;
    c->shared = shared->generation;

    ngx_shmtx_unlock(&shpool->mutex);
}
