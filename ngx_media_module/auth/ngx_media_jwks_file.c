
/*
 * media_auth_jwks file: looked at every other second by each process, read
 * again when it is another file or has changed. A set that cannot be read
 * leaves the old one in place: somebody may be in the middle of writing it.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"


#define NGX_MEDIA_JWKS_LOOK  2000   /* ms */


static void ngx_media_jwks_file_handler(ngx_event_t *ev);
static void ngx_media_jwks_file_look(ngx_media_jwks_t *jwks);
static ngx_uint_t ngx_media_jwks_file_same(struct stat *a, struct stat *b);
static ngx_int_t ngx_media_jwks_file_read(ngx_media_jwks_t *jwks, ngx_fd_t fd,
    media_err_t *ei);


void
ngx_media_jwks_file_start(ngx_media_jwks_t *jwks)
{
    jwks->timer.data = jwks;
    jwks->timer.handler = ngx_media_jwks_file_handler;
    jwks->timer.log = jwks->auth->log;
    jwks->timer.cancelable = 1;

    /* it may have changed since the configuration was read */

    ngx_media_jwks_file_handler(&jwks->timer);
}


static void
ngx_media_jwks_file_handler(ngx_event_t *ev)
{
    ngx_media_jwks_file_look(ev->data);

    ngx_add_timer(ev, NGX_MEDIA_JWKS_LOOK);
}


static void
ngx_media_jwks_file_look(ngx_media_jwks_t *jwks)
{
    ngx_fd_t     fd;
    ngx_int_t    rc;
    u_char      *name;
    media_err_t  ei;
    struct stat  info;

    name = jwks->conf->name.data;

    if (ngx_file_info(name, &info) == NGX_FILE_ERROR) {
        if (jwks->info.st_ino) {
            ngx_log_error(NGX_LOG_ERR, jwks->auth->log, ngx_errno,
                          "media: key set: " ngx_file_info_n " \"%s\" failed",
                          name);
            ngx_memzero(&jwks->info, sizeof(struct stat));
        }

        return;
    }

    if (ngx_media_jwks_file_same(&info, &jwks->info)) {
        return;
    }

    jwks->info = info;

    /* non-blocking: should it have become a FIFO */

    fd = ngx_open_file(name, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK, NGX_FILE_OPEN,
                       0);
    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, jwks->auth->log, ngx_errno,
                      "media: key set: " ngx_open_file_n " \"%s\" failed",
                      name);
        return;
    }

    rc = ngx_media_jwks_file_read(jwks, fd, &ei);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, jwks->auth->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed", name);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, jwks->auth->log, 0,
                      "media: key set \"%s\" is kept as it was, cause=\"%s\"",
                      name, ei.text);
    }
}


static ngx_uint_t
ngx_media_jwks_file_same(struct stat *a, struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev
           && a->st_size == b->st_size
           && a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}


static ngx_int_t
ngx_media_jwks_file_read(ngx_media_jwks_t *jwks, ngx_fd_t fd, media_err_t *ei)
{
    ssize_t     n;
    ngx_int_t   rc;
    ngx_str_t   text;

    text.data = ngx_alloc(MEDIA_JWKS_TEXT_MAX + 1, jwks->auth->log);
    if (text.data == NULL) {
        (void) media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
        return NGX_ERROR;
    }

    /* one byte more than allowed tells that there are more */

    text.len = 0;

    do {
        n = ngx_read_fd(fd, text.data + text.len,
                        MEDIA_JWKS_TEXT_MAX + 1 - text.len);
        if (n > 0) {
            text.len += n;
        }

    } while (n > 0 && text.len <= MEDIA_JWKS_TEXT_MAX);

    if (n < 0) {
        (void) media_err_set(ei, MEDIA_E_RETRY, "it cannot be read");
        rc = NGX_ERROR;

    } else {
        rc = ngx_media_jwks_set(jwks, &text, ei);
    }

    ngx_explicit_memzero(text.data, text.len);
    ngx_free(text.data);

    return rc;
}
