
/*
 * The quota of an upload whose length nobody knows: its intent holds a
 * reservation that is extended ahead of the bytes, while they flow. Only when
 * they have caught up with it does the client wait, for one buffer of bytes at
 * most that nobody reserved yet; they are not committed before somebody did.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


static ngx_int_t ngx_media_reserve_ask(ngx_media_upload_t *u);
static ngx_int_t ngx_media_reserve_again(ngx_media_upload_t *u);
static void ngx_media_reserve_retry(ngx_event_t *ev);
static void ngx_media_reserve_done(void *data, ngx_media_pg_result_t *res);


ngx_int_t
ngx_media_reserve_ready(ngx_media_upload_t *u)
{
    off_t  left;

    if (!u->opened) {
        return NGX_OK;      /* a repetition stores nothing */
    }

    left = u->reserve.bytes - u->received;

    if (left >= NGX_MEDIA_RESERVE_AHEAD
        || (left >= 0 && (u->reserve.last || u->body_done
                          || u->reserve.bytes == u->most)))
    {
        return NGX_OK;
    }

    if (u->reserve.query == NULL && !u->reserve.retry.timer.timer_set) {

        ngx_media_retry_init(&u->reserve.retry, ngx_media_reserve_retry, u,
                             u->log, NGX_MEDIA_PG_PAUSE);

        if (ngx_media_reserve_ask(u) != NGX_OK) {
            return NGX_DONE;
        }
    }

    return left >= 0 ? NGX_OK : NGX_AGAIN;
}


static ngx_int_t
ngx_media_reserve_ask(ngx_media_upload_t *u)
{
    u_char     received[NGX_OFF_T_LEN];
    ngx_str_t  p[3], uploads;

    ngx_media_quota_t  quota;

    p[0] = u->id;
    p[1].data = received;
    p[1].len = ngx_sprintf(received, "%O", u->received) - received;

    ngx_media_quota_params(u->lcf, &quota, &p[2], &uploads);

    u->reserve.query = ngx_media_pg_query(MEDIA_STMT_UPLOAD_RESERVE, p,
                                          ngx_media_reserve_done, u);

    return u->reserve.query == NULL ? ngx_media_reserve_again(u) : NGX_OK;
}


/* Asked twice, the database answers the same. */

static ngx_int_t
ngx_media_reserve_again(ngx_media_upload_t *u)
{
    if (ngx_media_retry(&u->reserve.retry, 0) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_media_upload_fail(u, MEDIA_PROBLEM_DATABASE_UNAVAILABLE, NULL);
}


static void
ngx_media_reserve_retry(ngx_event_t *ev)
{
    ngx_media_upload_t  *u = ev->data;

    if (u->state == NGX_MEDIA_UPLOAD_READING) {
        (void) ngx_media_reserve_ask(u);
    }
}


static void
ngx_media_reserve_done(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail, members, reserved, is_last;

    u->reserve.query = NULL;

    if (u->state != NGX_MEDIA_UPLOAD_READING) {
        return;             /* what was reserved was enough */
    }

    if (res->rc != NGX_OK || res->nrows != 1) {

        ngx_media_query_log(u->log, res, &u->request_id);

        if (ngx_media_query_away(res)) {
            (void) ngx_media_reserve_again(u);
            return;
        }

        (void) ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);
    detail = ngx_media_pg_value(res, 0, 1);
    members = ngx_media_pg_value(res, 0, 2);
    reserved = ngx_media_pg_value(res, 0, 3);
    is_last = ngx_media_pg_value(res, 0, 4);

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        (void) ngx_media_upload_denied(u, &code, &detail, &members);
        return;
    }

    u->reserve.bytes = ngx_atoof(reserved.data, reserved.len);
    u->reserve.last = is_last.len == 1 && is_last.data[0] == 't';

    (void) ngx_media_upload_pump(u);
}


void
ngx_media_reserve_close(ngx_media_upload_t *u)
{
    if (u->reserve.query != NULL) {
        ngx_media_pg_detach(u->reserve.query);
        u->reserve.query = NULL;
    }

    ngx_media_retry_stop(&u->reserve.retry);
}
