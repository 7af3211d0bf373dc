
/*
 * The uploads of this process: made, freed, and kept alive by heart-beats of
 * their intents.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include <openssl/rand.h>


static ngx_queue_t  ngx_media_uploads;
static ngx_event_t  ngx_media_heartbeat;


static void ngx_media_uploads_pressed(void);
static void ngx_media_heartbeat_handler(ngx_event_t *ev);
static void ngx_media_heartbeat_done(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_upload_prefix(ngx_media_upload_t *u,
    ngx_http_request_t *r, ngx_str_t *prefix);


ngx_int_t
ngx_media_upload_init_process(ngx_cycle_t *cycle, ngx_media_main_conf_t *mcf)
{
    ngx_queue_init(&ngx_media_uploads);
    ngx_media_mem_init(mcf->memory, mcf->part_max, ngx_media_uploads_pressed);
    ngx_media_part_init(mcf->s3_connections);

    ngx_media_heartbeat.handler = ngx_media_heartbeat_handler;
    ngx_media_heartbeat.log = cycle->log;
    ngx_media_heartbeat.data = &ngx_media_heartbeat;
    ngx_media_heartbeat.cancelable = 1;

    ngx_add_timer(&ngx_media_heartbeat, NGX_MEDIA_HEARTBEAT);

    return NGX_OK;
}


/* The prefix of the object's key. A variable in it may not add folders: those
 * of one user would lie within another's. */

static ngx_int_t
ngx_media_upload_prefix(ngx_media_upload_t *u, ngx_http_request_t *r,
    ngx_str_t *prefix)
{
    size_t      i;
    ngx_uint_t  slashes;

    ngx_str_null(prefix);

    if (u->lcf->s3_prefix == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, u->lcf->s3_prefix, prefix) != NGX_OK) {
        return NGX_ERROR;
    }

    slashes = 0;

    for (i = 0; i < prefix->len; i++) {
        slashes += prefix->data[i] == '/';
    }

    if (slashes != u->lcf->s3_slashes
        || !media_objkey_prefix_valid(ngx_media_view(prefix)))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media s3: \"media_s3_prefix\" gives \"%V\", which is "
                      "no prefix of a key", prefix);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_media_upload_t *
ngx_media_upload_create(ngx_http_request_t *r)
{
    ngx_pool_t          *pool;
    ngx_str_t            prefix;
    media_str_t          id;
    ngx_media_upload_t  *u;
    uint8_t              rnd[10];
    char                 uuid[MEDIA_UUID_LEN + 1], key[MEDIA_OBJKEY_MAX];
    ngx_time_t          *tp;
    ssize_t              n;

#if (NGX_MEDIA_FAULTS)
    ngx_media_fault_arm(&ngx_media_main_conf(r)->fault_file, ngx_cycle->log);
#endif

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    u = ngx_pcalloc(pool, sizeof(ngx_media_upload_t));
    if (u == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    u->pool = pool;
    u->log = ngx_cycle->log;
    u->mcf = ngx_media_main_conf(r);
    u->s3 = &u->mcf->s3[MEDIA_STORE_INPUT];
    u->lcf = ngx_media_loc_conf(r);
    u->began_at = ngx_current_msec;
    ngx_queue_init(&u->parts.full);

    ngx_queue_insert_tail(&ngx_media_uploads, &u->link);

    ngx_media_gauge(NGX_MEDIA_G_UPLOADS_ACTIVE, 1);

    u->sha = EVP_MD_CTX_new();

    if (u->sha == NULL
        || EVP_DigestInit_ex(u->sha, EVP_sha256(), NULL) != 1
        || RAND_bytes(rnd, sizeof(rnd)) != 1)
    {
        ngx_media_upload_free(u);
        return NULL;
    }

    tp = ngx_timeofday();
    media_uuid7((int64_t) tp->sec * 1000 + tp->msec, rnd, uuid);

    id.p = uuid;
    id.len = MEDIA_UUID_LEN;

    if (ngx_media_upload_prefix(u, r, &prefix) != NGX_OK) {
        ngx_media_upload_free(u);
        return NULL;
    }

    n = media_objkey_original(ngx_media_view(&prefix), id, key, sizeof(key));

    if (n < 0
        || ngx_media_strdup(pool, &u->id, uuid, MEDIA_UUID_LEN) != NGX_OK
        || ngx_media_strdup(pool, &u->key, key, n) != NGX_OK)
    {
        ngx_media_upload_free(u);
        return NULL;
    }

#if (NGX_MEDIA_FAULTS)
    ngx_media_fault_upload(&u->id);
#endif

    return u;
}


void
ngx_media_upload_free(ngx_media_upload_t *u)
{
    ngx_queue_remove(&u->link);
    ngx_media_gauge(NGX_MEDIA_G_UPLOADS_ACTIVE, -1);

    if (u->turn.posted) {
        ngx_delete_posted_event(&u->turn);
    }

    if (u->query != NULL) {
        ngx_media_pg_detach(u->query);
    }

    if (u->check != NULL) {
        ngx_media_pg_detach(u->check);
    }

    ngx_media_alive_forget(&u->alive);
    ngx_media_reserve_close(u);

    if (u->sink != NULL) {
        u->sink->close(u);
    }

    ngx_media_multi_close(u);

    ngx_media_retry_stop(&u->retry);

    media_multipart_free(u->form);
    EVP_MD_CTX_free(u->sha);
    EVP_MD_CTX_free(u->body_sha);

    ngx_destroy_pool(u->pool);
}


/* Others wait for the memory it holds. */

static ngx_uint_t
ngx_media_upload_too_slow(ngx_media_upload_t *u)
{
    return u->state == NGX_MEDIA_UPLOAD_READING
           && (u->parts.filling != NULL || u->parts.nfull > 0)
           && media_pace_below(&u->pace, ngx_current_msec, u->mcf->min_rate);
}


static void
ngx_media_uploads_pressed(void)
{
    ngx_queue_t         *q;
    ngx_media_upload_t  *u;

    q = ngx_queue_head(&ngx_media_uploads);

    while (q != ngx_queue_sentinel(&ngx_media_uploads)) {

        u = ngx_queue_data(q, ngx_media_upload_t, link);
        q = ngx_queue_next(q);

        if (!ngx_media_upload_too_slow(u)) {
            continue;
        }

        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_CLIENT_TIMEOUT,
                                     "less than %uz bytes per second, and "
                                     "others wait for the memory",
                                     u->mcf->min_rate);

        /* the end of a request may be that of others */

        q = ngx_queue_head(&ngx_media_uploads);
    }
}


/* One statement renews every intent of this process. */

static void
ngx_media_heartbeat_handler(ngx_event_t *ev)
{
    u_char              *p;
    size_t               n;
    ngx_str_t            param;
    ngx_queue_t         *q;
    ngx_media_upload_t  *u;

    ngx_add_timer(ev, NGX_MEDIA_HEARTBEAT);

    n = 0;

    for (q = ngx_queue_head(&ngx_media_uploads);
         q != ngx_queue_sentinel(&ngx_media_uploads);
         q = ngx_queue_next(q))
    {
        n++;
    }

    if (n == 0) {
        return;
    }

    param.data = ngx_alloc(n * (MEDIA_UUID_LEN + 1) + 2, ev->log);
    if (param.data == NULL) {
        return;
    }

    p = param.data;
    *p++ = '{';

    for (q = ngx_queue_head(&ngx_media_uploads);
         q != ngx_queue_sentinel(&ngx_media_uploads);
         q = ngx_queue_next(q))
    {
        u = ngx_queue_data(q, ngx_media_upload_t, link);

        if (u->opened) {
            if (p[-1] != '{') {
                *p++ = ',';
            }

            p = ngx_cpymem(p, u->id.data, u->id.len);
        }
    }

    *p++ = '}';
    param.len = p - param.data;

    if (param.len > 2) {
        (void) ngx_media_pg_query(MEDIA_STMT_UPLOAD_HEARTBEAT, &param,
                                  ngx_media_heartbeat_done, NULL);
    }

    ngx_free(param.data);
}


/* The answer names intents that are open no more; an upload that committed
 * meanwhile is not among ours any longer. */

static void
ngx_media_heartbeat_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_str_t            id = ngx_null_string;
    ngx_uint_t           i;
    ngx_queue_t         *q;
    ngx_media_upload_t  *u;

    if (res->rc != NGX_OK) {
        ngx_media_query_log(ngx_cycle->log, res, &id);
        return;
    }

    for (i = 0; i < res->nrows; i++) {
        id = ngx_media_pg_value(res, i, 0);

        for (q = ngx_queue_head(&ngx_media_uploads);
             q != ngx_queue_sentinel(&ngx_media_uploads);
             q = ngx_queue_next(q))
        {
            u = ngx_queue_data(q, ngx_media_upload_t, link);

            if (u->id.len == id.len
                && ngx_strncmp(u->id.data, id.data, id.len) == 0)
            {
                u->dead = 1;
                break;
            }
        }
    }
}
