
/*
 * Rates, see ngx_media_rate.h.
 *
 * Of each user the table keeps one time: when the last of the requests counted
 * so far would have come, had they come evenly. A request is one too many when
 * that time is more than the burst ahead of now. What lies in the past says
 * nothing and may be overwritten; when a set is full of what does not, the one
 * who is nearest to a clean slate gets it early.
 *
 * The headers are those of draft-ietf-httpapi-ratelimit-headers-10: the policy
 * "q per w seconds", and r requests left now, all of them again in t seconds.
 */

#include <openssl/rand.h>
#include <openssl/sha.h>
#include "ngx_media.h"
#include "ngx_media_rate.h"


#define NGX_MEDIA_RATE_SETS  4096
#define NGX_MEDIA_RATE_WAYS  8
#define NGX_MEDIA_RATE_ZONE                                                   \
    (sizeof(ngx_media_rate_table_t) + 16 * ngx_pagesize)
#define NGX_MEDIA_RATE_MAX   1000000


typedef struct {
    uint64_t                    who;        /* 0: free */
    uint64_t                    until;      /* microseconds */
} ngx_media_rate_slot_t;

typedef struct {
    u_char                      salt[16];   /* nobody chooses a set */
    ngx_media_rate_slot_t       slots[NGX_MEDIA_RATE_SETS]
                                     [NGX_MEDIA_RATE_WAYS];
} ngx_media_rate_table_t;

typedef struct {
    ngx_uint_t                  left;
    uint64_t                    wait;       /* until one more may come */
    uint64_t                    reset;      /* until all may */
} ngx_media_rate_state_t;


static ngx_int_t ngx_media_rate_init_zone(ngx_shm_zone_t *zone, void *data);
static uint64_t ngx_media_rate_who(ngx_http_request_t *r,
    ngx_media_rate_t *rate, ngx_media_rate_table_t *table);
static ngx_int_t ngx_media_rate_take(ngx_media_rate_t *rate,
    ngx_media_rate_slot_t *set, uint64_t who, ngx_media_rate_state_t *s);
static ngx_int_t ngx_media_rate_headers(ngx_http_request_t *r,
    ngx_media_rate_t *rate, ngx_media_rate_state_t *s, ngx_uint_t refused);


/* "10/m", "10/90s" */

static ngx_int_t
ngx_media_rate_parse(ngx_str_t *value, ngx_media_rate_t *rate)
{
    u_char     *slash;
    ngx_int_t   n;
    ngx_str_t   period;

    slash = ngx_strlchr(value->data, value->data + value->len, '/');
    if (slash == NULL) {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data, slash - value->data);
    if (n == NGX_ERROR || n < 1 || n > NGX_MEDIA_RATE_MAX) {
        return NGX_ERROR;
    }

    rate->limit = n;

    period.data = slash + 1;
    period.len = value->data + value->len - period.data;

    if (period.len == 1 && ngx_strchr("smhd", *period.data) != NULL) {
        rate->period = *period.data == 's' ? 1 : *period.data == 'm' ? 60
                       : *period.data == 'h' ? 3600 : 86400;
        return NGX_OK;
    }

    n = ngx_parse_time(&period, 1);
    if (n == NGX_ERROR || n < 1 || n > 86400) {
        return NGX_ERROR;
    }

    rate->period = n;

    return NGX_OK;
}


char *
ngx_media_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    ngx_int_t          n;
    ngx_str_t         *value, name;
    ngx_uint_t         i;
    ngx_media_rate_t  *rate;

    if (lcf->rate != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->rate = NULL;
        return NGX_CONF_OK;
    }

    rate = ngx_pcalloc(cf->pool, sizeof(ngx_media_rate_t));
    if (rate == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_media_rate_parse(&value[1], rate) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is not a rate (10/s, 100/m, "
                           "500/90s; at most %d in at most a day)", &value[1],
                           &value[0], NGX_MEDIA_RATE_MAX);
        return NGX_CONF_ERROR;
    }

    rate->burst = rate->limit;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "all") == 0) {
            rate->all = 1;
            continue;
        }

        n = NGX_ERROR;

        if (ngx_strncmp(value[i].data, "burst=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);
        }

        if (n == NGX_ERROR || n < 1 || n > NGX_MEDIA_RATE_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is neither burst=number "
                               "(1 to %d) nor all", &value[i], &value[0],
                               NGX_MEDIA_RATE_MAX);
            return NGX_CONF_ERROR;
        }

        rate->burst = n;
    }

    ngx_str_set(&name, "ngx_media_rate");

    rate->zone = ngx_shared_memory_add(cf, &name, NGX_MEDIA_RATE_ZONE,
                                       &ngx_http_media_module);
    if (rate->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    rate->zone->init = ngx_media_rate_init_zone;
    lcf->rate = rate;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_media_rate_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t         *shpool;
    ngx_media_rate_table_t  *table;

    if (data != NULL) {
        zone->data = data;      /* reload: what was counted counts */
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    table = ngx_slab_calloc(shpool, sizeof(ngx_media_rate_table_t));

    if (table == NULL || RAND_bytes(table->salt, sizeof(table->salt)) != 1) {
        return NGX_ERROR;
    }

    zone->data = table;
    shpool->data = table;

    return NGX_OK;
}


ngx_int_t
ngx_media_rate_check(ngx_http_request_t *r)
{
    uint64_t                 who;
    ngx_int_t                rc;
    ngx_media_ctx_t         *ctx;
    ngx_slab_pool_t         *shpool;
    ngx_media_rate_t        *rate;
    ngx_media_rate_state_t   state;
    ngx_media_rate_table_t  *table;

    ctx = ngx_media_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rate = ngx_media_loc_conf(r)->rate;

    if (rate == NULL || ctx->rated) {
        return NGX_OK;
    }

    ctx->rated = 1;

    table = rate->zone->data;
    shpool = (ngx_slab_pool_t *) rate->zone->shm.addr;

    who = ngx_media_rate_who(r, rate, table);

    ngx_shmtx_lock(&shpool->mutex);

    rc = ngx_media_rate_take(rate,
                             table->slots[(who >> 8) % NGX_MEDIA_RATE_SETS],
                             who, &state);

    ngx_shmtx_unlock(&shpool->mutex);

    if (ngx_media_rate_headers(r, rate, &state, rc != NGX_OK) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}


/* Who is counted, and by which limit. Of an IPv6 address its network: the rest
 * is the client's to choose. */

static uint64_t
ngx_media_rate_who(ngx_http_request_t *r, ngx_media_rate_t *rate,
    ngx_media_rate_table_t *table)
{
    u_char               digest[SHA256_DIGEST_LENGTH], text[256], *p;
    size_t               len;
    uint64_t             who;
    ngx_media_ctx_t     *ctx;
    struct sockaddr     *sa;

    struct sockaddr_in6  *sin6;

    p = ngx_cpymem(text, table->salt, sizeof(table->salt));
    p = ngx_sprintf(p, "%ui/%ui %ui %ui ", rate->limit, rate->period,
                    rate->burst, rate->all);

    ctx = ngx_media_ctx(r);
    sa = r->connection->sockaddr;

    if (ctx != NULL && ctx->sub.len != 0) {
        *p++ = 'u';
        p = ngx_cpymem(p, ctx->sub.data, ngx_min(ctx->sub.len, 64));

    } else if (sa->sa_family == AF_INET6) {
        sin6 = (struct sockaddr_in6 *) sa;
        len = IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) ? 16 : 8;

        *p++ = '6';
        p = ngx_cpymem(p, sin6->sin6_addr.s6_addr, len);

    } else {
        len = ngx_min(r->connection->addr_text.len, NGX_SOCKADDR_STRLEN);

        *p++ = 'a';
        p = ngx_cpymem(p, r->connection->addr_text.data, ngx_min(len, 64));
    }

    (void) SHA256(text, p - text, digest);
    ngx_memcpy(&who, digest, sizeof(who));

    return who | 1;
}


/* Under the lock. NGX_OK or NGX_DECLINED, and how the one stands. */

static ngx_int_t
ngx_media_rate_take(ngx_media_rate_t *rate, ngx_media_rate_slot_t *set,
    uint64_t who, ngx_media_rate_state_t *s)
{
    uint64_t                now, step, until, room;
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_media_rate_slot_t  *slot;

    slot = &set[0];

    for (i = 0; i < NGX_MEDIA_RATE_WAYS; i++) {

        if (set[i].who == who) {
            slot = &set[i];
            break;
        }

        if (set[i].until < slot->until) {
            slot = &set[i];
        }
    }

    now = (uint64_t) ngx_current_msec * 1000;
    step = (uint64_t) rate->period * 1000000 / rate->limit;
    room = step * rate->burst;

    until = slot->who == who && slot->until > now ? slot->until : now;
    rc = NGX_DECLINED;

    if (until + step <= now + room) {
        until += step;
        slot->who = who;
        slot->until = until;
        rc = NGX_OK;
    }

    s->left = (now + room - until) / step;
    s->wait = s->left > 0 ? 0 : until + step - now - room;
    s->reset = until - now;

    return rc;
}


/* Whole seconds, upwards. */

static ngx_inline ngx_uint_t
ngx_media_rate_seconds(uint64_t us)
{
    return (ngx_uint_t) ((us + 999999) / 1000000);
}


static ngx_int_t
ngx_media_rate_headers(ngx_http_request_t *r, ngx_media_rate_t *rate,
    ngx_media_rate_state_t *s, ngx_uint_t refused)
{
    u_char      *p;
    ngx_str_t    policy, left, after;
    const char  *name;

    name = rate->all || !ngx_media_loc_conf(r)->enabled ? "requests"
                                                        : "uploads";

    p = ngx_pnalloc(r->pool, 2 * sizeof("\"requests\";q=;w=")
                             + 5 * NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    policy.data = p;
    p = ngx_sprintf(p, "\"%s\";q=%ui;w=%ui", name, rate->limit,
                    rate->period);
    policy.len = p - policy.data;

    left.data = p;
    p = ngx_sprintf(p, "\"%s\";r=%ui;t=%ui", name, s->left,
                    ngx_media_rate_seconds(s->reset));
    left.len = p - left.data;

    after.data = p;
    p = ngx_sprintf(p, "%ui", ngx_max(ngx_media_rate_seconds(s->wait), 1));
    after.len = p - after.data;

    if (ngx_media_add_header(r, "RateLimit-Policy", &policy) != NGX_OK
        || ngx_media_add_header(r, "RateLimit", &left) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return refused ? ngx_media_add_header(r, "Retry-After", &after) : NGX_OK;
}


ngx_int_t
ngx_media_rate_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_str_t              id;
    ngx_media_loc_conf_t  *lcf;

    lcf = ngx_media_loc_conf(r);

    if (lcf->rate == NULL || r != r->main || r->err_status || lcf->problem
        || (lcf->enabled && !lcf->rate->all))
    {
        return NGX_DECLINED;
    }

    rc = ngx_media_rate_check(r);

    if (rc == NGX_OK) {
        return NGX_DECLINED;
    }

    if (rc == NGX_ERROR || ngx_media_request_id(r, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r,
                              ngx_media_send_problem(r,
                                         MEDIA_PROBLEM_RATE_LIMITED, NULL));

    return NGX_DONE;
}
