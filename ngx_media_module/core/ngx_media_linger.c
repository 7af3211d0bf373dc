
/*
 * An HTTP/2 stream that was answered before its body was over stays for a
 * moment. nginx would send RST_STREAM(NO_ERROR) right behind the answer, which
 * is what RFC 9113, 8.1 asks for, but clients that find both in one read (curl
 * 7.88) report an error and no answer. HTTP/1 has lingering_close for that.
 */

#include "ngx_media.h"
#include "ngx_media_problem.h"


#define NGX_MEDIA_LINGER  500   /* ms */


static void ngx_media_linger_over(ngx_event_t *ev);
static void ngx_media_linger_cleanup(void *data);


void
ngx_media_linger(ngx_http_request_t *r)
{
    ngx_event_t         *ev;
    ngx_http_cleanup_t  *cln;

    if (r->stream == NULL || r != r->main) {
        return;
    }

    if (!r->reading_body
        && (r->request_body != NULL
            || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked)))
    {
        return;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_event_t));
    if (cln == NULL) {
        return;
    }

    ev = cln->data;
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_media_linger_over;
    ev->data = r;
    ev->log = r->connection->log;

    cln->handler = ngx_media_linger_cleanup;

    r->main->count++;
    ngx_add_timer(ev, NGX_MEDIA_LINGER);
}


static void
ngx_media_linger_over(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ev->data;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);
    ngx_http_finalize_request(r, NGX_DONE);
    ngx_http_run_posted_requests(c);
}


static void
ngx_media_linger_cleanup(void *data)
{
    ngx_event_t  *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}
