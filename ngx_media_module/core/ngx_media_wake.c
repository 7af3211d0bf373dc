
/*
 * An eventfd, level triggered in the loop: a signal that comes while the
 * handler runs makes it run once more, so none is lost. Life time: from
 * init_process to exit_process; foreign threads start after it and are joined
 * before it ends, which is why the descriptor needs no lock.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_channel.h>

#include <sys/eventfd.h>

#include "ngx_media_wake.h"


static void ngx_media_wake_event_handler(ngx_event_t *ev);


static struct {
    ngx_fd_t             fd;
    ngx_media_wake_pt    handler;
    void                *data;
} ngx_media_wake = { NGX_INVALID_FILE, NULL, NULL };


ngx_int_t
ngx_media_wake_init(ngx_cycle_t *cycle, ngx_media_wake_pt handler, void *data)
{
    ngx_fd_t  fd;

    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    /* a channel event: not an "open socket left" when the worker exits */

    if (ngx_add_channel_event(cycle, fd, NGX_READ_EVENT,
                              ngx_media_wake_event_handler)
        != NGX_OK)
    {
        (void) close(fd);
        return NGX_ERROR;
    }

    ngx_media_wake.handler = handler;
    ngx_media_wake.data = data;
    ngx_media_wake.fd = fd;

    return NGX_OK;
}


void
ngx_media_wake_done(ngx_cycle_t *cycle)
{
    if (ngx_media_wake.fd == NGX_INVALID_FILE) {
        return;
    }

    if (close(ngx_media_wake.fd) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "eventfd close() failed");
    }

    ngx_media_wake.fd = NGX_INVALID_FILE;
}


void
ngx_media_wake_signal(void)
{
    int       err;
    ssize_t   n;
    uint64_t  one;

    err = errno;
    one = 1;

    /* EAGAIN: the counter is full, so a wake-up is pending anyway */

    do {
        n = write(ngx_media_wake.fd, &one, sizeof(uint64_t));
    } while (n == -1 && errno == EINTR);

    errno = err;
}


static void
ngx_media_wake_event_handler(ngx_event_t *ev)
{
    ssize_t   n;
    uint64_t  count;

    /* the counter first: what is signalled from here on wakes again */

    n = read(ngx_media_wake.fd, &count, sizeof(uint64_t));

    if (n == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "read() from eventfd failed");
        return;
    }

    ngx_media_wake.handler(ngx_media_wake.data);
}
