#include "gw_render.h"

#include <stdio.h>
#include <string.h>

#include "gw_template.h"

#define LINES_MAX 65536
#define HTTP2_ON 1025001 /* from here on "http2 on" instead of a word of listen */

/* ---- hosts ---- */

/* The host of http[s]://host[:port], without brackets; its port goes to `port`. */
static media_str_t endpoint_host(const char *url, char port[8])
{
    int tls = strncmp(url, "https", 5) == 0;
    const char *p = strstr(url, "//") + 2, *end, *after;
    media_str_t host;

    if (*p == '[') {
        end = p + strcspn(p, "]");
        host = (media_str_t){p + 1, (size_t)(end - p) - 1};
        after = end + (*end == ']');
    } else {
        after = p + strcspn(p, ":/");
        host = (media_str_t){p, (size_t)(after - p)};
    }
    if (*after == ':' && after[1] != '\0' && after[1] != '/') {
        (void)snprintf(port, 8, "%.*s", (int)strcspn(after + 1, "/"), after + 1);
    } else {
        (void)snprintf(port, 8, "%s", tls ? "443" : "80");
    }
    return host;
}

static int name_add(gw_names_t *names, media_str_t host, int64_t grace_ms, media_err_t *ei)
{
    if (host.len == 0 || host.len >= GW_HOST_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "\"%.*s\" is not valid, expected a host",
                             (int)host.len, host.p);
    }
    gw_name_init(&names->name[names->count++], host, grace_ms);
    return 0;
}

int gw_names_init(gw_names_t *names, const gw_conf_t *conf, int64_t s3_grace_ms, media_err_t *ei)
{
    char port[8];
    int rc = 0;

    memset(names, 0, sizeof(*names));
    for (const char *p = conf->pg_host; rc == 0; p++) {
        size_t n = strcspn(p, ",");
        if (names->count == GW_PG_HOSTS_MAX) {
            return media_err_set(ei, MEDIA_E_TOOBIG, "PGHOST: more than %d hosts", GW_PG_HOSTS_MAX);
        }
        rc = name_add(names, (media_str_t){p, n}, 0, ei);
        p += n;
        if (*p == '\0') {
            break;
        }
    }
    names->pg_count = names->count;
    if (rc == 0) {
        rc = name_add(names, endpoint_host(conf->s3_endpoint, port), s3_grace_ms, ei);
    }
    if (rc == 0 && conf->s3_out_endpoint != NULL) {
        rc = name_add(names, endpoint_host(conf->s3_out_endpoint, port), s3_grace_ms, ei);
    }
    return rc;
}

/* ---- PostgreSQL ---- */

/* The port of the i-th host: PGPORT is one for all, or one each. */
static media_str_t pg_port(const char *ports, size_t i)
{
    const char *p = ports;

    while (strchr(ports, ',') != NULL && i-- > 0 && strchr(p, ',') != NULL) {
        p = strchr(p, ',') + 1;
    }
    return (media_str_t){p, strcspn(p, ",")};
}

enum pg_list { PG_HOSTS, PG_ADDRS, PG_PORTS };

/* "key='a,b,c' ", an element for each address of each host. */
static void pg_list_add(media_buf_t *out, const char *key, enum pg_list which,
                        const gw_conf_t *conf, const gw_names_t *names)
{
    const char *comma = "";

    (void)media_buf_fmt(out, "%s='", key);
    for (size_t i = 0; i < names->pg_count; i++) {
        const gw_name_t *n = &names->name[i];
        size_t times = n->used.count > 0 ? n->used.count : 1; /* a socket has no address */
        for (size_t j = 0; j < times; j++) {
            media_str_t port = pg_port(conf->pg_port, i);
            (void)media_buf_cstr(out, comma);
            if (which == PG_PORTS) {
                (void)media_buf_str(out, port);
            } else if (which == PG_HOSTS) {
                (void)media_buf_cstr(out, n->host);
            } else if (n->used.count > 0) {
                (void)media_buf_cstr(out, n->used.at[j]);
            }
            comma = ",";
        }
    }
    (void)media_buf_cstr(out, "' ");
}

static void pg_add(media_buf_t *out, const char *key, const char *value)
{
    if (value != NULL) {
        (void)media_buf_fmt(out, "%s='%s' ", key, value);
    }
}

static void pg_lines(const gw_conf_t *conf, const gw_names_t *names, media_buf_t *out)
{
    int addrs = 0;

    for (size_t i = 0; i < names->pg_count; i++) {
        addrs |= !names->name[i].is_address;
    }
    pg_list_add(out, "host", PG_HOSTS, conf, names);
    if (addrs) {
        pg_list_add(out, "hostaddr", PG_ADDRS, conf, names);
    }
    pg_list_add(out, "port", PG_PORTS, conf, names);
    pg_add(out, "dbname", conf->pg_database);
    pg_add(out, "user", conf->pg_user);
    pg_add(out, "sslmode", conf->pg_sslmode);
    pg_add(out, "sslrootcert", conf->pg_sslrootcert);
    if (conf->pg_password_file != NULL) {
        (void)media_buf_fmt(out, "passfile='%s/pgpass' ", conf->run_dir);
    } else {
        pg_add(out, "passfile", conf->pg_passfile);
    }
}

/* ---- S3 ---- */

static void directive(media_buf_t *out, const char *name, const char *value)
{
    if (value != NULL) {
        (void)media_buf_fmt(out, "%s %s;\n", name, value);
    }
}

static void credentials(media_buf_t *out, const char *name, const char *source,
                        const gw_conf_t *conf)
{
    if (source != NULL && strcmp(source, "file") == 0 && conf->s3_credentials_file != NULL) {
        (void)media_buf_fmt(out, "%s file %s%s%s;\n", name, conf->s3_credentials_file,
                            conf->s3_profile != NULL ? " " : "",
                            conf->s3_profile != NULL ? conf->s3_profile : "");
    } else {
        directive(out, name, source);
    }
}

/* With the addresses we know, so that nginx looks nothing up. */
static void endpoint(media_buf_t *out, const char *name, const char *url, const gw_name_t *host)
{
    (void)media_buf_fmt(out, "%s %s", name, url);
    for (size_t i = 0; i < host->used.count && !host->is_address; i++) {
        (void)media_buf_fmt(out, " address=%s", host->used.at[i]);
    }
    (void)media_buf_cstr(out, ";\n");
}

static void s3_lines(const gw_conf_t *conf, const gw_names_t *names, media_buf_t *out)
{
    endpoint(out, "media_s3_endpoint", conf->s3_endpoint, &names->name[names->pg_count]);
    directive(out, "media_s3_bucket", conf->s3_bucket);
    directive(out, "media_s3_region", conf->s3_region);
    directive(out, "media_s3_addressing", conf->s3_addressing);
    directive(out, "media_s3_checksum", conf->s3_checksum);
    credentials(out, "media_s3_credentials", conf->s3_credentials, conf);
    directive(out, "media_s3_trusted_certificate", conf->s3_ca);
    if (conf->s3_sse != NULL) {
        int kms = strcmp(conf->s3_sse, "aws:kms") == 0;
        (void)media_buf_fmt(out, "media_s3_sse %s%s%s%s;\n", conf->s3_sse,
                            kms && conf->s3_sse_key != NULL ? " key=" : "",
                            kms && conf->s3_sse_key != NULL ? conf->s3_sse_key : "",
                            kms && conf->s3_sse_bucket_key ? " bucket_key" : "");
    }
    if (conf->s3_out_endpoint != NULL) {
        endpoint(out, "media_s3_output_endpoint", conf->s3_out_endpoint,
                 &names->name[names->pg_count + 1]);
    }
    directive(out, "media_s3_output_bucket", conf->s3_out_bucket);
    directive(out, "media_s3_output_region", conf->s3_out_region);
    directive(out, "media_s3_output_addressing", conf->s3_out_addressing);
    credentials(out, "media_s3_output_credentials", conf->s3_out_credentials, conf);
    if (conf->s3_out_endpoint != NULL) {
        directive(out, "media_s3_output_trusted_certificate", conf->s3_ca);
    }
}

static void server_lines(const char *endpoint, const gw_name_t *name, media_buf_t *out)
{
    char port[8];

    (void)endpoint_host(endpoint, port);
    for (size_t i = 0; i < name->used.count; i++) {
        int v6 = strchr(name->used.at[i], ':') != NULL;
        (void)media_buf_fmt(out, "server %s%s%s:%s;\n", v6 ? "[" : "", name->used.at[i],
                            v6 ? "]" : "", port);
    }
}

/* ---- who is listened to ---- */

static void listen_add(media_buf_t *out, media_str_t addr, int port, const char *words)
{
    int v6 = memchr(addr.p, ':', addr.len) != NULL;

    (void)media_buf_fmt(out, "listen %s%.*s%s:%d%s;\n", v6 ? "[" : "", (int)addr.len, addr.p,
                        v6 ? "]" : "", port, words);
}

/* A port on each address. */
static void listen_lines(const gw_conf_t *conf, const gw_machine_t *m, int port, const char *words,
                         media_buf_t *out)
{
    const char *all = m->has_ipv6 ? "0.0.0.0,::" : "0.0.0.0";
    size_t n;

    for (const char *p = conf->listen != NULL ? conf->listen : all; *p != '\0'; p += n) {
        p += strspn(p, ", ");
        n = strcspn(p, ", ");
        if (n > 0) {
            listen_add(out, (media_str_t){p, n}, port, words);
        }
    }
}

int gw_render_listen(const gw_conf_t *conf, const gw_machine_t *m, media_buf_t *out)
{
    int word = m->nginx_version < HTTP2_ON;
    char words[64];
    const char *proxied = conf->proxy_protocol ? " proxy_protocol" : "";

    listen_lines(conf, m, conf->http_port, proxied, out);
    if (conf->h2c_port != 0) {
        (void)snprintf(words, sizeof(words), "%s%s", word ? " http2" : "", proxied);
        listen_lines(conf, m, conf->h2c_port, words, out);
    }
    if (conf->tls_cert != NULL) {
        (void)snprintf(words, sizeof(words), " ssl%s%s", word ? " http2" : "", proxied);
        listen_lines(conf, m, conf->https_port, words, out);
    }
    if (!word) {
        (void)media_buf_cstr(out, "http2 on;\n");
    }
    return out->failed;
}

static void trusted_lines(const char *list, media_buf_t *out)
{
    size_t n;

    for (const char *p = list; p != NULL && *p != '\0'; p += n) {
        p += strspn(p, ", ");
        n = strcspn(p, ", ");
        if (n > 0) {
            (void)media_buf_fmt(out, "set_real_ip_from %.*s;\n", (int)n, p);
        }
    }
}

/* ---- all of it ---- */

enum { L_PG, L_S3, L_S3_SERVERS, L_OUT_SERVERS, L_LISTEN, L_OPS, L_TRUSTED, L_COUNT };

static void lines_make(const gw_conf_t *conf, const gw_machine_t *m, const gw_names_t *names,
                       media_buf_t l[L_COUNT])
{
    pg_lines(conf, names, &l[L_PG]);
    s3_lines(conf, names, &l[L_S3]);
    server_lines(conf->s3_endpoint, &names->name[names->pg_count], &l[L_S3_SERVERS]);
    if (conf->s3_out_endpoint != NULL) {
        server_lines(conf->s3_out_endpoint, &names->name[names->pg_count + 1], &l[L_OUT_SERVERS]);
    }
    (void)gw_render_listen(conf, m, &l[L_LISTEN]);
    if (conf->ops_port != 0) {
        listen_lines(conf, m, conf->ops_port, "", &l[L_OPS]);
    }
    trusted_lines(conf->trusted_proxies, &l[L_TRUSTED]);
}

/* The text of lines without the last end of line: the template has it. */
static const char *text_of(media_buf_t *b)
{
    while (b->len > 0 && (b->p[b->len - 1] == '\n' || b->p[b->len - 1] == ' ')) {
        b->p[--b->len] = '\0';
    }
    return b->len > 0 ? b->p : NULL;
}

int gw_render(media_str_t template, const gw_conf_t *conf, const gw_machine_t *m,
              const gw_names_t *names, media_str_t key_lines, int routes, media_buf_t *out,
              media_err_t *ei)
{
    media_buf_t l[L_COUNT], keys, access, error;
    char workers[12];
    int rc;

    for (size_t i = 0; i < L_COUNT; i++) {
        media_buf_init(&l[i], LINES_MAX);
    }
    media_buf_init(&keys, LINES_MAX);
    media_buf_init(&access, LINES_MAX);
    media_buf_init(&error, LINES_MAX);
    lines_make(conf, m, names, l);
    (void)media_buf_str(&keys, key_lines);
    (void)media_buf_fmt(&access, "%s%s", conf->log_dir != NULL ? conf->log_dir : "/dev/stdout",
                        conf->log_dir != NULL ? "/access.log" : "");
    (void)media_buf_fmt(&error, "%s%s", conf->log_dir != NULL ? conf->log_dir : "stderr",
                        conf->log_dir != NULL ? "/error.log" : "");
    (void)snprintf(workers, sizeof(workers), "%d", m->cpus);

    const gw_value_t values[] = {
        {"USER", conf->user},
        {"MODULE", conf->module},
        {"CONF", conf->conf_dir},
        {"RUN", conf->run_dir},
        {"CACHE", conf->cache_dir},
        {"CACHE_SIZE", strcmp(conf->cache_size, "off") == 0 ? "1m" : conf->cache_size},
        {"CACHE_ZONE", strcmp(conf->cache_size, "off") == 0 ? "off" : "media_objects"},
        {"ACCESS_LOG", text_of(&access)},
        {"ERROR_LOG", text_of(&error)},
        {"WORKERS", workers},
        {"PG", text_of(&l[L_PG])},
        {"S3", text_of(&l[L_S3])},
        {"S3_SERVERS", text_of(&l[L_S3_SERVERS])},
        {"S3_OUTPUT_SERVERS", text_of(&l[L_OUT_SERVERS])},
        {"CA", conf->s3_ca},
        {"AMQP_URL_FILE", conf->amqp_url_file},
        {"JWT_KEYS", text_of(&keys)},
        {"PLAY_KEY", conf->play_key},
        {"MEMORY", conf->memory},
        {"CORS_ORIGIN", conf->cors_origin},
        {"TRUSTED_PROXIES", text_of(&l[L_TRUSTED])},
        {"REAL_IP_HEADER", conf->proxy_protocol ? "proxy_protocol" : "X-Forwarded-For"},
        {"TLS_CERT", conf->tls_cert},
        {"TLS_KEY", conf->tls_key},
        {"LISTEN", text_of(&l[L_LISTEN])},
        {"OPS_LISTEN", text_of(&l[L_OPS])},
        {"NO_OPS", conf->ops_port == 0 ? "1" : NULL},
        {"ROUTES", routes ? conf->routes_dir : NULL},
        {NULL, NULL},
    };
    rc = gw_template_fill(template, values, out, ei);
    for (size_t i = 0; i < L_COUNT; i++) {
        media_buf_free(&l[i]);
    }
    media_buf_free(&keys);
    media_buf_free(&access);
    media_buf_free(&error);
    return rc;
}
