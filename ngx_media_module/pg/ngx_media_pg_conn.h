
/*
 * Private to ngx_media_pg*.c, the only files that include libpq: the structs
 * of the pool and what its six parts call of each other.
 *
 *   ngx_media_pg.c           the pool: hands queries to connections
 *   ngx_media_pg_query.c     one query: made, waiting, ended
 *   ngx_media_pg_conn.c      one connection: connect, send, read, close
 *   ngx_media_pg_schema.c    does the database's schema fit
 *   ngx_media_pg_input.c     what a server may say: no more than we bear
 *   ngx_media_pg_conninfo.c  where to connect, checked and completed
 */

#ifndef _NGX_MEDIA_PG_CONN_H_INCLUDED_
#define _NGX_MEDIA_PG_CONN_H_INCLUDED_


#include "ngx_media.h"
#include "media/schema.h"

#include <libpq-fe.h>


#define NGX_MEDIA_PG_MESSAGE   256
#define NGX_MEDIA_PG_KEYWORDS  80


typedef struct ngx_media_pg_conn_s  ngx_media_pg_conn_t;

/* Usable is what is not below IDLE; see the table in ngx_media_pg_conn.c */
typedef enum {
    NGX_MEDIA_PG_CLOSED = 0,
    NGX_MEDIA_PG_CONNECTING,
    NGX_MEDIA_PG_ASKING,
    NGX_MEDIA_PG_IDLE,
    NGX_MEDIA_PG_PREPARE,
    NGX_MEDIA_PG_RUNNING
} ngx_media_pg_state_e;


/* malloc'ed with its parameters behind it; owned by the queue it is in, by
 * the connection that has it, or by the delivery of its result */
struct ngx_media_pg_query_s {
    ngx_queue_t                 queue;
    ngx_media_pg_conn_t        *conn;       /* that has it */

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                   ident;

    /* from birth to callback and not cancelable: it is what keeps an exiting
     * worker alive until every answer is there */
    ngx_event_t                 deadline;
    ngx_msec_t                  expires;

    const media_stmt_t         *stmt;
    enum media_stmt             index;
    ngx_media_pg_done_pt        done;
    void                       *data;
    ngx_media_pg_result_t       result;
    u_char                      message[NGX_MEDIA_PG_MESSAGE];

    unsigned                    waiting:1;
    unsigned                    failed:1;   /* the server sent an error */
    unsigned                    broken:1;   /* libpq lost the connection */
    unsigned                    again:1;    /* for the second time */
    unsigned                    detached:1;
    unsigned                    delivering:1;

    const char                 *params[NGX_MEDIA_PG_MAX_PARAMS];
};


struct ngx_media_pg_conn_s {
    PGconn                     *pg;
    ngx_connection_t           *c;
    ngx_media_pg_query_t       *query;

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                   ident;

    ngx_event_t                 timer;
    ngx_media_pg_state_e        state;
    size_t                      said;       /* bytes since it was asked */
    media_schema_t              schema;
    ngx_msec_t                  asked;      /* when the schema fitted */
    unsigned                    used:1;     /* it has been IDLE */
    unsigned                    fresh:1;    /* made after the last failure */
    u_char                      prepared[MEDIA_STMT_COUNT];
};


/* What PQconnectStartParams() takes, and what it points into */
typedef struct {
    PQconninfoOption           *options;
    char                       *server;     /* keyword "options" */
    char                        user_timeout[NGX_INT_T_LEN + 1];
    const char                 *keywords[NGX_MEDIA_PG_KEYWORDS + 1];
    const char                 *values[NGX_MEDIA_PG_KEYWORDS + 1];
} ngx_media_pg_conninfo_t;


typedef struct {
    ngx_log_t                  *log;
    ngx_media_pg_conf_t        *conf;
    ngx_media_pg_conn_t        *conns;

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                   ident;

    ngx_uint_t                  n;          /* of conns */
    ngx_media_pg_conninfo_t     info;

    ngx_queue_t                 waiting;
    ngx_uint_t                  nwaiting;
    ngx_queue_t                 finished;

    ngx_event_t                 run;
    ngx_event_t                 retry;
    ngx_msec_t                  retry_at;
    ngx_uint_t                  failures;   /* since the last good answer */
    ngx_msec_t                  down_since;
    char                        unfit[MEDIA_SCHEMA_TEXT];  /* the last
                                               failure: such a schema */
    unsigned                    down:1;     /* no connection is usable */
    unsigned                    running:1;
} ngx_media_pg_pool_t;


extern ngx_media_pg_pool_t  ngx_media_pg;


/* The pool, called by connections. */

/* Something has changed: have the pool look after this event. */
void ngx_media_pg_post(void);
/* A connection could not be made or was lost: back-off. */
void ngx_media_pg_failure(void);
/* One can be used; one has answered. */
void ngx_media_pg_up(ngx_media_pg_conn_t *pc);
void ngx_media_pg_proved(ngx_media_pg_conn_t *pc);
ngx_uint_t ngx_media_pg_usable(void);

/* A query. */

/* The first that waits; there is one. */
ngx_media_pg_query_t *ngx_media_pg_shift(void);
/* Takes one back that has not run. */
void ngx_media_pg_again(ngx_media_pg_query_t *q);
/* Takes one that has ended. text is copied; NULL keeps what is there. */
void ngx_media_pg_finish(ngx_media_pg_query_t *q, ngx_int_t rc,
    const char *text);
void ngx_media_pg_free(ngx_media_pg_query_t *q);
/* The first line of a message of libpq or the server, without control
 * characters. */
void ngx_media_pg_text(u_char *dst, size_t size, const char *src);

/* A connection, called by the pool. */

void ngx_media_pg_connect(ngx_media_pg_conn_t *pc);
void ngx_media_pg_send(ngx_media_pg_conn_t *pc, ngx_media_pg_query_t *q);
/* Ends the connection and gives its query back. why: NULL is libpq's text. */
void ngx_media_pg_lost(ngx_media_pg_conn_t *pc, const char *why);
void ngx_media_pg_close(ngx_media_pg_conn_t *pc);
void ngx_media_pg_conn_timer_handler(ngx_event_t *ev);

/* Its schema, see ngx_media_pg_schema.c. old: ask again before the next query;
 * read: what has come while ASKING. It goes on with connected(). */

ngx_uint_t ngx_media_pg_schema_old(ngx_media_pg_conn_t *pc);
void ngx_media_pg_schema_ask(ngx_media_pg_conn_t *pc);
void ngx_media_pg_schema_read(ngx_media_pg_conn_t *pc);
void ngx_media_pg_connected(ngx_media_pg_conn_t *pc);
/* Sends what is left to send. */
ngx_int_t ngx_media_pg_flush(ngx_media_pg_conn_t *pc);

/* What it says, see ngx_media_pg_input.c. poll, consume: as libpq's, and an
 * error if it says too much; why() tells. ignore: throws away what nobody waits
 * for. */

PostgresPollingStatusType ngx_media_pg_poll(ngx_media_pg_conn_t *pc);
ngx_int_t ngx_media_pg_consume(ngx_media_pg_conn_t *pc);
void ngx_media_pg_ignore(ngx_media_pg_conn_t *pc);
void ngx_media_pg_notice(void *data, const PGresult *res);
const char *ngx_media_pg_why(ngx_media_pg_conn_t *pc);

/* Connection parameters. */

ngx_int_t ngx_media_pg_conninfo_init(ngx_media_pg_conninfo_t *info,
    ngx_media_pg_conf_t *conf, ngx_log_t *log);
void ngx_media_pg_conninfo_done(ngx_media_pg_conninfo_t *info);


#endif
