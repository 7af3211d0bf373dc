
/*
 * Does this module fit the database's schema (media/schema.h)? A connection
 * asks before it is used, and again before a query once the answer is older
 * than NGX_MEDIA_PG_SCHEMA_FRESH: so neither a migration nor a database that
 * was put in another's place meets a statement that it does not know.
 *
 * A schema that does not fit is a server that cannot be connected to, with
 * its pauses between attempts, only that queries are declined at once. Hence
 * nothing else has to know, and the first attempt that finds one that fits
 * ends it.
 */

#include "ngx_media_pg_conn.h"


#define NGX_MEDIA_PG_SCHEMA_FRESH  5000    /* ms */


static ngx_uint_t ngx_media_pg_schema_result(ngx_media_pg_conn_t *pc,
    PGresult *res);
static void ngx_media_pg_schema_known(ngx_media_pg_conn_t *pc);


ngx_uint_t
ngx_media_pg_schema_old(ngx_media_pg_conn_t *pc)
{
    return ngx_current_msec - pc->asked >= NGX_MEDIA_PG_SCHEMA_FRESH;
}


void
ngx_media_pg_schema_ask(ngx_media_pg_conn_t *pc)
{
    pc->state = NGX_MEDIA_PG_ASKING;
    pc->said = 0;
    pc->c->idle = 0;
    pc->schema.version = 0;

    ngx_add_timer(&pc->timer, ngx_media_pg.conf->connect_timeout);

    if (!PQsendQuery(pc->pg, media_stmt_get(MEDIA_STMT_SCHEMA)->text)
        || ngx_media_pg_flush(pc) != NGX_OK)
    {
        ngx_media_pg_lost(pc, NULL);
    }
}


void
ngx_media_pg_schema_read(ngx_media_pg_conn_t *pc)
{
    PGresult    *res;
    ngx_uint_t   good;

    good = ngx_media_pg_consume(pc) == NGX_OK
           && ngx_media_pg_flush(pc) == NGX_OK;

    while (good && !PQisBusy(pc->pg)) {
        res = PQgetResult(pc->pg);

        if (res == NULL) {
            ngx_media_pg_schema_known(pc);
            return;
        }

        good = ngx_media_pg_schema_result(pc, res);
        PQclear(res);
    }

    ngx_media_pg_ignore(pc);

    if (!good || PQstatus(pc->pg) != CONNECTION_OK) {
        ngx_media_pg_lost(pc, NULL);
    }
}


/* 0: nothing can be made of it, or of the connection. */

static ngx_uint_t
ngx_media_pg_schema_result(ngx_media_pg_conn_t *pc, PGresult *res)
{
    char  *state;

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {

        if (PQntuples(res) == 1 && PQnfields(res) == 2) {
            pc->schema = media_schema_read(PQgetvalue(res, 0, 0),
                                           PQgetvalue(res, 0, 1));
        }

        return 1;
    }

    state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    return state && media_schema_missing(state);
}


static void
ngx_media_pg_schema_known(ngx_media_pg_conn_t *pc)
{
    char                  text[MEDIA_SCHEMA_TEXT];
    ngx_uint_t            level;
    ngx_media_pg_pool_t  *pool;

    pool = &ngx_media_pg;

    media_schema_text(pc->schema, text, sizeof(text));

    if (text[0] == '\0') {
        pool->unfit[0] = '\0';
        ngx_media_pg_connected(pc);
        return;
    }

    /* once, and again when it changes */

    level = ngx_strcmp(text, pool->unfit) ? NGX_LOG_ERR : NGX_LOG_INFO;

    ngx_log_error(level, pool->log, 0, "media pg: not used: %s", text);

    ngx_media_pg_close(pc);
    ngx_media_pg_failure();
    ngx_memcpy(pool->unfit, text, sizeof(text));
    ngx_media_pg_post();
}
