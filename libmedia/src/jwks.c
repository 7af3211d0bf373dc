/* Sets of JSON Web Keys (RFC 7517 5). */
#include <stdlib.h>

#include <openssl/err.h>

#include "jwk.h"
#include "jwt_key.h"
#include "media/json.h"

void media_jwks_free(media_jwks_t *set)
{
    for (size_t i = 0; i < set->nkeys; i++) {
        media_jwt_key_free(set->keys[i]);
    }
    free(set->keys);
    *set = (media_jwks_t){0};
}

static int keys_read(const json_t *keys, int secrets, media_jwks_t *out, media_err_t *ei)
{
    size_t i;
    const json_t *jwk;
    size_t n = json_array_size(keys);
    if (!json_is_array(keys)) {
        return media_err_set(ei, MEDIA_E_REJECT, "it has no array \"keys\"");
    }
    if (n > MEDIA_JWKS_KEYS_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "it has %zu keys, at most %d are read", n,
                             MEDIA_JWKS_KEYS_MAX);
    }
    out->keys = calloc(n * MEDIA_JWK_KEYS_MAX + 1, sizeof(media_jwt_key_t *));
    if (out->keys == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    json_array_foreach(keys, i, jwk)
    {
        int rc = media_jwk_read(jwk, secrets, out);
        if (rc == MEDIA_E_NOMEM) {
            return media_err_set(ei, rc, "out of memory");
        }
        out->njwks += rc == 0;
        out->nskipped += rc != 0;
    }
    return 0;
}

int media_jwks_parse(media_str_t text, int secrets, media_jwks_t *out, media_err_t *ei)
{
    json_t *root;
    *out = (media_jwks_t){0};
    if (text.len > MEDIA_JWKS_TEXT_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "it has %zu bytes, at most %d are read", text.len,
                             MEDIA_JWKS_TEXT_MAX);
    }
    int rc = media_json_parse(text, &root, ei);
    if (rc != 0) {
        return rc;
    }
    ERR_set_mark();
    rc = keys_read(json_object_get(root, "keys"), secrets, out, ei);
    ERR_pop_to_mark();
    json_decref(root);
    if (rc != 0) {
        media_jwks_free(out);
    }
    return rc;
}

/* A public key with what a verifier has to know of it. */
static int key_write(const media_jwt_key_t *key, media_buf_t *out)
{
    media_buf_t members;
    media_buf_init(&members, 8192);
    int rc = media_jwk_write_public(key, &members);
    if (rc == 0) {
        media_buf_fmt(out, "{\"alg\":\"%s\",", media_jwt_alg_row(key->alg)->name);
        if (key->kid_len > 0) {
            media_buf_cstr(out, "\"kid\":");
            media_buf_json(out, (media_str_t){key->kid, key->kid_len});
            media_buf_cstr(out, ",");
        }
        media_buf_cstr(out, "\"use\":\"sig\",");
        media_buf_cstr(out, members.p + 1); /* its opening brace is written */
    }
    media_buf_free(&members);
    return rc;
}

int media_jwks_write(const media_jwt_key_t *const *keys, size_t nkeys, media_buf_t *out)
{
    const char *comma = "";
    media_buf_cstr(out, "{\"keys\":[");
    for (size_t i = 0; i < nkeys; i++) {
        if (keys[i]->pkey == NULL) {
            continue;
        }
        media_buf_cstr(out, comma);
        comma = ",";
        int rc = key_write(keys[i], out);
        if (rc != 0) {
            return rc;
        }
    }
    media_buf_cstr(out, "]}");
    return out->failed;
}
