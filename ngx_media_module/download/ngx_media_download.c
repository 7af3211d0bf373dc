
/*
 * Who may have which object: by bearer token (/media/{id}/{output},
 * /download?fid=) or by playback token (/play/{token}/{output}), and the
 * making of playback tokens. The serving itself is ngx_media_object.c.
 */


#include "ngx_media_object.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"
#include "media/json.h"
#include "media/objkey.h"
#include "media/playtoken.h"


#define NGX_MEDIA_TOKEN_BODY_MAX  1024
#define NGX_MEDIA_PLAY_TTL_MIN    3600
#define NGX_MEDIA_PLAY_TTL_MAX    604800


typedef struct {
    ngx_str_t                   params[2];  /* owner, media id */
    int64_t                     ttl;        /* 0: not asked for */
} ngx_media_play_ask_t;


static ngx_int_t ngx_media_token_body(ngx_http_request_t *r, ngx_str_t *body,
    void *data);
static ngx_int_t ngx_media_token_answer(ngx_http_request_t *r,
    ngx_media_pg_result_t *res, void *data);
static int64_t ngx_media_token_ttl(ngx_str_t *duration);
static ngx_int_t ngx_media_token_send(ngx_http_request_t *r,
    media_playtoken_t *t);


ngx_int_t
ngx_media_object_handler(ngx_http_request_t *r, ngx_str_t *id,
    ngx_str_t *output)
{
    ngx_str_t         params[3];
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!media_uuid_valid(ngx_media_view(id))
        || !media_output_name_valid(ngx_media_view(output)))
    {
        return ngx_media_send_not_found(r, ctx);
    }

    ctx->media_id = *id;

    params[0] = ngx_media_caller(ctx);
    params[1] = *id;
    params[2] = *output;

    return ngx_media_object_serve(r, MEDIA_STMT_MEDIA_OBJECT, params,
                                  NGX_MEDIA_SERVE_OBJECT);
}


ngx_int_t
ngx_media_download_handler(ngx_http_request_t *r)
{
    size_t            pos;
    ngx_int_t         rc;
    ngx_str_t         name, value, params[3];
    ngx_media_ctx_t  *ctx;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pos = 0;

    do {
        rc = ngx_media_args_next(r, &pos, &name, &value);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_DONE) {
            return ngx_media_send_problem(r, MEDIA_PROBLEM_FID_MISSING, NULL);
        }

    } while (rc != NGX_OK || value.len == 0
             || !media_str_eq(ngx_media_view(&name), MEDIA_STR("fid")));

    if (!media_uuid_valid(ngx_media_view(&value))) {
        return ngx_media_send_not_found(r, ctx);
    }

    ctx->media_id = value;

    params[0] = ngx_media_caller(ctx);
    params[1] = value;
    ngx_str_set(&params[2], "");

    return ngx_media_object_serve(r, MEDIA_STMT_MEDIA_OBJECT, params,
                                  NGX_MEDIA_SERVE_DOWNLOAD);
}


ngx_int_t
ngx_media_play_handler(ngx_http_request_t *r, ngx_str_t *token,
    ngx_str_t *output)
{
    int                     rc;
    u_char                  epoch[NGX_INT64_LEN];
    ngx_str_t               id, params[4];
    media_err_t             ei;
    ngx_media_ctx_t        *ctx;
    enum media_jwt_why      why;
    media_playtoken_t       t;
    ngx_media_main_conf_t  *mmcf;

    ctx = ngx_media_ctx(r);

    if (ctx == NULL || ngx_media_request_id(r, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mmcf = ngx_media_main_conf(r);

    rc = media_playtoken_verify(mmcf->play_key, ngx_media_view(token),
                                ngx_time(), &t, &why, &ei);

    if (rc == MEDIA_E_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != 0) {
        ngx_media_count(NGX_MEDIA_C_AUTH_FAILED, 1);

        return ngx_media_send_problem(r,
                            (rc == MEDIA_E_AUTH && why == MEDIA_JWT_EXPIRED)
                            ? MEDIA_PROBLEM_TOKEN_EXPIRED
                            : MEDIA_PROBLEM_TOKEN_INVALID, NULL);
    }

    ngx_media_count(NGX_MEDIA_C_AUTH_OK, 1);

    if (!media_output_name_valid(ngx_media_view(output))
        || t.epoch < 0 || t.epoch > NGX_MAX_INT32_VALUE)
    {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    if (ngx_media_strdup(r->pool, &ctx->media_id, t.media_id, MEDIA_UUID_LEN)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    params[0] = ctx->media_id;
    params[1].data = epoch;
    params[1].len = ngx_sprintf(epoch, "%L", t.epoch) - epoch;
    params[2].len = ngx_strlen(t.sid);
    params[2].data = params[2].len ? (u_char *) t.sid : NULL;
    params[3] = *output;

    return ngx_media_object_serve(r, MEDIA_STMT_PLAY_OBJECT, params,
                                  NGX_MEDIA_SERVE_OBJECT);
}


ngx_int_t
ngx_media_token_handler(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_media_ctx_t       *ctx;
    ngx_media_play_ask_t  *ask;

    ctx = ngx_media_ctx(r);

    ask = ngx_pcalloc(r->pool, sizeof(ngx_media_play_ask_t));
    if (ctx == NULL || ask == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!media_uuid_valid(ngx_media_view(id))) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    ctx->media_id = *id;

    ask->params[0] = ctx->sub;
    ask->params[1] = *id;

    return ngx_media_read_small(r, NGX_MEDIA_TOKEN_BODY_MAX,
                                ngx_media_token_body, ask);
}


static ngx_int_t
ngx_media_token_body(ngx_http_request_t *r, ngx_str_t *body, void *data)
{
    static const char *const  names[] = { "ttl", NULL };

    int                    rc;
    json_t                *root;
    media_err_t            ei;
    enum media_problem     p;
    ngx_media_play_ask_t  *ask = data;

    if (body->len == 0) {
        goto query;
    }

    p = MEDIA_PROBLEM_BAD_REQUEST;

    rc = media_json_parse(ngx_media_view(body), &root, &ei);

    if (rc == 0) {
        rc = media_json_only(root, names, &ei);

        if (rc != 0) {
            p = MEDIA_PROBLEM_UNKNOWN_FIELD;

        } else {
            rc = media_json_int(root, "ttl", 1, NGX_MEDIA_PLAY_TTL_MAX,
                                &ask->ttl, &ei);

            if (rc == MEDIA_E_GONE) {
                rc = 0;
            }
        }

        json_decref(root);
    }

    if (rc != 0) {
        return ngx_media_send_problem(r, p, "%s", ei.text);
    }

query:

    return ngx_media_query(r, MEDIA_STMT_MEDIA_EPOCH, ask->params,
                           ngx_media_token_answer, ask);
}


static ngx_int_t
ngx_media_token_answer(ngx_http_request_t *r, ngx_media_pg_result_t *res,
    void *data)
{
    ngx_str_t              epoch, duration;
    media_str_t            sid;
    media_playtoken_t      t;
    ngx_media_play_ask_t  *ask = data;

    if (res->nrows == 0) {
        return ngx_media_send_problem(r, MEDIA_PROBLEM_NOT_FOUND, NULL);
    }

    epoch = ngx_media_pg_value(res, 0, 0);
    duration = ngx_media_pg_value(res, 0, 1);

    ngx_memzero(&t, sizeof(t));
    ngx_memcpy(t.media_id, ask->params[1].data, MEDIA_UUID_LEN);

    if (media_str_to_i64(ngx_media_view(&epoch), &t.epoch) != 0) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sid = media_jwt_claim(&ngx_media_ctx(r)->token->claims, "sid");

    if (media_uuid_valid(sid)) {
        ngx_memcpy(t.sid, sid.p, sid.len);
    }

    t.exp_s = ngx_time() + (ask->ttl ? ask->ttl
                                     : ngx_media_token_ttl(&duration));

    return ngx_media_token_send(r, &t);
}


/* max(1 h, twice the duration), whole seconds of a decimal text */

static int64_t
ngx_media_token_ttl(ngx_str_t *duration)
{
    int64_t      n;
    media_str_t  whole;

    whole = ngx_media_view(duration);

    for (whole.len = 0; whole.len < duration->len; whole.len++) {
        if (duration->data[whole.len] == '.') {
            break;
        }
    }

    if (whole.len == 0 || media_str_to_i64(whole, &n) != 0) {
        n = 0;
    }

    n = ngx_min(n, NGX_MEDIA_PLAY_TTL_MAX) * 2;
    n = ngx_max(n, NGX_MEDIA_PLAY_TTL_MIN);

    return ngx_min(n, NGX_MEDIA_PLAY_TTL_MAX);
}


static ngx_int_t
ngx_media_token_send(ngx_http_request_t *r, media_playtoken_t *t)
{
    static ngx_str_t  no_store = ngx_string("no-store");

    char                    token[MEDIA_PLAY_TOKEN_MAX + 1], expires[40];
    u_char                  text[2 * MEDIA_PLAY_TOKEN_MAX + 256];
    ngx_str_t               id, body;
    media_err_t             ei;
    ngx_media_main_conf_t  *mmcf;

    ngx_str_null(&id);
    (void) ngx_media_request_id(r, &id);

    mmcf = ngx_media_main_conf(r);

    if (media_playtoken_issue(mmcf->play_key, t, token, sizeof(token), &ei)
        < 0)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "media: no playback token, cause=\"%s\" req=%V",
                      ei.text, &id);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) media_rfc3339(t->exp_s * 1000, expires, sizeof(expires));

    body.data = text;
    body.len = ngx_snprintf(text, sizeof(text),
                            "{\"token\":\"%s\",\"expires_at\":\"%s\","
                            "\"href\":\"/play/%s/\"}", token, expires, token)
               - text;

    if (ngx_media_add_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_media_send_json(r, NGX_HTTP_CREATED, &body);
}
