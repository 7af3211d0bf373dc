
/*
 * The table of directives; creation, merging and the checks that need the
 * whole configuration. [conf]
 */

#include "ngx_media_conf.h"
#include "ngx_media_cors.h"
#include "media/partsize.h"


#define NGX_MEDIA_ANY_CONF  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF             \
                             |NGX_HTTP_LOC_CONF)

#define NGX_MEDIA_MAIN(name, type, set, field)                                \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|type, set,                         \
      NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_media_main_conf_t, field),      \
      NULL }

/* with a value behind it, or a check */
#define NGX_MEDIA_WITH(name, set, field, post)                                \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1, set,               \
      NGX_HTTP_MAIN_CONF_OFFSET, offsetof(ngx_media_main_conf_t, field), post }

#define NGX_MEDIA_LOC(name, type, set, field, post)                           \
    { ngx_string(name), NGX_MEDIA_ANY_CONF|type, set,                         \
      NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_media_loc_conf_t, field), post }

/* what each of the two stores may have of its own */
#define NGX_MEDIA_STORE(name, which)                                          \
    NGX_MEDIA_MAIN(name "_endpoint", NGX_CONF_1MORE,                          \
                   ngx_media_set_s3_endpoint, s3[which]),                     \
    NGX_MEDIA_MAIN(name "_trusted_certificate", NGX_CONF_TAKE1,               \
                   ngx_conf_set_str_slot, s3[which].ca),                      \
    NGX_MEDIA_MAIN(name "_credentials", NGX_CONF_TAKE123,                     \
                   ngx_media_set_s3_credentials, s3[which]),                  \
    NGX_MEDIA_WITH(name "_addressing", ngx_conf_set_enum_slot,                \
                   s3[which].virtual_host, ngx_media_addressings),            \
    NGX_MEDIA_WITH(name "_bucket", ngx_conf_set_str_slot, s3[which].bucket,   \
                   &ngx_media_bucket_post),                                   \
    NGX_MEDIA_WITH(name "_region", ngx_conf_set_str_slot, s3[which].region,   \
                   &ngx_media_region_post)

#define NGX_MEDIA_INPUT  s3[MEDIA_STORE_INPUT]


static ngx_conf_post_t  ngx_media_bucket_post = { ngx_media_check_bucket };
static ngx_conf_post_t  ngx_media_region_post = { ngx_media_check_region };

static ngx_conf_num_bounds_t  ngx_media_one_or_more = {
    ngx_conf_check_num_bounds, 1, 65535
};

static ngx_conf_enum_t  ngx_media_payloads[] = {
    { ngx_string("trailer"), NGX_MEDIA_S3_TRAILER },
    { ngx_string("signed"), NGX_MEDIA_S3_SIGNED },
    { ngx_string("unsigned"), NGX_MEDIA_S3_UNSIGNED },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_media_addressings[] = {
    { ngx_string("path"), 0 },
    { ngx_string("virtual"), 1 },
    { ngx_null_string, 0 }
};

static ngx_conf_enum_t  ngx_media_checksums[] = {
#define X(name, word, wire, kind, len)                                        \
    { ngx_string(word), MEDIA_S3_SUM_##name },
    MEDIA_S3_SUMS(X)
#undef X
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

    NGX_MEDIA_WITH("media_pg_connections",
                   ngx_conf_set_num_slot, pg.connections,
                   &ngx_media_one_or_more),

    NGX_MEDIA_MAIN("media_pg_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, pg.timeout),
    NGX_MEDIA_MAIN("media_pg_connect_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, pg.connect_timeout),

    NGX_MEDIA_MAIN("media_amqp_url_file", NGX_CONF_TAKE1,
                   ngx_media_set_amqp_url_file, amqp.url),
    NGX_MEDIA_MAIN("media_amqp_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, amqp.timeout),

    NGX_MEDIA_STORE("media_s3", MEDIA_STORE_INPUT),
    NGX_MEDIA_STORE("media_s3_output", MEDIA_STORE_OUTPUT),

    NGX_MEDIA_MAIN("media_s3_sse", NGX_CONF_TAKE123,
                   ngx_media_set_s3_sse, NGX_MEDIA_INPUT),

    NGX_MEDIA_WITH("media_s3_checksum", ngx_conf_set_enum_slot,
                   NGX_MEDIA_INPUT.sum, ngx_media_checksums),

    NGX_MEDIA_WITH("media_s3_payload", ngx_conf_set_enum_slot,
                   NGX_MEDIA_INPUT.payload, ngx_media_payloads),

    NGX_MEDIA_MAIN("media_s3_part_size", NGX_CONF_TAKE1,
                   ngx_conf_set_size_slot, part_size),
    NGX_MEDIA_MAIN("media_s3_connect_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot,
                   NGX_MEDIA_INPUT.peer.connect_timeout),
    NGX_MEDIA_MAIN("media_s3_send_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, NGX_MEDIA_INPUT.peer.send_timeout),
    NGX_MEDIA_MAIN("media_s3_read_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, NGX_MEDIA_INPUT.peer.read_timeout),
    NGX_MEDIA_MAIN("media_s3_idle_timeout", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, NGX_MEDIA_INPUT.idle_timeout),

    NGX_MEDIA_WITH("media_s3_keepalive",
                   ngx_conf_set_num_slot, NGX_MEDIA_INPUT.peer.keepalive,
                   &ngx_media_one_or_more),

    NGX_MEDIA_WITH("media_s3_connections",
                   ngx_conf_set_num_slot, s3_connections,
                   &ngx_media_one_or_more),

    NGX_MEDIA_MAIN("media_s3_single_max", NGX_CONF_TAKE1,
                   ngx_conf_set_off_slot, single_max),
    NGX_MEDIA_MAIN("media_memory", NGX_CONF_TAKE1,
                   ngx_conf_set_size_slot, memory),
    NGX_MEDIA_MAIN("media_memory_wait", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, memory_wait),
    NGX_MEDIA_MAIN("media_min_rate", NGX_CONF_TAKE1,
                   ngx_conf_set_size_slot, min_rate),

    NGX_MEDIA_MAIN("media_auth_key", NGX_CONF_TAKE23,
                   ngx_media_set_auth_key, keys),
    NGX_MEDIA_MAIN("media_auth_jwks", NGX_CONF_TAKE12,
                   ngx_media_set_auth_jwks, jwks),
    NGX_MEDIA_MAIN("media_auth_jwks_trusted_certificate", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, jwks_ca),
    NGX_MEDIA_MAIN("media_auth_jwks_refresh", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, jwks_refresh),
    NGX_MEDIA_MAIN("media_auth_jwks_retry", NGX_CONF_TAKE1,
                   ngx_conf_set_msec_slot, jwks_retry),
    NGX_MEDIA_MAIN("media_auth_cache", NGX_CONF_TAKE1,
                   ngx_media_set_auth_cache, auth_cache),
    NGX_MEDIA_MAIN("media_play_key", NGX_CONF_TAKE1,
                   ngx_media_set_play_key, play_key),
    NGX_MEDIA_MAIN("media_auth_issuer", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, issuer),
    NGX_MEDIA_MAIN("media_auth_audience", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, audience),

    NGX_MEDIA_WITH("media_auth_realm", ngx_conf_set_str_slot, realm,
                   &ngx_media_realm_post),

    NGX_MEDIA_MAIN("media_auth_leeway", NGX_CONF_TAKE1,
                   ngx_conf_set_sec_slot, leeway),

    NGX_MEDIA_WITH("media_token_ttl", ngx_conf_set_sec_slot, access_ttl,
                   &ngx_media_token_ttl_post),

    NGX_MEDIA_MAIN("media_refresh_ttl", NGX_CONF_TAKE1,
                   ngx_conf_set_sec_slot, refresh_ttl),
    NGX_MEDIA_MAIN("media_login_pool", NGX_CONF_TAKE1,
                   ngx_media_set_login_pool, login_pool),
    NGX_MEDIA_MAIN("media_shm_size", NGX_CONF_TAKE1,
                   ngx_media_set_shm, shm_zone),
    NGX_MEDIA_MAIN("media_revoked_size", NGX_CONF_TAKE1,
                   ngx_media_set_revoked, revoked_zone),

#if (NGX_MEDIA_FAULTS)
    NGX_MEDIA_MAIN("media_fault_file", NGX_CONF_TAKE1,
                   ngx_conf_set_str_slot, fault_file),
#endif

    NGX_MEDIA_LOC("media", NGX_CONF_FLAG, ngx_media_set_enabled, enabled,
                  NULL),
    NGX_MEDIA_LOC("media_problem", NGX_CONF_FLAG, ngx_media_set_problem,
                  problem, NULL),
    NGX_MEDIA_LOC("media_auth", NGX_CONF_TAKE1, ngx_conf_set_enum_slot, auth,
                  ngx_media_auth_modes),
    NGX_MEDIA_LOC("media_auth_source", NGX_CONF_1MORE,
                  ngx_media_set_auth_source, sources, NULL),
    NGX_MEDIA_LOC("media_auth_require", NGX_CONF_2MORE,
                  ngx_media_set_auth_require, require, NULL),
    NGX_MEDIA_LOC("media_pipeline", NGX_CONF_TAKE1, ngx_media_set_pipeline,
                  pipeline, NULL),
    NGX_MEDIA_LOC("media_max_size", NGX_CONF_TAKE1, ngx_conf_set_off_slot,
                  max_size, NULL),
    NGX_MEDIA_LOC("media_types", NGX_CONF_1MORE, ngx_media_set_types, types,
                  NULL),
    NGX_MEDIA_LOC("media_quota", NGX_CONF_TAKE12, ngx_media_set_quota,
                  quota_bytes, NULL),
    NGX_MEDIA_LOC("media_rate_limit", NGX_CONF_TAKE123, ngx_media_set_rate,
                  rate, NULL),
    NGX_MEDIA_LOC("media_metrics", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                  metrics, NULL),
    NGX_MEDIA_LOC("media_s3_prefix", NGX_CONF_TAKE1, ngx_media_set_s3_prefix,
                  s3_prefix, NULL),
    NGX_MEDIA_LOC("media_cors_origin", NGX_CONF_1MORE, ngx_media_set_cors,
                  cors, NULL),

    ngx_null_command
};


void *
ngx_media_create_main_conf(ngx_conf_t *cf)
{
    ngx_media_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_media_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc(): strings empty, keys, issue_key, jwks,
     * query_sources, auth, play_key, login_pool, shm_zone, revoked_zone NULL,
     * enabled 0
     */

    mcf->pg.connections = NGX_CONF_UNSET_UINT;
    mcf->pg.timeout = NGX_CONF_UNSET_MSEC;
    mcf->pg.connect_timeout = NGX_CONF_UNSET_MSEC;
    mcf->amqp.timeout = NGX_CONF_UNSET_MSEC;
    ngx_media_s3_create(mcf);
    mcf->memory = NGX_CONF_UNSET_SIZE;
    mcf->memory_wait = NGX_CONF_UNSET_MSEC;
    mcf->min_rate = NGX_CONF_UNSET_SIZE;
    mcf->part_size = NGX_CONF_UNSET_SIZE;
    mcf->single_max = NGX_CONF_UNSET;
    mcf->s3_connections = NGX_CONF_UNSET_UINT;
    mcf->jwks_refresh = NGX_CONF_UNSET_MSEC;
    mcf->jwks_retry = NGX_CONF_UNSET_MSEC;
    mcf->auth_cache = NGX_CONF_UNSET_SIZE;
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

    ngx_media_s3_init(mcf);

    ngx_conf_init_size_value(mcf->memory, 256 * 1024 * 1024);
    ngx_conf_init_size_value(mcf->part_size, 8 * 1024 * 1024);
    ngx_conf_init_msec_value(mcf->memory_wait, 30000);
    ngx_conf_init_size_value(mcf->min_rate, 4096);
    ngx_conf_init_value(mcf->single_max, MEDIA_PART_MAX);
    ngx_conf_init_uint_value(mcf->s3_connections, 128);

    /* two grown parts of one upload are a quarter of the memory */
    mcf->part_max = ngx_max(mcf->part_size,
                            ngx_min(mcf->memory / 8, MEDIA_PART_MAX));
    mcf->parts_total = media_part_size_total(mcf->part_size, mcf->part_max);

    ngx_conf_init_msec_value(mcf->jwks_refresh, 10 * 60 * 1000);
    ngx_conf_init_msec_value(mcf->jwks_retry, 30 * 1000);
    ngx_conf_init_size_value(mcf->auth_cache, 4 * 1024 * 1024);
    ngx_conf_init_value(mcf->leeway, 0);
    ngx_conf_init_value(mcf->access_ttl, 15 * 60);
    ngx_conf_init_value(mcf->refresh_ttl, 30 * 24 * 3600);

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
    lcf->sources = NGX_CONF_UNSET_PTR;
    lcf->require = NGX_CONF_UNSET_PTR;
    lcf->max_size = NGX_CONF_UNSET;
    lcf->types = NGX_CONF_UNSET_PTR;
    lcf->quota_bytes = -1;
    lcf->quota_uploads = -1;
    lcf->rate = NGX_CONF_UNSET_PTR;
    lcf->metrics = NGX_CONF_UNSET;
    lcf->s3_prefix = NGX_CONF_UNSET_PTR;
    lcf->cors = NGX_CONF_UNSET_PTR;

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
 * A pause of the client may be one of S3's request as well; the shorter of two
 * limits ends it with 408. One of S3's that is written and the longer one never
 * has a say. (The other way round is right: it does not bind what is held.)
 */

static void
ngx_media_check_idle(ngx_conf_t *cf)
{
    ngx_msec_t                 idle;
    ngx_media_main_conf_t     *mcf;
    ngx_http_core_loc_conf_t  *clcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_media_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    idle = mcf->NGX_MEDIA_INPUT.idle_timeout;

    if (idle != NGX_MEDIA_S3_IDLE
        && idle > clcf->client_body_timeout)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\": \"media_s3_idle_timeout\" (%M ms) is "
                      "longer than \"client_body_timeout\" (%M ms), which ends "
                      "a pause before", &clcf->name, idle,
                      clcf->client_body_timeout);
    }
}


char *
ngx_media_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_media_loc_conf_t  *prev = parent;
    ngx_media_loc_conf_t  *conf = child;

    ngx_uint_t  rules;

    ngx_conf_merge_value(conf->enabled, prev->enabled, 0);
    ngx_conf_merge_value(conf->problem, prev->problem, 0);
    ngx_conf_merge_str_value(conf->pipeline, prev->pipeline, "audio");
    ngx_conf_merge_off_value(conf->max_size, prev->max_size, 0);
    ngx_conf_merge_ptr_value(conf->types, prev->types, NULL);
    ngx_conf_merge_ptr_value(conf->rate, prev->rate, NULL);

    if (!conf->has_quota) {
        conf->has_quota = prev->has_quota;
        conf->quota_bytes = prev->quota_bytes;
        conf->quota_uploads = prev->quota_uploads;
    }

    ngx_conf_merge_value(conf->metrics, prev->metrics, 0);

    ngx_conf_merge_ptr_value(conf->sources, prev->sources, NULL);

    rules = (conf->require != NGX_CONF_UNSET_PTR);
    ngx_conf_merge_ptr_value(conf->require, prev->require, NULL);

    if (conf->s3_prefix == NGX_CONF_UNSET_PTR) {
        conf->s3_slashes = prev->s3_slashes;
    }

    ngx_conf_merge_ptr_value(conf->s3_prefix, prev->s3_prefix, NULL);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);

    /* unset stays unset: our own routes then decide by their table */
    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_CONF_UNSET_UINT);

    if (conf->enabled) {
        ngx_media_lift_body_limit(cf);
        ngx_media_check_idle(cf);
    }

    return ngx_media_check_guard(cf, conf, rules);
}


static ngx_int_t
ngx_media_check_sizes(ngx_conf_t *cf, ngx_media_main_conf_t *mcf)
{
    if (mcf->part_size < MEDIA_PART_MIN
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

    if (mcf->single_max > MEDIA_PART_MAX) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_single_max\" is %O, one request to S3 "
                      "takes 5g at most", mcf->single_max);
        return NGX_ERROR;
    }

    return ngx_media_s3_check(cf, mcf);
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

    if (mcf->revoked_zone == NULL
        && ngx_media_add_revoked(cf, &mcf->revoked_zone, 0) != NGX_CONF_OK)
    {
        return NGX_ERROR;
    }

    return ngx_media_check_sizes(cf, mcf);
}
