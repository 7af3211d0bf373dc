
/*
 * /healthz, /readyz and /metrics.
 *
 * A dependency is asked once for all requests of a process that want to know,
 * and its answer is good for a second, so no crowd of probes becomes a crowd
 * of queries. A probe that has not answered in time counts as down.
 *
 *     IDLE -a request, answer too old-> ASKING -answer or timer-> IDLE
 */


#include "ngx_media.h"
#include "ngx_media_op.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_PROBE_FRESH    1000       /* ms */
#define NGX_MEDIA_PROBE_TIMEOUT  2000       /* ms */


typedef struct {
    ngx_uint_t                  asking;
    ngx_uint_t                  ok;
    ngx_uint_t                  known;
    ngx_msec_t                  at;         /* of the answer */
    ngx_event_t                 timer;
    ngx_media_pg_query_t       *query;
    ngx_media_s3_call_t        *call;
} ngx_media_probe_t;

typedef struct {
    ngx_media_op_t              op;
    ngx_queue_t                 queue;
} ngx_media_ready_t;


static ngx_int_t ngx_media_ready_wait(ngx_http_request_t *r);
static void ngx_media_ready_cancel(ngx_media_op_t *op);
static ngx_int_t ngx_media_ready_send(ngx_http_request_t *r);
static ngx_uint_t ngx_media_probes_asking(void);
static void ngx_media_ready_settled(void);
static void ngx_media_probe_pg(ngx_media_probe_t *p);
static void ngx_media_probe_pg_done(void *data, ngx_media_pg_result_t *res);
static void ngx_media_probe_s3(ngx_media_probe_t *p,
    ngx_media_s3_conf_t *s3);
static void ngx_media_probe_s3_done(void *data, ngx_media_s3_result_t *res);
static void ngx_media_probe_timeout(ngx_event_t *ev);
static void ngx_media_probe_start(ngx_media_probe_t *p);
static void ngx_media_probe_answer(ngx_media_probe_t *p, ngx_uint_t ok);
static ngx_uint_t ngx_media_probe_fresh(ngx_media_probe_t *p);


static ngx_str_t  ngx_media_status_text =
    ngx_string("text/plain; charset=utf-8");
static ngx_str_t  ngx_media_metrics_text =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");
static ngx_str_t  ngx_media_status_no_store = ngx_string("no-store");

/* of this process, by the loop alone */
static ngx_media_probe_t  ngx_media_pg_probe;
static ngx_media_probe_t  ngx_media_s3_probes[MEDIA_STORE_COUNT];
static ngx_queue_t        ngx_media_ready_queue = {
    &ngx_media_ready_queue, &ngx_media_ready_queue
};


ngx_int_t
ngx_media_healthz_handler(ngx_http_request_t *r)
{
    ngx_str_t  body = ngx_string("ok\n");

    return ngx_media_send(r, NGX_HTTP_OK, &ngx_media_status_text, &body);
}


ngx_int_t
ngx_media_readyz_handler(ngx_http_request_t *r)
{
    ngx_uint_t              i;
    ngx_media_probe_t      *p;
    ngx_media_main_conf_t  *mcf;

    if (!ngx_media_probe_fresh(&ngx_media_pg_probe)) {
        ngx_media_probe_pg(&ngx_media_pg_probe);
    }

    mcf = ngx_media_main_conf(r);

    for (i = 0; i < MEDIA_STORE_COUNT; i++) {
        p = &ngx_media_s3_probes[i];

        if ((i == MEDIA_STORE_INPUT || mcf->s3_apart)
            && !ngx_media_probe_fresh(p))
        {
            ngx_media_probe_s3(p, &mcf->s3[i]);
        }
    }

    if (ngx_media_probes_asking()) {
        return ngx_media_ready_wait(r);
    }

    return ngx_media_ready_send(r);
}


static ngx_int_t
ngx_media_ready_wait(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_media_ready_t  *w;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    w = ngx_pcalloc(r->pool, sizeof(ngx_media_ready_t));

    if (w == NULL
        || ngx_media_op_begin(&w->op, r, ngx_media_ready_cancel) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_queue_insert_tail(&ngx_media_ready_queue, &w->queue);

    return NGX_DONE;
}


static void
ngx_media_ready_cancel(ngx_media_op_t *op)
{
    ngx_media_ready_t  *w = (ngx_media_ready_t *) op;

    ngx_queue_remove(&w->queue);
}


static ngx_uint_t
ngx_media_probes_asking(void)
{
    return ngx_media_pg_probe.asking
           || ngx_media_s3_probes[MEDIA_STORE_INPUT].asking
           || ngx_media_s3_probes[MEDIA_STORE_OUTPUT].asking;
}


/* All probes have answered: so do the requests that wait. */

static void
ngx_media_ready_settled(void)
{
    ngx_queue_t         *q;
    ngx_media_ready_t   *w;
    ngx_http_request_t  *r;

    if (ngx_media_probes_asking()) {
        return;
    }

    while (!ngx_queue_empty(&ngx_media_ready_queue)) {
        q = ngx_queue_head(&ngx_media_ready_queue);
        ngx_queue_remove(q);

        w = ngx_queue_data(q, ngx_media_ready_t, queue);
        r = w->op.r;

        ngx_http_set_log_request(r->connection->log, r);

        ngx_media_op_finish(&w->op, ngx_media_ready_send(r));
    }
}


static ngx_int_t
ngx_media_ready_send(ngx_http_request_t *r)
{
    u_char       text[256], *p;
    ngx_str_t    body;
    ngx_uint_t   pg, s3, out, apart;
    const char  *unfit;

    pg = ngx_media_pg_probe.ok;
    s3 = ngx_media_s3_probes[MEDIA_STORE_INPUT].ok;

    apart = ngx_media_main_conf(r)->s3_apart;
    out = !apart || ngx_media_s3_probes[MEDIA_STORE_OUTPUT].ok;

    unfit = ngx_media_pg_unfit();

    p = ngx_snprintf(text, sizeof(text), "postgresql %s\ns3 %s\n",
                     pg ? "ok" : unfit ? unfit : "down", s3 ? "ok" : "down");

    if (apart) {
        p = ngx_slprintf(p, text + sizeof(text), "s3_output %s\n",
                         out ? "ok" : "down");
    }

    p = ngx_slprintf(p, text + sizeof(text), "rabbitmq %s\n",
                     ngx_media_amqp_ready() ? "ok" : "degraded");

    body.data = text;
    body.len = p - text;

    if (ngx_media_add_header(r, "Cache-Control", &ngx_media_status_no_store)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send(r, (pg && s3 && out) ? NGX_HTTP_OK
                                               : NGX_HTTP_SERVICE_UNAVAILABLE,
                          &ngx_media_status_text, &body);
}


static ngx_uint_t
ngx_media_probe_fresh(ngx_media_probe_t *p)
{
    return p->asking
           || (p->known && ngx_current_msec - p->at < NGX_MEDIA_PROBE_FRESH);
}


static void
ngx_media_probe_start(ngx_media_probe_t *p)
{
    p->asking = 1;

    p->timer.handler = ngx_media_probe_timeout;
    p->timer.data = p;
    p->timer.log = ngx_cycle->log;
    p->timer.cancelable = 1;

    ngx_add_timer(&p->timer, NGX_MEDIA_PROBE_TIMEOUT);
}


static void
ngx_media_probe_answer(ngx_media_probe_t *p, ngx_uint_t ok)
{
    p->asking = 0;
    p->query = NULL;
    p->call = NULL;
    p->ok = ok;
    p->known = 1;
    p->at = ngx_current_msec;

    if (p->timer.timer_set) {
        ngx_del_timer(&p->timer);
    }
}


static void
ngx_media_probe_pg(ngx_media_probe_t *p)
{
    p->query = ngx_media_pg_query(MEDIA_STMT_PING, NULL,
                                  ngx_media_probe_pg_done, p);
    if (p->query == NULL) {
        ngx_media_probe_answer(p, 0);
        return;
    }

    ngx_media_probe_start(p);
}


static void
ngx_media_probe_pg_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_probe_answer(data, res->rc == NGX_OK);
    ngx_media_ready_settled();
}


static void
ngx_media_probe_s3(ngx_media_probe_t *p, ngx_media_s3_conf_t *s3)
{
    ngx_media_s3_request_t  req;

    ngx_memzero(&req, sizeof(req));

    req.conf = s3;
    req.op = MEDIA_S3_HEAD_BUCKET;
    req.done = ngx_media_probe_s3_done;
    req.data = p;
    req.log = ngx_cycle->log;

    p->call = ngx_media_s3_call(&req);
    if (p->call == NULL) {
        ngx_media_probe_answer(p, 0);
        return;
    }

    ngx_media_probe_start(p);
}


static void
ngx_media_probe_s3_done(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_probe_answer(data, res->verdict == 0);
    ngx_media_ready_settled();
}


static void
ngx_media_probe_timeout(ngx_event_t *ev)
{
    ngx_media_probe_t  *p = ev->data;

    if (p->query) {
        ngx_media_pg_detach(p->query);
    }

    if (p->call) {
        ngx_media_s3_cancel(p->call);
    }

    ngx_media_probe_answer(p, 0);
    ngx_media_ready_settled();
}


ngx_int_t
ngx_media_metrics_handler(ngx_http_request_t *r)
{
    u_char           *p, *last;
    size_t            size;
    time_t            end;
    ngx_str_t         body;
    ngx_uint_t        i;
    ngx_media_shm_t  *shm;

    static const struct {
        const char  *name;
        const char  *help;
    }  counters[] = {
#define X(id, text, help)  { text, help },
        NGX_MEDIA_COUNTERS(X)
    },
       gauges[] = {
        NGX_MEDIA_GAUGES(X)
#undef X
    };

    shm = ngx_media_shm();

    if (!ngx_media_loc_conf(r)->metrics || shm == NULL) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    size = (NGX_MEDIA_COUNTER_COUNT + NGX_MEDIA_GAUGE_COUNT
            + MEDIA_PROBLEM_COUNT + 2)
           * (256 + NGX_ATOMIC_T_LEN);

    body.data = ngx_pnalloc(r->pool, size);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = body.data;
    last = p + size;

    for (i = 0; i < NGX_MEDIA_COUNTER_COUNT; i++) {
        p = ngx_slprintf(p, last, "# HELP ngx_media_%s %s.\n"
                         "# TYPE ngx_media_%s counter\nngx_media_%s %uA\n",
                         counters[i].name, counters[i].help,
                         counters[i].name, counters[i].name,
                         shm->counters[i]);
    }

    for (i = 0; i < NGX_MEDIA_GAUGE_COUNT; i++) {
        p = ngx_slprintf(p, last, "# HELP ngx_media_%s %s.\n"
                         "# TYPE ngx_media_%s gauge\nngx_media_%s %ui\n",
                         gauges[i].name, gauges[i].help, gauges[i].name,
                         gauges[i].name, ngx_media_gauge_sum(i));
    }

    end = ngx_media_certificates_end(r);

    if (end != 0) {
        p = ngx_slprintf(p, last,
                         "# HELP ngx_media_certificate_not_after_seconds End "
                         "of the first certificate to end.\n"
                         "# TYPE ngx_media_certificate_not_after_seconds gauge"
                         "\nngx_media_certificate_not_after_seconds %T\n",
                         end);
    }

    p = ngx_slprintf(p, last,
                     "# HELP ngx_media_problems_total Errors answered, by "
                     "code.\n# TYPE ngx_media_problems_total counter\n");

    for (i = 0; i < MEDIA_PROBLEM_COUNT; i++) {
        p = ngx_slprintf(p, last,
                         "ngx_media_problems_total{code=\"%s\"} %uA\n",
                         media_problem_get(i)->code, shm->problems[i]);
    }

    body.len = p - body.data;

    return ngx_media_send(r, NGX_HTTP_OK, &ngx_media_metrics_text, &body);
}
