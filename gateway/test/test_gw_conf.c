/* The program's environment: what is refused and how that is said; the shipped template with what
 * is good. */
#include <limits.h>
#include <sys/stat.h>

#include "gw_run_child.h"
#include "test.h"

#define ENV_MAX 40

static char dir[] = "/tmp/test_gw_conf_XXXXXX";
static run_t run;

/* A complete environment with one more variable, which wins; "NAME=" takes one away. */
static const run_t *with(const char *change)
{
    static char jwt[100];
    const char *env[ENV_MAX] = {
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "PGHOST=127.0.0.1",
        "AWS_ENDPOINT_URL=http://127.0.0.1:9000",
        "AMQP_URL_FILE=/run/secrets/amqp/url",
        jwt,
        "MEDIA_PLAY_KEY_FILE=/run/secrets/play/key",
        "MEDIA_CONF_DIR=" CONF_DIR,
    };
    size_t name = strcspn(change, "="), n = 0;

    (void)snprintf(jwt, sizeof(jwt), "MEDIA_JWT_DIR=%s", dir);
    for (; env[n] != NULL; n++) {
        if (strncmp(env[n], change, name + 1) == 0) {
            env[n] = change;
            change = "UNUSED=1";
        }
    }
    env[n] = change;
    run_gateway(&run, env, "--render");
    return &run;
}

static void refused(const char *change, const char *want)
{
    char text[400];

    (void)snprintf(text, sizeof(text), "media-gateway: %s\n", want);
    CHECK_INT(with(change)->status, 2);
    CHECK_STR(run.out, text);
}

static void test_conf_bad_values_named(void)
{
    refused("MEDIA_HTTP_PORT=http",
            "MEDIA_HTTP_PORT: \"http\" is not valid, expected a whole number "
            "from 1 to 65535");
    refused("MEDIA_OPS_PORT=8080", "MEDIA_OPS_PORT is a public port, expected one of its own");
    refused("PGHOST=",
            "PGHOST is not set, expected hosts of PostgreSQL, separated by commas; names "
            "are looked up every 30 s");
    refused("PGHOST=a b",
            "PGHOST: \"a b\" is not valid, expected one word without quotes, \\, ;, {, }, "
            "$ and #");
    refused("PGPORT=5432,x", "PGPORT: \"5432,x\" is not valid, expected a port from 1 to 65535, or "
                             "one per host");
    refused("AWS_ENDPOINT_URL=s3:9000", "AWS_ENDPOINT_URL: \"s3:9000\" is not valid, expected "
                                        "http://host[:port] or https://host[:port]");
    refused("AWS_ENDPOINT_URL=", "AWS_ENDPOINT_URL_S3 is not set, expected S3 endpoint (over "
                                 "AWS_ENDPOINT_URL)");
    refused("MEDIA_CACHE_SIZE=lots",
            "MEDIA_CACHE_SIZE: \"lots\" is not valid, expected a size (512m, "
            "2g) or off");
    refused("MEDIA_TRUSTED_PROXIES=10.0.0.0/33",
            "MEDIA_TRUSTED_PROXIES: \"10.0.0.0/33\" is not valid, "
            "expected networks (10.0.0.0/8) or IP addresses, "
            "separated by commas");
    refused("MEDIA_PROXY_PROTOCOL=1", "MEDIA_PROXY_PROTOCOL is 1 and MEDIA_TRUSTED_PROXIES is not "
                                      "set, expected the networks of those who speak it");
    refused("MEDIA_TLS_CERT_FILE=/c",
            "MEDIA_TLS_CERT_FILE and MEDIA_TLS_KEY_FILE: one is set and the "
            "other is not, expected both or none");
    refused("MEDIA_S3_CREDENTIALS=file",
            "MEDIA_S3_CREDENTIALS is \"file\" and "
            "AWS_SHARED_CREDENTIALS_FILE is not set, expected its path");
    refused("AMQP_URL_FILE=", "AMQP_URL_FILE is not set, expected a file that holds "
                              "amqp://user:pass@host:port/vhost");
    refused("AMQP_URL_FILE=url", "AMQP_URL_FILE: \"url\" is not valid, expected an absolute path "
                                 "without spaces, quotes and \\;{}$#");
}

static void test_conf_secret_not_shown(void)
{
    refused("AMQP_URL=http://user:hunter2@host", "AMQP_URL: the value is not valid, expected "
                                                 "amqp://user:pass@host:port/vhost");
}

/* No value may be more of the configuration than its place. */
static void test_conf_injection_refused(void)
{
    static const char *const bad[] = {
        "PGUSER=u' host=evil",       "PGDATABASE=a\\",          "MEDIA_S3_BUCKET=b; }",
        "MEDIA_RUN_DIR=/tmp/$x",     "MEDIA_JWT_DIR=/a#b",      "MEDIA_CORS_ORIGIN=*; allow all",
        "AWS_REGION=r\nenv PATH",    "MEDIA_LISTEN=any",        "AWS_ENDPOINT_URL=http://a/b",
        "MEDIA_MEMORY=1m; deny all", "MEDIA_USER=root; x",      "AWS_ENDPOINT_URL=http://a@b",
        "MEDIA_ROUTES_DIR=relative", "MEDIA_S3_SSE=rot13",      "MEDIA_S3_CHECKSUM=crc",
        "MEDIA_S3_ADDRESSING=other", "MEDIA_S3_CREDENTIALS=me", "MEDIA_TRUSTED_PROXIES=10.0.0.1;x",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(with(bad[i])->status, 2);
        CHECK(strstr(run.out, "is not valid, expected") != NULL);
    }
}

static void test_conf_shipped_template_filled(void)
{
    CHECK_INT(with("MEDIA_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8")->status, 0);
    CHECK(
        strstr(run.out,
               "media_pg \"host='127.0.0.1' port='5432' dbname='media' user='media_gateway'\";") !=
        NULL);
    CHECK(strstr(run.out, "    set_real_ip_from 10.0.0.0/8;\n    set_real_ip_from fd00::/8;\n"
                          "    real_ip_header X-Forwarded-For;\n") != NULL);
    CHECK(strstr(run.out, "media_auth_key HS256 ") != NULL);
    CHECK(strstr(run.out, "max_size=1g") != NULL);
    CHECK(strstr(run.out, "default media_objects;") != NULL);
    CHECK(strstr(run.out, ":8081;") != NULL);
    CHECK(strstr(run.out, "media-metrics.conf") == NULL);
    CHECK(strstr(run.out, "    ssl_certificate ") == NULL);
    CHECK(strstr(run.out, "\n@") == NULL && strstr(run.out, "    @") == NULL);
    CHECK_INT(with("MEDIA_CACHE_SIZE=off")->status, 0);
    CHECK(strstr(run.out, "default off;") != NULL);
    CHECK_INT(with("MEDIA_OPS_PORT=0")->status, 0);
    CHECK(strstr(run.out, "media-metrics.conf") != NULL);
}

static void test_conf_arguments(void)
{
    const char *const none[] = {NULL};

    run_gateway(&run, none, "--help");
    CHECK_INT(run.status, 0);
    CHECK(strstr(run.out, "MEDIA_JWT_DIR") != NULL);
    run_gateway(&run, none, "--version");
    CHECK_INT(run.status, 2);
    CHECK_INT(with("MEDIA_CONF_DIR=/nowhere")->status, 2);
    CHECK_STR(run.out, "media-gateway: /nowhere/nginx.conf.in: cannot be opened: No such file or "
                       "directory\n");
    CHECK_INT(with("MEDIA_NGINX=/bin/true")->status, 2);
    CHECK_STR(run.out, "media-gateway: /bin/true -v does not say which nginx it is\n");
    CHECK_INT(with("PGHOST=no.such.host.invalid")->status, 1);
    CHECK_STR(run.out, "media-gateway: \"no.such.host.invalid\" has no address\n");
}

int main(void)
{
    char path[PATH_MAX];
    FILE *f;

    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(path, sizeof(path), "%s/jwt-key", dir);
    f = fopen(path, "w");
    CHECK(f != NULL && fclose(f) == 0);
    test_conf_bad_values_named();
    test_conf_secret_not_shown();
    test_conf_injection_refused();
    test_conf_shipped_template_filled();
    test_conf_arguments();
    CHECK_INT(unlink(path), 0);
    CHECK_INT(rmdir(dir), 0);
    return test_report();
}
