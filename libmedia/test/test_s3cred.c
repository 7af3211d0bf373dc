/* s3cred.c and s3source.c: files, documents, the choice of a source, exchanges over HTTP. */
#include "media/s3cred.h"

#include "test.h"

#define NOW 1369353600 /* 2013-05-24T00:00:00Z */
#define LATER "2013-05-24T01:00:00Z"

static media_s3_cred_t cred;
static media_err_t ei;

static int ini(const char *text, const char *profile)
{
    return media_s3_cred_ini(media_str(text), media_str(profile), &cred, &ei);
}

static void test_s3cred_ini_takes_the_profile(void)
{
    static const char *const text = "# mine\n"
                                    "[default]\r\n"
                                    "aws_access_key_id = AK1\r\n"
                                    "aws_secret_access_key=S/1=\r\n"
                                    "\n"
                                    "[ work ]\n"
                                    "; a comment\n"
                                    "AWS_ACCESS_KEY_ID =AK2\n"
                                    "s3 =\n"
                                    "  aws_secret_access_key = nested\n"
                                    "no setting at all\n"
                                    "aws_secret_access_key\t= S2\n"
                                    "aws_session_token = T2\n"
                                    "[default]\n"
                                    "region = eu-west-1\n"
                                    "[work]\n"
                                    "aws_secret_access_key = S3";

    CHECK_INT(ini(text, "default"), 0);
    CHECK_STR(cred.access_key, "AK1");
    CHECK_STR(cred.secret_key, "S/1=");
    CHECK_STR(cred.session_token, "");
    CHECK_INT(cred.expires_at_s, 0);
    CHECK_INT(ini(text, "work"), 0);
    CHECK_STR(cred.access_key, "AK2");
    CHECK_STR(cred.secret_key, "S3");
    CHECK_STR(cred.session_token, "T2");
    CHECK_INT(ini(text, "other"), MEDIA_E_GONE);
    CHECK_STR(ei.text, "there is no profile \"other\"");
    CHECK_INT(ini("", "default"), MEDIA_E_GONE);
}

static void test_s3cred_ini_refuses_half_and_broken_ones(void)
{
    CHECK_INT(ini("[default]\naws_access_key_id = AK\n", "default"), MEDIA_E_REJECT);
    CHECK_INT(ini("[default]\naws_secret_access_key = S\n", "default"), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "the profile lacks aws_access_key_id or aws_secret_access_key");
    CHECK_INT(ini("[default]\naws_access_key_id =\n", "default"), MEDIA_E_REJECT);
    CHECK_INT(ini("[default]\n\naws_secret_access_key = top secret\n", "default"), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "the value in line 3 is of no use");
    CHECK_STR(cred.secret_key, "");
    CHECK_INT(ini("[default]\naws_session_token = a\rb\n", "default"), MEDIA_E_REJECT);
    CHECK_INT(ini("[default]\naws_session_token = \xc3\xa9\n", "default"), MEDIA_E_REJECT);
}

static int json(const char *text)
{
    return media_s3_cred_json(media_str(text), NOW, &cred, &ei);
}

static void test_s3cred_json_of_ec2_and_ecs(void)
{
    CHECK_INT(json("{\"Code\":\"Success\",\"LastUpdated\":\"2013-05-23T23:00:00Z\","
                   "\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\","
                   "\"Token\":\"T\",\"Expiration\":\"" LATER "\"}"),
              0);
    CHECK_STR(cred.access_key, "AK");
    CHECK_STR(cred.secret_key, "S");
    CHECK_STR(cred.session_token, "T");
    CHECK_INT(cred.expires_at_s, NOW + 3600);
    CHECK_INT(json("{\"RoleArn\":\"arn\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\","
                   "\"Token\":null,\"Expiration\":\"" LATER "\"}"),
              0);
    CHECK_STR(cred.session_token, "");
}

static void test_s3cred_json_refuses_what_is_no_credentials(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "<html>",
        "{}",
        "{\"Code\":\"Failed\",\"Message\":\"no\"}",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Token\":\"T\"}",
        "{\"AccessKeyId\":\"AK\",\"Token\":\"T\",\"Expiration\":\"" LATER "\"}",
        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"S\",\"Expiration\":\"" LATER "\"}",
        "{\"AccessKeyId\":\"A\\r\\nK\",\"SecretAccessKey\":\"S\",\"Expiration\":\"" LATER "\"}",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Expiration\":\"tomorrow\"}",
        "{\"AccessKeyId\":\"AK\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Expiration\":"
        "\"" LATER "\"}",
        "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Token\":\"T\",\"Expiration\":"
        "\"2013-05-24T00:00:00Z\"}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ei.text[0] = '\0';
        CHECK_INT(json(bad[i]), MEDIA_E_REJECT);
        CHECK(ei.text[0] != '\0');
        CHECK_STR(cred.secret_key, "");
    }
    CHECK_STR(ei.text, "the metadata service gave credentials that are over");
}

#define STS(name, inner)                                                                           \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" name                                           \
    "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" name "Result>" inner          \
    "</" name "Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></" name        \
    "Response>"
#define KEYS                                                                                       \
    "<AssumedRoleUser><Arn>a</Arn><AssumeRoleId>AccessKeyId</AssumeRoleId></AssumedRoleUser>"      \
    "<Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>S&amp;1</SecretAccessKey>"         \
    "<SessionToken>T==</SessionToken>"

static int sts(const char *text)
{
    return media_s3_cred_sts(media_str(text), NOW, &cred, &ei);
}

static void test_s3cred_sts_answers(void)
{
    CHECK_INT(sts(STS("AssumeRoleWithWebIdentity",
                      KEYS "<Expiration>" LATER "</Expiration></Credentials>")),
              0);
    CHECK_STR(cred.access_key, "AK");
    CHECK_STR(cred.secret_key, "S&1");
    CHECK_STR(cred.session_token, "T==");
    CHECK_INT(cred.expires_at_s, NOW + 3600);
    CHECK_INT(sts(STS("AssumeRole", KEYS "</Credentials>")), MEDIA_E_REJECT);
    CHECK_INT(sts(STS("AssumeRole", "")), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "STS gave no credentials");
    CHECK_INT(sts("<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>"
                  "<Message>m</Message></Error></ErrorResponse>"),
              MEDIA_E_REJECT);
    CHECK_STR(ei.text, "STS answered ExpiredToken");
    CHECK_INT(sts("nonsense"), MEDIA_E_REJECT);
    CHECK_INT(sts("<Credentials><AccessKeyId>A K</AccessKeyId></Credentials>"), MEDIA_E_REJECT);
    CHECK_STR(cred.access_key, "");
}

static void test_s3cred_renew_at_leaves_a_margin(void)
{
    media_s3_cred_t c = {.expires_at_s = 0};

    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 7), 0);
    c.expires_at_s = NOW + 3600;
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 0), NOW + 2700);
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 450), NOW + 2250);
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 451), NOW + 2700);
    c.expires_at_s = NOW + 43200;
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 0), NOW + 42300);
    c.expires_at_s = NOW + 3;
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 0xffffffff), NOW + 3);
    c.expires_at_s = NOW - 3;
    CHECK_INT(media_s3_cred_renew_at(&c, NOW, 0), NOW);
}

/* ---- sources ---- */

static const char *const *env_table; /* name, value, ..., NULL */

static char *get(const char *name)
{
    for (size_t i = 0; env_table[i] != NULL; i += 2) {
        if (strcmp(env_table[i], name) == 0) {
            return (char *)env_table[i + 1];
        }
    }
    return NULL;
}

static media_s3_source_t source;

#define LOAD(kind, ...)                                                                            \
    (env_table = (const char *const[]){__VA_ARGS__, NULL}, memset(&source, 0, sizeof(source)),     \
     ei.text[0] = '\0', media_s3_source_load(&source, kind, MEDIA_STR("eu-west-1"), get, &ei))

static int is(media_str_t s, const char *want)
{
    return media_str_eq(s, media_str(want));
}

static void test_s3source_chain_goes_by_the_environment(void)
{
    CHECK_INT(LOAD(-1, "HOME", "/root"), MEDIA_E_GONE);
    CHECK_INT(LOAD(-1, "AWS_ACCESS_KEY_ID", "AK", "AWS_SECRET_ACCESS_KEY", "S", "AWS_SESSION_TOKEN",
                   "T", "AWS_ROLE_ARN", "r", "AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
              0);
    CHECK_INT(source.kind, MEDIA_S3_SOURCE_ENV);
    CHECK(is(source.fixed.access_key, "AK") && is(source.fixed.secret_key, "S"));
    CHECK(is(source.fixed.session_token, "T"));
    CHECK_INT(LOAD(-1, "AWS_ACCESS_KEY_ID", "", "AWS_ROLE_ARN", "r", "AWS_WEB_IDENTITY_TOKEN_FILE",
                   "/t", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"),
              0);
    CHECK_INT(source.kind, MEDIA_S3_SOURCE_WEB_IDENTITY);
    CHECK(is(source.host, "sts.eu-west-1.amazonaws.com") && source.tls && source.path.len == 0);
    CHECK(is(source.session, "ngx_media") && is(source.role, "r") && is(source.file, "/t"));
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x?id=1",
                   "AWS_SHARED_CREDENTIALS_FILE", "/f"),
              0);
    CHECK_INT(source.kind, MEDIA_S3_SOURCE_ECS);
    CHECK(is(source.host, "169.254.170.2") && is(source.path, "/v2/x?id=1") && !source.tls);
    CHECK_INT(LOAD(-1, "AWS_SHARED_CREDENTIALS_FILE", "/f", "AWS_PROFILE", "p"), 0);
    CHECK_INT(source.kind, MEDIA_S3_SOURCE_FILE);
    CHECK(is(source.file, "/f") && is(source.profile, "p"));
}

static void test_s3source_by_name(void)
{
    CHECK_INT(media_s3_source_parse(MEDIA_STR("imds")), MEDIA_S3_SOURCE_IMDS);
    CHECK_INT(media_s3_source_parse(MEDIA_STR("web_identity")), MEDIA_S3_SOURCE_WEB_IDENTITY);
    CHECK_INT(media_s3_source_parse(MEDIA_STR("auto")), -1);
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "HOME", ""), 0);
    CHECK(is(source.host, "169.254.169.254") && source.path.len == 0);
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                   "http://[fd00:ec2::254]:80/base/"),
              0);
    CHECK(is(source.host, "[fd00:ec2::254]:80") && is(source.path, "/base"));
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_FILE, "AWS_SHARED_CREDENTIALS_FILE", "/f"), 0);
    CHECK(is(source.profile, "default"));
    env_table = (const char *const[]){NULL};
    source = (media_s3_source_t){.file = MEDIA_STR("/given"), .profile = MEDIA_STR("p")};
    CHECK_INT(media_s3_source_load(&source, MEDIA_S3_SOURCE_FILE, MEDIA_STR("r"), get, &ei), 0);
    CHECK(is(source.file, "/given") && is(source.profile, "p"));
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_WEB_IDENTITY, "AWS_ROLE_ARN", "r", "AWS_WEB_IDENTITY_TOKEN_FILE",
                   "/t", "AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9000", "AWS_ROLE_SESSION_NAME",
                   "me"),
              0);
    CHECK(is(source.host, "127.0.0.1:9000") && !source.tls && is(source.session, "me"));
}

static void test_s3source_wrong_environment_is_named(void)
{
    CHECK_INT(LOAD(-1, "AWS_ACCESS_KEY_ID", "AK"), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set");
    CHECK_INT(LOAD(-1, "AWS_ACCESS_KEY_ID", "AK", "AWS_SECRET_ACCESS_KEY", "s3cr\nt"),
              MEDIA_E_REJECT);
    CHECK(strstr(ei.text, "s3cr") == NULL);
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_WEB_IDENTITY, "AWS_ROLE_ARN", "r"), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN must be set");
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_ECS, "HOME", "/"), MEDIA_E_REJECT);
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_FILE, "HOME", "/"), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "AWS_SHARED_CREDENTIALS_FILE must be set");
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254"),
              MEDIA_E_REJECT);
    CHECK_STR(ei.text, "AWS_EC2_METADATA_SERVICE_ENDPOINT is no http:// or https:// URL");
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://a@b/"),
              MEDIA_E_REJECT);
}

static void test_s3source_ecs_keys_stay_near(void)
{
    static const char *const near[] = {"http://127.0.0.1/x",
                                       "http://127.8.8.8:81/x",
                                       "http://localhost:8080/x",
                                       "http://[::1]:8080/x",
                                       "http://169.254.170.23/v1/credentials",
                                       "http://[fd00:ec2::23]/v1/credentials",
                                       "https://keys.example.org/x"};
    static const char *const far[] = {"http://keys.example.org/x", "http://127.example.org/x",
                                      "http://localhost.example.org/x", "http://169.254.170.21/x",
                                      "http://169.254.170.2.example.org/"};

    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_FULL_URI", near[i]), 0);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_FULL_URI", far[i]), MEDIA_E_REJECT);
        CHECK(strstr(ei.text, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL);
    }
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil/x"), MEDIA_E_REJECT);
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".evil.org/x"), MEDIA_E_REJECT);
}

/* ---- exchanges ---- */

static media_s3_exchange_t x;

static int next(const char *secret)
{
    ei.text[0] = '\0';
    return media_s3_exchange_next(&x, media_str(secret), &ei);
}

static int answer(int status, const char *body)
{
    return media_s3_exchange_answer(&x, status, media_str(body), NOW, &cred, &ei);
}

#define IMDS_KEYS                                                                                  \
    "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"S\",\"Token\":\"T\",\"Expiration\":\"" LATER    \
    "\"}"

static void test_s3source_imds_is_three_requests(void)
{
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "HOME", ""), 0);
    media_s3_exchange_init(&x, &source);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.method, "PUT");
    CHECK_STR(x.target, "/latest/api/token");
    CHECK_STR(x.header, "x-aws-ec2-metadata-token-ttl-seconds: 21600");
    CHECK_INT(answer(200, "AQAE==\n"), MEDIA_E_AGAIN);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.method, "GET");
    CHECK_STR(x.target, "/latest/meta-data/iam/security-credentials/");
    CHECK_STR(x.header, "x-aws-ec2-metadata-token: AQAE==");
    CHECK_INT(answer(200, "my-role/1"), MEDIA_E_AGAIN);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.target, "/latest/meta-data/iam/security-credentials/my-role%2F1");
    CHECK_STR(x.header, "x-aws-ec2-metadata-token: AQAE==");
    CHECK_INT(answer(200, IMDS_KEYS), 0);
    CHECK_STR(cred.access_key, "AK");
    media_s3_exchange_free(&x);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.method, "PUT");
}

static void test_s3source_imds_garbage_is_refused(void)
{
    CHECK_INT(LOAD(MEDIA_S3_SOURCE_IMDS, "HOME", ""), 0);
    media_s3_exchange_init(&x, &source);
    CHECK_INT(next(""), 0);
    CHECK_INT(answer(200, ""), MEDIA_E_REJECT);
    CHECK_INT(answer(200, "a\r\nx-evil: 1"), MEDIA_E_REJECT);
    CHECK_INT(answer(404, ""), MEDIA_E_RETRY);
    CHECK_INT(answer(403, ""), MEDIA_E_AUTH);
    CHECK_INT(answer(200, "token"), MEDIA_E_AGAIN);
    CHECK_INT(next(""), 0);
    CHECK_INT(answer(200, "<html> a role </html>"), MEDIA_E_REJECT);
    CHECK_INT(answer(200, "role"), MEDIA_E_AGAIN);
    CHECK_INT(next(""), 0);
    CHECK_INT(answer(200, "{\"Code\":\"Failed\"}"), MEDIA_E_REJECT);
    CHECK_INT(answer(500, IMDS_KEYS), MEDIA_E_RETRY);
}

static void test_s3source_ecs_sends_its_authorization(void)
{
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1"), 0);
    media_s3_exchange_init(&x, &source);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.method, "GET");
    CHECK_STR(x.target, "/");
    CHECK_STR(x.header, "");
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/c",
                   "AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok"),
              0);
    CHECK_INT(next(""), 0);
    CHECK_STR(x.target, "/c");
    CHECK_STR(x.header, "authorization: tok");
    CHECK_INT(LOAD(-1, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/c",
                   "AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok",
                   "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/f"),
              0);
    CHECK_INT(next("newer\n"), 0);
    CHECK_STR(x.header, "authorization: newer");
    CHECK_INT(next(""), MEDIA_E_REJECT);
    CHECK_INT(next("a\nb: c"), MEDIA_E_REJECT);
    CHECK_INT(answer(200, IMDS_KEYS), 0);
}

static void test_s3source_web_identity_posts_a_form(void)
{
    static char big[MEDIA_S3_CRED_FILE_MAX];

    CHECK_INT(LOAD(-1, "AWS_ROLE_ARN", "arn:aws:iam::1:role/a b", "AWS_WEB_IDENTITY_TOKEN_FILE",
                   "/t", "AWS_ENDPOINT_URL_STS", "https://sts.example.org/"),
              0);
    media_s3_exchange_init(&x, &source);
    CHECK_INT(next("ey.J=.x\n"), 0);
    CHECK_STR(x.method, "POST");
    CHECK_STR(x.target, "/");
    CHECK_STR(x.header, "content-type: application/x-www-form-urlencoded");
    CHECK_STR(x.body.p, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                        "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b&RoleSessionName=ngx_media"
                        "&WebIdentityToken=ey.J%3D.x");
    CHECK_INT(answer(200, STS("AssumeRoleWithWebIdentity",
                              KEYS "<Expiration>" LATER "</Expiration></Credentials>")),
              0);
    CHECK_INT(answer(403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error>"
                          "</ErrorResponse>"),
              MEDIA_E_AUTH);
    CHECK_STR(ei.text, "STS answered AccessDenied");
    CHECK_INT(answer(503, "busy"), MEDIA_E_RETRY);
    CHECK_INT(next(""), MEDIA_E_REJECT);
    CHECK_INT(next("two words"), MEDIA_E_REJECT);
    memset(big, '=', sizeof(big) - 1);
    CHECK_INT(next(big), MEDIA_E_REJECT);
    media_s3_exchange_free(&x);
}

int main(void)
{
    test_s3cred_ini_takes_the_profile();
    test_s3cred_ini_refuses_half_and_broken_ones();
    test_s3cred_json_of_ec2_and_ecs();
    test_s3cred_json_refuses_what_is_no_credentials();
    test_s3cred_sts_answers();
    test_s3cred_renew_at_leaves_a_margin();
    test_s3source_chain_goes_by_the_environment();
    test_s3source_by_name();
    test_s3source_wrong_environment_is_named();
    test_s3source_ecs_keys_stay_near();
    test_s3source_imds_is_three_requests();
    test_s3source_imds_garbage_is_refused();
    test_s3source_ecs_sends_its_authorization();
    test_s3source_web_identity_posts_a_form();
    return test_report();
}
