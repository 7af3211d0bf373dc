
/*
 * Serving an object that has been authorised: what can be answered from its
 * row is (304, 412, 416), the rest is left to stock proxy_pass behind the
 * named location @media_object.
 */

#ifndef _NGX_MEDIA_OBJECT_H_INCLUDED_
#define _NGX_MEDIA_OBJECT_H_INCLUDED_


#include "ngx_media.h"


enum ngx_media_serve {
    NGX_MEDIA_SERVE_OBJECT = 0,     /* /media/{id}/{output} */
    NGX_MEDIA_SERVE_DOWNLOAD,       /* /download: attachment */
    NGX_MEDIA_SERVE_PLAY            /* /play/{token}/{output} */
};


/* Runs MEDIA_OBJECT or PLAY_OBJECT and serves what it names. Returned is the
 * content handler's value. [loop] */
ngx_int_t ngx_media_object_serve(ngx_http_request_t *r, enum media_stmt stmt,
    ngx_str_t *params, enum ngx_media_serve how);

/* Conditions and ranges of the request against the object (RFC 9110 13.2.2,
 * 14.2): NGX_OK to go on with, its headers reduced to what S3 shall see, or
 * the answer: NGX_HTTP_NOT_MODIFIED, NGX_HTTP_PRECONDITION_FAILED,
 * NGX_HTTP_RANGE_NOT_SATISFIABLE. NGX_ERROR when out of memory. [loop] */
ngx_int_t ngx_media_object_conditions(ngx_http_request_t *r,
    ngx_media_object_t *object);

/* ETag, Last-Modified, Cache-Control and the like of a response about the
 * object: the header filter sets them on 200 and 206, a 304 carries them too.
 * [loop] */
ngx_int_t ngx_media_object_headers(ngx_http_request_t *r,
    ngx_media_object_t *object);


#endif
