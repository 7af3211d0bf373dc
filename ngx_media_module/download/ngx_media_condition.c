
/*
 * Conditional and range requests against the row of an object. S3 servers
 * differ here, so they never see a condition, and of ranges only a single
 * satisfiable one in its plainest form.
 */


#include "ngx_media_object.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_RANGE_MAX  (2 * NGX_OFF_T_LEN + sizeof("bytes=-"))


typedef enum {
    NGX_MEDIA_RANGE_WHOLE = 0,      /* none, or one that is ignored */
    NGX_MEDIA_RANGE_PART,
    NGX_MEDIA_RANGE_BAD             /* 416 */
} ngx_media_range_e;


static time_t ngx_media_date_in(ngx_http_request_t *r, const char *name);
static ngx_uint_t ngx_media_etag_listed(ngx_http_request_t *r,
    const char *name, ngx_str_t *etag, ngx_uint_t weak);
static ngx_uint_t ngx_media_etag_match(ngx_str_t *list, ngx_str_t *etag,
    ngx_uint_t weak);
static ngx_int_t ngx_media_preconditions(ngx_http_request_t *r,
    ngx_media_object_t *object);
static ngx_uint_t ngx_media_if_range(ngx_http_request_t *r,
    ngx_media_object_t *object);
static ngx_media_range_e ngx_media_range_parse(ngx_str_t *value, off_t size,
    off_t *first, off_t *last);
static ngx_media_range_e ngx_media_range_suffix(u_char *p, u_char *end,
    off_t size, off_t *first, off_t *last);
static u_char *ngx_media_range_number(u_char *p, u_char *end, off_t *out);
static ngx_int_t ngx_media_range(ngx_http_request_t *r,
    ngx_media_object_t *object);
static void ngx_media_headers_hide(ngx_http_request_t *r,
    ngx_uint_t hide_range);


ngx_int_t
ngx_media_object_conditions(ngx_http_request_t *r, ngx_media_object_t *object)
{
    ngx_int_t  rc;

    rc = ngx_media_preconditions(r, object);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_media_range(r, object);
}


/* RFC 9110 13.2.2, steps 1 to 4; GET and HEAD only come here. A date that is
 * none compares as NGX_ERROR, older than any. */

static ngx_int_t
ngx_media_preconditions(ngx_http_request_t *r, ngx_media_object_t *object)
{
    time_t  since;

    if (ngx_media_header_in(r, "if-match", NULL)) {

        if (!ngx_media_etag_listed(r, "if-match", &object->etag, 0)) {
            return NGX_HTTP_PRECONDITION_FAILED;
        }

    } else {
        since = ngx_media_date_in(r, "if-unmodified-since");

        if (since != NGX_ERROR && object->modified > since) {
            return NGX_HTTP_PRECONDITION_FAILED;
        }
    }

    if (ngx_media_header_in(r, "if-none-match", NULL)) {

        if (ngx_media_etag_listed(r, "if-none-match", &object->etag, 1)) {
            return NGX_HTTP_NOT_MODIFIED;
        }

    } else if (object->modified
               <= ngx_media_date_in(r, "if-modified-since"))
    {
        return NGX_HTTP_NOT_MODIFIED;
    }

    return NGX_OK;
}


/* The date in a request header; NGX_ERROR when there is none, several, or
 * what is no date: all that is as if the header were not there. Core's parser
 * does not look at what follows the time. */

static time_t
ngx_media_date_in(ngx_http_request_t *r, const char *name)
{
    u_char           *comma;
    ngx_str_t        *v;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, name, &n);

    if (h == NULL || n > 1) {
        return NGX_ERROR;
    }

    v = &h->value;
    comma = ngx_strlchr(v->data, v->data + v->len, ',');

    if (comma
        && (ngx_strlchr(comma + 1, v->data + v->len, ',') || v->len < 4
            || ngx_strncmp(v->data + v->len - 4, " GMT", 4) != 0))
    {
        return NGX_ERROR;
    }

    return ngx_parse_http_time(v->data, v->len);
}


static ngx_int_t
ngx_media_range(ngx_http_request_t *r, ngx_media_object_t *object)
{
    off_t             first, last;
    u_char           *p;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, "range", &n);

    if (h == NULL || n > 1 || r->method != NGX_HTTP_GET
        || !ngx_media_if_range(r, object))
    {
        ngx_media_headers_hide(r, 1);
        return NGX_OK;
    }

    switch (ngx_media_range_parse(&h->value, object->size, &first, &last)) {

    case NGX_MEDIA_RANGE_BAD:
        return NGX_HTTP_RANGE_NOT_SATISFIABLE;

    case NGX_MEDIA_RANGE_WHOLE:
        ngx_media_headers_hide(r, 1);
        return NGX_OK;

    case NGX_MEDIA_RANGE_PART:
        break;
    }

    p = ngx_pnalloc(r->pool, NGX_MEDIA_RANGE_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    object->first = first;

    /* core's readers of request headers rely on a NUL behind them */

    h->value.data = p;
    h->value.len = ngx_sprintf(p, "bytes=%O-%O%Z", first, last) - p - 1;

    ngx_media_headers_hide(r, 0);

    return NGX_OK;
}


/* Whether a range may be sent: without If-Range, or when it names this very
 * object, by one strong tag or the exact date (RFC 9110 13.1.5). */

static ngx_uint_t
ngx_media_if_range(ngx_http_request_t *r, ngx_media_object_t *object)
{
    ngx_str_t        *v;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, "if-range", &n);

    if (h == NULL) {
        return 1;
    }

    v = &h->value;

    if (n == 1 && v->len && v->data[0] == '"') {
        return v->len == object->etag.len + 2
               && ngx_strncmp(v->data + 1, object->etag.data,
                              object->etag.len) == 0
               && v->data[v->len - 1] == '"';
    }

    return ngx_media_date_in(r, "if-range") == object->modified;
}


/* One range only: several get the whole object, which RFC 9110 14.2 allows.
 * What is no byte range at all is ignored. */

static ngx_media_range_e
ngx_media_range_parse(ngx_str_t *value, off_t size, off_t *first,
    off_t *last)
{
    u_char      *p, *end;
    ngx_uint_t   open;

    p = value->data;
    end = p + value->len;

    if (value->len < 7 || ngx_strncasecmp(p, (u_char *) "bytes=", 6) != 0) {
        return NGX_MEDIA_RANGE_WHOLE;
    }

    p += 6;

    while (p < end && *p == ' ') { p++; }
    while (end > p && end[-1] == ' ') { end--; }

    if (p < end && *p == '-') {
        return ngx_media_range_suffix(p + 1, end, size, first, last);
    }

    p = ngx_media_range_number(p, end, first);

    if (p == NULL || p == end || *p++ != '-') {
        return NGX_MEDIA_RANGE_WHOLE;
    }

    open = (p == end);
    *last = size - 1;

    if (!open) {
        p = ngx_media_range_number(p, end, last);

        if (p != end || *last < *first) {
            return NGX_MEDIA_RANGE_WHOLE;
        }
    }

    if (*first >= size) {
        return NGX_MEDIA_RANGE_BAD;
    }

    *last = ngx_min(*last, size - 1);

    return NGX_MEDIA_RANGE_PART;
}


/* The last so many bytes; of nothing, all of it. */

static ngx_media_range_e
ngx_media_range_suffix(u_char *p, u_char *end, off_t size, off_t *first,
    off_t *last)
{
    off_t  n;

    if (ngx_media_range_number(p, end, &n) != end) {
        return NGX_MEDIA_RANGE_WHOLE;
    }

    if (n == 0) {
        return NGX_MEDIA_RANGE_BAD;
    }

    if (size == 0) {
        return NGX_MEDIA_RANGE_WHOLE;
    }

    *first = (n < size) ? size - n : 0;
    *last = size - 1;

    return NGX_MEDIA_RANGE_PART;
}


/* Digits up to anything else, saturating; NULL when there is no digit. */

static u_char *
ngx_media_range_number(u_char *p, u_char *end, off_t *out)
{
    off_t    n;
    u_char  *start;

    n = 0;

    for (start = p; p < end && *p >= '0' && *p <= '9'; p++) {
        n = (n > (NGX_MAX_OFF_T_VALUE - 9) / 10) ? NGX_MAX_OFF_T_VALUE
                                                 : n * 10 + (*p - '0');
    }

    *out = n;

    return (p == start) ? NULL : p;
}


/* "bytes 0-99/300" (RFC 9110 14.4); an unknown part of it is no answer to a
 * range of a known object. */

ngx_int_t
ngx_media_content_range(ngx_str_t *value, off_t *first, off_t *last,
    off_t *size)
{
    u_char  *p, *end;

    p = value->data;
    end = p + value->len;

    if (value->len < 6 || ngx_strncasecmp(p, (u_char *) "bytes ", 6) != 0) {
        return NGX_ERROR;
    }

    p = ngx_media_range_number(p + 6, end, first);

    if (p == NULL || p == end || *p++ != '-') {
        return NGX_ERROR;
    }

    p = ngx_media_range_number(p, end, last);

    if (p == NULL || p == end || *p++ != '/') {
        return NGX_ERROR;
    }

    if (ngx_media_range_number(p, end, size) != end
        || *last < *first || *last >= *size)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_media_etag_listed(ngx_http_request_t *r, const char *name,
    ngx_str_t *etag, ngx_uint_t weak)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncmp(h[i].lowcase_key, name, len) == 0
                && ngx_media_etag_match(&h[i].value, etag, weak))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* list: "*" or entity tags with commas between them; etag: without quotes */

static ngx_uint_t
ngx_media_etag_match(ngx_str_t *list, ngx_str_t *etag, ngx_uint_t weak)
{
    u_char      *p, *end, *close;
    ngx_uint_t   is_weak;

    p = list->data;
    end = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    while (p < end) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        is_weak = 0;

        if (end - p > 2 && p[0] == 'W' && p[1] == '/') {
            is_weak = 1;
            p += 2;
        }

        if (*p != '"') {
            return 0;
        }

        p++;

        close = ngx_strlchr(p, end, '"');
        if (close == NULL) {
            return 0;
        }

        if ((weak || !is_weak)
            && (size_t) (close - p) == etag->len
            && ngx_strncmp(p, etag->data, etag->len) == 0)
        {
            return 1;
        }

        p = close + 1;
    }

    return 0;
}


/*
 * A list element cannot be taken out without moving others that headers_in
 * points to; so a header S3 shall not see is renamed to Keep-Alive, which
 * proxy_pass never forwards. Conditions are settled by now, x-amz-* are ours
 * alone to send.
 */

static void
ngx_media_headers_hide(ngx_http_request_t *r, ngx_uint_t hide_range)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!(h[i].key.len > 3
                  && (ngx_strncmp(h[i].lowcase_key, "if-", 3) == 0))
                && !(h[i].key.len > 6
                     && ngx_strncmp(h[i].lowcase_key, "x-amz-", 6) == 0)
                && !(hide_range && h[i].key.len == 5
                     && ngx_strncmp(h[i].lowcase_key, "range", 5) == 0))
            {
                continue;
            }

            ngx_str_set(&h[i].key, "Keep-Alive");
            h[i].lowcase_key = (u_char *) "keep-alive";
            h[i].hash = ngx_hash_key(h[i].lowcase_key, h[i].key.len);
        }
    }

    r->headers_in.if_match = NULL;
    r->headers_in.if_none_match = NULL;
    r->headers_in.if_modified_since = NULL;
    r->headers_in.if_unmodified_since = NULL;
    r->headers_in.if_range = NULL;

    if (hide_range) {
        r->headers_in.range = NULL;
    }
}
