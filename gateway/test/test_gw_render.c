/* gw_render: lines made of values; the shipped template is filled by test_gw_conf. */
#include "gw_render.h"
#include "test.h"

static const gw_machine_t old_nginx = {.nginx_version = 1022001, .cpus = 2, .has_ipv6 = 1};
static const gw_machine_t new_nginx = {.nginx_version = 1026003, .cpus = 2, .has_ipv6 = 0};

static gw_conf_t base(void)
{
    gw_conf_t c = {
        .http_port = 8080,
        .https_port = 8443,
        .pg_host = "a,10.0.0.9",
        .pg_port = "5432,5433",
        .pg_database = "media",
        .pg_user = "u",
        .s3_endpoint = "https://s3.test",
        .s3_region = "r",
        .s3_bucket = "b",
        .run_dir = "/run",
        .cache_size = "1g",
    };

    return c;
}

static const char *listen_text(const gw_conf_t *c, const gw_machine_t *m)
{
    static char text[1000];
    media_buf_t out;

    media_buf_init(&out, sizeof(text) - 1);
    CHECK_INT(gw_render_listen(c, m, &out), 0);
    (void)snprintf(text, sizeof(text), "%s", out.p);
    media_buf_free(&out);
    return text;
}

static void test_render_listen_as_the_version_wants_it(void)
{
    gw_conf_t c = base();

    CHECK_STR(listen_text(&c, &old_nginx), "listen 0.0.0.0:8080;\nlisten [::]:8080;\n");
    CHECK_STR(listen_text(&c, &new_nginx), "listen 0.0.0.0:8080;\nhttp2 on;\n");
    c.tls_cert = "/c";
    c.listen = "127.0.0.1, ::1";
    c.proxy_protocol = 1;
    c.h2c_port = 8082;
    CHECK_STR(
        listen_text(&c, &old_nginx),
        "listen 127.0.0.1:8080 proxy_protocol;\nlisten [::1]:8080 proxy_protocol;\n"
        "listen 127.0.0.1:8082 http2 proxy_protocol;\nlisten [::1]:8082 http2 proxy_protocol;\n"
        "listen 127.0.0.1:8443 ssl http2 proxy_protocol;\n"
        "listen [::1]:8443 ssl http2 proxy_protocol;\n");
    c.listen = "127.0.0.1";
    CHECK_STR(listen_text(&c, &new_nginx),
              "listen 127.0.0.1:8080 proxy_protocol;\nlisten 127.0.0.1:8082 proxy_protocol;\n"
              "listen 127.0.0.1:8443 ssl proxy_protocol;\nhttp2 on;\n");
}

/* What a template makes of the values. */
static const char *filled(const char *template, const gw_conf_t *c, const gw_names_t *names)
{
    static char text[4000];
    media_buf_t out;
    media_err_t ei = {""};

    media_buf_init(&out, sizeof(text) - 1);
    CHECK_INT(gw_render(media_str(template), c, &old_nginx, names, MEDIA_STR("k;\n"), 0, &out, &ei),
              0);
    (void)snprintf(text, sizeof(text), "%s", out.p);
    media_buf_free(&out);
    return text;
}

static void addresses(gw_name_t *name, const char *a, const char *b)
{
    gw_addrs_t addrs = {0};

    gw_addrs_add(&addrs, a);
    gw_addrs_add(&addrs, b);
    gw_name_answer(name, &addrs, 0);
    gw_name_use(name);
}

static void test_render_pg_address_per_host(void)
{
    gw_conf_t c = base();
    gw_names_t names;
    media_err_t ei;

    c.pg_sslmode = "verify-full";
    c.pg_password_file = "/secret";
    CHECK_INT(gw_names_init(&names, &c, 0, &ei), 0);
    CHECK_INT(names.pg_count, 2);
    CHECK_INT(names.count, 3);
    CHECK_STR(names.name[2].host, "s3.test");
    addresses(&names.name[0], "10.0.0.1", "fd00::2");
    addresses(&names.name[2], "10.1.0.1", "fd00::3");
    CHECK_STR(filled("@PG@", &c, &names),
              "host='a,a,10.0.0.9' hostaddr='10.0.0.1,fd00::2,10.0.0.9' port='5432,5432,5433' "
              "dbname='media' user='u' sslmode='verify-full' passfile='/run/pgpass'");
    CHECK_STR(filled("@S3_SERVERS@\n", &c, &names),
              "server 10.1.0.1:443;\nserver [fd00::3]:443;\n");
    CHECK_STR(filled("@S3@\n", &c, &names),
              "media_s3_endpoint https://s3.test address=10.1.0.1 address=fd00::3;\n"
              "media_s3_bucket b;\nmedia_s3_region r;\n");
    c.pg_host = "10.0.0.9";
    c.s3_endpoint = "http://[::1]:9000/";
    CHECK_INT(gw_names_init(&names, &c, 0, &ei), 0);
    CHECK_STR(filled("@PG@", &c, &names), "host='10.0.0.9' port='5432' dbname='media' user='u' "
                                          "sslmode='verify-full' passfile='/run/pgpass'");
    CHECK_STR(filled("@S3_SERVERS@\n", &c, &names), "server [::1]:9000;\n");
    c.pg_host = "/run/postgresql,db";
    CHECK_INT(gw_names_init(&names, &c, 0, &ei), 0);
    addresses(&names.name[1], "10.0.0.1", "10.0.0.1");
    CHECK(strstr(filled("@PG@", &c, &names), "host='/run/postgresql,db' hostaddr=',10.0.0.1'") !=
          NULL);
}

static void test_render_too_many_hosts_refused(void)
{
    gw_conf_t c = base();
    gw_names_t names;
    media_err_t ei;

    c.pg_host = "a,b,c,d,e,f,g,h,i";
    CHECK(gw_names_init(&names, &c, 0, &ei) != 0);
    CHECK_STR(ei.text, "PGHOST: more than 8 hosts");
    c.pg_host = "a,,b";
    CHECK(gw_names_init(&names, &c, 0, &ei) != 0);
}

static void test_render_stores_and_encryption(void)
{
    gw_conf_t c = base();
    gw_names_t names;
    media_err_t ei;

    c.s3_credentials = "file";
    c.s3_credentials_file = "/keys";
    c.s3_profile = "p";
    c.s3_sse = "aws:kms";
    c.s3_sse_key = "id";
    c.s3_sse_bucket_key = 1;
    c.s3_out_endpoint = "http://out:9000";
    c.s3_ca = "/ca";
    CHECK_INT(gw_names_init(&names, &c, 0, &ei), 0);
    CHECK_INT(names.count, 4);
    CHECK_STR(filled("@S3@\n", &c, &names),
              "media_s3_endpoint https://s3.test;\nmedia_s3_bucket b;\nmedia_s3_region r;\n"
              "media_s3_credentials file /keys p;\nmedia_s3_trusted_certificate /ca;\n"
              "media_s3_sse aws:kms key=id bucket_key;\nmedia_s3_output_endpoint http://out:9000;\n"
              "media_s3_output_trusted_certificate /ca;\n");
}

int main(void)
{
    test_render_listen_as_the_version_wants_it();
    test_render_pg_address_per_host();
    test_render_too_many_hosts_refused();
    test_render_stores_and_encryption();
    return test_report();
}
