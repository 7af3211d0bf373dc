
/*
 * A request that waits for one statement: the frame between a route handler
 * and the PostgreSQL pool.
 */


#include "ngx_media.h"
#include "ngx_media_op.h"
#include "ngx_media_request.h"


typedef struct {
    ngx_media_op_t              op;
    ngx_media_pg_query_t       *query;
    ngx_media_answer_pt         answer;
    void                       *data;
} ngx_media_query_op_t;


static void ngx_media_query_done(void *data, ngx_media_pg_result_t *res);
static void ngx_media_query_cancel(ngx_media_op_t *op);


ngx_int_t
ngx_media_query(ngx_http_request_t *r, enum media_stmt stmt,
    ngx_str_t *params, ngx_media_answer_pt answer, void *data)
{
    ngx_int_t              rc;
    ngx_media_query_op_t  *q;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    q = ngx_pcalloc(r->pool, sizeof(ngx_media_query_op_t));
    if (q == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    q->answer = answer;
    q->data = data;

    q->query = ngx_media_pg_query(stmt, params, ngx_media_query_done, q);
    if (q->query == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_media_op_begin(&q->op, r, ngx_media_query_cancel) != NGX_OK) {
        ngx_media_pg_detach(q->query);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->discard_body) {
        /* a body nobody wants is still on its way */
        r->read_event_handler = ngx_http_discarded_request_body_handler;
    }

    return NGX_DONE;
}


static void
ngx_media_query_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_media_query_op_t  *q = data;

    r = q->op.r;
    c = r->connection;
    q->query = NULL;

    ngx_http_set_log_request(c->log, r);

    if (res->rc == NGX_OK) {
        rc = q->answer(r, res, q->data);

    } else {
        rc = ngx_media_query_failed(r, res);
    }

    if (q->op.r == NULL) {
        /* terminated within answer(): the phases of a jump ended badly */
        ngx_http_run_posted_requests(c);
        return;
    }

    ngx_media_op_finish(&q->op, rc);
}


static void
ngx_media_query_cancel(ngx_media_op_t *op)
{
    ngx_media_query_op_t  *q = (ngx_media_query_op_t *) op;

    if (q->query) {
        ngx_media_pg_detach(q->query);
        q->query = NULL;
    }
}


ngx_uint_t
ngx_media_query_away(ngx_media_pg_result_t *res)
{
    const char  *state;

    state = res->sqlstate;

    /* classes: connection, transaction rollback, resources, operator
     * intervention, system error; 25006 is a standby that was not promoted
     * yet */

    return res->rc == NGX_DECLINED || res->rc == NGX_ABORT
           || (res->rc == NGX_ERROR
               && (ngx_strncmp(state, "08", 2) == 0
                   || ngx_strncmp(state, "40", 2) == 0
                   || ngx_strncmp(state, "53", 2) == 0
                   || ngx_strncmp(state, "57", 2) == 0
                   || ngx_strncmp(state, "58", 2) == 0
                   || ngx_strcmp(state, "25006") == 0));
}


void
ngx_media_query_log(ngx_log_t *log, ngx_media_pg_result_t *res,
    ngx_str_t *req)
{
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "media: statement failed, statement=%s rc=%i sqlstate=%s "
                  "message=\"%V\" req=%V", res->statement, res->rc,
                  res->sqlstate[0] ? res->sqlstate : "-", &res->message,
                  req);
}


ngx_int_t
ngx_media_query_failed(ngx_http_request_t *r, ngx_media_pg_result_t *res)
{
    ngx_str_t  id;

    ngx_str_null(&id);
    (void) ngx_media_request_id(r, &id);

    ngx_media_query_log(r->connection->log, res, &id);

    if (ngx_media_query_away(res)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_DATABASE_UNAVAILABLE,
                                      NULL);
    }

    return ngx_media_send_problem(r, MEDIA_PROBLEM_INTERNAL, NULL);
}


ngx_int_t
ngx_media_send_code(ngx_http_request_t *r, ngx_str_t *code,
    ngx_str_t *detail)
{
    int  p;

    p = media_problem_parse(ngx_media_view(code));

    if (p < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media: the database answered an unknown code \"%V\"",
                      code);
        p = MEDIA_PROBLEM_INTERNAL;
        detail = NULL;
    }

    if (detail == NULL || detail->len == 0) {
        return ngx_media_send_problem(r, p, NULL);
    }

    return ngx_media_send_problem(r, p, "%V", detail);
}
