
/*
 * Multipart uploads at S3: create, record the id in the intent before the
 * first part is sent, complete. Aborting is the janitor's: it knows the id.
 */

#include "ngx_media_upload.h"


static void ngx_media_multi_created(void *data, ngx_media_s3_result_t *res);
static void ngx_media_multi_recorded(void *data, ngx_media_pg_result_t *res);
static void ngx_media_multi_completed(void *data, ngx_media_s3_result_t *res);
static void ngx_media_multi_headed(void *data, ngx_media_s3_result_t *res);
static void ngx_media_multi_retry(ngx_event_t *ev);
static ngx_int_t ngx_media_multi_send(ngx_media_upload_t *u,
    enum media_s3_op op, ngx_media_s3_done_pt done);


ngx_int_t
ngx_media_multi_create(ngx_media_upload_t *u,
    ngx_int_t (*opened)(ngx_media_upload_t *u))
{
    ngx_media_multi_t  *m = &u->multi;

    m->opened = opened;
    m->etags = ngx_array_create(u->pool, 16, sizeof(ngx_str_t));

    if (m->etags == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return ngx_media_multi_send(u, MEDIA_S3_CREATE_MULTIPART,
                                ngx_media_multi_created);
}


static ngx_int_t
ngx_media_multi_send(ngx_media_upload_t *u, enum media_s3_op op,
    ngx_media_s3_done_pt done)
{
    ngx_media_multi_t       *m = &u->multi;

    ngx_media_s3_request_t   req;

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = &u->mcf->s3;
    req.op = op;
    req.key = u->key;
    req.done = done;
    req.data = u;
    req.log = u->log;

    if (op == MEDIA_S3_CREATE_MULTIPART) {
        req.content_type.data = (u_char *) u->sniff.content_type;
        req.content_type.len = ngx_strlen(u->sniff.content_type);

    } else if (op == MEDIA_S3_COMPLETE_MULTIPART) {
        req.upload_id = m->upload_id;
        req.body = m->body;
        req.length = m->body.len;
    }

    m->call = ngx_media_s3_call(&req);

    if (m->call == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
}


static void
ngx_media_multi_created(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t            p[2];
    ngx_media_multi_t   *m = &u->multi;

    m->call = NULL;

    if (res->verdict != 0) {
        (void) ngx_media_upload_s3_failed(u, res, "create multipart");
        return;
    }

    m->upload_id.len = res->upload_id.len;
    m->upload_id.data = ngx_pstrdup(u->pool, &res->upload_id);

    if (m->upload_id.data == NULL) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    p[0] = u->id;
    p[1] = m->upload_id;

    m->query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_S3ID, p,
                                  ngx_media_multi_recorded, u);

    if (m->query == NULL) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }
}


static void
ngx_media_multi_recorded(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code;

    u->multi.query = NULL;

    if (res->rc != NGX_OK) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_DATABASE_UNAVAILABLE,
                                     NULL);
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (code.len != 2) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_UPLOAD_LOST, NULL);
        return;
    }

    if (u->multi.opened(u) == NGX_OK) {
        (void) ngx_media_upload_pump(u);
    }
}


/* Parts may be answered in any order. */

ngx_int_t
ngx_media_multi_etag(ngx_media_upload_t *u, ngx_uint_t part, ngx_str_t *etag)
{
    ngx_str_t    *slot;
    ngx_array_t  *etags = u->multi.etags;

    while (etags->nelts < part) {
        slot = ngx_array_push(etags);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        ngx_str_null(slot);
    }

    slot = etags->elts;
    slot += part - 1;

    slot->len = etag->len;
    slot->data = ngx_pstrdup(u->pool, etag);

    return slot->data == NULL ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_media_multi_body(ngx_media_upload_t *u)
{
    size_t        cap;
    u_char       *p, *last;
    ssize_t       n;
    ngx_str_t    *etag;
    ngx_uint_t    i;
    media_str_t   view;

    etag = u->multi.etags->elts;
    cap = sizeof(MEDIA_S3_COMPLETE_OPEN) + sizeof(MEDIA_S3_COMPLETE_CLOSE);

    for (i = 0; i < u->multi.etags->nelts; i++) {
        cap += 128 + 6 * etag[i].len;
    }

    p = ngx_pnalloc(u->pool, cap);
    if (p == NULL) {
        return NGX_ERROR;
    }

    u->multi.body.data = p;
    last = p + cap;

    p = ngx_cpymem(p, MEDIA_S3_COMPLETE_OPEN,
                   sizeof(MEDIA_S3_COMPLETE_OPEN) - 1);

    for (i = 0; i < u->multi.etags->nelts; i++) {
        view.p = (char *) etag[i].data;
        view.len = etag[i].len;

        n = media_s3_complete_part(i + 1, view, (char *) p, last - p);
        if (n < 0) {
            return NGX_ERROR;
        }

        p += n;
    }

    p = ngx_cpymem(p, MEDIA_S3_COMPLETE_CLOSE,
                   sizeof(MEDIA_S3_COMPLETE_CLOSE) - 1);

    u->multi.body.len = p - u->multi.body.data;

    return NGX_OK;
}


ngx_int_t
ngx_media_multi_complete(ngx_media_upload_t *u)
{
    if (ngx_media_multi_body(u) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return ngx_media_multi_send(u, MEDIA_S3_COMPLETE_MULTIPART,
                                ngx_media_multi_completed);
}


static ngx_int_t
ngx_media_multi_stored(ngx_media_upload_t *u, ngx_str_t *etag)
{
    u->etag.len = etag->len;
    u->etag.data = ngx_pstrdup(u->pool, etag);

    if (u->etag.data == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return ngx_media_upload_stored(u);
}


/*
 * Completing is not idempotent everywhere: after an answer that did not come,
 * or "no such upload", the object itself is asked for first.
 */

static void
ngx_media_multi_completed(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_media_multi_t   *m = &u->multi;

    m->call = NULL;

    if (res->verdict == 0) {
        (void) ngx_media_multi_stored(u, &res->etag);
        return;
    }

    if ((res->verdict == MEDIA_E_RETRY || res->verdict == MEDIA_E_GONE)
        && ++m->tries < NGX_MEDIA_PART_TRIES)
    {
        m->retry.handler = ngx_media_multi_retry;
        m->retry.data = u;
        m->retry.log = u->log;

        ngx_add_timer(&m->retry, NGX_MEDIA_RETRY_DELAY << (m->tries - 1));
        return;
    }

    (void) ngx_media_upload_s3_failed(u, res, "complete multipart");
}


static void
ngx_media_multi_retry(ngx_event_t *ev)
{
    ngx_media_upload_t  *u = ev->data;

    (void) ngx_media_multi_send(u, MEDIA_S3_HEAD, ngx_media_multi_headed);
}


static void
ngx_media_multi_headed(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    u->multi.call = NULL;

    if (res->verdict == 0 && res->size == u->received) {
        (void) ngx_media_multi_stored(u, &res->etag);
        return;
    }

    (void) ngx_media_multi_send(u, MEDIA_S3_COMPLETE_MULTIPART,
                                ngx_media_multi_completed);
}


void
ngx_media_multi_close(ngx_media_upload_t *u)
{
    ngx_media_multi_t  *m = &u->multi;

    ngx_media_s3_cancel(m->call);
    m->call = NULL;

    if (m->query != NULL) {
        ngx_media_pg_detach(m->query);
        m->query = NULL;
    }

    if (m->retry.timer_set) {
        ngx_del_timer(&m->retry);
    }
}
