
/*
 * Directives with files, the environment or addresses behind them. Secrets
 * come from files or the environment, never from the configuration. [conf]
 */

#include <ngx_thread_pool.h>
#include "ngx_media_conf.h"


#define NGX_MEDIA_SECRET_MAX  65536


ngx_int_t
ngx_media_conf_env(ngx_conf_t *cf, const char *name, ngx_str_t *value)
{
    char  *env;

    env = getenv(name);
    if (env == NULL) {
        ngx_str_null(value);
        return NGX_OK;
    }

    value->len = ngx_strlen(env);
    value->data = ngx_pnalloc(cf->pool, value->len + 1);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value->data, env, value->len + 1);

    return NGX_OK;
}


/* A whole small file, NUL-terminated. */

char *
ngx_media_conf_file(ngx_conf_t *cf, ngx_str_t *path, ngx_str_t *content)
{
    char             *rv;
    size_t            size;
    ssize_t           n;
    ngx_str_t         name;
    ngx_file_t        file;
    ngx_file_info_t   fi;

    name = *path;
    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = name;
    file.log = cf->log;

    file.fd = ngx_open_file(name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &name);
        return NGX_CONF_ERROR;
    }

    rv = NGX_CONF_ERROR;

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", &name);
        goto done;
    }

    if (ngx_file_size(&fi) > NGX_MEDIA_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has %O bytes, at most %d are allowed",
                           &name, ngx_file_size(&fi), NGX_MEDIA_SECRET_MAX);
        goto done;
    }

    size = (size_t) ngx_file_size(&fi);

    content->data = ngx_pnalloc(cf->pool, size + 1);
    if (content->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, content->data, size, 0);
    if (n == NGX_ERROR) {
        goto done;
    }

    content->len = n;
    content->data[n] = '\0';
    rv = NGX_CONF_OK;

done:

    (void) ngx_close_file(file.fd);

    return rv;
}


char *
ngx_media_conf_zone_size(ngx_conf_t *cf, size_t min, size_t *size)
{
    ssize_t     n;
    ngx_str_t  *value;

    value = cf->args->elts;

    n = ngx_parse_size(&value[1]);

    if (n == NGX_ERROR || n < (ssize_t) min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is not a size of at least %uz",
                           &value[1], &value[0], min);
        return NGX_CONF_ERROR;
    }

    *size = n;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_media_conf_scheme(ngx_url_t *u, ngx_str_t *url, ngx_uint_t *ssl)
{
    size_t  len;

    *ssl = ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0;

    if (!*ssl && ngx_strncasecmp(url->data, (u_char *) "http://", 7) != 0) {
        return 0;
    }

    len = *ssl ? 8 : 7;

    ngx_memzero(u, sizeof(ngx_url_t));

    u->url.data = url->data + len;
    u->url.len = url->len - len;
    u->uri_part = 1;
    u->default_port = *ssl ? 443 : 80;

    return 1;
}


ngx_uint_t
ngx_media_is_loopback(struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        return ntohl(((struct sockaddr_in *) sa)->sin_addr.s_addr) >> 24
               == 127;
    }

    return sa->sa_family == AF_INET6
           && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *) sa)->sin6_addr);
}


char *
ngx_media_set_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ngx_str_t  *value, reason;

    if (mcf->pg.conninfo.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strstr(value[1].data, "password") != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"media_pg\" must not hold a password, use "
                           "PGPASSFILE or PGPASSWORD in nginx's environment");
        return NGX_CONF_ERROR;
    }

    if (ngx_media_pg_check(&value[1], cf->pool, &reason) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V in \"media_pg\"",
                           &reason);
        return NGX_CONF_ERROR;
    }

    mcf->pg.conninfo = value[1];

    return NGX_CONF_OK;
}


char *
ngx_media_set_amqp_url_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    char       *rv;
    ngx_str_t  *value, *url;

    if (mcf->amqp.url.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    url = &mcf->amqp.url;

    rv = ngx_media_conf_file(cf, &value[1], url);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    while (url->len > 0 && url->data[url->len - 1] <= ' ') {
        url->data[--url->len] = '\0';
    }

    if (ngx_strncmp(url->data, "amqp://", 7) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" does not hold an amqp:// URL", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_media_set_login_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ngx_str_t  *value;

    if (mcf->login_pool != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->login_pool = ngx_thread_pool_add(cf, &value[1]);

    return mcf->login_pool == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}


/* "10g", "10g uploads=4", "off uploads=4", "off": one directive, so that a
 * location which says something says all of it */

char *
ngx_media_set_quota(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    ngx_str_t  *value;

    if (lcf->has_quota) {
        return "is duplicate";
    }

    lcf->has_quota = 1;
    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {

        lcf->quota_bytes = ngx_parse_offset(&value[1]);

        if (lcf->quota_bytes == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is neither a size nor off",
                               &value[1], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "uploads=", 8) == 0) {
        lcf->quota_uploads = ngx_atoi(value[2].data + 8, value[2].len - 8);
    }

    if (lcf->quota_uploads < 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is not uploads=number (1 or "
                           "more)", &value[2], &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "video/mp4" or "video/": token characters of RFC 9110, one slash */

static ngx_uint_t
ngx_media_is_type(ngx_str_t *value)
{
    u_char      ch;
    size_t      i;
    ngx_uint_t  slashes;

    slashes = 0;

    for (i = 0; i < value->len; i++) {
        ch = value->data[i];

        if (ch == '/' && i > 0) {
            slashes++;

        } else if (!(ch >= '0' && ch <= '9')
                   && !((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
                   && ngx_strchr("!#$&^_.+-", ch) == NULL)
        {
            return 0;
        }
    }

    return slashes == 1;
}


char *
ngx_media_set_types(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    ngx_str_t   *value, *type;
    ngx_uint_t   i;

    if (lcf->types != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->types = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (lcf->types == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_media_is_type(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is neither a type "
                               "(video/mp4) nor a family (video/)",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }

        type = ngx_array_push(lcf->types);
        if (type == NULL) {
            return NGX_CONF_ERROR;
        }

        *type = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_media_set_pipeline(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    u_char      ch;
    ngx_str_t  *value;
    ngx_uint_t  i;

    if (lcf->pipeline.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        ch = value[1].data[i];

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9')
            && ch != '-' && ch != '_')
        {
            break;
        }
    }

    if (i == 0 || i < value[1].len || i > 63) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is not a pipeline name "
                           "([a-z0-9_-], at most 63)", &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    lcf->pipeline = value[1];

    return NGX_CONF_OK;
}


/* A flag that makes this location ours. */

static char *
ngx_media_set_handler(ngx_conf_t *cf, ngx_command_t *cmd, void *conf,
    ngx_flag_t *flag, ngx_http_handler_pt handler)
{
    char                      *rv;
    ngx_http_core_loc_conf_t  *clcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !*flag) {
        return rv;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = handler;

    return NGX_CONF_OK;
}


char *
ngx_media_set_enabled(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t   *lcf = conf;

    ngx_media_main_conf_t  *mcf;

    if (cf->cmd_type != NGX_HTTP_LOC_CONF) {
        return "belongs into a location";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);
    mcf->enabled = 1;

    return ngx_media_set_handler(cf, cmd, conf, &lcf->enabled,
                                 ngx_media_route_handler);
}


char *
ngx_media_set_problem(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    if (cf->cmd_type != NGX_HTTP_LOC_CONF) {
        return "belongs into a location";
    }

    return ngx_media_set_handler(cf, cmd, conf, &lcf->problem,
                                 ngx_media_problem_handler);
}
