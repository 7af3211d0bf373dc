
/*
 * Directives about tokens: where they stand in a request, what their claims
 * have to say, how long they live and are remembered; and what one location
 * makes of all that. [conf]
 */


#include "ngx_media_conf.h"
#include "ngx_media_auth.h"


#define NGX_MEDIA_AUTH_CACHE_MIN  65536

/* the database remembers so long, and an hour more, what was revoked */
#define NGX_MEDIA_TOKEN_TTL_MAX   (24 * 3600)


extern ngx_module_t  ngx_http_rewrite_module;


static char *ngx_media_check_realm(ngx_conf_t *cf, void *post, void *data);
static char *ngx_media_check_token_ttl(ngx_conf_t *cf, void *post,
    void *data);


ngx_conf_post_t  ngx_media_realm_post = { ngx_media_check_realm };
ngx_conf_post_t  ngx_media_token_ttl_post = { ngx_media_check_token_ttl };


char *
ngx_media_set_auth_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (mcf->auth_cache != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        mcf->auth_cache = 0;
        return NGX_CONF_OK;
    }

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || size < NGX_MEDIA_AUTH_CACHE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is neither \"off\" nor a size "
                           "of at least %d", &value[1], &value[0],
                           NGX_MEDIA_AUTH_CACHE_MIN);
        return NGX_CONF_ERROR;
    }

    mcf->auth_cache = size;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_media_is_name(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9')
              || ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z')
              || p[i] == '_' || p[i] == '-' || p[i] == '.'))
        {
            return 0;
        }
    }

    return len > 0;
}


char *
ngx_media_set_auth_source(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    size_t                  skip;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_media_source_t     *source, *query;
    ngx_media_main_conf_t  *mcf;

    if (lcf->sources != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->sources = ngx_array_create(cf->pool, 2, sizeof(ngx_media_source_t));
    if (lcf->sources == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        source = ngx_array_push(lcf->sources);
        if (source == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_null(&source->name);

        if (ngx_strcmp(value[i].data, "header") == 0) {
            source->type = NGX_MEDIA_SOURCE_HEADER;
            continue;
        }

        if (ngx_strncmp(value[i].data, "cookie:", 7) == 0) {
            source->type = NGX_MEDIA_SOURCE_COOKIE;
            skip = 7;

        } else if (ngx_strncmp(value[i].data, "query:", 6) == 0) {
            source->type = NGX_MEDIA_SOURCE_QUERY;
            skip = 6;

        } else {
            skip = value[i].len;
        }

        source->name.data = value[i].data + skip;
        source->name.len = value[i].len - skip;

        if (!ngx_media_is_name(source->name.data, source->name.len)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is none of header, "
                               "cookie:NAME, query:NAME", &value[i],
                               &value[0]);
            return NGX_CONF_ERROR;
        }

        if (source->type != NGX_MEDIA_SOURCE_QUERY) {
            continue;
        }

        if (mcf->query_sources == NULL) {
            mcf->query_sources = ngx_array_create(cf->pool, 2,
                                                  sizeof(ngx_media_source_t));
            if (mcf->query_sources == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        query = ngx_array_push(mcf->query_sources);
        if (query == NULL) {
            return NGX_CONF_ERROR;
        }

        *query = *source;
    }

    return NGX_CONF_OK;
}


/* claim [=|!=] value ... */

char *
ngx_media_set_auth_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    ngx_str_t         *value, *slot;
    ngx_uint_t         i;
    ngx_media_rule_t  *rule;

    if (lcf->require == NGX_CONF_UNSET_PTR) {
        lcf->require = ngx_array_create(cf->pool, 2, sizeof(ngx_media_rule_t));
        if (lcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(lcf->require);

    if (rule == NULL
        || ngx_array_init(&rule->values, cf->pool, cf->args->nelts,
                          sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    rule->claim = value[1];
    rule->negative = (ngx_strcmp(value[2].data, "!=") == 0);

    i = (rule->negative || ngx_strcmp(value[2].data, "=") == 0) ? 3 : 2;

    if (value[1].len == 0 || i == cf->args->nelts) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes a claim, perhaps = or !=, and at "
                           "least one value", &value[0]);
        return NGX_CONF_ERROR;
    }

    for ( /* void */ ; i < cf->args->nelts; i++) {
        slot = ngx_array_push(&rule->values);
        if (slot == NULL) {
            return NGX_CONF_ERROR;
        }

        *slot = value[i];
    }

    return NGX_CONF_OK;
}


/* It stands in quotes in WWW-Authenticate. */

static char *
ngx_media_check_realm(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *realm = data;

    size_t  i;

    for (i = 0; i < realm->len; i++) {

        if (realm->data[i] < ' ' || realm->data[i] == '"'
            || realm->data[i] == '\\' || realm->data[i] == 0x7f)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" cannot stand in quotes in a header",
                               realm);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_media_check_token_ttl(ngx_conf_t *cf, void *post, void *data)
{
    time_t  *ttl = data;

    if (*ttl < 1 || *ttl > NGX_MEDIA_TOKEN_TTL_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_token_ttl\" is %Ts, it must be between "
                           "1s and 24h", *ttl);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * media_auth needs a key; and it cannot guard what the rewrite module answers
 * before the access phase. Rules of this very location guard nothing without
 * it.
 */

char *
ngx_media_check_guard(ngx_conf_t *cf, ngx_media_loc_conf_t *conf,
    ngx_uint_t rules)
{
    ngx_array_t               **codes;
    ngx_media_main_conf_t      *mcf;
    ngx_http_core_loc_conf_t   *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->auth == NGX_CONF_UNSET_UINT || conf->auth == NGX_MEDIA_AUTH_OFF)
    {
        if (rules && !conf->enabled && clcf->name.len) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "location \"%V\": \"media_auth_require\" asks "
                          "nobody without \"media_auth\"", &clcf->name);
        }

        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (mcf->keys == NULL && mcf->jwks == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_auth\" needs \"media_auth_key\" or "
                      "\"media_auth_jwks\"");
        return NGX_CONF_ERROR;
    }

    /* the first member of the rewrite module's location configuration */

    codes = ngx_http_conf_get_module_loc_conf(cf, ngx_http_rewrite_module);

    if (*codes != NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\": \"return\", \"rewrite\" and the like "
                      "run before \"media_auth\", which cannot guard them",
                      &clcf->name);
    }

    return NGX_CONF_OK;
}
