
/*
 * Answers of our own: JSON documents and RFC 9457 problems, and the handler
 * behind error_page that says core's own errors the same way.
 */


#include "ngx_media_object.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_DETAIL_MAX   512
#define NGX_MEDIA_PROBLEM_MAX  8192


typedef struct {
    ngx_uint_t                  status;     /* what core says */
    ngx_uint_t                  answer;     /* what the client gets */
    const char                 *code;
    const char                 *title;
} ngx_media_core_status_t;


static ngx_str_t  ngx_media_json_type = ngx_string("application/json");
static ngx_str_t  ngx_media_problem_type =
    ngx_string("application/problem+json");
static ngx_str_t  ngx_media_no_store = ngx_string("no-store");
static ngx_str_t  ngx_media_retry_after =
    ngx_string(ngx_value(NGX_MEDIA_RETRY_AFTER));


typedef struct {
    ngx_uint_t                  status;
    enum media_problem          problem;
} ngx_media_plain_status_t;


/* Where problem.h has several rows of one status: the plainest of them. */
static ngx_media_plain_status_t  ngx_media_plain_statuses[] = {
    { 400, MEDIA_PROBLEM_BAD_REQUEST },
    { 401, MEDIA_PROBLEM_TOKEN_MISSING },
    { 404, MEDIA_PROBLEM_NOT_FOUND },
    { 405, MEDIA_PROBLEM_METHOD_NOT_ALLOWED },
    { 408, MEDIA_PROBLEM_CLIENT_TIMEOUT },
    { 409, MEDIA_PROBLEM_CONFLICT },
    { 411, MEDIA_PROBLEM_LENGTH_REQUIRED },
    { 412, MEDIA_PROBLEM_PRECONDITION_FAILED },
    { 413, MEDIA_PROBLEM_TOO_LARGE },
    { 415, MEDIA_PROBLEM_TYPE_NOT_ALLOWED },
    { 416, MEDIA_PROBLEM_RANGE_NOT_SATISFIABLE },
    { 422, MEDIA_PROBLEM_PARAMS_INVALID },
    { 429, MEDIA_PROBLEM_RATE_LIMITED },
    { 503, MEDIA_PROBLEM_STORAGE_UNAVAILABLE },
    { 507, MEDIA_PROBLEM_STORAGE_FULL },
    { 0, MEDIA_PROBLEM_INTERNAL }
};

/* Statuses only core produces; the others have their row in problem.h. */
static ngx_media_core_status_t  ngx_media_core_statuses[] = {
    { 403, 403, "forbidden", "Forbidden" },
    { 414, 414, "uri_too_long", "The request target is too long" },
    { 417, 417, "expectation_failed", "Expectation failed" },
    { 421, 421, "misdirected", "Misdirected request" },
    { 431, 431, "headers_too_large", "The request headers are too large" },
    { 494, 400, "headers_too_large", "The request headers are too large" },
    { 495, 400, "certificate_invalid", "The client certificate is not valid" },
    { 496, 400, "certificate_missing", "A client certificate is required" },
    { 497, 400, "https_required", "This port speaks HTTPS" },
    { 501, 501, "not_implemented", "Not implemented" },
    { 502, 502, "bad_gateway", "Bad gateway" },
    { 504, 504, "gateway_timeout", "Gateway timeout" },
    { 505, 505, "version_not_supported", "HTTP version not supported" },
    { 0, 0, NULL, NULL }
};


static ngx_int_t ngx_media_send_body(ngx_http_request_t *r, ngx_str_t *body);
static ngx_table_elt_t *ngx_media_push_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_media_problem_send(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *title,
    ngx_str_t *detail);
static ngx_int_t ngx_media_problem_headers(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_media_problem_instance(ngx_http_request_t *r,
    ngx_str_t *instance);
static ngx_uint_t ngx_media_has_header(ngx_http_request_t *r,
    const char *name);


ngx_int_t
ngx_media_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *content_type, ngx_str_t *body)
{
    u_char     *p;
    ngx_int_t   rc;

    if (r->header_sent) {
        return NGX_ERROR;
    }

    /* a body nobody asked for: no "100 Continue" for it */

    r->expect_tested = 1;

    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }

    if (r->err_status) {
        r->err_status = status;
    }

    r->headers_out.status = status;
    r->headers_out.status_line.len = 0;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    p = ngx_strlchr(content_type->data,
                    content_type->data + content_type->len, ';');

    r->headers_out.content_type = *content_type;
    r->headers_out.content_type_len = p ? (size_t) (p - content_type->data)
                                        : content_type->len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = body->len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_media_send_body(r, body);
}


static ngx_int_t
ngx_media_send_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (body->len) {
        b = ngx_create_temp_buf(r->pool, body->len);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->last = ngx_cpymem(b->pos, body->data, body->len);

    } else {
        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_media_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body)
{
    return ngx_media_send(r, status, &ngx_media_json_type, body);
}


ngx_int_t
ngx_media_send_problem(ngx_http_request_t *r, enum media_problem p,
    const char *fmt, ...)
{
    va_list                 args;
    ngx_str_t               detail;
    const media_problem_t  *row;
    u_char                  text[NGX_MEDIA_DETAIL_MAX];

    detail.data = text;
    detail.len = 0;

    if (fmt) {
        va_start(args, fmt);
        detail.len = ngx_vslprintf(text, text + sizeof(text), fmt, args)
                     - text;
        va_end(args);
    }

    if (ngx_media_challenge(r, p) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    row = media_problem_get(p);
    ngx_media_count_problem(p);

    return ngx_media_problem_send(r, row->status, row->code, row->title,
                                  &detail);
}


ngx_int_t
ngx_media_send_status(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t                  detail;
    ngx_media_core_status_t   *core;
    ngx_media_plain_status_t  *row;

    for (core = ngx_media_core_statuses; core->status; core++) {
        if (core->status == status) {
            ngx_str_null(&detail);
            return ngx_media_problem_send(r, core->answer, core->code,
                                          core->title, &detail);
        }
    }

    for (row = ngx_media_plain_statuses; row->status; row++) {
        if (row->status == status) {
            return ngx_media_send_problem(r, row->problem, NULL);
        }
    }

    return ngx_media_send_problem(r, (status >= 400 && status < 500)
                                     ? MEDIA_PROBLEM_BAD_REQUEST
                                     : MEDIA_PROBLEM_INTERNAL, NULL);
}


/* Behind "error_page 400 ... = /problem" with "media_problem on": r->err_status
 * is what core, another module or S3 through proxy_pass wanted to say. */

ngx_int_t
ngx_media_problem_handler(ngx_http_request_t *r)
{
    ngx_uint_t        status;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = r->err_status;

    if (status == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        ngx_media_problem_core_limit(r);
    }

    if (ctx->has_denied
        && status == (ngx_uint_t) media_problem_get(ctx->denied)->status)
    {
        return ngx_media_send_problem(r, ctx->denied, NULL);
    }

    if (ctx->object && r->upstream) {
        ngx_media_object_failed(r, ctx->object, "no object", status);

        return ngx_media_send_problem(r, MEDIA_PROBLEM_STORAGE_UNAVAILABLE,
                                      NULL);
    }

    return ngx_media_send_status(r, status);
}


ngx_int_t
ngx_media_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    return ngx_media_push_header(r, name, value) ? NGX_OK : NGX_ERROR;
}


static ngx_table_elt_t *
ngx_media_push_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return h;
}


void
ngx_media_problem_extra(ngx_http_request_t *r, ngx_str_t *extra)
{
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx) {
        ctx->problem_extra = *extra;
    }
}


void
ngx_media_problem_members(ngx_http_request_t *r, ngx_str_t *object)
{
    ngx_str_t  extra;

    /* {"used": 1, "limit": 1} becomes ,"used": 1, "limit": 1 */

    if (object->len < 3 || object->data[0] != '{'
        || ngx_media_strdup(r->pool, &extra, object->data, object->len - 1)
           != NGX_OK)
    {
        return;
    }

    extra.data[0] = ',';
    ngx_media_problem_extra(r, &extra);
}


void
ngx_media_problem_limit(ngx_http_request_t *r, off_t limit)
{
    u_char     text[sizeof("{\"limit\":}") + NGX_OFF_T_LEN];
    ngx_str_t  object;

    object.data = text;
    object.len = ngx_sprintf(text, "{\"limit\":%O}", limit) - text;

    ngx_media_problem_members(r, &object);
}


void
ngx_media_problem_core_limit(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->client_max_body_size > 0) {
        ngx_media_problem_limit(r, clcf->client_max_body_size);
    }
}


void
ngx_media_problem_retry(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

    if (value.data != NULL) {
        value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;
        (void) ngx_media_add_header(r, "Retry-After", &value);
    }
}


ngx_int_t
ngx_media_challenge(ngx_http_request_t *r, enum media_problem p)
{
    u_char                  *end;
    ngx_str_t                value;
    const char              *scheme, *error;
    ngx_table_elt_t         *h;
    ngx_media_main_conf_t   *mmcf;

    scheme = "Bearer";
    error = "";

    switch (p) {

    case MEDIA_PROBLEM_TOKEN_MISSING:
        break;

    case MEDIA_PROBLEM_SEVERAL_TOKENS:
        error = ", error=\"invalid_request\"";
        break;

    case MEDIA_PROBLEM_TOKEN_INVALID:
    case MEDIA_PROBLEM_TOKEN_EXPIRED:
        error = ", error=\"invalid_token\"";
        break;

    case MEDIA_PROBLEM_INSUFFICIENT_SCOPE:
        error = ", error=\"insufficient_scope\"";
        break;

    case MEDIA_PROBLEM_CREDENTIALS_INVALID:
        scheme = "Basic";
        break;

    default:
        return NGX_OK;
    }

    h = r->headers_out.www_authenticate;

    if (h && h->hash) {
        return NGX_OK;
    }

    mmcf = ngx_media_main_conf(r);

    value.len = sizeof("Bearer realm=\"\"") - 1 + mmcf->realm.len
                + ngx_strlen(error);
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    end = ngx_snprintf(value.data, value.len, "%s realm=\"%V\"%s", scheme,
                       &mmcf->realm, error);
    value.len = end - value.data;

    r->headers_out.www_authenticate = ngx_media_push_header(r,
                                                 "WWW-Authenticate", &value);

    return r->headers_out.www_authenticate ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_media_problem_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *title, ngx_str_t *detail)
{
    char             *extra;
    ngx_int_t         rc;
    ngx_str_t         id, instance, body;
    media_buf_t       buf;
    media_str_t       view;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL
        || ngx_media_request_id(r, &id) != NGX_OK
        || ngx_media_problem_instance(r, &instance) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->problem = code;

    extra = NULL;

    if (ctx->problem_extra.len) {
        if (ngx_media_strdup(r->pool, &body, ctx->problem_extra.data,
                             ctx->problem_extra.len)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        extra = (char *) body.data;
    }

    if (ngx_media_problem_headers(r, status) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    media_buf_init(&buf, NGX_MEDIA_PROBLEM_MAX);

    if (media_problem_write(&buf, status, media_str(code), media_str(title),
                            ngx_media_view(detail), ngx_media_view(&instance),
                            ngx_media_view(&id), extra)
        < 0)
    {
        media_buf_free(&buf);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    view = media_buf_view(&buf);
    body.data = (u_char *) view.p;
    body.len = view.len;

    rc = ngx_media_send(r, status, &ngx_media_problem_type, &body);

    media_buf_free(&buf);
    ngx_media_linger(r);

    return rc;
}


static ngx_int_t
ngx_media_problem_headers(ngx_http_request_t *r, ngx_uint_t status)
{
    if ((status == NGX_HTTP_TOO_MANY_REQUESTS
         || status == NGX_HTTP_SERVICE_UNAVAILABLE)
        && !ngx_media_has_header(r, "Retry-After")
        && ngx_media_add_header(r, "Retry-After", &ngx_media_retry_after)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_media_add_header(r, "Cache-Control", &ngx_media_no_store);
}


/* The path of the request as it came, without its query. What follows /play/
 * is a secret and is cut off. */

static ngx_int_t
ngx_media_problem_instance(ngx_http_request_t *r, ngx_str_t *instance)
{
    u_char  *p, *end, *src, *dst;

    ngx_str_null(instance);

    if (r->unparsed_uri.len == 0) {
        return NGX_OK;
    }

    instance->data = r->unparsed_uri.data;
    instance->len = ngx_min(r->unparsed_uri.len, 1024);

    p = ngx_strlchr(instance->data, instance->data + instance->len, '?');
    if (p) {
        instance->len = p - instance->data;
    }

    /* looked for in the decoded path: "/%70lay/" works as well as "/play/" */

    src = instance->data;
    dst = ngx_pnalloc(r->pool, instance->len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    p = dst;
    ngx_unescape_uri(&dst, &src, instance->len, 0);
    end = dst;

    if (ngx_strlcasestrn(p, end, (u_char *) "/play/", sizeof("/play/") - 2)) {
        ngx_str_set(instance, "/play/");
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_media_has_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    part = &r->headers_out.headers.part;

    for ( ;; ) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash && h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return 1;
            }
        }

        if (part->next == NULL) {
            return 0;
        }

        part = part->next;
    }
}
