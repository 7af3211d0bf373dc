
/*
 * The table of directives; creation, merging and the checks that need the
 * whole configuration. [conf]
 */

#include "ngx_media_conf.h"


#define NGX_MEDIA_ANY_CONF  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF             \
                             |NGX_HTTP_LOC_CONF)

#define NGX_MEDIA_MAIN(name, type, set, field)                                \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|type, set,                         \
      NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_media_main_conf_t, field),      \
      NULL }

#define NGX_MEDIA_LOC(name, type, set, field, post)                           \
    { ngx_string(name), NGX_MEDIA_ANY_CONF|type, set,                         \
      NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_media_loc_conf_t, field), post }


extern ngx_module_t  ngx_http_rewrite_module;


static char *ngx_media_check_bucket(ngx_conf_t *cf, void *post, void *data);
static char *ngx_media_check_realm(ngx_conf_t *cf, void *post, void *data);


static ngx_conf_post_t  ngx_media_bucket_post = { ngx_media_check_bucket };
static ngx_conf_post_t  ngx_media_realm_post = { ngx_media_check_realm };

static ngx_conf_num_bounds_t  ngx_media_one_or_more = {
    ngx_conf_check_num_bounds, 1, 65535
};

static ngx_conf_enum_t  ngx_media_payloads[] = {
    { ngx_string("trailer"), NGX_MEDIA_S3_TRAILER },
    { ngx_string("signed"), NGX_MEDIA_S3_SIGNED },
    { ngx_string("unsigned"), NGX_MEDIA_S3_UNSIGNED },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_media_auth_modes[] = {
    { ngx_string("off"), NGX_MEDIA_AUTH_OFF },
    { ngx_string("on"), NGX_MEDIA_AUTH_ON },
    { ngx_string("optional"), NGX_MEDIA_AUTH_OPTIONAL },
    { ngx_null_string, 0 }
};


ngx_command_t  ngx_media_commands[] = {

    NGX_MEDIA_MAIN("media_pg", NGX_CONF_TAKE1, ngx_media_set_pg, pg.conninfo),

    { ngx_string("media_pg_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_media_main_conf_t, pg.connections),
      &ngx_media_one_or_more },

    NGX_MEDIA_MAIN("media_pg_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, pg.timeout),
    NGX_MEDIA_MAIN("media_pg_connect_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, pg.connect_timeout),

    NGX_MEDIA_MAIN("media_amqp_url_file", NGX_CONF_TAKE1,
                   ngx_media_set_amqp_url_file, amqp.url),
    NGX_MEDIA_MAIN("media_amqp_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, amqp.timeout),

    NGX_MEDIA_MAIN("media_s3_endpoint", NGX_CONF_TAKE1,
                   ngx_media_set_s3_endpoint, s3.host),
    NGX_MEDIA_MAIN("media_s3_trusted_certificate", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, s3_ca),

    { ngx_string("media_s3_bucket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_media_main_conf_t, s3.bucket),
      &ngx_media_bucket_post },

    NGX_MEDIA_MAIN("media_s3_region", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, s3.region),

    { ngx_string("media_s3_payload"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_media_main_conf_t, s3.payload),
      ngx_media_payloads },

    NGX_MEDIA_MAIN("media_s3_part_size", NGX_CONF_TAKE1,
                   ngx_conf_set_size_slot, part_size),
    NGX_MEDIA_MAIN("media_s3_connect_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, s3.peer.connect_timeout),
    NGX_MEDIA_MAIN("media_s3_send_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, s3.peer.send_timeout),
    NGX_MEDIA_MAIN("media_s3_read_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, s3.peer.read_timeout),

    { ngx_string("media_s3_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_media_main_conf_t, s3.peer.keepalive),
      &ngx_media_one_or_more },

    NGX_MEDIA_MAIN("media_memory", NGX_CONF_TAKE1,
                   ngx_conf_set_size_slot, memory),

    NGX_MEDIA_MAIN("media_auth_key", NGX_CONF_TAKE23,
                   ngx_media_set_auth_key, keys),
    NGX_MEDIA_MAIN("media_play_key", NGX_CONF_TAKE1,
                   ngx_media_set_play_key, play_key),
    NGX_MEDIA_MAIN("media_auth_issuer", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, issuer),
    NGX_MEDIA_MAIN("media_auth_audience", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, audience),

    { ngx_string("media_auth_realm"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_media_main_conf_t, realm),
      &ngx_media_realm_post },

    NGX_MEDIA_MAIN("media_auth_leeway", NGX_CONF_TAKE1,
                   ngx_conf_set_sec_slot, leeway),
    NGX_MEDIA_MAIN("media_token_ttl", NGX_CONF_TAKE1,
                   ngx_conf_set_sec_slot, access_ttl),
    NGX_MEDIA_MAIN("media_refresh_ttl", NGX_CONF_TAKE1,
                   ngx_conf_set_sec_slot, refresh_ttl),
    NGX_MEDIA_MAIN("media_login_pool", NGX_CONF_TAKE1,
                   ngx_media_set_login_pool, login_pool),
    NGX_MEDIA_MAIN("media_shm_size", NGX_CONF_TAKE1,
                   ngx_media_set_shm, shm_zone),

    NGX_MEDIA_LOC("media", NGX_CONF_FLAG, ngx_media_set_enabled, enabled,
                  NULL),
    NGX_MEDIA_LOC("media_problem", NGX_CONF_FLAG, ngx_media_set_problem,
                  problem, NULL),
    NGX_MEDIA_LOC("media_auth", NGX_CONF_TAKE1, ngx_conf_set_enum_slot, auth,
                  ngx_media_auth_modes),
    NGX_MEDIA_LOC("media_pipeline", NGX_CONF_TAKE1, ngx_media_set_pipeline,
                  pipeline, NULL),
    NGX_MEDIA_LOC("media_max_size", NGX_CONF_TAKE1, ngx_conf_set_off_slot,
                  max_size, NULL),
    NGX_MEDIA_LOC("media_types", NGX_CONF_1MORE, ngx_media_set_types, types,
                  NULL),
    NGX_MEDIA_LOC("media_metrics", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                  metrics, NULL),

    ngx_null_command
};


/* S3's rules; the name becomes a segment of every request's path. */

static char *
ngx_media_check_bucket(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *name = data;

    u_char      ch;
    size_t      i;
    ngx_uint_t  alnum, bad;

    bad = name->len < 3 || name->len > 63;

    for (i = 0; i < name->len && !bad; i++) {
        ch = name->data[i];

        alnum = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');

        bad = !alnum && (i == 0 || i == name->len - 1
                         || (ch != '-' && ch != '.'));
    }

    if (bad) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a bucket ([a-z0-9.-], "
                           "3 to 63)", name);
        return NGX_CONF_ERROR;
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


void *
ngx_media_create_main_conf(ngx_conf_t *cf)
{
    ngx_media_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_media_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc(): strings empty, keys, issue_key, play_key,
     * login_pool, shm_zone NULL, enabled 0
     */

    mcf->pg.connections = NGX_CONF_UNSET_UINT;
    mcf->pg.timeout = NGX_CONF_UNSET_MSEC;
    mcf->pg.connect_timeout = NGX_CONF_UNSET_MSEC;
    mcf->amqp.timeout = NGX_CONF_UNSET_MSEC;
    mcf->s3.payload = NGX_CONF_UNSET_UINT;
    mcf->s3.peer.keepalive = NGX_CONF_UNSET_UINT;
    mcf->s3.peer.connect_timeout = NGX_CONF_UNSET_MSEC;
    mcf->s3.peer.send_timeout = NGX_CONF_UNSET_MSEC;
    mcf->s3.peer.read_timeout = NGX_CONF_UNSET_MSEC;
    mcf->memory = NGX_CONF_UNSET_SIZE;
    mcf->part_size = NGX_CONF_UNSET_SIZE;
    mcf->leeway = NGX_CONF_UNSET;
    mcf->access_ttl = NGX_CONF_UNSET;
    mcf->refresh_ttl = NGX_CONF_UNSET;

    return mcf;
}


char *
ngx_media_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    ngx_conf_init_uint_value(mcf->pg.connections, 4);
    ngx_conf_init_msec_value(mcf->pg.timeout, 10000);
    ngx_conf_init_msec_value(mcf->pg.connect_timeout, 3000);
    mcf->pg.queue = 4096;

    ngx_conf_init_msec_value(mcf->amqp.timeout, 5000);
    mcf->amqp.queue = 8192;

    ngx_conf_init_uint_value(mcf->s3.payload, NGX_MEDIA_S3_TRAILER);
    ngx_conf_init_uint_value(mcf->s3.peer.keepalive, 64);
    ngx_conf_init_msec_value(mcf->s3.peer.connect_timeout, 3000);
    ngx_conf_init_msec_value(mcf->s3.peer.send_timeout, 20000);
    ngx_conf_init_msec_value(mcf->s3.peer.read_timeout, 60000);
    /* S3 servers close idle connections after 30 s and more */
    mcf->s3.peer.idle_timeout = 15000;

    ngx_conf_init_size_value(mcf->memory, 256 * 1024 * 1024);
    ngx_conf_init_size_value(mcf->part_size, 8 * 1024 * 1024);
    mcf->single_max = (off_t) 5 * 1024 * 1024 * 1024;

    ngx_conf_init_value(mcf->leeway, 0);
    ngx_conf_init_value(mcf->access_ttl, 15 * 60);
    ngx_conf_init_value(mcf->refresh_ttl, 30 * 24 * 3600);

    if (mcf->s3.region.len == 0) {
        ngx_str_set(&mcf->s3.region, "us-east-1");
    }

    if (mcf->s3.bucket.len == 0) {
        ngx_str_set(&mcf->s3.bucket, "media");
    }

    if (mcf->realm.len == 0) {
        ngx_str_set(&mcf->realm, "ngx_media");
    }

    if (mcf->issuer.len == 0) {
        ngx_str_set(&mcf->issuer, "ngx_media");
    }

    if (mcf->audience.len == 0) {
        ngx_str_set(&mcf->audience, "ngx_media");
    }

    return NGX_CONF_OK;
}


void *
ngx_media_create_loc_conf(ngx_conf_t *cf)
{
    ngx_media_loc_conf_t  *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_media_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->enabled = NGX_CONF_UNSET;
    lcf->problem = NGX_CONF_UNSET;
    lcf->auth = NGX_CONF_UNSET_UINT;
    lcf->max_size = NGX_CONF_UNSET;
    lcf->types = NGX_CONF_UNSET_PTR;
    lcf->metrics = NGX_CONF_UNSET;

    return lcf;
}


/*
 * "media on" lifts core's limit of 1m on bodies, unless another one is
 * written. Core has merged its own values by now; its default is told from a
 * written value by being the default, so a limit of exactly 1m has to be set
 * by media_max_size.
 */

static void
ngx_media_lift_body_limit(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->client_max_body_size == 1 * 1024 * 1024) {
        clcf->client_max_body_size = 0;
    }
}


/*
 * media_auth needs a key; and it cannot guard what the rewrite module answers
 * before the access phase.
 */

static char *
ngx_media_check_auth(ngx_conf_t *cf, ngx_media_loc_conf_t *conf)
{
    ngx_array_t               **codes;
    ngx_media_main_conf_t      *mcf;
    ngx_http_core_loc_conf_t   *clcf;

    if (conf->auth == NGX_CONF_UNSET_UINT || conf->auth == NGX_MEDIA_AUTH_OFF)
    {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (mcf->keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_auth\" needs \"media_auth_key\"");
        return NGX_CONF_ERROR;
    }

    /* the first member of the rewrite module's location configuration */

    codes = ngx_http_conf_get_module_loc_conf(cf, ngx_http_rewrite_module);

    if (*codes != NULL) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\": \"return\", \"rewrite\" and the like "
                      "run before \"media_auth\", which cannot guard them",
                      &clcf->name);
    }

    return NGX_CONF_OK;
}


char *
ngx_media_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_media_loc_conf_t  *prev = parent;
    ngx_media_loc_conf_t  *conf = child;

    ngx_conf_merge_value(conf->enabled, prev->enabled, 0);
    ngx_conf_merge_value(conf->problem, prev->problem, 0);
    ngx_conf_merge_str_value(conf->pipeline, prev->pipeline, "audio");
    ngx_conf_merge_off_value(conf->max_size, prev->max_size, 0);
    ngx_conf_merge_ptr_value(conf->types, prev->types, NULL);
    ngx_conf_merge_value(conf->metrics, prev->metrics, 0);

    /* unset stays unset: our own routes then decide by their table */
    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_CONF_UNSET_UINT);

    if (conf->enabled) {
        ngx_media_lift_body_limit(cf);
    }

    return ngx_media_check_auth(cf, conf);
}


static ngx_int_t
ngx_media_check_s3(ngx_conf_t *cf, ngx_media_main_conf_t *mcf)
{
    ngx_uint_t        i;
    struct sockaddr  *sa;

    if (mcf->s3.host.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs \"media_s3_endpoint\"");
        return NGX_ERROR;
    }

    if (mcf->s3.access_key.len == 0 || mcf->s3.secret_key.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs AWS_ACCESS_KEY_ID and "
                      "AWS_SECRET_ACCESS_KEY in nginx's environment");
        return NGX_ERROR;
    }

    if (mcf->part_size < 5 * 1024 * 1024
        || mcf->part_size > (size_t) 1024 * 1024 * 1024)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_part_size\" is %uz, it must be between 5m "
                      "and 1g", mcf->part_size);
        return NGX_ERROR;
    }

    if (mcf->memory < 4 * mcf->part_size) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_memory\" is %uz, it must hold at least four "
                      "times \"media_s3_part_size\" (%uz)", mcf->memory,
                      mcf->part_size);
        return NGX_ERROR;
    }

    if (mcf->s3.ssl) {
        return ngx_media_http_peer_ssl(cf, &mcf->s3.peer, &mcf->s3_name,
                                       &mcf->s3_ca);
    }

    if (mcf->s3.payload != NGX_MEDIA_S3_UNSIGNED) {
        return NGX_OK;
    }

    for (i = 0; i < mcf->s3.peer.naddrs; i++) {
        sa = mcf->s3.peer.addrs[i].sockaddr;

        if (sa->sa_family == AF_INET
            && (ntohl(((struct sockaddr_in *) sa)->sin_addr.s_addr) >> 24)
               == 127)
        {
            continue;
        }

        if (sa->sa_family == AF_INET6
            && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *) sa)->sin6_addr))
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_payload unsigned\" over plain http is for "
                      "loopback only, %V is not", &mcf->s3.peer.addrs[i].name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_media_check_conf(ngx_conf_t *cf)
{
    ngx_str_t               reason;
    ngx_media_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);

    if (!mcf->enabled) {
        return NGX_OK;
    }

    if (ngx_media_pg_check(&mcf->pg.conninfo, cf->pool, &reason) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"media_pg\": %V", &reason);
        return NGX_ERROR;
    }

    if (mcf->amqp.url.len == 0
        && ngx_media_conf_env(cf, "AMQP_URL", &mcf->amqp.url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->amqp.url.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"media on\" needs "
                      "\"media_amqp_url_file\" or AMQP_URL in nginx's "
                      "environment");
        return NGX_ERROR;
    }

    if (mcf->issue_key == NULL || mcf->play_key == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs %s", mcf->issue_key == NULL
                      ? "\"media_auth_key\" with a key that signs"
                      : "\"media_play_key\"");
        return NGX_ERROR;
    }

    if (mcf->login_pool == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media on\" needs \"media_login_pool\" (and the "
                      "\"thread_pool\" of that name)");
        return NGX_ERROR;
    }

    if (mcf->shm_zone == NULL
        && ngx_media_add_zone(cf, mcf, NGX_MEDIA_SHM_MIN) != NGX_CONF_OK)
    {
        return NGX_ERROR;
    }

    return ngx_media_check_s3(cf, mcf);
}
