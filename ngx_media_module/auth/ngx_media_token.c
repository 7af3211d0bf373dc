
/*
 * Verified tokens, and the cache of them. The cache is per process: a hash
 * table with a list by last use, bounded by the memory its tokens hold. A
 * token is known by its bytes, all of them; what is looked up by a hash is the
 * end of its signature, which is as good as random in every token that has
 * ever come in here.
 */


#include "ngx_media.h"
#include "ngx_media_auth.h"
#include "ngx_media_request.h"


#define NGX_MEDIA_TOKEN_HASHED  32      /* bytes */


static size_t ngx_media_token_roles_len(media_jwt_claims_t *claims,
    size_t *roles);
static void ngx_media_token_roles(ngx_media_token_t *token, u_char *p,
    size_t roles);
static uint32_t ngx_media_token_hash(ngx_str_t *text);


ngx_media_token_t *
ngx_media_token_create(media_jwt_claims_t *claims, ngx_str_t *text,
    ngx_log_t *log)
{
    u_char             *p;
    size_t              size, roles;
    media_str_t         sub;
    ngx_media_token_t  *token;

    size = sizeof(ngx_media_token_t) + text->len
           + ngx_media_token_roles_len(claims, &roles);

    token = ngx_alloc(size, log);
    if (token == NULL) {
        media_jwt_claims_free(claims);
        return NULL;
    }

    ngx_memzero(token, sizeof(ngx_media_token_t));

    token->refs = 1;
    token->size = size + claims->size;
    token->claims = *claims;

    p = (u_char *) token + sizeof(ngx_media_token_t);

    token->text.data = p;
    token->text.len = text->len;
    p = ngx_cpymem(p, text->data, text->len);

    token->hash = ngx_media_token_hash(text);

    sub = media_jwt_claim(claims, "sub");
    token->sub.data = (u_char *) sub.p;
    token->sub.len = sub.len;

    ngx_media_token_roles(token, p, roles);

    return token;
}


/* Room for the members of "roles", which is an array of strings in tokens of
 * ours. */

static size_t
ngx_media_token_roles_len(media_jwt_claims_t *claims, size_t *roles)
{
    size_t                  i, len;
    const media_jsondoc_t  *doc;

    doc = &claims->doc;
    len = 0;

    *roles = media_jsondoc_get(doc, 0, MEDIA_STR("roles"));

    if (*roles == 0 || media_jsondoc_type(doc, *roles) != MEDIA_JSON_ARRAY) {
        *roles = 0;
        return 0;
    }

    for (i = *roles + 1;
         i < media_jsondoc_next(doc, *roles);
         i = media_jsondoc_next(doc, i))
    {
        len += media_jsondoc_text(doc, i).len + 1;
    }

    return len;
}


static void
ngx_media_token_roles(ngx_media_token_t *token, u_char *p, size_t roles)
{
    size_t                  i;
    media_str_t             role;
    const media_jsondoc_t  *doc;

    doc = &token->claims.doc;
    token->roles.data = p;

    if (roles == 0) {
        return;
    }

    for (i = roles + 1;
         i < media_jsondoc_next(doc, roles);
         i = media_jsondoc_next(doc, i))
    {
        if (media_jsondoc_type(doc, i) != MEDIA_JSON_STRING) {
            continue;
        }

        if (p != token->roles.data) {
            *p++ = ',';
        }

        role = media_jsondoc_text(doc, i);
        p = ngx_cpymem(p, role.p, role.len);
    }

    token->roles.len = p - token->roles.data;
}


void
ngx_media_token_release(ngx_media_token_t *token)
{
    if (token == NULL || --token->refs > 0) {
        return;
    }

    media_jwt_claims_free(&token->claims);
    ngx_explicit_memzero(token, sizeof(ngx_media_token_t) + token->text.len);
    ngx_free(token);
}


static uint32_t
ngx_media_token_hash(ngx_str_t *text)
{
    size_t  n;

    n = ngx_min(text->len, NGX_MEDIA_TOKEN_HASHED);

    return ngx_murmur_hash2(text->data + text->len - n, n);
}


ngx_int_t
ngx_media_token_cache_init(ngx_media_token_cache_t *cache, size_t max,
    ngx_pool_t *pool)
{
    ngx_uint_t  n;

    cache->max = max;
    ngx_queue_init(&cache->queue);

    if (max == 0) {
        return NGX_OK;
    }

    /* a token with its claims has about a kilobyte */

    for (n = 16; n < max / 1024; n *= 2) { /* void */ }

    cache->mask = n - 1;
    cache->buckets = ngx_pcalloc(pool, n * sizeof(ngx_media_token_t *));

    return cache->buckets ? NGX_OK : NGX_ERROR;
}


ngx_media_token_t *
ngx_media_token_find(ngx_media_token_cache_t *cache, ngx_str_t *text)
{
    uint32_t            hash;
    ngx_media_token_t  *token;

    if (cache->max == 0 || text->len == 0) {
        return NULL;
    }

    hash = ngx_media_token_hash(text);

    for (token = cache->buckets[hash & cache->mask];
         token;
         token = token->next)
    {
        /* in time that tells nothing of where a guess goes wrong */

        if (token->hash == hash
            && media_str_eq_consttime(ngx_media_view(&token->text),
                                      ngx_media_view(text)))
        {
            ngx_queue_remove(&token->queue);
            ngx_queue_insert_head(&cache->queue, &token->queue);
            token->refs++;

            return token;
        }
    }

    return NULL;
}


void
ngx_media_token_keep(ngx_media_token_cache_t *cache, ngx_media_token_t *token)
{
    ngx_queue_t        *q;
    ngx_media_token_t  **bucket;

    if (token->size > cache->max) {
        return;
    }

    while (cache->used + token->size > cache->max) {
        q = ngx_queue_last(&cache->queue);
        ngx_media_token_drop(cache,
                             ngx_queue_data(q, ngx_media_token_t, queue));
    }

    bucket = &cache->buckets[token->hash & cache->mask];

    token->next = *bucket;
    *bucket = token;
    ngx_queue_insert_head(&cache->queue, &token->queue);

    cache->used += token->size;
    token->refs++;
}


void
ngx_media_token_drop(ngx_media_token_cache_t *cache, ngx_media_token_t *token)
{
    ngx_media_token_t  **p;

    for (p = &cache->buckets[token->hash & cache->mask];
         *p != token;
         p = &(*p)->next)
    {
        /* void */
    }

    *p = token->next;
    ngx_queue_remove(&token->queue);
    cache->used -= token->size;

    ngx_media_token_release(token);
}


void
ngx_media_token_drop_all(ngx_media_token_cache_t *cache)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&cache->queue)) {
        q = ngx_queue_head(&cache->queue);
        ngx_media_token_drop(cache,
                             ngx_queue_data(q, ngx_media_token_t, queue));
    }
}
