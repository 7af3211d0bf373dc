/* The environment of media-gateway, row by row: variable, place in gw_conf_t, default, check, help.
 */
#include "gw_conf.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "media/envcheck.h"
#include "media/str.h"

#define PROG "media-gateway"

/* Returns NULL when the value is fine, else what it should have been. */
typedef const char *(*conf_check_pt)(const char *value);

typedef struct {
    const char *env;
    size_t offset;
    const char *fallback; /* NULL: stays unset */
    conf_check_pt check;  /* NULL: a number */
    int lo, hi;
    enum { CONF_PLAIN, CONF_NEEDED, CONF_SECRET } kind;
    const char *help;
} conf_entry_t;

int gw_conf_is_word(const char *value)
{
    for (; *value != '\0'; value++) {
        if ((unsigned char)*value <= ' ' || *value == 0x7f ||
            strchr("\"'\\;{}$#", *value) != NULL) {
            return 0;
        }
    }
    return 1;
}

static const char *check_word(const char *v)
{
    return gw_conf_is_word(v) ? NULL : "one word without quotes, \\, ;, {, }, $ and #";
}

static const char *check_path(const char *v)
{
    return v[0] == '/' && gw_conf_is_word(v)
               ? NULL
               : "an absolute path without spaces, quotes and \\;{}$#";
}

static const char *check_http_url(const char *v)
{
    static const char want[] = "http://host[:port] or https://host[:port]";
    const char *host = strncmp(v, "http://", 7) == 0    ? v + 7
                       : strncmp(v, "https://", 8) == 0 ? v + 8
                                                        : "";
    size_t len = strlen(host);

    if (len > 0 && host[len - 1] == '/') {
        len--;
    }
    if (len == 0 || memchr(host, '/', len) != NULL || strpbrk(host, "?@,") != NULL) {
        return want;
    }
    return gw_conf_is_word(v) ? NULL : want;
}

/* A size as nginx reads it. */
static int is_size(const char *v)
{
    size_t n = strspn(v, "0123456789");

    return n > 0 && n < 16 &&
           (v[n] == '\0' || (strchr("kKmMgG", v[n]) != NULL && v[n + 1] == '\0'));
}

static const char *check_size(const char *v)
{
    return is_size(v) ? NULL : "a size: 512m, 2g";
}

static const char *check_cache(const char *v)
{
    return strcmp(v, "off") == 0 || is_size(v) ? NULL : "a size (512m, 2g) or off";
}

/* One address, with a number of bits behind a slash where `net`. */
static int is_address(const char *p, size_t len, int net)
{
    char text[INET6_ADDRSTRLEN + 4];
    struct in6_addr addr;
    char *slash;
    int64_t bits;

    if (len == 0 || len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, p, len);
    text[len] = '\0';
    slash = strchr(text, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (!net || media_str_to_i64(media_str(slash + 1), &bits) != 0 ||
            bits > (strchr(text, ':') != NULL ? 128 : 32)) {
            return 0;
        }
    }
    return inet_pton(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, &addr) == 1;
}

static int are_addresses(const char *v, int net)
{
    size_t n;

    for (v += strspn(v, ", "); *v != '\0'; v += n, v += strspn(v, ", ")) {
        n = strcspn(v, ", ");
        if (!is_address(v, n, net)) {
            return 0;
        }
    }
    return 1;
}

static const char *check_addresses(const char *v)
{
    return are_addresses(v, 0) ? NULL : "IP addresses, separated by commas";
}

static const char *check_networks(const char *v)
{
    return are_addresses(v, 1) ? NULL
                               : "networks (10.0.0.0/8) or IP addresses, separated by commas";
}

static const char *check_port(const char *v)
{
    int64_t port;

    for (;; v++) {
        size_t n = strcspn(v, ",");
        if (media_str_to_i64((media_str_t){v, n}, &port) != 0 || port < 1 || port > 65535) {
            return "a port from 1 to 65535, or one per host";
        }
        v += n;
        if (*v == '\0') {
            return NULL;
        }
    }
}

static const char *check_origins(const char *v)
{
    return strpbrk(v, "\"'\\;{}$#\n\r\t") == NULL ? NULL
                                                  : "off, *, or origins: https://example.org";
}

#define STR_ENTRY(env, field, fallback, check, kind, help)                                         \
    {                                                                                              \
        env, offsetof(gw_conf_t, field), fallback, check, 0, 0, kind, help                         \
    }
#define INT_ENTRY(env, field, fallback, lo, hi, help)                                              \
    {                                                                                              \
        env, offsetof(gw_conf_t, field), fallback, NULL, lo, hi, CONF_PLAIN, help                  \
    }

/* clang-format off */
static const conf_entry_t conf_table[] = {
    STR_ENTRY("PGHOST", pg_host, NULL, check_word, CONF_NEEDED,
              "hosts of PostgreSQL, separated by commas; names are looked up every 30 s"),
    STR_ENTRY("PGPORT", pg_port, "5432", check_port, CONF_PLAIN, "its port"),
    STR_ENTRY("PGDATABASE", pg_database, "media", check_word, CONF_PLAIN, "database"),
    STR_ENTRY("PGUSER", pg_user, "media_gateway", check_word, CONF_PLAIN, "role"),
    STR_ENTRY("PGSSLMODE", pg_sslmode, NULL, check_word, CONF_PLAIN, "libpq's sslmode"),
    STR_ENTRY("PGSSLROOTCERT", pg_sslrootcert, NULL, check_path, CONF_PLAIN, "libpq's sslrootcert"),
    STR_ENTRY("PGPASSFILE", pg_passfile, NULL, check_path, CONF_PLAIN, "libpq's password file"),
    STR_ENTRY("MEDIA_PG_PASSWORD_FILE", pg_password_file, NULL, check_path, CONF_PLAIN,
              "file that holds the password alone (over PGPASSFILE)"),
    /* the more specific variable follows, so it wins */
    STR_ENTRY("AWS_ENDPOINT_URL", s3_endpoint, NULL, check_http_url, CONF_PLAIN, "S3 endpoint"),
    STR_ENTRY("AWS_ENDPOINT_URL_S3", s3_endpoint, NULL, check_http_url, CONF_NEEDED,
              "S3 endpoint (over AWS_ENDPOINT_URL)"),
    STR_ENTRY("AWS_REGION", s3_region, "us-east-1", check_word, CONF_PLAIN, "S3 region"),
    STR_ENTRY("MEDIA_S3_BUCKET", s3_bucket, "media", check_word, CONF_PLAIN, "S3 bucket"),
    STR_ENTRY("MEDIA_S3_CREDENTIALS", s3_credentials, NULL, media_envcheck_s3_source, CONF_PLAIN,
              "env, file, web_identity, ecs or imds; default: what the environment has"),
    STR_ENTRY("AWS_SHARED_CREDENTIALS_FILE", s3_credentials_file, NULL, check_path, CONF_PLAIN,
              "S3 keys; read again when it changes"),
    STR_ENTRY("AWS_PROFILE", s3_profile, NULL, check_word, CONF_PLAIN, "its section"),
    STR_ENTRY("AWS_CA_BUNDLE", s3_ca, NULL, check_path, CONF_PLAIN,
              "PEM file of the CAs that S3 and STS are trusted by"),
    STR_ENTRY("MEDIA_S3_ADDRESSING", s3_addressing, NULL, media_envcheck_s3_addressing, CONF_PLAIN,
              "path or virtual (the bucket in the host name)"),
    STR_ENTRY("MEDIA_S3_CHECKSUM", s3_checksum, NULL, media_envcheck_s3_sum, CONF_PLAIN,
              "what S3 checks and keeps: sha256, crc64nvme or none"),
    STR_ENTRY("MEDIA_S3_SSE", s3_sse, NULL, media_envcheck_s3_sse, CONF_PLAIN,
              "encryption at rest: AES256 or aws:kms"),
    STR_ENTRY("MEDIA_S3_SSE_KEY", s3_sse_key, NULL, check_word, CONF_PLAIN,
              "with aws:kms: the id of its key"),
    INT_ENTRY("MEDIA_S3_SSE_BUCKET_KEY", s3_sse_bucket_key, "0", 0, 1,
              "with aws:kms: 1 for a key per bucket"),
    STR_ENTRY("MEDIA_S3_OUTPUT_ENDPOINT", s3_out_endpoint, NULL, check_http_url, CONF_PLAIN,
              "S3 endpoint of outputs, if they lie elsewhere"),
    STR_ENTRY("MEDIA_S3_OUTPUT_REGION", s3_out_region, NULL, check_word, CONF_PLAIN,
              "S3 region of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_BUCKET", s3_out_bucket, NULL, check_word, CONF_PLAIN,
              "S3 bucket of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_CREDENTIALS", s3_out_credentials, NULL,
              media_envcheck_s3_source, CONF_PLAIN,
              "env, file, web_identity, ecs or imds"),
    STR_ENTRY("MEDIA_S3_OUTPUT_ADDRESSING", s3_out_addressing, NULL,
              media_envcheck_s3_addressing, CONF_PLAIN,
              "path or virtual"),
    STR_ENTRY("AMQP_URL_FILE", amqp_url_file, NULL, check_path, CONF_PLAIN,
              "file that holds the URL of RabbitMQ"),
    STR_ENTRY("AMQP_URL", amqp_url, NULL,
              media_envcheck_amqp_url, CONF_SECRET, "the same by environment"),
    STR_ENTRY("MEDIA_JWT_DIR", jwt_dir, NULL, check_path, CONF_NEEDED,
              "keys named ALG.kid: the last by name signs, all verify; or jwt-key, of HS256"),
    INT_ENTRY("MEDIA_JWT_SETTLE_S", jwt_settle_s, "120", 0, 86400,
              "a new key verifies at once and signs after this, when every gateway has it"),
    STR_ENTRY("MEDIA_PLAY_KEY_FILE", play_key, NULL, check_path, CONF_NEEDED,
              "HS256 secret of playback tokens"),
    STR_ENTRY("MEDIA_TLS_CERT_FILE", tls_cert, NULL, check_path, CONF_PLAIN,
              "certificate chain; none: no TLS"),
    STR_ENTRY("MEDIA_TLS_KEY_FILE", tls_key, NULL, check_path, CONF_PLAIN, "its key"),
    STR_ENTRY("MEDIA_LISTEN", listen, NULL, check_addresses, CONF_PLAIN,
              "addresses to listen to; default: all"),
    INT_ENTRY("MEDIA_HTTP_PORT", http_port, "8080", 1, 65535, "plain HTTP"),
    INT_ENTRY("MEDIA_HTTPS_PORT", https_port, "8443", 1, 65535, "TLS, if there is a certificate"),
    INT_ENTRY("MEDIA_H2C_PORT", h2c_port, "0", 0, 65535,
              "HTTP/2 without TLS for clients that know beforehand; 0: none"),
    INT_ENTRY("MEDIA_OPS_PORT", ops_port, "8081", 0, 65535,
              "/healthz /readyz /metrics; 0: none, the metrics are on the plain port for loopback"),
    INT_ENTRY("MEDIA_PROXY_PROTOCOL", proxy_protocol, "0", 0, 1,
              "1: public ports expect the PROXY protocol"),
    STR_ENTRY("MEDIA_TRUSTED_PROXIES", trusted_proxies, NULL, check_networks, CONF_PLAIN,
              "who may say which client a connection is of (PROXY protocol, else X-Forwarded-For)"),
    STR_ENTRY("MEDIA_ROUTES_DIR", routes_dir, "/etc/ngx_media/routes.d", check_path, CONF_PLAIN,
              "other services: *.conf for server{}, *.server for http{}"),
    STR_ENTRY("MEDIA_CACHE_SIZE", cache_size, "1g", check_cache, CONF_PLAIN,
              "of the cache of downloads, or off"),
    STR_ENTRY("MEDIA_MEMORY", memory, "256m", check_size, CONF_PLAIN,
              "media_memory, of each nginx process"),
    STR_ENTRY("MEDIA_CORS_ORIGIN", cors_origin, "*", check_origins, CONF_PLAIN,
              "media_cors_origin"),
    STR_ENTRY("MEDIA_NGINX", nginx, "/usr/sbin/nginx", check_path, CONF_PLAIN, "nginx's binary"),
    STR_ENTRY("MEDIA_MODULE", module, "/usr/lib/nginx/modules/ngx_http_media_module.so", check_path,
              CONF_PLAIN, "our module"),
    STR_ENTRY("MEDIA_CONF_DIR", conf_dir, "/usr/share/ngx_media/conf", check_path, CONF_PLAIN,
              "nginx.conf.in and what it includes"),
    STR_ENTRY("MEDIA_RUN_DIR", run_dir, "/tmp/ngx_media", check_path, CONF_PLAIN,
              "made by us: nginx.conf, password file, nginx's temporary files"),
    STR_ENTRY("MEDIA_CACHE_DIR", cache_dir, "/var/cache/ngx_media", check_path, CONF_PLAIN,
              "cache of downloads"),
    STR_ENTRY("MEDIA_LOG_DIR", log_dir, NULL, check_path, CONF_PLAIN,
              "access.log and error.log; default: stdout and stderr"),
    STR_ENTRY("MEDIA_USER", user, NULL, check_word, CONF_PLAIN,
              "--render for root: user of nginx's worker processes"),
};
/* clang-format on */

#define CONF_COUNT (sizeof(conf_table) / sizeof(conf_table[0]))

__attribute__((noreturn)) static void bad_value(const conf_entry_t *e, const char *value,
                                                const char *want)
{
    if (value == NULL) {
        fprintf(stderr, PROG ": %s is not set, expected %s\n", e->env, want);
    } else if (e->kind == CONF_SECRET) {
        fprintf(stderr, PROG ": %s: the value is not valid, expected %s\n", e->env, want);
    } else {
        fprintf(stderr, PROG ": %s: \"%.100s\" is not valid, expected %s\n", e->env, value, want);
    }
    exit(2);
}

static void entry_set(gw_conf_t *conf, const conf_entry_t *e, const char *value)
{
    void *place = (char *)conf + e->offset;
    const char *cause;
    char want[60];
    int64_t n;
    int i;

    if (e->check != NULL) {
        cause = e->check(value);
        if (cause != NULL) {
            bad_value(e, value, cause);
        }
        memcpy(place, &value, sizeof(value));
        return;
    }
    if (media_str_to_i64(media_str(value), &n) != 0 || n < e->lo || n > e->hi) {
        (void)snprintf(want, sizeof(want), "a whole number from %d to %d", e->lo, e->hi);
        bad_value(e, value, want);
    }
    i = (int)n;
    memcpy(place, &i, sizeof(i));
}

__attribute__((noreturn)) static void bad_pair(const char *text)
{
    fprintf(stderr, PROG ": %s\n", text);
    exit(2);
}

/* What no row can say alone. */
static void conf_check(const gw_conf_t *conf)
{
    if (conf->amqp_url == NULL && conf->amqp_url_file == NULL) {
        bad_pair("AMQP_URL_FILE is not set, expected a file that holds "
                 "amqp://user:pass@host:port/vhost");
    }
    if ((conf->tls_cert == NULL) != (conf->tls_key == NULL)) {
        bad_pair("MEDIA_TLS_CERT_FILE and MEDIA_TLS_KEY_FILE: one is set and the other is not, "
                 "expected both or none");
    }
    if (conf->proxy_protocol && conf->trusted_proxies == NULL) {
        bad_pair("MEDIA_PROXY_PROTOCOL is 1 and MEDIA_TRUSTED_PROXIES is not set, expected the "
                 "networks of those who speak it");
    }
    if (conf->s3_credentials != NULL && strcmp(conf->s3_credentials, "file") == 0 &&
        conf->s3_credentials_file == NULL) {
        bad_pair("MEDIA_S3_CREDENTIALS is \"file\" and AWS_SHARED_CREDENTIALS_FILE is not set, "
                 "expected its path");
    }
    if (conf->ops_port != 0 && (conf->ops_port == conf->http_port ||
                                (conf->tls_cert != NULL && conf->ops_port == conf->https_port))) {
        bad_pair("MEDIA_OPS_PORT is a public port, expected one of its own");
    }
}

void gw_conf_load(gw_conf_t *conf)
{
    const char *value;

    memset(conf, 0, sizeof(*conf));
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const conf_entry_t *e = &conf_table[i];
        value = getenv(e->env);
        value = value != NULL && *value != '\0' ? value : e->fallback;
        if (value != NULL) {
            entry_set(conf, e, value);
        } else if (e->kind == CONF_NEEDED) {
            memcpy(&value, (char *)conf + e->offset, sizeof(value));
            if (value == NULL) {
                bad_value(e, NULL, e->help);
            }
        }
    }
    conf_check(conf);
}

void gw_conf_help(FILE *out)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const conf_entry_t *e = &conf_table[i];
        fprintf(out, "  %-28s %s", e->env, e->help);
        if (e->fallback != NULL) {
            fprintf(out, " [%s]", e->fallback);
        }
        fprintf(out, "\n");
    }
}
