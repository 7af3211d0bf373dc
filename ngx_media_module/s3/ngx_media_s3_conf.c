
/*
 * Directives of S3: where it is, which dialect it speaks, whose credentials
 * sign. [conf]
 */

#include "ngx_media_conf.h"
#include "ngx_media_s3_ask.h"


#define ngx_media_s3_slot(cmd, conf)                                          \
    ((ngx_media_s3_conf_t *) ((char *) (conf) + (cmd)->offset))


static ngx_int_t ngx_media_s3_addresses(ngx_conf_t *cf, ngx_url_t *u);
static ngx_int_t ngx_media_check_s3_host(ngx_conf_t *cf,
    ngx_media_s3_conf_t *s3);
static ngx_int_t ngx_media_check_s3_sum(ngx_conf_t *cf,
    ngx_media_s3_conf_t *s3);


/* media_s3_endpoint URL [address=IP]... */

char *
ngx_media_set_s3_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_url_t             u;
    ngx_str_t            *value;
    ngx_uint_t            ssl;
    ngx_media_s3_conf_t  *s3;

    s3 = ngx_media_s3_slot(cmd, conf);

    if (s3->host.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!ngx_media_conf_scheme(&u, &value[1], &ssl)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must start with http:// or "
                           "https://",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    s3->ssl = ssl;

    if (u.url.len > 0 && u.url.data[u.url.len - 1] == '/') {
        u.url.len--;
    }

    s3->host = u.url;
    u.no_resolve = (cf->args->nelts > 2);

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\" of \"%V\"",
                           u.err ? u.err : "no address", &value[1],
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts > 2 && ngx_media_s3_addresses(cf, &u) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (u.naddrs == 0 || u.uri.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must be scheme://host[:port]",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    s3->name = u.host;
    s3->peer.name = s3->host;
    s3->peer.addrs = u.addrs;
    s3->peer.naddrs = u.naddrs;

    ngx_media_http_peer_init(&s3->peer);

    return NGX_CONF_OK;
}


/* The endpoint's addresses from whoever looks its name up instead of nginx,
 * which would have to be able to at every reload. The port is the URL's. */

static ngx_int_t
ngx_media_s3_addresses(ngx_conf_t *cf, ngx_url_t *u)
{
    u_char       text[NGX_SOCKADDR_STRLEN];
    ngx_str_t   *value;
    ngx_uint_t   i;
    ngx_addr_t  *addr;

    value = cf->args->elts;

    u->naddrs = cf->args->nelts - 2;
    u->addrs = ngx_pcalloc(cf->pool, u->naddrs * sizeof(ngx_addr_t));
    if (u->addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        addr = &u->addrs[i - 2];

        if (value[i].len <= 8
            || ngx_strncmp(value[i].data, "address=", 8) != 0
            || ngx_parse_addr(cf->pool, addr, value[i].data + 8,
                              value[i].len - 8)
               != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" must be address=IP",
                               &value[i], &value[0]);
            return NGX_ERROR;
        }

        ngx_inet_set_port(addr->sockaddr, u->port);

        addr->name.data = text;
        addr->name.len = ngx_sock_ntop(addr->sockaddr, addr->socklen, text,
                                       NGX_SOCKADDR_STRLEN, 1);
        addr->name.data = ngx_pstrdup(cf->pool, &addr->name);

        if (addr->name.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* S3's rules; the name becomes a segment of every request's path. */

char *
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


/* It stands in signatures and in the name of the STS. */

char *
ngx_media_check_region(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *region = data;

    u_char  ch;
    size_t  i;

    for (i = 0; i < region->len; i++) {
        ch = region->data[i];

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= 'A' && ch <= 'Z')
            && !(ch >= '0' && ch <= '9') && ch != '-' && ch != '_')
        {
            break;
        }
    }

    if (i == 0 || i < region->len || i > 63) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not the name of a region "
                           "([A-Za-z0-9_-], at most 63)", region);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* media_s3_credentials env|web_identity|ecs|imds, or file PATH [PROFILE] */

char *
ngx_media_set_s3_credentials(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    int                   kind;
    ngx_str_t            *value;
    media_err_t           err;
    media_str_t           word;
    media_s3_source_t    *source;
    ngx_media_s3_conf_t  *s3;

    s3 = ngx_media_s3_slot(cmd, conf);

    if (s3->source != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    source = &s3->cred->source;

    word.p = (char *) value[1].data;
    word.len = value[1].len;

    kind = media_s3_source_parse(word);
    if (kind < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown source \"%V\" in \"%V\", known are "
#define X(name, word)  word " "
                           MEDIA_S3_SOURCES(X)
#undef X
                           , &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    s3->source = kind;

    if (kind != MEDIA_S3_SOURCE_FILE) {
        return cf->args->nelts == 2 ? NGX_CONF_OK
                                    : "takes a path with \"file\" only";
    }

    if (cf->args->nelts < 3) {
        return "needs a path: file PATH [PROFILE]";
    }

    if (ngx_conf_full_name(cf->cycle, &value[2], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    source->file.p = (char *) value[2].data;
    source->file.len = value[2].len;

    if (cf->args->nelts == 4) {
        source->profile.p = (char *) value[3].data;
        source->profile.len = value[3].len;
    }

    /* read once here, for the sake of the line in the message */

    if (media_s3_source_load(source, kind, MEDIA_STR(""),
                             ngx_media_s3_cred_env(s3->cred), &err)
        != 0
        || ngx_media_s3_cred_load(s3->cred, &err) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": %s", &value[2],
                           err.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* media_s3_sse off|AES256, or aws:kms [key=ID] [bucket_key] */

char *
ngx_media_set_s3_sse(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    int                   sse;
    ngx_str_t            *value;
    ngx_uint_t            i;
    media_str_t           word;
    ngx_media_s3_conf_t  *s3;

    s3 = ngx_media_s3_slot(cmd, conf);

    if (s3->sse != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    word.p = (char *) value[1].data;
    word.len = value[1].len;

    sse = media_str_eq(word, MEDIA_STR("off")) ? MEDIA_S3_SSE_NONE
                                               : media_s3_sse_parse(word);
    if (sse < 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is neither off, AES256 nor "
                           "aws:kms", &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    s3->sse = sse;

    for (i = 2; i < cf->args->nelts; i++) {

        if (sse == MEDIA_S3_SSE_KMS && value[i].len > 4
            && ngx_strncmp(value[i].data, "key=", 4) == 0)
        {
            s3->sse_key.data = value[i].data + 4;
            s3->sse_key.len = value[i].len - 4;
            continue;
        }

        if (sse == MEDIA_S3_SSE_KMS
            && ngx_strcmp(value[i].data, "bucket_key") == 0)
        {
            s3->sse_bucket_key = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is neither key=ID nor "
                           "bucket_key, which go with aws:kms", &value[i],
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* The text around the variables can be judged here, what they hold later. */

char *
ngx_media_set_s3_prefix(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_loc_conf_t  *lcf = conf;

    char        *rv;
    size_t       i;
    ngx_str_t   *value;

    rv = ngx_http_set_complex_value_slot(cf, cmd, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        lcf->s3_slashes += value[1].data[i] == '/';
    }

    if (value[1].len > 0 && value[1].data[value[1].len - 1] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must end in \"/\"", &value[1],
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (lcf->s3_prefix->lengths == NULL
        && !media_objkey_prefix_valid((media_str_t) {
               (char *) value[1].data, value[1].len }))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" is no prefix of a key: folders "
                           "of [A-Za-z0-9!$&'()*+,-.:;=@_|~], at most %d bytes",
                           &value[1], &value[0], MEDIA_OBJKEY_PREFIX_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_media_check_s3_dialect(ngx_conf_t *cf, ngx_media_s3_conf_t *s3)
{
    if (ngx_media_check_s3_sum(cf, s3) != NGX_OK
        || ngx_media_check_s3_host(cf, s3) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (s3->cred->which != s3->which) {
        return NGX_OK;
    }

    return ngx_media_s3_cred_conf(cf, s3->cred, s3->source, &s3->region,
                                  &s3->ca);
}


static ngx_int_t
ngx_media_check_s3_sum(ngx_conf_t *cf, ngx_media_s3_conf_t *s3)
{
    if (s3->payload == NGX_MEDIA_S3_TRAILER && s3->sum == MEDIA_S3_SUM_NONE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_checksum none\" needs \"media_s3_payload\" "
                      "signed or unsigned: a trailer is a checksum");
        return NGX_ERROR;
    }

    if (s3->payload == NGX_MEDIA_S3_UNSIGNED && s3->sum != MEDIA_S3_SUM_NONE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_payload unsigned\" carries no checksum, "
                      "\"media_s3_checksum\" must be none");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * With virtual hosts the bucket is a label of the host's name: in the Host
 * header and in the name of the certificate. Connections go to the addresses
 * of the endpoint all the same.
 */

static ngx_int_t
ngx_media_check_s3_host(ngx_conf_t *cf, ngx_media_s3_conf_t *s3)
{
    u_char      *p;
    size_t       len;
    ngx_uint_t   i;
    ngx_str_t   *names[2];

    if (!s3->virtual_host) {
        return NGX_OK;
    }

    if (s3->name.len == 0 || s3->name.data[0] == '['
        || ngx_inet_addr(s3->name.data, s3->name.len) != INADDR_NONE)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"media_s3_addressing virtual\" needs a host name in "
                      "the endpoint, \"%V\" is an address", &s3->name);
        return NGX_ERROR;
    }

    if (s3->ssl && ngx_strlchr(s3->bucket.data,
                               s3->bucket.data + s3->bucket.len, '.'))
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "bucket \"%V\" has a dot in its name: certificates of "
                      "virtual hosts are seldom good for it, see "
                      "\"media_s3_addressing\"", &s3->bucket);
    }

    names[0] = &s3->host;
    names[1] = &s3->name;

    for (i = 0; i < 2; i++) {
        len = s3->bucket.len + 1 + names[i]->len;

        p = ngx_pnalloc(cf->pool, len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (media_s3_host((media_str_t) { (char *) names[i]->data,
                                          names[i]->len },
                          (media_str_t) { (char *) s3->bucket.data,
                                          s3->bucket.len },
                          (char *) p, len + 1)
            < 0)
        {
            return NGX_ERROR;
        }

        names[i]->data = p;
        names[i]->len = len;
    }

    return NGX_OK;
}
