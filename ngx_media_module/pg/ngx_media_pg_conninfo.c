
/*
 * Where and how to connect. At configuration time the conninfo is checked and
 * completed from the PG* environment, because nginx takes the environment
 * away from its workers; at start it becomes the keywords for libpq together
 * with what the pool needs (deadlines, keepalive, no GSS, UTF-8).
 *
 * A conninfo may hold a password, and libpq's messages quote what they cannot
 * parse: none of it gets into a reason or a log.
 */

#include "ngx_media_pg_conn.h"

#include <arpa/inet.h>


static const char *ngx_media_pg_option(PQconninfoOption *options,
    const char *keyword);
static const char *ngx_media_pg_hosts(const char *host, const char *hostaddr);
static size_t ngx_media_pg_element(const char **list, char *dst, size_t size);
static ngx_uint_t ngx_media_pg_is_addr(const char *text);
static ngx_int_t ngx_media_pg_complete(PQconninfoOption *options,
    ngx_pool_t *pool, ngx_str_t *conninfo);
static PQconninfoOption *ngx_media_pg_parse(ngx_str_t *conninfo);


ngx_int_t
ngx_media_pg_check(ngx_str_t *conninfo, ngx_pool_t *pool, ngx_str_t *reason)
{
    const char        *text, *host, *hostaddr;
    PQconninfoOption  *options;

    options = ngx_media_pg_parse(conninfo);

    if (options == NULL) {
        ngx_str_set(reason, "it is not of the form keyword=value ...");
        return NGX_ERROR;
    }

    host = ngx_media_pg_option(options, "host");
    hostaddr = ngx_media_pg_option(options, "hostaddr");

    if (ngx_media_pg_option(options, "service")) {
        text = "a service file is not supported";

    } else {
        text = ngx_media_pg_hosts(host ? host : "", hostaddr ? hostaddr : "");
    }

    if (text == NULL
        && ngx_media_pg_complete(options, pool, conninfo) != NGX_OK)
    {
        text = "out of memory";
    }

    PQconninfoFree(options);

    if (text) {
        reason->data = (u_char *) text;
        reason->len = ngx_strlen(text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static PQconninfoOption *
ngx_media_pg_parse(ngx_str_t *conninfo)
{
    char              *text;
    PQconninfoOption  *options;

    text = strndup(conninfo->len ? (char *) conninfo->data : "",
                   conninfo->len);
    if (text == NULL) {
        return NULL;
    }

    options = PQconninfoParse(text, NULL);

    ngx_explicit_memzero(text, ngx_strlen(text));
    ngx_free(text);

    return options;
}


static const char *
ngx_media_pg_option(PQconninfoOption *options, const char *keyword)
{
    const char        *value;
    PQconninfoOption  *o;

    for (o = options; o->keyword; o++) {

        if (ngx_strcmp(o->keyword, keyword) == 0) {
            value = o->val;

            if (value == NULL && o->envvar) {
                value = getenv(o->envvar);
            }

            return (value && *value) ? value : NULL;
        }
    }

    return NULL;
}


/* NULL, or why a host would be looked up by name. As libpq does it: hostaddr
 * decides where it is set, and an empty host is the default socket. */

static const char *
ngx_media_pg_hosts(const char *host, const char *hostaddr)
{
    char        h[256], a[256];
    ngx_uint_t  by_addr;

    by_addr = (*hostaddr != '\0');

    do {
        if (ngx_media_pg_element(&host, h, sizeof(h)) >= sizeof(h)
            || ngx_media_pg_element(&hostaddr, a, sizeof(a)) >= sizeof(a))
        {
            return "a host is too long";
        }

        if (*a) {
            if (!ngx_media_pg_is_addr(a)) {
                return "hostaddr is not an IP address";
            }

        } else if (*h && *h != '/' && *h != '@' && !ngx_media_pg_is_addr(h)) {
            return "host is a name; write an IP address, a socket directory, "
                   "or hostaddr= beside it: resolving would block nginx";
        }

    } while ((by_addr ? hostaddr : host) != NULL);

    return NULL;
}


/* Takes the next element off a comma-separated list; *list becomes NULL after
 * the last. Returns its length, cut if it is not less than size. */

static size_t
ngx_media_pg_element(const char **list, char *dst, size_t size)
{
    size_t       len;
    const char  *p;

    if (*list == NULL) {
        *dst = '\0';
        return 0;
    }

    p = *list;
    len = strcspn(p, ",");
    *list = (p[len] == ',') ? p + len + 1 : NULL;

    ngx_cpystrn((u_char *) dst, (u_char *) p, ngx_min(len + 1, size));

    return len;
}


static ngx_uint_t
ngx_media_pg_is_addr(const char *text)
{
    struct in_addr   in;
    struct in6_addr  in6;

    return inet_pton(AF_INET, text, &in) == 1
           || inet_pton(AF_INET6, text, &in6) == 1;
}


static ngx_int_t
ngx_media_pg_complete(PQconninfoOption *options, ngx_pool_t *pool,
    ngx_str_t *conninfo)
{
    u_char            *p;
    size_t             size;
    const char        *value;
    PQconninfoOption  *o;

    size = 1;

    for (o = options; o->keyword; o++) {
        value = ngx_media_pg_option(options, o->keyword);

        if (value) {
            size += ngx_strlen(o->keyword) + 2 * ngx_strlen(value)
                    + sizeof("='' ") - 1;
        }
    }

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conninfo->data = p;

    for (o = options; o->keyword; o++) {
        value = ngx_media_pg_option(options, o->keyword);

        if (value == NULL) {
            continue;
        }

        p = ngx_cpymem(p, o->keyword, ngx_strlen(o->keyword));
        *p++ = '=';
        *p++ = '\'';

        for ( /* void */ ; *value; value++) {
            if (*value == '\'' || *value == '\\') {
                *p++ = '\\';
            }

            *p++ = (u_char) *value;
        }

        *p++ = '\'';
        *p++ = ' ';
    }

    conninfo->len = p - conninfo->data;
    *p = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_media_pg_conninfo_init(ngx_media_pg_conninfo_t *info,
    ngx_media_pg_conf_t *conf, ngx_log_t *log)
{
    size_t             size;
    ngx_uint_t         i, n;
    const char        *user, *host;
    PQconninfoOption  *o;

    static const char  *before[][2] = {
        { "application_name", "ngx_media" },
        { "keepalives", "1" },
        { "keepalives_idle", "30" },
        { "keepalives_interval", "10" },
        { "keepalives_count", "3" }
    };

    info->options = ngx_media_pg_parse(&conf->conninfo);

    if (info->options == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0, "media pg: invalid conninfo");
        return NGX_ERROR;
    }

    user = ngx_media_pg_option(info->options, "options");
    user = user ? user : "";

    /* the server gives up a little before we do; what the user says wins */

    size = sizeof("-c statement_timeout= ") + NGX_INT_T_LEN + ngx_strlen(user);

    info->server = ngx_alloc(size, log);
    if (info->server == NULL) {
        return NGX_ERROR;
    }

    *ngx_snprintf((u_char *) info->server, size - 1,
                  "-c statement_timeout=%M %s", conf->timeout * 9 / 10, user)
        = '\0';

    *ngx_snprintf((u_char *) info->user_timeout, NGX_INT_T_LEN, "%M",
                  conf->timeout)
        = '\0';

    n = 0;

#define ngx_media_pg_keyword(k, v)                                            \
    info->keywords[n] = (k);                                                  \
    info->values[n++] = (v)

    for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        ngx_media_pg_keyword(before[i][0], before[i][1]);
    }

    ngx_media_pg_keyword("tcp_user_timeout", info->user_timeout);

    /* of several the one that takes changes */

    host = ngx_media_pg_option(info->options, "host");

    if (host && ngx_strchr(host, ',')) {
        ngx_media_pg_keyword("target_session_attrs", "read-write");
    }

    /* of a keyword that comes twice libpq takes the last */

    for (o = info->options; o->keyword; o++) {
        if (o->val && *o->val && n < NGX_MEDIA_PG_KEYWORDS - 3) {
            ngx_media_pg_keyword(o->keyword, o->val);
        }
    }

    /* negotiating GSS would block; texts are UTF-8 */

    ngx_media_pg_keyword("gssencmode", "disable");
    ngx_media_pg_keyword("client_encoding", "UTF8");
    ngx_media_pg_keyword("options", info->server);
    ngx_media_pg_keyword(NULL, NULL);

#undef ngx_media_pg_keyword

    return NGX_OK;
}


void
ngx_media_pg_conninfo_done(ngx_media_pg_conninfo_t *info)
{
    if (info->options) {
        PQconninfoFree(info->options);
        info->options = NULL;
    }

    if (info->server) {
        ngx_free(info->server);
        info->server = NULL;
    }
}
