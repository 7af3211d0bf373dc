/* wk_conf: each case runs in a child, since a bad value ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "wk_conf.h"

typedef struct {
    int status;
    char out[8192]; /* stdout and stderr */
} run_t;

static wk_conf_t conf;

/* What a child prints of its configuration, for the parent to compare. */
static void show(void)
{
    printf("endpoint=%s region=%s bucket=%s lease=%d poll=%d drain=%d uid=%d name=%s sweep=%d "
           "once=%d level=%s health=%s ttl=%d amqp=%s from=%s url=%s output=%s %s %s",
           conf.s3[MEDIA_STORE_INPUT].endpoint, conf.s3[MEDIA_STORE_INPUT].region,
           conf.s3[MEDIA_STORE_INPUT].bucket, conf.lease_s, conf.poll_s, conf.drain_s,
           conf.child_uid, conf.worker_name, conf.sweep_s, conf.once, conf.log_level,
           conf.health_addr, conf.link_ttl_s, conf.amqp_url.value, conf.mail_from, conf.public_url,
           conf.s3[MEDIA_STORE_OUTPUT].bucket, conf.s3[MEDIA_STORE_OUTPUT].prefix,
           conf.s3[MEDIA_STORE_OUTPUT].endpoint);
}

/* env: "NAME=value" strings, args: flags; both NULL-ended. */
static run_t run(const char *const *env, const char *const *args)
{
    run_t r = {-1, ""};
    char *argv[16] = {NULL};
    int argc = 1, fds[2], status;
    size_t n = 0;
    ssize_t got;
    pid_t pid;

    argv[0] = strdup("prog");
    for (; args[argc - 1] != NULL; argc++) {
        argv[argc] = strdup(args[argc - 1]);
    }
    fflush(stdout);
    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        exit(1);
    }
    if (pid == 0) {
        clearenv();
        for (; *env != NULL; env++) {
            putenv(strdup(*env));
        }
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        close(fds[0]);
        close(fds[1]);
        wk_conf_load(&conf, "prog", argc, argv);
        show();
        fflush(stdout);
        _exit(0);
    }
    close(fds[1]);
    while (n < sizeof(r.out) - 1 && (got = read(fds[0], r.out + n, sizeof(r.out) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    close(fds[0]);
    waitpid(pid, &status, 0);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
    return r;
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

#define CHECK_HAS(r, text)                                                                         \
    do {                                                                                           \
        CHECK(strstr((r).out, (text)) != NULL);                                                    \
        if (strstr((r).out, (text)) == NULL) {                                                     \
            printf("  no \"%s\" in: %s\n", (text), (r).out);                                       \
        }                                                                                          \
    } while (0)

static void test_wk_conf_nothing_set_gives_defaults(void)
{
    run_t r = run(NONE, NONE);

    CHECK_INT(r.status, 0);
    CHECK_HAS(r, "endpoint=(null) region=us-east-1 bucket=media lease=30 poll=10 drain=25 "
                 "uid=65534 name=");
    CHECK_HAS(r, "sweep=5 once=0 level=info health=127.0.0.1:0 ttl=604800 amqp=(null) "
                 "from=media@localhost url=http://127.0.0.1:8080");
}

static void test_wk_conf_flag_wins_over_environment(void)
{
    run_t r = run(ENV("MEDIA_LEASE_S=40", "MEDIA_POLL_S=3"), ENV("--lease-s", "50", "--once"));

    CHECK_INT(r.status, 0);
    CHECK_HAS(r, "lease=50 poll=3 ");
    CHECK_HAS(r, "once=1");
    r = run(NONE, ENV("--lease-s=51", "--worker-name=a b"));
    CHECK_HAS(r, "lease=51 ");
    CHECK_HAS(r, "name=a b sweep");
}

static void test_wk_conf_output_store(void)
{
    run_t r = run(ENV("MEDIA_S3_OUTPUT_BUCKET=made", "MEDIA_S3_OUTPUT_PREFIX=a/b/",
                      "MEDIA_S3_OUTPUT_ENDPOINT=http://o:1"),
                  NONE);

    CHECK_INT(r.status, 0);
    CHECK_HAS(r, "bucket=media ");
    CHECK_HAS(r, " output=made a/b/ http://o:1");
    r = run(ENV("MEDIA_S3_OUTPUT_PREFIX=a"), NONE);
    CHECK_INT(r.status, 2);
    CHECK_HAS(r, "MEDIA_S3_OUTPUT_PREFIX: \"a\" is not valid, expected folders, each ending in");
    r = run(NONE, ENV("--s3-output-endpoint", "ftp://x"));
    CHECK_INT(r.status, 2);
    CHECK_HAS(r, "--s3-output-endpoint: \"ftp://x\" is not valid");
    r = run(ENV("MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY=a\nb"), NONE);
    CHECK_INT(r.status, 2);
    CHECK(strstr(r.out, "a\nb") == NULL);
}

static void test_wk_conf_specific_endpoint_wins(void)
{
    run_t r = run(ENV("AWS_ENDPOINT_URL_S3=http://b:2", "AWS_ENDPOINT_URL=http://a:1"), NONE);

    CHECK_HAS(r, "endpoint=http://b:2 ");
    r = run(ENV("AWS_ENDPOINT_URL=http://a:1", "AWS_ENDPOINT_URL_S3="), NONE);
    CHECK_HAS(r, "endpoint=http://a:1 ");
}

static void test_wk_conf_bad_values_exit_2_and_are_named(void)
{
    static const struct {
        const char *env;
        const char *said;
    } bad[] = {
        {"MEDIA_LEASE_S=abc",
         "MEDIA_LEASE_S: \"abc\" is not valid, expected a whole number from 3"},
        {"MEDIA_LEASE_S=2", "expected a whole number from 3 to 3600"},
        {"MEDIA_LEASE_S=-5", "MEDIA_LEASE_S"},
        {"MEDIA_LEASE_S=99999999999999999999", "MEDIA_LEASE_S"},
        {"MEDIA_LEASE_S=30 ", "MEDIA_LEASE_S"},
        {"MEDIA_CHILD_UID=0", "MEDIA_CHILD_UID"},
        {"MEDIA_LOG_LEVEL=loud", "debug, info, warn or error"},
        {"MEDIA_HEALTH_ADDR=127.0.0.1", "host:port"},
        {"MEDIA_HEALTH_ADDR=127.0.0.1:70000", "host:port"},
        {"MEDIA_HEALTH_ADDR=:80", "host:port"},
        {"MEDIA_TMPDIR=tmp", "an absolute path"},
        {"MEDIA_MAIL_FROM=a b@c", "one plain address"},
        {"MEDIA_MAIL_FROM=a@b\r\nBcc: x@y", "one plain address"},
        {"MEDIA_PUBLIC_URL=ftp://x", "http://host:port"},
        {"AWS_ENDPOINT_URL=minio:9000", "AWS_ENDPOINT_URL: the value is not valid"},
        {"MEDIA_S3_CREDENTIALS=ec2", "env, file, web_identity, ecs or imds"},
        {"MEDIA_S3_ADDRESSING=host", "path or virtual"},
        {"MEDIA_S3_CHECKSUM=md5", "sha256, crc64nvme or none"},
        {"MEDIA_S3_SSE=aes", "AES256 or aws:kms"},
        {"AWS_CA_BUNDLE=ca.pem", "an absolute path"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        run_t r = run(ENV(bad[i].env), NONE);
        CHECK_INT(r.status, 2);
        CHECK_HAS(r, bad[i].said);
    }
}

static void test_wk_conf_bad_flags_exit_2(void)
{
    CHECK_INT(run(NONE, ENV("--nope", "1")).status, 2);
    CHECK_INT(run(NONE, ENV("--lease-s")).status, 2);
    CHECK_INT(run(NONE, ENV("--once=1")).status, 2);
    CHECK_INT(run(NONE, ENV("lease-s", "5")).status, 2);
    CHECK_INT(run(NONE, ENV("--")).status, 2);
    CHECK_INT(run(NONE, ENV("--lease", "30")).status, 2);
    CHECK_HAS(run(NONE, ENV("--lease-s", "x")), "--lease-s: \"x\" is not valid");
}

static void test_wk_conf_secrets_are_no_flags_and_never_shown(void)
{
    static const char *const secrets[] = {
        "AMQP_URL=http://u:hunter2@h", "MEDIA_SMTP_URL=x:hunter2@h",
        "AWS_SECRET_ACCESS_KEY=hunter2\n", "AWS_ENDPOINT_URL=hunter2"};
    static const char *const flags[] = {"--amqp-url=hunter2", "--aws-secret-access-key=hunter2",
                                        "--s3-secret-key=hunter2", "--smtp-url=hunter2",
                                        "--pgpassword=hunter2"};

    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        run_t r = run(ENV(secrets[i]), NONE);
        CHECK_INT(r.status, 2);
        CHECK(strstr(r.out, "hunter2") == NULL);
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        run_t r = run(NONE, ENV(flags[i]));
        CHECK_INT(r.status, 2);
        CHECK_HAS(r, "unknown flag");
        CHECK(strstr(r.out, "hunter2") == NULL);
    }
}

static void test_wk_conf_secret_comes_from_one_place(void)
{
    run_t r = run(ENV("AMQP_URL_FILE=/run/secrets/url", "MEDIA_SMTP_URL_FILE=/s"), NONE);

    CHECK_INT(r.status, 0);
    CHECK_HAS(r, "amqp=(null) ");
    r = run(ENV("AMQP_URL=amqp://u:hunter2@h/", "AMQP_URL_FILE=/run/secrets/url"), NONE);
    CHECK_INT(r.status, 2);
    CHECK_HAS(r, "AMQP_URL and AMQP_URL_FILE are both set");
    CHECK(strstr(r.out, "hunter2") == NULL);
    r = run(ENV("AMQP_URL=amqp://u:hunter2@h/"), ENV("--amqp-url-file=/x"));
    CHECK_INT(r.status, 2);
    r = run(ENV("MEDIA_SMTP_URL=smtp://u:hunter2@h"), ENV("--smtp-url-file", "/x"));
    CHECK_INT(r.status, 2);
    CHECK_HAS(r, "MEDIA_SMTP_URL and MEDIA_SMTP_URL_FILE are both set");
    CHECK_INT(run(ENV("AMQP_URL_FILE=url"), NONE).status, 2);
}

static void test_wk_conf_help_lists_all_and_exits_0(void)
{
    run_t r = run(ENV("AMQP_URL=amqp://u:hunter2@h/"), ENV("--help"));

    CHECK_INT(r.status, 0);
    CHECK_HAS(r, "--lease-s, MEDIA_LEASE_S");
    CHECK_HAS(r, "AWS_SECRET_ACCESS_KEY");
    CHECK_HAS(r, "--once");
    CHECK_HAS(r, "PGHOST");
    CHECK(strstr(r.out, "hunter2") == NULL);
}

int main(void)
{
    test_wk_conf_nothing_set_gives_defaults();
    test_wk_conf_flag_wins_over_environment();
    test_wk_conf_output_store();
    test_wk_conf_specific_endpoint_wins();
    test_wk_conf_bad_values_exit_2_and_are_named();
    test_wk_conf_bad_flags_exit_2();
    test_wk_conf_secrets_are_no_flags_and_never_shown();
    test_wk_conf_secret_comes_from_one_place();
    test_wk_conf_help_lists_all_and_exits_0();
    return test_report();
}
