
/*
 * Variables: what is known about a request, and the signed headers with which
 * proxy_pass fetches an authorised object from S3.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"
#include "ngx_media_var.h"


#define NGX_MEDIA_URI_MAX  2048

enum {
    NGX_MEDIA_VAR_SUB = 0,
    NGX_MEDIA_VAR_ROLES,
    NGX_MEDIA_VAR_ID,
    NGX_MEDIA_VAR_REQUEST_ID,
    NGX_MEDIA_VAR_TRACEPARENT,
    NGX_MEDIA_VAR_ETAG
};

enum {
    NGX_MEDIA_VAR_S3_DATE = 0,
    NGX_MEDIA_VAR_S3_SHA256,
    NGX_MEDIA_VAR_S3_AUTHORIZATION,
    NGX_MEDIA_VAR_S3_TOKEN
};


struct ngx_media_signed_s {
    media_s3_signed_t           values;
    ngx_str_t                   token;      /* of the credentials used */
    time_t                      made;
    ngx_uint_t                  generation; /* of the credentials */
};

typedef struct ngx_media_signed_s  ngx_media_signed_t;


static ngx_int_t ngx_media_var_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_email(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_size(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_media_s3_conf_t *ngx_media_var_store(ngx_http_request_t *r);
static ngx_int_t ngx_media_var_s3(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_scheme(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_signed(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_media_var_set(ngx_http_variable_value_t *v,
    const void *data, size_t len);
static ngx_media_object_t *ngx_media_s3_request(ngx_http_request_t *r,
    media_s3_target_t *t, media_s3_req_t *req);
static ngx_int_t ngx_media_sign(ngx_http_request_t *r,
    ngx_media_object_t *object, media_s3_target_t *t, media_s3_req_t *req);


#define NGX_MEDIA_FRESH  NGX_HTTP_VAR_NOCACHEABLE

static ngx_http_variable_t  ngx_media_variables[] = {

    { ngx_string("media_sub"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_SUB, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_roles"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_ROLES, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_email"), NULL, ngx_media_var_email,
      0, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_id"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_ID, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_request_id"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_REQUEST_ID, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_traceparent"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_TRACEPARENT, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_phase"), NULL, ngx_media_var_name,
      offsetof(ngx_media_ctx_t, phase), NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_problem"), NULL, ngx_media_var_name,
      offsetof(ngx_media_ctx_t, problem), NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_size"), NULL, ngx_media_var_size,
      0, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_time"), NULL, ngx_media_var_time,
      offsetof(ngx_media_ctx_t, s3_time), NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_commit_time"), NULL, ngx_media_var_time,
      offsetof(ngx_media_ctx_t, commit_time), NGX_MEDIA_FRESH, 0 },

    { ngx_string("media_object_uri"), NULL, ngx_media_var_uri,
      0, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_object_etag"), NULL, ngx_media_var_text,
      NGX_MEDIA_VAR_ETAG, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_upstream"), NULL, ngx_media_var_s3,
      offsetof(ngx_media_s3_conf_t, upstream), NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_host"), NULL, ngx_media_var_s3,
      offsetof(ngx_media_s3_conf_t, host), NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_tls_name"), NULL, ngx_media_var_s3,
      offsetof(ngx_media_s3_conf_t, name),
      NGX_MEDIA_FRESH|NGX_HTTP_VAR_CHANGEABLE, 0 },
    { ngx_string("media_s3_scheme"), NULL, ngx_media_var_scheme,
      0, NGX_MEDIA_FRESH|NGX_HTTP_VAR_CHANGEABLE, 0 },
    { ngx_string("media_s3_date"), NULL, ngx_media_var_signed,
      NGX_MEDIA_VAR_S3_DATE, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_content_sha256"), NULL, ngx_media_var_signed,
      NGX_MEDIA_VAR_S3_SHA256, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_authorization"), NULL, ngx_media_var_signed,
      NGX_MEDIA_VAR_S3_AUTHORIZATION, NGX_MEDIA_FRESH, 0 },
    { ngx_string("media_s3_security_token"), NULL, ngx_media_var_signed,
      NGX_MEDIA_VAR_S3_TOKEN, NGX_MEDIA_FRESH, 0 },

    ngx_http_null_variable
};


ngx_int_t
ngx_media_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_media_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_media_var_set(ngx_http_variable_value_t *v, const void *data, size_t len)
{
    if (len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_media_var_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t         text;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ngx_media_request_id(r, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (data) {

    case NGX_MEDIA_VAR_SUB:
        text = ctx->sub;
        break;

    case NGX_MEDIA_VAR_ROLES:
        text = ctx->roles;
        break;

    case NGX_MEDIA_VAR_ID:
        text = ctx->media_id;
        break;

    case NGX_MEDIA_VAR_TRACEPARENT:
        text = ctx->traceparent;
        break;

    case NGX_MEDIA_VAR_ETAG:
        if (ctx->object) {
            text = ctx->object->etag;

        } else {
            ngx_str_null(&text);
        }
        break;

    default:
        break;
    }

    return ngx_media_var_set(v, text.data, text.len);
}


static ngx_int_t
ngx_media_var_email(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    media_str_t       email;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->token == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    email = media_jwt_claim(&ctx->token->claims, "email");

    return ngx_media_var_set(v, email.p, email.len);
}


static ngx_int_t
ngx_media_var_name(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    const char       *name;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    name = ctx ? *(const char **) ((u_char *) ctx + data) : NULL;

    if (name == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_media_var_set(v, name, ngx_strlen(name));
}


static ngx_int_t
ngx_media_var_size(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char           *p;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || (!ctx->has_size && ctx->object == NULL)) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_media_var_set(v, p,
                             ngx_sprintf(p, "%O",
                                         ctx->has_size ? ctx->size
                                                       : ctx->object->size)
                             - p);
}


/* Milliseconds spent by an upload */

static ngx_int_t
ngx_media_var_time(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char           *p;
    ngx_msec_t       *ms;
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || !ctx->has_size) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = (ngx_msec_t *) ((char *) ctx + data);

    return ngx_media_var_set(v, p, ngx_sprintf(p, "%M", *ms) - p);
}


/* The GET that proxy_pass sends to S3; NULL where no object was authorised, or
 * nobody could sign. */

static ngx_media_object_t *
ngx_media_s3_request(ngx_http_request_t *r, media_s3_target_t *t,
    media_s3_req_t *req)
{
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ctx->object == NULL
        || ngx_media_s3_target(ctx->object->store, t) != NGX_OK)
    {
        return NULL;
    }

    ngx_memzero(req, sizeof(*req));
    req->op = MEDIA_S3_GET;
    req->key = ngx_media_view(&ctx->object->key);
    req->content_length = -1;
    req->now_s = ngx_time();

    return ctx->object;
}


static ngx_int_t
ngx_media_var_uri(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    char                uri[NGX_MEDIA_URI_MAX];
    ssize_t             n;
    ngx_str_t           copy;
    media_s3_req_t      req;
    media_s3_target_t   t;

    if (ngx_media_s3_request(r, &t, &req) == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    n = media_s3_uri(&t, &req, uri, sizeof(uri));

    if (n < 0 || ngx_media_strdup(r->pool, &copy, uri, n) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_media_var_set(v, copy.data, copy.len);
}


/* Where the object lies; the input store where there is none. */

static ngx_media_s3_conf_t *
ngx_media_var_store(ngx_http_request_t *r)
{
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);

    return (ctx != NULL && ctx->object != NULL)
           ? ctx->object->store
           : &ngx_media_main_conf(r)->s3[MEDIA_STORE_INPUT];
}


static ngx_int_t
ngx_media_var_s3(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t  *text;

    text = (ngx_str_t *) ((char *) ngx_media_var_store(r) + data);

    return ngx_media_var_set(v, text->data, text->len);
}


static ngx_int_t
ngx_media_var_scheme(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    if (ngx_media_var_store(r)->ssl) {
        return ngx_media_var_set(v, "https", sizeof("https") - 1);
    }

    return ngx_media_var_set(v, "http", sizeof("http") - 1);
}


/* Every value of one request to S3 comes out of one signature: they are asked
 * for one after the other, and time stands still meanwhile. A later slice of
 * a long download finds the signature older and gets another. */

static ngx_int_t
ngx_media_var_signed(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    const char          *text;
    media_s3_req_t       req;
    media_s3_target_t    t;
    ngx_media_signed_t  *s;
    ngx_media_object_t  *object;

    object = ngx_media_s3_request(r, &t, &req);

    if (object == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ngx_media_sign(r, object, &t, &req) != NGX_OK) {
        return NGX_ERROR;
    }

    s = object->signature;

    switch (data) {

    case NGX_MEDIA_VAR_S3_DATE:
        text = s->values.date;
        break;

    case NGX_MEDIA_VAR_S3_SHA256:
        text = s->values.content_sha256;
        break;

    case NGX_MEDIA_VAR_S3_TOKEN:
        return ngx_media_var_set(v, s->token.data, s->token.len);

    default:
        text = s->values.authorization;
    }

    return ngx_media_var_set(v, text, ngx_strlen(text));
}


static ngx_int_t
ngx_media_sign(ngx_http_request_t *r, ngx_media_object_t *object,
    media_s3_target_t *t, media_s3_req_t *req)
{
    ngx_uint_t           generation;
    media_str_t          token;
    ngx_media_signed_t  *s;

    s = object->signature;
    generation = object->store->cred->generation;
    token = t->cred.session_token;

    if (s && s->made == req->now_s && s->generation == generation) {
        return NGX_OK;
    }

    if (s == NULL) {
        s = ngx_pcalloc(r->pool, sizeof(ngx_media_signed_t));
        if (s == NULL) {
            return NGX_ERROR;
        }
    }

    if (media_s3_sign(t, req, &s->values) != 0) {
        return NGX_ERROR;
    }

    /* a copy: the next credentials are written over these */

    if (s->generation != generation
        && ngx_media_strdup(r->pool, &s->token, token.p, token.len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->generation = generation;
    s->made = req->now_s;

    object->signature = s;

    return NGX_OK;
}
