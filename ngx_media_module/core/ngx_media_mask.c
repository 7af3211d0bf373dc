
/*
 * Playback tokens stand in the path, access tokens may stand in the query, and
 * nginx writes both into its logs: error.log quotes the request line (and a
 * subrequest's URI) beside every message, $request and $uri go into access
 * logs. So tokens are taken out of them as early as each of them can do
 * without: here, in ngx_media_mask_uri(), and in ngx_media_source.c.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_PLAY  "/play/"


/* Post-read phase: before any other module may have something to say. */

ngx_int_t
ngx_media_mask_handler(ngx_http_request_t *r)
{
    u_char                 *end;
    ngx_str_t               line;
    ngx_media_main_conf_t  *mmcf;

    static const size_t  len = sizeof(NGX_MEDIA_PLAY) - 1;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    mmcf = ngx_media_main_conf(r);

    if (mmcf->query_sources
        && ngx_media_source_mask_line(r, mmcf->query_sources) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!mmcf->enabled || r->uri.len < len
        || ngx_strncmp(r->uri.data, NGX_MEDIA_PLAY, len) != 0)
    {
        return NGX_DECLINED;
    }

    line.len = r->method_name.len + sizeof(" /play/* ") - 1
               + r->http_protocol.len;
    line.data = ngx_pnalloc(r->pool, line.len);
    if (line.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    end = ngx_sprintf(line.data, "%V /play/* %V", &r->method_name,
                      &r->http_protocol);
    line.len = end - line.data;

    r->request_line = line;

    return NGX_DECLINED;
}


/* Once the route has been found: what stood there is its argument now. */

ngx_int_t
ngx_media_mask_uri(ngx_http_request_t *r, ngx_str_t *output)
{
    ngx_str_t  uri;

    uri.len = sizeof("/play/*/") - 1 + output->len;
    uri.data = ngx_pnalloc(r->pool, uri.len);
    if (uri.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(uri.data, "/play/*/%V", output);

    r->uri = uri;
    r->unparsed_uri = uri;

    return NGX_OK;
}
