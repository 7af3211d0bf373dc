
/*
 * The client's bytes on their way in: form framing, digest, size limit, magic
 * bytes. What passes goes to the sink.
 */

#include "ngx_media_upload.h"


static ngx_int_t ngx_media_ingest_form(ngx_media_upload_t *u, ngx_buf_t *b);
static ngx_int_t ngx_media_ingest_file(ngx_media_upload_t *u, ngx_buf_t *b);
static ngx_int_t ngx_media_ingest_sniff(ngx_media_upload_t *u,
    ngx_uint_t is_last);
static ngx_uint_t ngx_media_type_allowed(ngx_media_upload_t *u);


ngx_int_t
ngx_media_ingest(ngx_media_upload_t *u, ngx_buf_t *b)
{
    if (u->form != NULL) {
        return ngx_media_ingest_form(u, b);
    }

    return ngx_media_ingest_file(u, b);
}


/*
 * Form data always goes to the parts sink, which takes every run whole, so
 * the reader's views need not outlive one turn.
 */

static ngx_int_t
ngx_media_ingest_form(ngx_media_upload_t *u, ngx_buf_t *b)
{
    int               rc;
    size_t            used;
    ngx_int_t         ret;
    ngx_buf_t         run;
    ngx_str_t         name, value;
    media_err_t       err;
    media_mp_event_t  ev;

    for ( ;; ) {

        rc = media_multipart_next(u->form, (char *) b->pos, b->last - b->pos,
                                  &used, &ev, &err);
        b->pos += used;

        if (rc == MEDIA_E_TOOBIG) {
            return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE, "%s",
                                         err.text);
        }

        if (rc != 0) {
            return ngx_media_upload_fail(u,
                                 ngx_strcmp(err.text, MEDIA_MP_SECOND_FILE)
                                 == 0 ? MEDIA_PROBLEM_SECOND_FILE
                                      : MEDIA_PROBLEM_FORM_INVALID,
                                 "%s", err.text);
        }

        switch (ev.type) {

        case MEDIA_MP_NEED:
            return NGX_OK;

        case MEDIA_MP_FIELD:
            name.data = (u_char *) ev.name.p;
            name.len = ev.name.len;
            value.data = (u_char *) ev.value.p;
            value.len = ev.value.len;

            ret = ngx_media_upload_field(u, &name, &value);
            if (ret != NGX_OK) {
                return ret;
            }

            break;

        case MEDIA_MP_FILE_BEGIN:
            u->file_begun = 1;

            ret = ngx_media_upload_file(u, &ev);
            if (ret != NGX_OK) {
                return ret;
            }

            break;

        case MEDIA_MP_FILE_DATA:
            ngx_memzero(&run, sizeof(ngx_buf_t));
            run.pos = (u_char *) ev.data.p;
            run.last = run.pos + ev.data.len;
            run.memory = 1;

            ret = ngx_media_ingest_account(u, run.pos, ev.data.len);

            if (ret == NGX_OK) {
                ret = ngx_media_ingest_file(u, &run);
            }

            if (ret != NGX_OK) {
                return ret;
            }

            break;

        case MEDIA_MP_FILE_END:
        case MEDIA_MP_END:
            break;
        }
    }
}


static ngx_int_t
ngx_media_ingest_file(ngx_media_upload_t *u, ngx_buf_t *b)
{
    size_t     n;
    ngx_int_t  rc;

    if (b->pos == b->last) {
        return NGX_OK;      /* the end of the body, without an address */
    }

    if (!u->typed) {

        /* the first bytes are held until they tell what this is */

        n = ngx_min((size_t) (b->last - b->pos),
                    sizeof(u->head) - u->head_len);

        ngx_memcpy(u->head + u->head_len, b->pos, n);
        u->head_len += n;
        b->pos += n;

        rc = ngx_media_ingest_sniff(u, (off_t) u->head_len == u->declared);

        if (rc != NGX_OK) {
            return rc == NGX_AGAIN ? NGX_OK : rc;
        }
    }

    if (b->pos == b->last) {
        return NGX_OK;
    }

    if (ngx_media_fault("upload", "write", NULL)) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return u->sink->write(u, b);
}


/* What came, form or file. */

ngx_int_t
ngx_media_ingest_body(ngx_media_upload_t *u, u_char *p, size_t n)
{
    if (u->form == NULL) {
        return ngx_media_ingest_account(u, p, n);
    }

    if (u->body_sha != NULL && EVP_DigestUpdate(u->body_sha, p, n) != 1) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return NGX_OK;
}


/* Counts and digests bytes; NGX_DONE when they are too many. */

ngx_int_t
ngx_media_ingest_account(ngx_media_upload_t *u, u_char *p, size_t n)
{
    u->received += n;

    if (u->lcf->max_size != 0 && u->received > u->lcf->max_size) {
        ngx_media_problem_limit(u->op.r, u->lcf->max_size);
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TOO_LARGE,
                                     "the file is larger than %O bytes",
                                     u->lcf->max_size);
    }

    if (!u->sink->digests && EVP_DigestUpdate(u->sha, p, n) != 1) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    ngx_media_count(NGX_MEDIA_C_UPLOAD_BYTES, n);

    return NGX_OK;
}


static ngx_uint_t
ngx_media_type_allowed(ngx_media_upload_t *u)
{
    size_t       len;
    ngx_str_t   *type;
    ngx_uint_t   i;

    if (u->lcf->types == NULL) {
        return 1;
    }

    type = u->lcf->types->elts;
    len = ngx_strlen(u->sniff.content_type);

    for (i = 0; i < u->lcf->types->nelts; i++) {

        if (type[i].data[type[i].len - 1] == '/') {
            if (len >= type[i].len
                && ngx_strncasecmp((u_char *) u->sniff.content_type,
                                   type[i].data, type[i].len) == 0)
            {
                return 1;
            }

        } else if (len == type[i].len
                   && ngx_strncasecmp((u_char *) u->sniff.content_type,
                                      type[i].data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* NGX_OK: the type is known and allowed, the sink is open. */

static ngx_int_t
ngx_media_ingest_sniff(ngx_media_upload_t *u, ngx_uint_t is_last)
{
    int          rc;
    media_str_t  head, declared;

    head.p = (char *) u->head;
    head.len = u->head_len;

    rc = media_sniff(head, is_last || u->head_len == sizeof(u->head),
                     &u->sniff);

    if (rc == MEDIA_E_AGAIN) {
        return NGX_AGAIN;
    }

    declared.p = (char *) u->type.data;
    declared.len = u->type.len;

    if (media_sniff_lies(declared, &u->sniff)) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TYPE_MISMATCH,
                                     "declared as %V, but it is %s", &u->type,
                                     u->sniff.content_type);
    }

    if (!ngx_media_type_allowed(u)) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_TYPE_NOT_ALLOWED,
                                     "%s is not accepted here",
                                     u->sniff.content_type);
    }

    u->typed = 1;
    u->touched = 1;

    if (ngx_media_fault("upload", "open", NULL)) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    return u->sink->open(u);
}


ngx_int_t
ngx_media_ingest_end(ngx_media_upload_t *u)
{
    ngx_int_t    rc;
    media_err_t  err;

    if (u->form != NULL) {

        if (media_multipart_eof(u->form, &err) != 0) {
            return ngx_media_upload_fail(u, MEDIA_PROBLEM_FORM_INVALID, "%s",
                                         err.text);
        }

        if (!u->file_begun) {
            return ngx_media_upload_fail(u, MEDIA_PROBLEM_FORM_INVALID,
                                         "the form holds no file");
        }
    }

    if (!u->typed) {
        rc = ngx_media_ingest_sniff(u, 1);

        if (rc != NGX_OK) {
            return rc == NGX_AGAIN ? ngx_media_upload_fail(u,
                                         MEDIA_PROBLEM_INTERNAL, NULL)
                                   : rc;
        }
    }

    if (ngx_media_upload_digest_end(u) != NGX_OK) {
        return NGX_DONE;
    }

    return u->sink->finish(u);
}
