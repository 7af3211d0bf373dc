
/*
 * What a client says of its bytes: Content-Digest and Repr-Digest (RFC 9530)
 * for the body as it is sent, a form's sha256 for the file in it. Algorithms
 * other than sha-256 are ignored, and so are trailers, which nginx drops.
 * Whoever says two different things is refused.
 */

#include "ngx_media_upload.h"
#include "ngx_media_request.h"
#include "media/sfv.h"


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


/* In a form the body is not the file: it gets a digest of its own. */

static ngx_int_t
ngx_media_upload_want_body(ngx_media_upload_t *u)
{
    if (u->form == NULL || !u->want_digest) {
        return NGX_OK;
    }

    ngx_memcpy(u->want_body, u->want_sha256, 32);
    u->want_body_digest = 1;
    u->want_digest = 0;

    u->body_sha = EVP_MD_CTX_new();

    if (u->body_sha == NULL
        || EVP_DigestInit_ex(u->body_sha, EVP_sha256(), NULL) != 1)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_upload_digest(ngx_media_upload_t *u, ngx_http_request_t *r)
{
    int          rc;
    u_char       sha256[32];
    ngx_str_t    value;
    ngx_uint_t   i;
    media_err_t  err;

    static const char  *names[] = { "content-digest", "repr-digest" };

    for (i = 0; i < 2; i++) {

        if (ngx_media_header_joined(r, names[i], &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = media_sf_sha256(ngx_media_view(&value), sha256, &err);

        if (rc == MEDIA_E_GONE) {
            continue;
        }

        if (rc != 0) {
            ngx_media_refuse(r, MEDIA_PROBLEM_BAD_REQUEST, "%s: %s", names[i],
                             err.text);
        }

        /* both speak of the same bytes: a body without other encodings */

        if (ngx_media_upload_want(u, sha256) != NGX_OK) {
            ngx_media_refuse(r, MEDIA_PROBLEM_DIGEST_MISMATCH,
                             "Content-Digest and Repr-Digest differ");
        }
    }

    return ngx_media_upload_want_body(u);
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


ngx_int_t
ngx_media_upload_digest_end(ngx_media_upload_t *u)
{
    u_char    body[EVP_MAX_MD_SIZE];
    unsigned  n;

    if (EVP_DigestFinal_ex(u->sha, u->sha256, &n) != 1
        || (u->body_sha != NULL
            && EVP_DigestFinal_ex(u->body_sha, body, &n) != 1))
    {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_INTERNAL, NULL);
    }

    if (u->want_body_digest && ngx_memcmp(body, u->want_body, 32) != 0) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_DIGEST_MISMATCH,
                                     "the sha-256 of the form that came is "
                                     "another one");
    }

    if (u->want_digest && ngx_memcmp(u->sha256, u->want_sha256, 32) != 0) {
        return ngx_media_upload_fail(u, MEDIA_PROBLEM_DIGEST_MISMATCH,
                                     "the sha-256 of the bytes that came is "
                                     "another one");
    }

    return NGX_OK;
}
