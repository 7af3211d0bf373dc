
/*
 * What describes the file: its name and the text fields, from the request line
 * and headers of a raw upload or from the fields of a form. A form's choice of
 * pipeline is checked by the database while its file begins to come.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include "media/filename.h"
#include "media/json.h"


#define NGX_MEDIA_PARAMS_MAX  16384


static ngx_int_t ngx_media_upload_text(ngx_media_upload_t *u,
    ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_media_upload_args(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_name(ngx_media_upload_t *u,
    ngx_http_request_t *r);
static ngx_int_t ngx_media_upload_check(ngx_media_upload_t *u);
static void ngx_media_upload_checked(void *data, ngx_media_pg_result_t *res);


/* The text fields an upload may carry, as form fields or query arguments. */

typedef struct {
    ngx_str_t                   name;
    size_t                      max;
    size_t                      offset;
} ngx_media_field_t;


static ngx_media_field_t  ngx_media_fields[] = {
    { ngx_string("pipeline"), 64,
      offsetof(ngx_media_upload_t, pipeline) },
    { ngx_string("title"), NGX_MEDIA_TITLE_MAX,
      offsetof(ngx_media_upload_t, title) },
    { ngx_string("visibility"), 16,
      offsetof(ngx_media_upload_t, visibility) },
    { ngx_string("params"), NGX_MEDIA_PARAMS_MAX,
      offsetof(ngx_media_upload_t, params) },
    { ngx_null_string, 0, 0 }
};


ngx_int_t
ngx_media_upload_describe(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    static ngx_str_t  pipeline = ngx_string("pipeline");

    h = ngx_media_header_in(r, "x-media-pipeline", NULL);

    if (h != NULL) {
        rc = ngx_media_upload_text(u, r, &pipeline, &h->value);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_media_upload_args(u, r);

    return rc == NGX_OK ? ngx_media_upload_name(u, r) : rc;
}


static ngx_uint_t
ngx_media_upload_visibility(ngx_str_t *value)
{
    ngx_uint_t  i;

    static ngx_str_t  known[] = {
        ngx_string("private"), ngx_string("unlisted"), ngx_string("public")
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].len == value->len
            && ngx_memcmp(known[i].data, value->data, value->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* NGX_OK: taken; NGX_DECLINED: no such field; NGX_ABORT: bad value, *why. */

static ngx_int_t
ngx_media_upload_set(ngx_media_upload_t *u, ngx_str_t *name, ngx_str_t *value,
    const char **why)
{
    json_t             *json;
    media_str_t         view;
    media_err_t         err;
    ngx_media_field_t  *f;

    *why = NULL;

    for (f = ngx_media_fields; f->name.len != 0; f++) {
        if (f->name.len == name->len
            && ngx_memcmp(f->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (f->name.len == 0) {
        return NGX_DECLINED;
    }

    view.p = (char *) value->data;
    view.len = value->len;

    if (value->len > f->max) {
        *why = "is too long";
        return NGX_ABORT;
    }

    if (!media_utf8_valid(view)
        || ngx_strlchr(value->data, value->data + value->len, '\0') != NULL)
    {
        *why = "is not UTF-8 text";
        return NGX_ABORT;
    }

    if (f->offset == offsetof(ngx_media_upload_t, params)) {

        if (media_json_parse(view, &json, &err) != 0) {
            *why = "is not a JSON object";
            return NGX_ABORT;
        }

        json_decref(json);
    }

    if (f->offset == offsetof(ngx_media_upload_t, visibility)
        && !ngx_media_upload_visibility(value))
    {
        *why = "must be private, unlisted or public";
        return NGX_ABORT;
    }

    if (ngx_media_strdup(u->pool, (ngx_str_t *) ((u_char *) u + f->offset),
                         value->data, value->len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The same, of the request line and headers. */

static ngx_int_t
ngx_media_upload_text(ngx_media_upload_t *u, ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_int_t    rc;
    const char  *why;

    rc = ngx_media_upload_set(u, name, value, &why);

    if (rc == NGX_DECLINED) {
        ngx_media_refuse(r, MEDIA_PROBLEM_UNKNOWN_FIELD,
                         "query argument \"%V\" is unknown", name);
    }

    if (rc == NGX_ABORT) {
        ngx_media_refuse(r, MEDIA_PROBLEM_PARAMS_INVALID, "%V: %s", name,
                         why);
    }

    return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_media_upload_args(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    size_t      pos;
    ngx_int_t   rc;
    ngx_str_t   name, value;

    pos = 0;

    for ( ;; ) {
        rc = ngx_media_args_next(r, &pos, &name, &value);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST,
                             "a query argument is not UTF-8 text");
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (u->form == NULL && r->method == NGX_HTTP_POST && name.len == 4
            && ngx_strncmp(name.data, "name", 4) == 0)
        {
            if (ngx_media_strdup(u->pool, &u->name, value.data, value.len)
                != NGX_OK)
            {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            continue;
        }

        rc = ngx_media_upload_text(u, r, &name, &value);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* Keeps the cleaned form of a client's file name. */

static ngx_int_t
ngx_media_upload_clean(ngx_media_upload_t *u, media_str_t raw)
{
    ssize_t  n;
    char     name[MEDIA_FILENAME_MAX + 1];

    n = media_filename_clean(raw, name, sizeof(name));

    return n < 0 ? NGX_ERROR : ngx_media_strdup(u->pool, &u->name, name, n);
}


static ngx_int_t
ngx_media_upload_name(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    ssize_t           n;
    media_str_t       raw;
    ngx_table_elt_t  *h;
    char              name[MEDIA_MP_FILENAME_MAX + 1];

    raw.p = (char *) u->name.data;
    raw.len = u->name.len;

    if (r->method == NGX_HTTP_PUT) {
        raw.p = (char *) r->uri.data + sizeof("/upload/") - 1;
        raw.len = r->uri.len - (sizeof("/upload/") - 1);

        h = ngx_media_header_in(r, "if-none-match", NULL);

        u->no_replace = h != NULL && h->value.len == 1
                        && h->value.data[0] == '*';

    } else if (raw.len == 0 && u->form == NULL) {
        h = ngx_media_header_in(r, "content-disposition", NULL);

        if (h != NULL) {
            raw.p = (char *) h->value.data;
            raw.len = h->value.len;

            n = media_content_disposition_parse(raw, name, sizeof(name));

            raw.p = name;
            raw.len = n < 0 ? 0 : n;
        }
    }

    if (ngx_media_upload_clean(u, raw) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_field(ngx_media_upload_t *u, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t    rc;
    const char  *why;

    if (name->len == 6 && ngx_strncmp(name->data, "sha256", 6) == 0) {
        return ngx_media_upload_hex_digest(u, ngx_media_view(value));
    }

    rc = ngx_media_upload_set(u, name, value, &why);

    if (rc == NGX_DECLINED) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_UNKNOWN_FIELD,
                                     "form field \"%V\" is unknown", name);
    }

    if (rc == NGX_ABORT) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_PARAMS_INVALID,
                                     "%V: %s", name, why);
    }

    if (rc != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    u->chosen |= name->data[0] == 'p';      /* pipeline, params */

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_file(ngx_media_upload_t *u, media_mp_event_t *ev)
{
    if (ngx_media_upload_clean(u, ev->filename) != NGX_OK
        || ngx_media_strdup(u->pool, &u->type, ev->content_type.p,
                            ev->content_type.len)
           != NGX_OK)
    {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    if (ev->sha256.p != NULL
        && ngx_media_upload_hex_digest(u, ev->sha256) != NGX_OK)
    {
        return NGX_DONE;
    }

    return u->chosen && u->opened ? ngx_media_upload_check(u) : NGX_OK;
}


/* Without waiting: the commit checks it, too, and whatever comes behind the
 * file. But a wrong choice shall not cost the whole file. */

static ngx_int_t
ngx_media_upload_check(ngx_media_upload_t *u)
{
    ngx_str_t  p[2];

    p[0] = u->pipeline;
    p[1] = u->params;

    u->check = ngx_media_pg_query(MEDIA_STMT_UPLOAD_CHECK, p,
                                  ngx_media_upload_checked, u);

    return u->check != NULL
           ? NGX_OK : ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
}


static void
ngx_media_upload_checked(void *data, ngx_media_pg_result_t *res)
{
    ngx_media_upload_t  *u = data;

    ngx_str_t  code, detail;

    u->check = NULL;

    if (res->rc != NGX_OK || res->nrows != 1
        || u->state == NGX_MEDIA_UPLOAD_COMMITTING)
    {
        return;
    }

    code = ngx_media_pg_value(res, 0, 0);

    if (code.len != 2 || ngx_strncmp(code.data, "ok", 2) != 0) {
        detail = ngx_media_pg_value(res, 0, 1);
        (void) ngx_media_upload_denied(u, &code, &detail, NULL);
    }
}
