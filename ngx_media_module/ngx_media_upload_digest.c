
/*
 * The digest a client states for its file: Content-Digest, Repr-Digest, or a
 * form's sha256. Whoever says two different ones is refused.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"


/* The client says what the file's digest is. NGX_DECLINED: it said another one
 * before. */

static ngx_int_t
ngx_media_upload_want(ngx_media_upload_t *u, u_char sha256[32])
{
    if (u->want_digest && ngx_memcmp(u->want_sha256, sha256, 32) != 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(u->want_sha256, sha256, 32);
    u->want_digest = 1;

    return NGX_OK;
}


/* The member sha-256 of a Content-Digest or Repr-Digest (RFC 9530), as in
 * "md5=:base64:, sha-256=:base64:". NGX_DECLINED: there is none; NGX_ABORT: it
 * is not 32 bytes in base64. */

static ngx_int_t
ngx_media_digest_sha256(ngx_str_t *value, u_char sha256[32])
{
    u_char       *p, *last, *comma, *end;
    media_str_t   member;

    static const size_t  n = sizeof("sha-256") - 1;

    last = value->data + value->len;

    for (p = value->data; p < last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');
        if (comma == NULL) {
            comma = last;
        }

        end = ngx_strlchr(p, comma, ';');       /* parameters of the member */

        member.p = (char *) p;
        member.len = (end ? end : comma) - p;
        member = media_str_trim(member);

        if (member.len < n
            || ngx_strncasecmp((u_char *) member.p, (u_char *) "sha-256", n)
               != 0
            || (member.len > n && member.p[n] != '='))
        {
            continue;
        }

        member.p += n;
        member.len -= n;

        if (member.len < 3 || member.p[1] != ':'
            || member.p[member.len - 1] != ':')
        {
            return NGX_ABORT;
        }

        member.p += 2;
        member.len -= 3;

        return media_b64_decode(member, sha256, 32) == 32 ? NGX_OK
                                                          : NGX_ABORT;
    }

    return NGX_DECLINED;
}


/* Both headers speak of the same bytes: the body is the file. */

ngx_int_t
ngx_media_upload_digest(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    u_char            sha256[32];
    ngx_int_t         rc;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    static const char  *names[] = { "content-digest", "repr-digest" };

    if (u->form != NULL) {
        return NGX_OK;
    }

    for (i = 0; i < 2; i++) {
        h = ngx_media_header_in(r, names[i], NULL);

        rc = h == NULL ? NGX_DECLINED
                       : ngx_media_digest_sha256(&h->value, sha256);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            u->answer = ngx_media_send_problem(r, MEDIA_PROBLEM_BAD_REQUEST,
                                               "%s: sha-256 is not 32 bytes "
                                               "in base64", names[i]);
            return NGX_DONE;
        }

        if (ngx_media_upload_want(u, sha256) != NGX_OK) {
            u->answer = ngx_media_send_problem(r,
                                               MEDIA_PROBLEM_DIGEST_MISMATCH,
                                               "Content-Digest and "
                                               "Repr-Digest differ");
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


/* A form says it in hex, in a field or in a header of the file's part. */

ngx_int_t
ngx_media_upload_hex_digest(ngx_media_upload_t *u, media_str_t hex)
{
    u_char  sha256[32];

    if (media_hex_decode(hex, sha256, 32) != 32) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_PARAMS_INVALID,
                                     "sha256: is not 64 hex digits");
    }

    if (ngx_media_upload_want(u, sha256) != NGX_OK) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_DIGEST_MISMATCH,
                                     "two sha256 that differ");
    }

    return NGX_OK;
}
