
/*
 * What a server says, and how much of it we bear: libpq keeps an answer until
 * its end. The bytes are counted by what is gone from the socket's queue, so a
 * message that was announced as a long one counts when its bytes have paused,
 * and libpq may have taken more by then.
 */

#include "ngx_media_pg_conn.h"

#include <sys/ioctl.h>


#define NGX_MEDIA_PG_SAID_MAX  (16 * 1024 * 1024)   /* the longest answer of
                                                       ours is below 1 MiB */


static size_t ngx_media_pg_queued(ngx_media_pg_conn_t *pc);
static void ngx_media_pg_said(ngx_media_pg_conn_t *pc, size_t before);


PostgresPollingStatusType
ngx_media_pg_poll(ngx_media_pg_conn_t *pc)
{
    size_t                     before;
    PostgresPollingStatusType  status;

    before = ngx_media_pg_queued(pc);
    status = PQconnectPoll(pc->pg);

    ngx_media_pg_said(pc, before);

    return pc->said > NGX_MEDIA_PG_SAID_MAX ? PGRES_POLLING_FAILED : status;
}


ngx_int_t
ngx_media_pg_consume(ngx_media_pg_conn_t *pc)
{
    int     good;
    size_t  before;

    before = ngx_media_pg_queued(pc);
    good = PQconsumeInput(pc->pg);

    ngx_media_pg_said(pc, before);

    return good && pc->said <= NGX_MEDIA_PG_SAID_MAX ? NGX_OK : NGX_ERROR;
}


static size_t
ngx_media_pg_queued(ngx_media_pg_conn_t *pc)
{
    int  n, fd;

    n = 0;
    fd = PQsocket(pc->pg);

    return fd != -1 && ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t) n : 0;
}


static void
ngx_media_pg_said(ngx_media_pg_conn_t *pc, size_t before)
{
    size_t  after;

    after = ngx_media_pg_queued(pc);

    if (after < before) {
        pc->said += before - after;
    }
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
