/* wk_cred: keys of a configuration, of a file that changes, of services that answer, stall, or hand
 * out what is over. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/stat.h>

#include "fake_s3.h"
#include "test.h"
#include "wk_cred.h"
#include "wk_log.h"

static wk_conf_t conf;
static media_s3_cred_t cred;
static media_err_t ei;
static fake_s3_t *fake;
static char text[8][300];

static const char *in_seconds(int s)
{
    static char t[2][32];
    static int i;

    i ^= 1;
    (void)media_rfc3339((wk_now_ms() / 1000 + s) * 1000, t[i], sizeof(t[i]));
    return t[i];
}

static const char *keys(int slot, const char *key, int seconds)
{
    return wk_fmt(text[slot], sizeof(text[slot]),
                  "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                  "\"Expiration\":\"%s\"}",
                  key, in_seconds(seconds));
}

static void clear_env(void)
{
    static const char *const names[] = {
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ENDPOINT_URL_STS",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_PROFILE",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unsetenv(names[i]);
    }
    conf = (wk_conf_t){.s3[MEDIA_STORE_INPUT].region = "us-east-1",
                       .s3[MEDIA_STORE_INPUT].bucket = "media"};
    memset(&cred, 0, sizeof(cred));
    ei.text[0] = '\0';
}

/* The environment names the scripted server by this variable. */
static wk_cred_t *begin(const fake_s3_step_t *script, int steps, const char *variable,
                        const char *path)
{
    char url[64];

    fake = fake_s3_start(script, steps);
    (void)setenv(variable, wk_fmt(url, sizeof(url), "http://127.0.0.1:%d%s", fake->port, path), 1);
    return wk_cred_new(&conf, MEDIA_STORE_INPUT);
}

static void end(wk_cred_t *c, int requests)
{
    fake_s3_end(fake);
    CHECK_INT(fake->requests, requests);
    wk_cred_unref(c);
    fake_s3_free(fake);
}

#define STEPS(script) script, (int)(sizeof(script) / sizeof(script[0]))

static void test_wk_cred_of_the_configuration(void)
{
    wk_cred_t *c;

    clear_env();
    conf.s3[MEDIA_STORE_INPUT].access_key = "AK";
    conf.s3[MEDIA_STORE_INPUT].secret_key = "SK";
    conf.s3[MEDIA_STORE_INPUT].session_token = "ST";
    c = wk_cred_new(&conf, MEDIA_STORE_INPUT);
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "AK");
    CHECK_STR(cred.secret_key, "SK");
    CHECK_STR(cred.session_token, "ST");
    wk_cred_unref(c);
    conf.s3[MEDIA_STORE_INPUT].secret_key = NULL;
    c = wk_cred_new(&conf, MEDIA_STORE_INPUT);
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_AUTH);
    CHECK(strstr(ei.text, "AWS_SECRET_ACCESS_KEY must be set") != NULL);
    wk_cred_unref(c);
    clear_env();
    c = wk_cred_new(&conf, MEDIA_STORE_INPUT);
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_AUTH);
    CHECK_STR(ei.text, "no S3 credentials: the environment names no credentials");
    wk_cred_unref(c);
}

static void write_file(const char *path, const char *content)
{
    char fresh[64];
    FILE *f = fopen(wk_fmt(fresh, sizeof(fresh), "%s.new", path), "w");

    CHECK(f != NULL && fputs(content, f) >= 0 && fclose(f) == 0);
    CHECK_INT(rename(fresh, path), 0);
}

static void test_wk_cred_of_a_file_follows_it(void)
{
    char path[] = "/tmp/wk-cred-XXXXXX";
    wk_cred_t *c, *other;

    clear_env();
    (void)close(mkstemp(path));
    write_file(path, "[default]\naws_access_key_id=A1\naws_secret_access_key=S1\n");
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    c = wk_cred_new(&conf, MEDIA_STORE_INPUT);
    other = wk_cred_ref(c);
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "A1");
    write_file(path, "[default]\naws_access_key_id=A2\naws_secret_access_key=S2\n");
    CHECK_INT(wk_cred_get(other, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "A2");
    write_file(path, "[default]\naws_access_key_id=A3\n");
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "A2");
    (void)unlink(path);
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "A2");
    wk_cred_unref(other);
    wk_cred_unref(c);
    c = wk_cred_new(&conf, MEDIA_STORE_INPUT);
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "cannot be read") != NULL);
    wk_cred_unref(c);
}

static void test_wk_cred_of_ec2_is_asked_once(void)
{
    const fake_s3_step_t script[] = {
        {200, "session", 0}, {200, "role", 0}, {200, keys(0, "AK", 3600), 0}};
    wk_cred_t *c;

    clear_env();
    conf.s3[MEDIA_STORE_INPUT].credentials = "imds";
    c = begin(STEPS(script), "AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "AK");
    CHECK_STR(cred.session_token, "T");
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[0], "PUT /latest/api/token HTTP/1.1\r\n", 32) == 0);
    CHECK(strstr(fake->head[2], "security-credentials/role HTTP/1.1\r\n") != NULL);
    CHECK(strstr(fake->head[2], "\r\nx-aws-ec2-metadata-token: session\r\n") != NULL);
    end(c, 3);
}

static void test_wk_cred_of_sts_posts_its_token(void)
{
    static const char answer[] =
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        "<AccessKeyId>AK</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"
        "<SessionToken>T</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    const fake_s3_step_t script[] = {{200, answer, 0}};
    char path[] = "/tmp/wk-cred-XXXXXX";
    wk_cred_t *c;

    clear_env();
    (void)close(mkstemp(path));
    write_file(path, "the.web.token\n");
    (void)setenv("AWS_ROLE_ARN", "arn:r", 1);
    (void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    c = begin(STEPS(script), "AWS_ENDPOINT_URL_STS", "");
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.session_token, "T");
    fake_s3_end(fake);
    CHECK(strncmp(fake->head[0], "POST / HTTP/1.1\r\n", 17) == 0);
    CHECK_STR(fake->body[0], "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar"
                             "&RoleSessionName=ngx_media&WebIdentityToken=the.web.token");
    end(c, 1);
    (void)unlink(path);
}

static void test_wk_cred_is_renewed_before_its_end(void)
{
    /* due at once, since a quarter of a short life is its margin; then garbage: the old ones last
     */
    const fake_s3_step_t script[] = {
        {200, keys(0, "A1", 3), 0}, {200, keys(1, "A2", 7), 0}, {200, "<garbage>", 0}};
    int64_t until_ms;
    wk_cred_t *c;
    int rc = 0;

    clear_env();
    c = begin(STEPS(script), "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/keys");
    CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
    CHECK_STR(cred.access_key, "A1");
    until_ms = wk_mono_ms() + 20000;
    while (rc == 0 && strcmp(cred.access_key, "A1") == 0 && wk_mono_ms() < until_ms) {
        (void)usleep(20000);
        rc = wk_cred_get(c, &cred, &ei);
    }
    CHECK_INT(rc, 0);
    CHECK_STR(cred.access_key, "A2");
    while (rc == 0 && wk_mono_ms() < until_ms) {
        (void)usleep(20000);
        rc = wk_cred_get(c, &cred, &ei);
    }
    CHECK_INT(rc, MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "no S3 credentials: ") != NULL);
    end(c, 3);
}

static void test_wk_cred_failures_end_in_time(void)
{
    const fake_s3_step_t script[] = {{-1, "", 0}};
    const fake_s3_step_t refused[] = {{403, "no", 0}};
    int64_t began_ms;
    wk_cred_t *c;

    clear_env();
    c = begin(STEPS(script), "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/keys");
    began_ms = wk_mono_ms();
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "does not answer") != NULL);
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_RETRY); /* without asking again so soon */
    CHECK(wk_mono_ms() - began_ms < 6000);
    end(c, 1);
    c = begin(STEPS(refused), "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/keys");
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_RETRY);
    CHECK_STR(ei.text, "no S3 credentials: the answer has status 403");
    end(c, 1);
}

int main(void)
{
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    test_wk_cred_of_the_configuration();
    test_wk_cred_of_a_file_follows_it();
    test_wk_cred_of_ec2_is_asked_once();
    test_wk_cred_of_sts_posts_its_token();
    test_wk_cred_is_renewed_before_its_end();
    test_wk_cred_failures_end_in_time();
    return test_report();
}
