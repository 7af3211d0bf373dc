
/*
 * What a server says, and how much of it we bear. libpq keeps an answer until
 * its end, and once a message is announced as long it reads for as long as
 * bytes come: an answer that never ends, or a row of a gigabyte, would cost the
 * memory of the process and hold the loop up.
 *
 * So libpq is fed. We read from the socket, a bit at a time, and put it into a
 * pair, one end of which stands in the place of libpq's socket while it reads.
 * It writes to the socket itself, and epoll watches that, which stays open by a
 * second descriptor.
 */

#include "ngx_media_pg_conn.h"

#include <sys/ioctl.h>


#define NGX_MEDIA_PG_SAID_MAX  (16 * 1024 * 1024)   /* the longest answer of
                                                       ours is below 1 MiB */
#define NGX_MEDIA_PG_BIT       16384


static ngx_int_t ngx_media_pg_digest(ngx_media_pg_conn_t *pc);
static size_t ngx_media_pg_queued(ngx_media_pg_conn_t *pc);


/* Before it is logged in libpq reads for itself, and takes nothing for long
 * that is not. */

PostgresPollingStatusType
ngx_media_pg_poll(ngx_media_pg_conn_t *pc)
{
    pc->said += ngx_media_pg_queued(pc);

    return pc->said > NGX_MEDIA_PG_SAID_MAX ? PGRES_POLLING_FAILED
                                            : PQconnectPoll(pc->pg);
}


ngx_int_t
ngx_media_pg_feed_open(ngx_media_pg_conn_t *pc)
{
    pc->socket = fcntl(PQsocket(pc->pg), F_DUPFD_CLOEXEC, 0);

    if (pc->socket == -1) {
        return NGX_ERROR;
    }

    if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0,
                   pc->pair)
        == -1)
    {
        (void) close(pc->socket);
        return NGX_ERROR;
    }

    pc->fed = 1;

    return NGX_OK;
}


void
ngx_media_pg_feed_close(ngx_media_pg_conn_t *pc)
{
    if (pc->fed) {
        (void) close(pc->pair[0]);
        (void) close(pc->pair[1]);
        (void) close(pc->socket);
        pc->fed = 0;
    }
}


ngx_int_t
ngx_media_pg_consume(ngx_media_pg_conn_t *pc)
{
    ssize_t    n;
    ngx_int_t  rc;
    u_char     bit[NGX_MEDIA_PG_BIT];

    /* it would go on writing when it reads, into the pair */

    switch (PQflush(pc->pg)) {

    case 0:
        break;

    case 1:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }

    n = recv(pc->socket, bit, sizeof(bit), 0);

    if (n == -1 && ngx_errno == NGX_EAGAIN) {
        return NGX_OK;
    }

    if (n <= 0) {
        /* the end is for libpq to find */
        return PQconsumeInput(pc->pg) ? NGX_OK : NGX_ERROR;
    }

    pc->said += n;

    if (pc->said > NGX_MEDIA_PG_SAID_MAX
        || send(pc->pair[1], bit, n, MSG_NOSIGNAL) != n
        || dup3(pc->pair[0], PQsocket(pc->pg), O_CLOEXEC) == -1)
    {
        return NGX_ERROR;
    }

    rc = ngx_media_pg_digest(pc);

    /* what it gave up it has closed */

    if (PQsocket(pc->pg) != -1
        && dup3(pc->socket, PQsocket(pc->pg), O_CLOEXEC) == -1)
    {
        return NGX_ERROR;
    }

    return rc;
}


/* All that is in the pair: no event would tell of the rest. */

static ngx_int_t
ngx_media_pg_digest(ngx_media_pg_conn_t *pc)
{
    size_t  left, before;

    left = ngx_media_pg_queued(pc);

    do {
        before = left;

        if (!PQconsumeInput(pc->pg)) {
            return NGX_ERROR;
        }

        left = ngx_media_pg_queued(pc);

    } while (left && left < before);

    return left ? NGX_ERROR : NGX_OK;
}


static size_t
ngx_media_pg_queued(ngx_media_pg_conn_t *pc)
{
    int  n, fd;

    n = 0;
    fd = PQsocket(pc->pg);

    return fd != -1 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t) n : 0;
}


/* Nobody listens; libpq would keep them for whoever does. */

void
ngx_media_pg_ignore(ngx_media_pg_conn_t *pc)
{
    PGnotify  *notify;

    while ((notify = PQnotifies(pc->pg)) != NULL) {
        PQfreemem(notify);
    }
}


/* NOTICE and WARNING may quote data, and libpq's default prints to stderr. */

void
ngx_media_pg_notice(void *data, const PGresult *res)
{
}


const char *
ngx_media_pg_why(ngx_media_pg_conn_t *pc)
{
    return pc->said > NGX_MEDIA_PG_SAID_MAX ? "the server says too much"
                                            : PQerrorMessage(pc->pg);
}
