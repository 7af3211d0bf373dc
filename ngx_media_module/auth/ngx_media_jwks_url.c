
/*
 * media_auth_jwks URL. The text of the last good set lies in shared memory, so
 * that one fetch serves all processes and a reload or a crash in the middle of
 * an outage loses nothing. Every process has a timer; whoever finds that a
 * fetch is due takes a lease and fetches, the others see a new version and
 * read the text. No request waits for any of this.
 *
 *  due      when the set is to be fetched (again); all times are those of the
 *           monotonic clock, which processes share
 *  lease    until when the fetching process may need; a dead one runs into it
 *  started  of the last fetch: for a key nobody has, the next one may begin
 *           media_auth_jwks_retry later
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_JWKS_DEADLINE   10000     /* ms, of one fetch */
#define NGX_MEDIA_JWKS_FIRST      1000      /* until the first set has come */
#define NGX_MEDIA_JWKS_JITTER     500
#define NGX_MEDIA_JWKS_AGE_MAX    86400     /* s, whatever max-age says */
#define NGX_MEDIA_JWKS_ZONE_SIZE  (NGX_MEDIA_JWKS_PAGES * ngx_pagesize)
#define NGX_MEDIA_JWKS_PAGES      (MEDIA_JWKS_TEXT_MAX / 4096 + 16)


typedef struct {
    ngx_atomic_t                version;    /* of text; 0: none has come */
    ngx_msec_t                  due;
    ngx_msec_t                  lease;
    ngx_msec_t                  started;
    ngx_uint_t                  failures;   /* since the last good set */
    size_t                      len;
    u_char                      text[MEDIA_JWKS_TEXT_MAX];
} ngx_media_jwks_shared_t;


static ngx_int_t ngx_media_jwks_init_zone(ngx_shm_zone_t *zone, void *data);
static void ngx_media_jwks_url_handler(ngx_event_t *ev);
static void ngx_media_jwks_deadline_handler(ngx_event_t *ev);
static ngx_int_t ngx_media_jwks_fetch(ngx_media_jwks_t *jwks);
static void ngx_media_jwks_done(void *data, ngx_media_http_response_t *res);
static ngx_int_t ngx_media_jwks_accept(ngx_media_jwks_t *jwks,
    ngx_media_http_response_t *res, media_err_t *ei);
static ngx_int_t ngx_media_jwks_publish(ngx_media_jwks_t *jwks,
    ngx_str_t *text, media_err_t *ei);
static void ngx_media_jwks_finish(ngx_media_jwks_t *jwks, ngx_uint_t ok,
    ngx_msec_t wait);
static void ngx_media_jwks_failed(ngx_media_jwks_t *jwks, const char *cause);
static ngx_msec_t ngx_media_jwks_wait(ngx_media_jwks_t *jwks,
    media_http1_t *h1);
static void ngx_media_jwks_arm(ngx_media_jwks_t *jwks);


static ngx_inline ngx_media_jwks_shared_t *
ngx_media_jwks_shared(ngx_media_jwks_t *jwks)
{
    return jwks->conf->zone->data;
}


static ngx_inline void
ngx_media_jwks_lock(ngx_media_jwks_t *jwks)
{
    ngx_shmtx_lock(&((ngx_slab_pool_t *) jwks->conf->zone->shm.addr)->mutex);
}


static ngx_inline void
ngx_media_jwks_unlock(ngx_media_jwks_t *jwks)
{
    ngx_shmtx_unlock(&((ngx_slab_pool_t *) jwks->conf->zone->shm.addr)->mutex);
}


/* The name is the URL: another one has another zone. */

ngx_int_t
ngx_media_jwks_zone(ngx_conf_t *cf, ngx_media_jwks_conf_t *conf)
{
    conf->zone = ngx_shared_memory_add(cf, &conf->name,
                                       NGX_MEDIA_JWKS_ZONE_SIZE,
                                       &ngx_http_media_module);
    if (conf->zone == NULL) {
        return NGX_ERROR;
    }

    conf->zone->init = ngx_media_jwks_init_zone;

    return NGX_OK;
}


static ngx_int_t
ngx_media_jwks_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t          *shpool;
    ngx_media_jwks_shared_t  *shared;

    if (data != NULL) {
        zone->data = data;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    shared = ngx_slab_calloc(shpool, sizeof(ngx_media_jwks_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    shared->due = ngx_current_msec;
    shared->lease = ngx_current_msec;
    shared->started = ngx_current_msec;

    zone->data = shared;
    shpool->data = shared;

    return NGX_OK;
}


void
ngx_media_jwks_url_start(ngx_media_jwks_t *jwks)
{
    jwks->timer.data = jwks;
    jwks->timer.handler = ngx_media_jwks_url_handler;
    jwks->timer.log = jwks->auth->log;
    jwks->timer.cancelable = 1;

    jwks->deadline.data = jwks;
    jwks->deadline.handler = ngx_media_jwks_deadline_handler;
    jwks->deadline.log = jwks->auth->log;

    ngx_media_jwks_url_update(jwks);

    /* not from within init_process: there is no event loop yet */

    ngx_add_timer(&jwks->timer, 1);
}


void
ngx_media_jwks_url_stop(ngx_media_jwks_t *jwks)
{
    if (jwks->deadline.timer_set) {
        ngx_del_timer(&jwks->deadline);
    }

    if (jwks->call) {
        ngx_media_http_cancel(jwks->call);
        jwks->call = NULL;
    }
}


void
ngx_media_jwks_url_update(ngx_media_jwks_t *jwks)
{
    ngx_str_t                 text;
    media_err_t               ei;
    ngx_atomic_uint_t         version;
    ngx_media_jwks_shared_t  *shared;

    shared = ngx_media_jwks_shared(jwks);

    if (shared->version == jwks->version) {
        return;
    }

    text.data = ngx_alloc(MEDIA_JWKS_TEXT_MAX, jwks->auth->log);
    if (text.data == NULL) {
        return;     /* tried again at the next look */
    }

    ngx_media_jwks_lock(jwks);

    version = shared->version;
    text.len = shared->len;
    ngx_memcpy(text.data, shared->text, shared->len);

    ngx_media_jwks_unlock(jwks);

    if (ngx_media_jwks_set(jwks, &text, &ei) == NGX_OK) {
        jwks->version = version;

    } else {
        ngx_log_error(NGX_LOG_ERR, jwks->auth->log, 0,
                      "media: key set \"%V\" is kept as it was, cause=\"%s\"",
                      &jwks->conf->name, ei.text);
    }

    ngx_free(text.data);
}


void
ngx_media_jwks_url_wanted(ngx_media_jwks_t *jwks)
{
    ngx_msec_t                now;
    ngx_uint_t                wanted;
    ngx_media_jwks_shared_t  *shared;

    if (jwks->call || ngx_exiting) {
        return;
    }

    now = ngx_current_msec;
    shared = ngx_media_jwks_shared(jwks);

    ngx_media_jwks_lock(jwks);

    wanted = (ngx_msec_int_t) (now - shared->started)
             >= (ngx_msec_int_t) jwks->auth->retry;

    if (wanted && (ngx_msec_int_t) (shared->due - now) > 0) {
        shared->due = now;
    }

    ngx_media_jwks_unlock(jwks);

    if (wanted) {
        ngx_media_jwks_url_handler(&jwks->timer);
    }
}


static void
ngx_media_jwks_url_handler(ngx_event_t *ev)
{
    ngx_uint_t                mine;
    ngx_msec_t                now;
    ngx_media_jwks_t         *jwks;
    ngx_media_jwks_shared_t  *shared;

    jwks = ev->data;
    shared = ngx_media_jwks_shared(jwks);
    now = ngx_current_msec;

    if (ngx_exiting) {
        return;     /* the new processes fetch, and share */
    }

    ngx_media_jwks_url_update(jwks);

    ngx_media_jwks_lock(jwks);

    mine = (ngx_msec_int_t) (now - shared->due) >= 0
           && (ngx_msec_int_t) (now - shared->lease) >= 0;

    if (mine) {
        shared->lease = now + NGX_MEDIA_JWKS_DEADLINE + 1000;
        shared->started = now;
    }

    ngx_media_jwks_unlock(jwks);

    if (mine && ngx_media_jwks_fetch(jwks) != NGX_OK) {
        ngx_media_jwks_failed(jwks, "out of memory");
    }

    ngx_media_jwks_arm(jwks);
}


/* The next look: when it is due, or the fetch of another process must have
 * ended. Jitter keeps the processes apart. */

static void
ngx_media_jwks_arm(ngx_media_jwks_t *jwks)
{
    ngx_msec_t                now;
    ngx_msec_int_t            wait, lease;
    ngx_media_jwks_shared_t  *shared;

    shared = ngx_media_jwks_shared(jwks);
    now = ngx_current_msec;

    ngx_media_jwks_lock(jwks);

    wait = (ngx_msec_int_t) (shared->due - now);
    lease = (ngx_msec_int_t) (shared->lease - now);

    ngx_media_jwks_unlock(jwks);

    wait = ngx_max(wait, lease);
    wait = ngx_max(wait, 0) + 1 + ngx_random() % NGX_MEDIA_JWKS_JITTER;

    ngx_add_timer(&jwks->timer, (ngx_msec_t) wait);
}


static ngx_int_t
ngx_media_jwks_fetch(ngx_media_jwks_t *jwks)
{
    u_char                    *p;
    ngx_media_jwks_conf_t     *conf;
    ngx_media_http_request_t   req;

    static const char  format[] =
        "GET %V HTTP/1.1" CRLF
        "Host: %V" CRLF
        "Accept: application/jwk-set+json, application/json" CRLF
        "User-Agent: ngx_media" CRLF
        "Connection: close" CRLF CRLF;

    conf = jwks->conf;

    p = ngx_alloc(sizeof(format) + conf->uri.len + conf->host.len,
                  jwks->auth->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&req, sizeof(ngx_media_http_request_t));

    req.peer = &conf->peer;
    req.head.data = p;
    req.head.len = ngx_sprintf(p, format, &conf->uri, &conf->host) - p;
    req.body_max = MEDIA_JWKS_TEXT_MAX + 1;
    req.done = ngx_media_jwks_done;
    req.data = jwks;
    req.log = jwks->auth->log;

    jwks->call = ngx_media_http_call(&req);

    ngx_free(p);

    if (jwks->call == NULL) {
        return NGX_ERROR;
    }

    ngx_add_timer(&jwks->deadline, NGX_MEDIA_JWKS_DEADLINE);

    return NGX_OK;
}


/* A server that sends a byte now and then is not slow enough for the client's
 * own timers. */

static void
ngx_media_jwks_deadline_handler(ngx_event_t *ev)
{
    ngx_media_jwks_t  *jwks;

    jwks = ev->data;

    ngx_media_jwks_url_stop(jwks);
    ngx_media_jwks_failed(jwks, "it took too long");
    ngx_media_jwks_arm(jwks);
}


static void
ngx_media_jwks_done(void *data, ngx_media_http_response_t *res)
{
    ngx_media_jwks_t  *jwks = data;

    media_err_t  ei;

    jwks->call = NULL;

    if (jwks->deadline.timer_set) {
        ngx_del_timer(&jwks->deadline);
    }

    if (res->rc != NGX_MEDIA_HTTP_OK) {
        ngx_media_jwks_failed(jwks, res->cause);

    } else if (ngx_media_jwks_accept(jwks, res, &ei) != NGX_OK
               || ngx_media_jwks_publish(jwks, &res->body, &ei) != NGX_OK)
    {
        ngx_media_jwks_failed(jwks, ei.text);

    } else {
        ngx_media_jwks_finish(jwks, 1, ngx_media_jwks_wait(jwks, res->h1));
    }

    ngx_media_jwks_arm(jwks);
}


/* Redirects are not followed: where keys come from is said by the
 * configuration alone. */

static ngx_int_t
ngx_media_jwks_accept(ngx_media_jwks_t *jwks, ngx_media_http_response_t *res,
    media_err_t *ei)
{
    size_t        n;
    const char   *end;
    media_str_t   type;

    if (res->h1->status != NGX_HTTP_OK) {
        (void) media_err_set(ei, MEDIA_E_REJECT, "status %d",
                             res->h1->status);
        return NGX_ERROR;
    }

    type = media_http1_header(res->h1, "Content-Type");

    if (type.p) {
        end = memchr(type.p, ';', type.len);
        n = end ? (size_t) (end - type.p) : type.len;
        type = media_str_trim((media_str_t) { type.p, n });
    }

    if (!media_str_ieq(type, MEDIA_STR("application/json"))
        && !media_str_ieq(type, MEDIA_STR("application/jwk-set+json")))
    {
        (void) media_err_set(ei, MEDIA_E_REJECT, "its type is not JSON");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* For this process, and for the others if it is another set than before. */

static ngx_int_t
ngx_media_jwks_publish(ngx_media_jwks_t *jwks, ngx_str_t *text,
    media_err_t *ei)
{
    ngx_uint_t                same;
    ngx_media_jwks_shared_t  *shared;

    shared = ngx_media_jwks_shared(jwks);

    /* written by nobody else: the lease is ours */

    same = shared->version != 0 && shared->version == jwks->version
           && shared->len == text->len
           && ngx_memcmp(shared->text, text->data, text->len) == 0;

    if (same) {
        return NGX_OK;
    }

    if (ngx_media_jwks_set(jwks, text, ei) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_media_jwks_lock(jwks);

    ngx_memcpy(shared->text, text->data, text->len);
    shared->len = text->len;
    jwks->version = ++shared->version;

    ngx_media_jwks_unlock(jwks);

    return NGX_OK;
}


static void
ngx_media_jwks_finish(ngx_media_jwks_t *jwks, ngx_uint_t ok, ngx_msec_t wait)
{
    ngx_media_jwks_shared_t  *shared;

    shared = ngx_media_jwks_shared(jwks);

    ngx_media_jwks_lock(jwks);

    shared->failures = ok ? 0 : shared->failures + 1;
    shared->due = ngx_current_msec + wait;
    shared->lease = ngx_current_msec;

    ngx_media_jwks_unlock(jwks);
}


/* Twice as long each time: from a second while there is no set at all, else
 * from media_auth_jwks_retry on. */

static void
ngx_media_jwks_failed(ngx_media_jwks_t *jwks, const char *cause)
{
    ngx_uint_t                n;
    ngx_msec_t                wait, max;
    ngx_media_auth_t         *auth;
    ngx_media_jwks_shared_t  *shared;

    auth = jwks->auth;
    shared = ngx_media_jwks_shared(jwks);

    if (shared->version == 0) {
        max = auth->retry;
        wait = ngx_min(NGX_MEDIA_JWKS_FIRST, max);

    } else {
        max = ngx_max(auth->refresh, auth->retry);
        wait = auth->retry;
    }

    for (n = shared->failures; n && wait < max; n--) {
        wait = ngx_min(wait * 2, max);
    }

    ngx_log_error(NGX_LOG_WARN, auth->log, 0,
                  "media: key set \"%V\" not fetched, cause=\"%s\", %s, next "
                  "try in %M ms", &jwks->conf->name, cause,
                  shared->version ? "the old one stays" : "there is none yet",
                  wait);

    ngx_media_jwks_finish(jwks, 0, wait);
}


/* Cache-Control: max-age less Age, between media_auth_jwks_retry and a day;
 * without one, media_auth_jwks_refresh. */

static ngx_msec_t
ngx_media_jwks_wait(ngx_media_jwks_t *jwks, media_http1_t *h1)
{
    size_t        n;
    int64_t       age, max_age;
    const char   *comma;
    media_str_t   list, item;

    list = media_http1_header(h1, "Cache-Control");
    max_age = -1;

    while (list.len) {
        comma = memchr(list.p, ',', list.len);
        n = comma ? (size_t) (comma - list.p) : list.len;
        item = media_str_trim((media_str_t) { list.p, n });

        n += (comma != NULL);
        list.p += n;
        list.len -= n;

        if (item.len > 8
            && media_str_ieq((media_str_t) { item.p, 8 },
                             MEDIA_STR("max-age="))
            && media_str_to_i64((media_str_t) { item.p + 8, item.len - 8 },
                                &max_age)
               != 0)
        {
            max_age = 0;
        }
    }

    if (max_age < 0) {
        return jwks->auth->refresh;
    }

    if (media_str_to_i64(media_http1_header(h1, "Age"), &age) == 0) {
        max_age = (age < max_age) ? max_age - age : 0;
    }

    max_age = ngx_min(max_age, NGX_MEDIA_JWKS_AGE_MAX);

    return ngx_max((ngx_msec_t) max_age * 1000, jwks->auth->retry);
}
