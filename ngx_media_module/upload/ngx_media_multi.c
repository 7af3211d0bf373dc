
/*
 * Multipart uploads at S3: create, record the id in the intent before the
 * first part is sent, complete. Aborting is the janitor's: it knows the id.
 *
 * Each step is repeated while that may help. A Create whose answer is lost may
 * have made an upload of which nobody knows the id: the row of the object says
 * so before another one is made, and the janitor aborts what S3 lists under
 * that key, also when the file was stored in the end.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_MULTI_LOOKS  4    /* behind a refusal that may be none */


static ngx_int_t ngx_media_multi_begin(ngx_media_upload_t *u);
static ngx_int_t ngx_media_multi_note(ngx_media_upload_t *u);
static void ngx_media_multi_noted(void *data, ngx_media_pg_result_t *res);
static void ngx_media_multi_created(void *data, ngx_media_s3_result_t *res);
static ngx_int_t ngx_media_multi_record(ngx_media_upload_t *u);
static void ngx_media_multi_recorded(void *data, ngx_media_pg_result_t *res);
static ngx_int_t ngx_media_multi_finish(ngx_media_upload_t *u);
static void ngx_media_multi_completed(void *data, ngx_media_s3_result_t *res);
static ngx_int_t ngx_media_multi_look(ngx_media_upload_t *u);
static void ngx_media_multi_headed(void *data, ngx_media_s3_result_t *res);
static void ngx_media_multi_retry(ngx_event_t *ev);
static ngx_int_t ngx_media_multi_query(ngx_media_upload_t *u,
    enum media_stmt stmt, ngx_str_t *params, ngx_media_pg_done_pt done);
static ngx_uint_t ngx_media_multi_answered(ngx_media_upload_t *u,
    ngx_media_pg_result_t *res, ngx_int_t (*again)(ngx_media_upload_t *u));
static ngx_int_t ngx_media_multi_send(ngx_media_upload_t *u,
    enum media_s3_op op, ngx_media_s3_done_pt done);


ngx_int_t
ngx_media_multi_create(ngx_media_upload_t *u,
    ngx_int_t (*opened)(ngx_media_upload_t *u))
{
    ngx_media_multi_t  *m = &u->multi;

    m->opened = opened;
    m->parts = ngx_array_create(u->pool, 16, sizeof(ngx_media_multi_part_t));

    if (m->parts == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    ngx_media_retry_init(&m->retry, ngx_media_multi_retry, u, u->log,
                         NGX_MEDIA_S3_PAUSE);

    return ngx_media_multi_begin(u);
}


static ngx_int_t
ngx_media_multi_begin(ngx_media_upload_t *u)
{
    if (u->multi.doubt && !u->multi.noted) {
        return ngx_media_multi_note(u);
    }

    return ngx_media_multi_send(u, MEDIA_S3_CREATE_MULTIPART,
                                ngx_media_multi_created);
}


/* Before there may be two of them. */

static ngx_int_t
ngx_media_multi_note(ngx_media_upload_t *u)
{
    return ngx_media_multi_query(u, MEDIA_STMT_UPLOAD_DOUBT, &u->id,
                                 ngx_media_multi_noted);
}


static void
ngx_media_multi_noted(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    if (ngx_media_multi_answered(u, res, ngx_media_multi_begin)) {
        u->multi.noted = 1;
        (void) ngx_media_multi_begin(u);
    }
}


static void
ngx_media_multi_created(void *data, ngx_media_s3_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_media_multi_t   *m = &u->multi;

    m->call = NULL;

    if (res->verdict == MEDIA_E_RETRY) {
        m->doubt |= res->unknown ? 1 : 0;
        m->again = ngx_media_multi_begin;

        if (ngx_media_retry(&m->retry, res->retry_after * 1000) == NGX_OK) {
            return;
        }
    }

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

    ngx_media_retry_init(&m->retry, ngx_media_multi_retry, u, u->log,
                         NGX_MEDIA_PG_PAUSE);

    (void) ngx_media_multi_record(u);
}


static ngx_int_t
ngx_media_multi_record(ngx_media_upload_t *u)
{
    ngx_str_t  p[2];

    p[0] = u->id;
    p[1] = u->multi.upload_id;

    return ngx_media_multi_query(u, MEDIA_STMT_UPLOAD_S3ID, p,
                                 ngx_media_multi_recorded);
}


static void
ngx_media_multi_recorded(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    if (!ngx_media_multi_answered(u, res, ngx_media_multi_record)) {
        return;
    }

    u->multi.recorded = 1;

    if (u->multi.opened(u) == NGX_OK) {
        (void) ngx_media_upload_pump(u);
    }
}


static ngx_int_t
ngx_media_multi_query(ngx_media_upload_t *u, enum media_stmt stmt,
    ngx_str_t *params, ngx_media_pg_done_pt done)
{
    u->multi.query = ngx_media_pg_query(stmt, params, done, u);

    if (u->multi.query == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
}


/* 1: the statement said "ok". 0: it is said again, or the upload has ended. */

static ngx_uint_t
ngx_media_multi_answered(ngx_media_upload_t *u, ngx_media_pg_result_t *res,
    ngx_int_t (*again)(ngx_media_upload_t *u))
{
    ngx_str_t  code;

    u->multi.query = NULL;
    u->multi.again = again;

    if (ngx_media_query_away(res)
        && ngx_media_retry(&u->multi.retry, 0) == NGX_OK)
    {
        return 0;
    }

    if (res->rc != NGX_OK) {
        ngx_media_query_log(u->log, res, &u->request_id);
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_DATABASE_UNAVAILABLE,
                                     NULL);
        return 0;
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_UPLOAD_LOST, NULL);
        return 0;
    }

    return 1;
}


static ngx_int_t
ngx_media_multi_send(ngx_media_upload_t *u, enum media_s3_op op,
    ngx_media_s3_done_pt done)
{
    ngx_media_multi_t       *m = &u->multi;

    ngx_media_s3_request_t   req;

    ngx_memzero(&req, sizeof(ngx_media_s3_request_t));

    req.conf = u->s3;
    req.op = op;
    req.key = u->key;
    req.within = ngx_media_retry_left(&m->retry);
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
        req.sum = m->sum;
    }

    m->call = ngx_media_s3_call(&req);

    if (m->call == NULL) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_OVERLOADED, NULL);
    }

    return NGX_OK;
}


void
ngx_media_multi_crc(ngx_media_upload_t *u, uint64_t crc, off_t size)
{
    u->multi.crc = media_crc64nvme_combine(u->multi.crc, crc, size);
}


ngx_int_t
ngx_media_multi_part(ngx_media_upload_t *u, ngx_uint_t part, ngx_str_t *etag,
    const char *sum)
{
    ngx_array_t             *parts = u->multi.parts;

    ngx_media_multi_part_t  *slot;

    while (parts->nelts < part) {
        slot = ngx_array_push(parts);
        if (slot == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(slot, sizeof(ngx_media_multi_part_t));
    }

    slot = parts->elts;
    slot += part - 1;

    ngx_memcpy(slot->sum, sum, MEDIA_S3_SUM_TEXT);

    slot->etag.len = etag->len;
    slot->etag.data = ngx_pstrdup(u->pool, etag);

    return slot->etag.data == NULL ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_media_multi_body(ngx_media_upload_t *u)
{
    size_t                   cap;
    u_char                  *p, *last;
    ssize_t                  n;
    ngx_uint_t               i;
    media_str_t              etag;
    ngx_media_multi_part_t  *part;

    part = u->multi.parts->elts;
    cap = sizeof(MEDIA_S3_COMPLETE_OPEN) + sizeof(MEDIA_S3_COMPLETE_CLOSE);

    for (i = 0; i < u->multi.parts->nelts; i++) {
        cap += 256 + 6 * part[i].etag.len;
    }

    p = ngx_pnalloc(u->pool, cap);
    if (p == NULL) {
        return NGX_ERROR;
    }

    u->multi.body.data = p;
    last = p + cap;

    p = ngx_cpymem(p, MEDIA_S3_COMPLETE_OPEN,
                   sizeof(MEDIA_S3_COMPLETE_OPEN) - 1);

    for (i = 0; i < u->multi.parts->nelts; i++) {
        etag.p = (char *) part[i].etag.data;
        etag.len = part[i].etag.len;

        n = media_s3_complete_part(i + 1, etag, u->s3->sum, part[i].sum,
                                   (char *) p, last - p);
        if (n < 0) {
            return NGX_ERROR;
        }

        p += n;
    }

    p = ngx_cpymem(p, MEDIA_S3_COMPLETE_CLOSE,
                   sizeof(MEDIA_S3_COMPLETE_CLOSE) - 1);

    u->multi.body.len = p - u->multi.body.data;

    if (u->s3->sum == MEDIA_S3_SUM_CRC64NVME) {
        media_s3_sum_crc_text(u->multi.crc, u->multi.sum);
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_multi_complete(ngx_media_upload_t *u)
{
    if (ngx_media_multi_body(u) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    ngx_media_retry_init(&u->multi.retry, ngx_media_multi_retry, u, u->log,
                         NGX_MEDIA_S3_PAUSE);

    return ngx_media_multi_finish(u);
}


static ngx_int_t
ngx_media_multi_finish(ngx_media_upload_t *u)
{
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
 * or "no such upload", the object itself is asked for first; and once more when
 * there is no time left for another Complete. A repeated one may meet the first
 * one still at work and be refused, so a refusal then is asked about, too.
 * (MinIO breaks off a Complete whose connection is lost, and may have lost the
 * parts by then: InvalidPart for ever, and no object.)
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

    m->twice |= res->unknown ? 1 : 0;

    if (res->verdict == MEDIA_E_RETRY || res->verdict == MEDIA_E_GONE
        || (m->twice && m->retry.failures < NGX_MEDIA_MULTI_LOOKS))
    {
        m->again = ngx_media_multi_look;

        if (ngx_media_retry(&m->retry, res->retry_after * 1000) == NGX_OK) {
            return;
        }

        if (m->twice) {
            m->last = 1;
            (void) ngx_media_multi_look(u);
            return;
        }
    }

    (void) ngx_media_upload_s3_failed(u, res, "complete multipart");
}


static ngx_int_t
ngx_media_multi_look(ngx_media_upload_t *u)
{
    return ngx_media_multi_send(u, MEDIA_S3_HEAD, ngx_media_multi_headed);
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

    if (u->multi.last) {
        (void) ngx_media_upload_s3_failed(u, res, "head");
        return;
    }

    (void) ngx_media_multi_finish(u);
}


static void
ngx_media_multi_retry(ngx_event_t *ev)
{
    ngx_media_upload_t  *u = ev->data;

    (void) u->multi.again(u);
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

    ngx_media_retry_stop(&m->retry);
}
