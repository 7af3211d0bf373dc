
/*
 * Serving an object that has been authorised: what can be answered from its
 * row is (HEAD, 304, 412, 416, nothing of an empty object), the rest is left
 * to stock proxy_pass behind the named location @media_object.
 */

#ifndef _NGX_MEDIA_OBJECT_H_INCLUDED_
#define _NGX_MEDIA_OBJECT_H_INCLUDED_


#include "ngx_media.h"


enum ngx_media_serve {
    NGX_MEDIA_SERVE_OBJECT = 0,     /* to be shown, as far as it may */
    NGX_MEDIA_SERVE_DOWNLOAD        /* /download: attachment */
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

/* The numbers of a Content-Range; NGX_ERROR unless all three are there and fit
 * together. [loop] */
ngx_int_t ngx_media_content_range(ngx_str_t *value, off_t *first, off_t *last,
    off_t *size);

/* ETag, Last-Modified, Cache-Control and the like of a response about the
 * object: the header filter sets them on 200 and 206, a 304 carries them too.
 * [loop] */
ngx_int_t ngx_media_object_headers(ngx_http_request_t *r,
    ngx_media_object_t *object);

/* S3 has not sent what a live row promises: logged and counted, once for a
 * download. The client gets 503, whatever S3's status: also a 404, which would
 * tell it, and caches, that there is no such object. [loop] */
void ngx_media_object_failed(ngx_http_request_t *r,
    ngx_media_object_t *object, const char *cause, ngx_uint_t status);

/* A slice of the object has answered: from now on its end is watched, and the
 * slices before it give back what they hold. [loop] */
void ngx_media_slice_begin(ngx_http_request_t *sr,
    ngx_media_object_t *object);


#endif
