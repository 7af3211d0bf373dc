
/*
 * Asynchronous PostgreSQL: a pool of libpq connections per worker process on
 * nginx's event loop. Only ngx_media_pg*.c include libpq.
 *
 * A query is one row of media/stmt.h with text parameters, run as a prepared
 * statement. It waits in a bounded FIFO for a connection, has a deadline over
 * waiting and running together, and calls back exactly once, never from
 * within ngx_media_pg_query() itself. A query that was sent is always read to
 * its end, even when its owner has left (ngx_media_pg_detach).
 */

#ifndef _NGX_MEDIA_PG_H_INCLUDED_
#define _NGX_MEDIA_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "media/stmt.h"


#define NGX_MEDIA_PG_MAX_PARAMS  16


typedef struct {
    ngx_str_t                   conninfo;   /* keyword=value form; may be empty:
                                               PG* environment. hosts must be
                                               addresses or socket dirs */
    ngx_uint_t                  connections;/* per worker process, default 4 */
    ngx_uint_t                  queue;      /* waiting queries, default 4096 */
    ngx_msec_t                  connect_timeout;    /* default 3 s */
    ngx_msec_t                  timeout;            /* default 10 s */
} ngx_media_pg_conf_t;


typedef struct ngx_media_pg_query_s  ngx_media_pg_query_t;

/*
 * rc:  NGX_OK        rows, see the getters
 *      NGX_DECLINED  it never ran: no connection, queue full, deadline while
 *                    waiting; safe to try again
 *      NGX_ERROR     the server refused it: sqlstate, message; nothing changed
 *      NGX_ABORT     sent, then connection or deadline lost: outcome unknown
 */
typedef struct {
    ngx_int_t                   rc;
    const char                 *statement;  /* its name in stmt.h */
    char                        sqlstate[6];
    ngx_str_t                   message;    /* for the log only */
    ngx_uint_t                  nrows;
    void                       *res;        /* private */
} ngx_media_pg_result_t;

typedef void (*ngx_media_pg_done_pt)(void *data, ngx_media_pg_result_t *res);


/* [loop], from init_process / exit_process. conf outlives the pool. Connects
 * in the background; failure to connect is no failure to start. */
ngx_int_t ngx_media_pg_init(ngx_cycle_t *cycle, ngx_media_pg_conf_t *conf);
void ngx_media_pg_done(ngx_cycle_t *cycle);

/* Queues a statement. params: media_stmt_get(stmt)->nparams strings, data ==
 * NULL is SQL null; they are copied. NULL when out of memory (no callback
 * then); every other outcome comes through done(data, res), whose res lives
 * until it returns. A failure is the owner's to log; done == NULL: nobody waits
 * for it, and a failure is logged here. [loop] */
ngx_media_pg_query_t *ngx_media_pg_query(enum media_stmt stmt,
    ngx_str_t *params, ngx_media_pg_done_pt done, void *data);

/* The owner leaves: done will not be called. A waiting query is dropped, a
 * sent one is read to its end. [loop] */
void ngx_media_pg_detach(ngx_media_pg_query_t *q);

/* Field (row, col) of a result, borrowed; data == NULL for SQL null. [loop] */
ngx_str_t ngx_media_pg_value(ngx_media_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t col);

/* What is wrong with the database's schema, so that queries are declined; NULL:
 * nothing is known to be. [loop] */
const char *ngx_media_pg_unfit(void);

/* Checks a conninfo at configuration time: NGX_OK, or NGX_ERROR and a reason
 * (static, without any part of the conninfo). A host name (not an address, not
 * a socket directory) is refused: resolving would block the loop. What the PG*
 * environment adds is written into *conninfo (from the pool), since nginx
 * takes the environment away from its workers. [conf] */
ngx_int_t ngx_media_pg_check(ngx_str_t *conninfo, ngx_pool_t *pool,
    ngx_str_t *reason);


#endif
