
/*
 * ngx_http_media_module: where nginx meets the gateway. Phases, the life of a
 * worker process, the context of a request.
 *
 * Start reading in ngx_media_route.c; the tree and the way of one file through
 * the code are in docs/ARCHITECTURE.md.
 */

#include "ngx_media_conf.h"
#include "ngx_media_auth.h"
#include "ngx_media_revoke.h"
#include "ngx_media_upload.h"
#include "ngx_media_var.h"
#include "ngx_media_wake.h"


static ngx_int_t ngx_media_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_media_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_media_init_process(ngx_cycle_t *cycle);
static void ngx_media_exit_process(ngx_cycle_t *cycle);
static void ngx_media_confirmed(int64_t *ids, ngx_uint_t n);
static void ngx_media_ctx_cleanup(void *data);


static ngx_http_module_t  ngx_media_module_ctx = {
    ngx_media_preconfiguration,     /* preconfiguration */
    ngx_media_postconfiguration,    /* postconfiguration */

    ngx_media_create_main_conf,     /* create main configuration */
    ngx_media_init_main_conf,       /* init main configuration */

    NULL,                           /* create server configuration */
    NULL,                           /* merge server configuration */

    ngx_media_create_loc_conf,      /* create location configuration */
    ngx_media_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_media_module = {
    NGX_MODULE_V1,
    &ngx_media_module_ctx,          /* module context */
    ngx_media_commands,             /* module directives */
    NGX_HTTP_MODULE,                /* module type */
    NULL,                           /* init master */
    NULL,                           /* init module */
    ngx_media_init_process,         /* init process */
    NULL,                           /* init thread */
    NULL,                           /* exit thread */
    ngx_media_exit_process,         /* exit process */
    NULL,                           /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_media_preconfiguration(ngx_conf_t *cf)
{
    return ngx_media_add_variables(cf);
}


static ngx_int_t
ngx_media_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (ngx_media_check_auth(cf) != NGX_OK
        || ngx_media_check_conf(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_media_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_media_mask_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_media_source_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_media_rate_handler;

    return ngx_media_add_header_filter(cf);
}


/*
 * Connections and threads belong to processes that serve requests; the cache
 * manager and loader run this too and need none.
 */

static ngx_int_t
ngx_media_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_media_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    if (ngx_media_auth_init_process(cycle, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!mcf->enabled) {
        return NGX_OK;
    }

    ngx_media_use_zone(mcf->shm_zone);

    if (ngx_media_pg_init(cycle, &mcf->pg) != NGX_OK
        || ngx_media_revoke_init_process(cycle, mcf) != NGX_OK
        || ngx_media_amqp_init(cycle, &mcf->amqp, ngx_media_confirmed)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < MEDIA_STORE_COUNT; i++) {
        if (mcf->s3[i].cred->which == i) {
            ngx_media_s3_cred_init(cycle, mcf->s3[i].cred);
        }
    }

    return ngx_media_upload_init_process(cycle, mcf);
}


static void
ngx_media_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_media_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_media_module);

    if (mcf == NULL || !mcf->enabled) {
        return;
    }

    ngx_media_amqp_done(cycle);

    for (i = 0; i < MEDIA_STORE_COUNT; i++) {
        if (mcf->s3[i].cred->which == i) {
            ngx_media_s3_cred_done(mcf->s3[i].cred);
        }

        ngx_media_http_peer_close(&mcf->s3[i].peer);
    }

    ngx_media_pg_done(cycle);
    ngx_media_mem_done();
    ngx_media_leave_zone();
}


/* The broker has these: their outbox rows may go. */

static void
ngx_media_confirmed(int64_t *ids, ngx_uint_t n)
{
    u_char      *p;
    ngx_str_t    param;
    ngx_uint_t   i;

    param.data = ngx_alloc(n * (NGX_INT64_LEN + 1) + 2, ngx_cycle->log);
    if (param.data == NULL) {
        return;
    }

    p = param.data;
    *p++ = '{';

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "%s%L", i == 0 ? "" : ",", ids[i]);
    }

    *p++ = '}';
    param.len = p - param.data;

    /* what cannot be marked is published once more by the janitor */

    (void) ngx_media_pg_query(MEDIA_STMT_OUTBOX_SENT, &param, NULL, NULL);
    ngx_free(param.data);
}


/*
 * The context lives in a pool cleanup, because named and internal redirects
 * clear r->ctx. A subrequest shares that of its main request.
 */

ngx_media_ctx_t *
ngx_media_ctx(ngx_http_request_t *r)
{
    ngx_media_ctx_t     *ctx;
    ngx_pool_cleanup_t  *cln;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_media_module);
    if (ctx != NULL) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_media_ctx_cleanup) {
            ngx_http_set_ctx(r, cln->data, ngx_http_media_module);
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_media_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(cln->data, sizeof(ngx_media_ctx_t));
    cln->handler = ngx_media_ctx_cleanup;
    ngx_http_set_ctx(r, cln->data, ngx_http_media_module);

    return cln->data;
}


static void
ngx_media_ctx_cleanup(void *data)
{
    ngx_media_ctx_t  *ctx = data;

    ngx_media_token_release(ctx->token);
}


ngx_media_main_conf_t *
ngx_media_main_conf(ngx_http_request_t *r)
{
    return ngx_http_get_module_main_conf(r, ngx_http_media_module);
}


ngx_media_loc_conf_t *
ngx_media_loc_conf(ngx_http_request_t *r)
{
    return ngx_http_get_module_loc_conf(r, ngx_http_media_module);
}
