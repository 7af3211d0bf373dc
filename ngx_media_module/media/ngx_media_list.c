
/*
 * GET /media and GET /media/{id}: the database makes the JSON, this file
 * checks what was asked and says where the next page is.
 */


#include "ngx_media.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_LIST_DEFAULT  "20"
#define NGX_MEDIA_LIST_MAX      100
#define NGX_MEDIA_LIST_ARG_MAX  256

/* query parameters in the order of MEDIA_LIST's, owner before them */
#define NGX_MEDIA_LIST_ARGS(X)                                                \
    X(LIMIT, "limit")                                                         \
    X(CURSOR, "cursor")                                                       \
    X(STATE, "state")                                                         \
    X(PIPELINE, "pipeline")                                                   \
    X(Q, "q")                                                                 \
    X(SORT, "sort")

enum {
    NGX_MEDIA_LIST_OWNER = 0,
#define X(name, text)  NGX_MEDIA_LIST_##name,
    NGX_MEDIA_LIST_ARGS(X)
#undef X
    NGX_MEDIA_LIST_COUNT
};


static ngx_str_t  ngx_media_list_names[] = {
    ngx_null_string,
#define X(name, text)  ngx_string(text),
    NGX_MEDIA_LIST_ARGS(X)
#undef X
};

static ngx_str_t  ngx_media_list_cache = ngx_string("private, no-cache");


static ngx_int_t ngx_media_list_parse(ngx_http_request_t *r,
    ngx_str_t *params, ngx_int_t *sent);
static ngx_uint_t ngx_media_list_arg(ngx_str_t *name);
static ngx_int_t ngx_media_list_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);
static ngx_int_t ngx_media_list_link(ngx_http_request_t *r,
    ngx_str_t *params, ngx_str_t *page);
static ngx_int_t ngx_media_list_link_value(ngx_http_request_t *r,
    ngx_str_t *params, media_str_t next, ngx_str_t *value);
static ngx_int_t ngx_media_get_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);


ngx_int_t
ngx_media_list_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc, sent;
    ngx_str_t        *params;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    params = ngx_pcalloc(r->pool, sizeof(ngx_str_t) * NGX_MEDIA_LIST_COUNT);
    if (ctx == NULL || params == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    params[NGX_MEDIA_LIST_OWNER] = ctx->sub;

    rc = ngx_media_list_parse(r, params, &sent);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return sent;
    }

    return ngx_media_query(r, MEDIA_STMT_MEDIA_LIST, params,
                           ngx_media_list_answer, params);
}


/* NGX_DECLINED: refused, *sent is what the handler returns */

static ngx_int_t
ngx_media_list_parse(ngx_http_request_t *r, ngx_str_t *params,
    ngx_int_t *sent)
{
    size_t      pos;
    int64_t     limit;
    ngx_int_t   rc;
    ngx_str_t   name, value;
    ngx_uint_t  i;

    pos = 0;

    for ( ;; ) {
        rc = ngx_media_args_next(r, &pos, &name, &value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DONE) {
            break;
        }

        if (rc == NGX_DECLINED) {
            *sent = ngx_media_send_problem(r, MEDIA_PROBLEM_BAD_REQUEST,
                                  "a query parameter is not UTF-8 text");
            return NGX_DECLINED;
        }

        i = ngx_media_list_arg(&name);

        if (i == NGX_MEDIA_LIST_COUNT) {
            *sent = ngx_media_send_problem(r, MEDIA_PROBLEM_UNKNOWN_FIELD,
                                           "query parameter \"%V\"", &name);
            return NGX_DECLINED;
        }

        if (params[i].data || value.len > NGX_MEDIA_LIST_ARG_MAX) {
            *sent = ngx_media_send_problem(r, MEDIA_PROBLEM_BAD_REQUEST,
                                           params[i].data ? "%V: given twice"
                                           : "%V: too long", &name);
            return NGX_DECLINED;
        }

        if (value.len) {
            params[i] = value;
        }
    }

    if (params[NGX_MEDIA_LIST_LIMIT].data == NULL) {
        ngx_str_set(&params[NGX_MEDIA_LIST_LIMIT], NGX_MEDIA_LIST_DEFAULT);
    }

    if (media_str_to_i64(ngx_media_view(&params[NGX_MEDIA_LIST_LIMIT]),
                         &limit) != 0
        || limit < 1 || limit > NGX_MEDIA_LIST_MAX)
    {
        *sent = ngx_media_send_problem(r, MEDIA_PROBLEM_BAD_REQUEST,
                                       "limit: must be 1 to %d",
                                       NGX_MEDIA_LIST_MAX);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* NGX_MEDIA_LIST_COUNT for a name that is none of ours */

static ngx_uint_t
ngx_media_list_arg(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = NGX_MEDIA_LIST_LIMIT; i < NGX_MEDIA_LIST_COUNT; i++) {
        if (name->len == ngx_media_list_names[i].len
            && ngx_strncmp(name->data, ngx_media_list_names[i].data,
                           name->len) == 0)
        {
            break;
        }
    }

    return i;
}


static ngx_int_t
ngx_media_list_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t  code, detail, page, *params = data;

    if (res->nrows == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
        detail = ngx_media_pg_value(res, 0, 1);
        return ngx_media_send_code(r, &code, &detail);
    }

    page = ngx_media_pg_value(res, 0, 2);

    if (ngx_media_list_link(r, params, &page) != NGX_OK
        || ngx_media_add_header(r, "Cache-Control", &ngx_media_list_cache)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_json(r, NGX_HTTP_OK, &page);
}


static ngx_int_t
ngx_media_list_link(ngx_http_request_t *r, ngx_str_t *params,
    ngx_str_t *page)
{
    json_t       *root, *item;
    ngx_int_t     rc;
    ngx_str_t     value;
    media_str_t   next;

    /* of our own making: no caps beyond the 100 items */

    root = json_loadb((char *) page->data, page->len, 0, NULL);
    if (root == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    item = json_object_get(root, "next");

    if (json_is_string(item)) {
        next.p = json_string_value(item);
        next.len = json_string_length(item);

        rc = ngx_media_list_link_value(r, params, next, &value);

        if (rc == NGX_OK) {
            rc = ngx_media_add_header(r, "Link", &value);
        }
    }

    json_decref(root);

    return rc;
}


/* The same path and parameters, the cursor replaced. */

static ngx_int_t
ngx_media_list_link_value(ngx_http_request_t *r, ngx_str_t *params,
    media_str_t next, ngx_str_t *value)
{
    char          encoded[NGX_MEDIA_LIST_ARG_MAX * 3 + 1];
    u_char       *p, *end, *last;
    ngx_str_t     path;
    ngx_uint_t    i;
    media_str_t   text;

    path = r->unparsed_uri;
    p = ngx_strlchr(path.data, path.data + path.len, '?');
    if (p) {
        path.len = p - path.data;
    }

    value->len = path.len + sizeof("<?>; rel=\"next\"")
                 + NGX_MEDIA_LIST_COUNT
                   * (sizeof(encoded) + sizeof("&pipeline="));
    value->data = ngx_pnalloc(r->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    last = value->data + value->len;
    end = ngx_slprintf(value->data, last, "<%V?", &path);
    p = end;

    for (i = NGX_MEDIA_LIST_LIMIT; i < NGX_MEDIA_LIST_COUNT; i++) {

        if (i == NGX_MEDIA_LIST_CURSOR) {
            text = next;

        } else if (params[i].data) {
            text = ngx_media_view(&params[i]);

        } else {
            continue;
        }

        if (media_pct_encode(text, 0, encoded, sizeof(encoded)) < 0) {
            return NGX_ERROR;
        }

        end = ngx_slprintf(end, last, "%s%V=%s", (end == p) ? "" : "&",
                           &ngx_media_list_names[i], encoded);
    }

    end = ngx_slprintf(end, last, ">; rel=\"next\"");
    value->len = end - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_media_get_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_str_t         params[2];
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!media_uuid_valid(ngx_media_view(id))) {
        return ngx_media_send_not_found(r, ctx);
    }

    ctx->media_id = *id;

    params[0] = ngx_media_caller(ctx);
    params[1] = *id;

    return ngx_media_query(r, MEDIA_STMT_MEDIA_GET, params,
                           ngx_media_get_answer, ctx);
}


static ngx_int_t
ngx_media_get_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t  media;

    if (res->nrows == 0) {
        return ngx_media_send_not_found(r, data);
    }

    if (ngx_media_add_header(r, "Cache-Control", &ngx_media_list_cache)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    media = ngx_media_pg_value(res, 0, 0);

    return ngx_media_send_json(r, NGX_HTTP_OK, &media);
}
