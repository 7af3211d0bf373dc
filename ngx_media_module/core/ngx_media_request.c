
/*
 * Reading a request: headers, method, arguments, the ids that trace it.
 */


#include <openssl/rand.h>

#include "ngx_media.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_REQUEST_ID_MAX  64
#define NGX_MEDIA_RANDOM          4096
#define NGX_MEDIA_TRACEPARENT_LEN                                             \
    (sizeof("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01") - 1)


static ngx_int_t ngx_media_random(u_char *p, size_t n);
static ngx_uint_t ngx_media_request_id_sane(ngx_str_t *id);
static ngx_uint_t ngx_media_traceparent_sane(ngx_str_t *t);
static ngx_int_t ngx_media_arg_decode(ngx_http_request_t *r, u_char *p,
    size_t len, ngx_str_t *out);


ngx_table_elt_t *
ngx_media_header_in(ngx_http_request_t *r, const char *name, ngx_uint_t *n)
{
    size_t            len;
    ngx_uint_t        i, count;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *first;

    len = ngx_strlen(name);
    part = &r->headers_in.headers.part;
    first = NULL;
    count = 0;

    for ( ;; ) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len != len
                || ngx_strncmp(h[i].lowcase_key, name, len) != 0)
            {
                continue;
            }

            count++;

            if (first == NULL) {
                first = &h[i];
            }
        }

        if (part->next == NULL) {
            break;
        }

        part = part->next;
    }

    if (n) {
        *n = count;
    }

    return first;
}


ngx_str_t
ngx_media_caller(ngx_media_ctx_t *ctx)
{
    ngx_str_t  none = ngx_null_string;

    return ctx->sub.len ? ctx->sub : none;
}


ngx_int_t
ngx_media_send_not_found(ngx_http_request_t *r, ngx_media_ctx_t *ctx)
{
    return ngx_media_send_problem(r, ctx->sub.len ? MEDIA_PROBLEM_NOT_FOUND
                                                  : MEDIA_PROBLEM_TOKEN_MISSING,
                                  NULL);
}


ngx_uint_t
ngx_media_is_json(ngx_http_request_t *r)
{
    u_char           *p;
    media_str_t       type;
    ngx_table_elt_t  *h;

    h = r->headers_in.content_type;
    if (h == NULL) {
        return 0;
    }

    type = ngx_media_view(&h->value);

    p = ngx_strlchr(h->value.data, h->value.data + h->value.len, ';');
    if (p) {
        type.len = p - h->value.data;
    }

    return media_str_ieq(media_str_trim(type), MEDIA_STR("application/json"));
}


ngx_int_t
ngx_media_header_joined(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char           *p;
    size_t            len, total;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    h = ngx_media_header_in(r, name, &n);

    if (n < 2) {
        ngx_str_null(value);

        if (h != NULL) {
            *value = h->value;
        }

        return NGX_OK;
    }

    len = ngx_strlen(name);
    p = NULL;

    for ( ;; ) {                /* how long, then again to write it */
        total = 0;

        for (part = &r->headers_in.headers.part; part; part = part->next) {
            h = part->elts;

            for (i = 0; i < part->nelts; i++) {
                if (h[i].key.len != len
                    || ngx_strncmp(h[i].lowcase_key, name, len) != 0)
                {
                    continue;
                }

                if (p != NULL) {
                    p = ngx_cpymem(p, total ? ", " : "", total ? 2 : 0);
                    p = ngx_cpymem(p, h[i].value.data, h[i].value.len);
                }

                total += h[i].value.len + (total ? 2 : 0);
            }
        }

        if (p != NULL) {
            return NGX_OK;
        }

        value->len = total;
        value->data = ngx_pnalloc(r->pool, total + 1);

        if (value->data == NULL) {
            return NGX_ERROR;
        }

        p = value->data;
    }
}


ngx_int_t
ngx_media_strdup(ngx_pool_t *pool, ngx_str_t *dst, const void *p, size_t len)
{
    u_char  *copy;

    copy = ngx_pnalloc(pool, len + 1);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(copy, p, len);
    }

    copy[len] = '\0';

    dst->data = copy;
    dst->len = len;

    return NGX_OK;
}


ngx_int_t
ngx_media_args_next(ngx_http_request_t *r, size_t *pos, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char     *p, *end, *amp, *eq;
    ngx_int_t   rc;

    end = r->args.data + r->args.len;

    for ( ;; ) {
        if (*pos >= r->args.len) {
            return NGX_DONE;
        }

        p = r->args.data + *pos;

        amp = ngx_strlchr(p, end, '&');
        if (amp == NULL) {
            amp = end;
        }

        *pos = amp - r->args.data + 1;

        if (amp != p) {
            break;
        }
    }

    eq = ngx_strlchr(p, amp, '=');

    rc = ngx_media_arg_decode(r, p, (eq ? eq : amp) - p, name);
    if (rc != NGX_OK) {
        return rc;
    }

    if (eq == NULL) {
        ngx_str_set(value, "");
        return NGX_OK;
    }

    return ngx_media_arg_decode(r, eq + 1, amp - eq - 1, value);
}


static ngx_int_t
ngx_media_arg_decode(ngx_http_request_t *r, u_char *p, size_t len,
    ngx_str_t *out)
{
    size_t       i;
    ssize_t      n;
    ngx_str_t    raw;
    media_str_t  text;

    if (ngx_media_strdup(r->pool, &raw, p, len) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        if (raw.data[i] == '+') {
            raw.data[i] = ' ';
        }
    }

    out->data = ngx_pnalloc(r->pool, len + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    n = media_pct_decode(ngx_media_view(&raw), (char *) out->data, len + 1);
    if (n < 0) {
        return NGX_DECLINED;
    }

    out->len = n;
    text = ngx_media_view(out);

    return media_utf8_valid(text) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_media_request_id(ngx_http_request_t *r, ngx_str_t *id)
{
    u_char            rnd[10];
    ngx_uint_t        n;
    ngx_time_t       *tp;
    ngx_table_elt_t  *h;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->request_id.len) {
        *id = ctx->request_id;
        return NGX_OK;
    }

    h = ngx_media_header_in(r, "traceparent", &n);

    if (h && n == 1 && ngx_media_traceparent_sane(&h->value)) {
        ctx->traceparent = h->value;
    }

    h = ngx_media_header_in(r, "x-request-id", &n);

    if (h == NULL || n != 1 || !ngx_media_request_id_sane(&h->value)) {
        h = ngx_media_header_in(r, "x-correlation-id", &n);
    }

    if (h && n == 1 && ngx_media_request_id_sane(&h->value)) {
        ctx->request_id = h->value;
        *id = h->value;
        return NGX_OK;
    }

    if (ngx_media_random(rnd, sizeof(rnd)) != NGX_OK) {
        return NGX_ERROR;
    }

    id->data = ngx_pnalloc(r->pool, MEDIA_UUID_LEN + 1);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    media_uuid7((int64_t) tp->sec * 1000 + tp->msec, rnd, (char *) id->data);
    id->len = MEDIA_UUID_LEN;

    ctx->request_id = *id;

    return NGX_OK;
}


/* A call of OpenSSL's generator costs about the same for few bytes and for
 * many; and microseconds once its code has left the cache. */

static ngx_int_t
ngx_media_random(u_char *p, size_t n)
{
    static u_char  bytes[NGX_MEDIA_RANDOM];
    static size_t  left;

    if (left < n) {
        if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
            return NGX_ERROR;
        }

        left = sizeof(bytes);
    }

    left -= n;
    ngx_memcpy(p, bytes + left, n);

    return NGX_OK;
}


static ngx_uint_t
ngx_media_request_id_sane(ngx_str_t *id)
{
    u_char  ch;
    size_t  i;

    if (id->len == 0 || id->len > NGX_MEDIA_REQUEST_ID_MAX) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if ((ch >= '0' && ch <= '9')
            || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
            || ch == '.' || ch == '_' || ch == '-')
        {
            continue;
        }

        return 0;
    }

    return 1;
}


/* W3C Trace Context: version 00, lower-case hex, ids not all zero. */

static ngx_uint_t
ngx_media_traceparent_sane(ngx_str_t *t)
{
    size_t      i;
    u_char      ch;
    ngx_uint_t  trace, span;

    if (t->len != NGX_MEDIA_TRACEPARENT_LEN
        || t->data[0] != '0' || t->data[1] != '0')
    {
        return 0;
    }

    trace = 0;
    span = 0;

    for (i = 0; i < t->len; i++) {
        ch = t->data[i];

        if (i == 2 || i == 35 || i == 52) {
            if (ch != '-') {
                return 0;
            }

            continue;
        }

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'))) {
            return 0;
        }

        if (i > 2 && i < 35) {
            trace |= (ch != '0');

        } else if (i > 35 && i < 52) {
            span |= (ch != '0');
        }
    }

    return trace && span;
}
