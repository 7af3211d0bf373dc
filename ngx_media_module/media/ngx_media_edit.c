
/*
 * What an owner does to media: PATCH and DELETE /media/{id}, POST
 * /media/{id}/cancel, /retry and /jobs, PATCH /media/{id}/regions. The database
 * decides; this file reads what is wanted, and publishes what follows from it.
 */


#include "ngx_media.h"
#include "ngx_media_request.h"
#include "media/json.h"


#define NGX_MEDIA_EDIT_BODY_MAX  32768
#define NGX_MEDIA_EDIT_PARAMS    5          /* most of a statement here */

/* columns of what changes media */
enum {
    NGX_MEDIA_EDIT_CODE = 0,
    NGX_MEDIA_EDIT_DETAIL,
    NGX_MEDIA_EDIT_MEDIA,
    NGX_MEDIA_EDIT_OUTBOX       /* not of MEDIA_PATCH */
};


typedef ngx_int_t (*ngx_media_edit_pt)(ngx_http_request_t *r, json_t *root,
    ngx_str_t *params, media_err_t *ei);

/* A statement and how its parameters after owner and id are read. */
typedef struct {
    enum media_stmt             stmt;
    const char *const          *names;      /* members of the body */
    ngx_media_edit_pt           read;
    ngx_str_t                   params[NGX_MEDIA_EDIT_PARAMS];
} ngx_media_edit_t;


static ngx_int_t ngx_media_edit(ngx_http_request_t *r, ngx_str_t *id,
    enum media_stmt stmt);
static ngx_int_t ngx_media_edit_json(ngx_http_request_t *r, ngx_str_t *id,
    enum media_stmt stmt, const char *const *names, ngx_media_edit_pt read);
static ngx_int_t ngx_media_edit_body(ngx_http_request_t *r, ngx_str_t *body,
    void *data);
static ngx_int_t ngx_media_edit_begin(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *params);
static ngx_int_t ngx_media_edit_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);
static ngx_int_t ngx_media_patch_read(ngx_http_request_t *r, json_t *root,
    ngx_str_t *params, media_err_t *ei);
static ngx_int_t ngx_media_jobs_read(ngx_http_request_t *r, json_t *root,
    ngx_str_t *params, media_err_t *ei);
static ngx_int_t ngx_media_regions_read(ngx_http_request_t *r, json_t *root,
    ngx_str_t *params, media_err_t *ei);
static ngx_int_t ngx_media_edit_dump(ngx_http_request_t *r, json_t *v,
    ngx_str_t *value);
static ngx_int_t ngx_media_edit_text(ngx_http_request_t *r, json_t *root,
    const char *name, size_t max, ngx_str_t *value, media_err_t *ei);
static ngx_int_t ngx_media_delete_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);


static ngx_str_t  ngx_media_edit_no_store = ngx_string("no-store");


ngx_int_t
ngx_media_patch_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    static const char *const  names[] = { "title", "visibility", NULL };

    return ngx_media_edit_json(r, id, MEDIA_STMT_MEDIA_PATCH, names,
                               ngx_media_patch_read);
}


ngx_int_t
ngx_media_jobs_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    static const char *const  names[] = { "pipeline", "params", NULL };

    return ngx_media_edit_json(r, id, MEDIA_STMT_MEDIA_RUN, names,
                               ngx_media_jobs_read);
}


ngx_int_t
ngx_media_regions_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    static const char *const  names[] = { "add", "remove", "keep", "mask",
                                          NULL };

    return ngx_media_edit_json(r, id, MEDIA_STMT_MEDIA_REGIONS, names,
                               ngx_media_regions_read);
}


ngx_int_t
ngx_media_cancel_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    return ngx_media_edit(r, id, MEDIA_STMT_MEDIA_CANCEL);
}


ngx_int_t
ngx_media_retry_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    return ngx_media_edit(r, id, MEDIA_STMT_MEDIA_RETRY);
}


ngx_int_t
ngx_media_delete_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_int_t  rc;
    ngx_str_t  params[2];

    rc = ngx_media_edit_begin(r, id, params);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_media_query(r, MEDIA_STMT_MEDIA_DELETE, params,
                           ngx_media_delete_answer, NULL);
}


static ngx_int_t
ngx_media_delete_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t  code, none = ngx_null_string;

    code = ngx_media_pg_value(res, 0, NGX_MEDIA_EDIT_CODE);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
        return ngx_media_send_code(r, &code, NULL);
    }

    return ngx_media_send_json(r, NGX_HTTP_NO_CONTENT, &none);
}


/* Without a body that means anything. */

static ngx_int_t
ngx_media_edit(ngx_http_request_t *r, ngx_str_t *id, enum media_stmt stmt)
{
    ngx_int_t  rc;
    ngx_str_t  params[2];

    rc = ngx_media_edit_begin(r, id, params);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_media_query(r, stmt, params, ngx_media_edit_answer, NULL);
}


static ngx_int_t
ngx_media_edit_json(ngx_http_request_t *r, ngx_str_t *id,
    enum media_stmt stmt, const char *const *names, ngx_media_edit_pt read)
{
    ngx_int_t          rc;
    ngx_media_edit_t  *e;

    e = ngx_pcalloc(r->pool, sizeof(ngx_media_edit_t));
    if (e == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e->stmt = stmt;
    e->names = names;
    e->read = read;

    rc = ngx_media_edit_begin(r, id, e->params);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!ngx_media_is_json(r)) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                                      "use Content-Type: application/json");
    }

    return ngx_media_read_small(r, NGX_MEDIA_EDIT_BODY_MAX,
                                ngx_media_edit_body, e);
}


/* Owner and id. NGX_DECLINED: go on; else the request has its answer. */

static ngx_int_t
ngx_media_edit_begin(ngx_http_request_t *r, ngx_str_t *id, ngx_str_t *params)
{
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!media_uuid_valid(ngx_media_view(id))) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    ctx->media_id = *id;

    params[0] = ctx->sub;
    params[1] = *id;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_media_edit_body(ngx_http_request_t *r, ngx_str_t *body, void *data)
{
    ngx_media_edit_t  *e = data;

    json_t              *root;
    ngx_int_t            rc;
    media_err_t          ei;
    enum media_problem   p;

    p = MEDIA_PROBLEM_BAD_REQUEST;

    if (media_json_parse(ngx_media_view(body), &root, &ei) != 0) {
        return ngx_media_send_problem(r, p, "%s", ei.text);
    }

    rc = NGX_DECLINED;

    if (media_json_only(root, e->names, &ei) != 0) {
        p = MEDIA_PROBLEM_UNKNOWN_FIELD;

    } else {
        rc = e->read(r, root, &e->params[2], &ei);
    }

    json_decref(root);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_media_send_problem(r, p, "%s", ei.text);
    }

    return ngx_media_query(r, e->stmt, e->params, ngx_media_edit_answer, e);
}


/* Has a title, title, visibility; a title of null is none. */

static ngx_int_t
ngx_media_patch_read(ngx_http_request_t *r, json_t *root, ngx_str_t *params,
    media_err_t *ei)
{
    ngx_int_t  rc;

    ngx_str_set(&params[0], "f");

    if (json_object_get(root, "title")) {
        ngx_str_set(&params[0], "t");
    }

    rc = ngx_media_edit_text(r, root, "title", NGX_MEDIA_TITLE_MAX,
                             &params[1], ei);

    if (rc == NGX_OK) {
        rc = ngx_media_edit_text(r, root, "visibility", 16, &params[2], ei);
    }

    if (rc == NGX_OK && params[2].data == NULL
        && json_object_get(root, "visibility"))
    {
        (void) media_err_set(ei, MEDIA_E_REJECT,
                             "member \"visibility\" is not a string");
        rc = NGX_DECLINED;
    }

    return rc;
}


/* Pipeline, params */

static ngx_int_t
ngx_media_jobs_read(ngx_http_request_t *r, json_t *root, ngx_str_t *params,
    media_err_t *ei)
{
    json_t     *v;
    ngx_int_t   rc;

    rc = ngx_media_edit_text(r, root, "pipeline", 64, &params[0], ei);
    if (rc != NGX_OK) {
        return rc;
    }

    if (params[0].data == NULL) {
        (void) media_err_set(ei, MEDIA_E_REJECT,
                             "member \"pipeline\" is missing");
        return NGX_DECLINED;
    }

    v = json_object_get(root, "params");

    if (v == NULL || json_is_null(v)) {
        return NGX_OK;
    }

    if (!json_is_object(v)) {
        (void) media_err_set(ei, MEDIA_E_REJECT,
                             "member \"params\" is not an object");
        return NGX_DECLINED;
    }

    return ngx_media_edit_dump(r, v, &params[1]);
}


/* The whole body: the database knows what its members may hold. */

static ngx_int_t
ngx_media_regions_read(ngx_http_request_t *r, json_t *root, ngx_str_t *params,
    media_err_t *ei)
{
    return ngx_media_edit_dump(r, root, &params[0]);
}


static ngx_int_t
ngx_media_edit_dump(ngx_http_request_t *r, json_t *v, ngx_str_t *value)
{
    char       *text;
    ngx_int_t   rc;

    text = json_dumps(v, JSON_COMPACT|JSON_REAL_PRECISION(15));
    if (text == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_media_strdup(r->pool, value, text, ngx_strlen(text));
    free(text);

    return rc;
}


/* A string member; null when absent or null. NGX_OK, NGX_DECLINED with the
 * cause, NGX_ERROR when out of memory. */

static ngx_int_t
ngx_media_edit_text(ngx_http_request_t *r, json_t *root, const char *name,
    size_t max, ngx_str_t *value, media_err_t *ei)
{
    int          rc;
    media_str_t  s;

    rc = media_json_str(root, name, max, &s, ei);

    if (rc == MEDIA_E_GONE) {
        ngx_str_null(value);
        return NGX_OK;
    }

    if (rc != 0) {
        return NGX_DECLINED;
    }

    return ngx_media_strdup(r->pool, value, s.p, s.len);
}


static ngx_int_t
ngx_media_edit_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_media_edit_t  *e = data;

    ngx_str_t   code, detail, media, outbox;
    ngx_uint_t  status;

    code = ngx_media_pg_value(res, 0, NGX_MEDIA_EDIT_CODE);

    if (!media_str_eq(ngx_media_view(&code), MEDIA_STR("ok"))) {
        detail = ngx_media_pg_value(res, 0, NGX_MEDIA_EDIT_DETAIL);
        return ngx_media_send_code(r, &code, &detail);
    }

    media = ngx_media_pg_value(res, 0, NGX_MEDIA_EDIT_MEDIA);
    outbox = ngx_media_pg_value(res, 0, NGX_MEDIA_EDIT_OUTBOX);

    ngx_media_outbox_publish(&outbox);

    if (ngx_media_add_header(r, "Cache-Control", &ngx_media_edit_no_store)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what is asked of regions is done when the run is ready */

    status = (e && e->stmt == MEDIA_STMT_MEDIA_REGIONS) ? NGX_HTTP_ACCEPTED
                                                        : NGX_HTTP_OK;

    return ngx_media_send_json(r, status, &media);
}
