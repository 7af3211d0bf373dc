/* Two stores: what the output store has of its own, whose keys sign there, and which server a
 * request goes to. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "fake_s3.h"
#include "test.h"
#include "wk_cred.h"
#include "wk_log.h"
#include "wk_s3.h"

#define ID "0193a000-0000-7000-8000-00000000000a"
#define ORIGINAL "a/media/" ID "/original"
#define OUTPUT "made/a/media/" ID "/" ID "/3/audio.mp3"

static media_err_t ei;
static wk_conf_t conf;
static fake_s3_t *input, *output;
static char urls[2][64];
static wk_s3_t *s3;

static void reset(void)
{
    ei.text[0] = '\0';
    conf = (wk_conf_t){.s3[MEDIA_STORE_INPUT] = {.endpoint = "http://in:1",
                                                 .access_key = "AKIN",
                                                 .secret_key = "secret-in",
                                                 .session_token = "ST",
                                                 .region = "eu-1",
                                                 .bucket = "uploads",
                                                 .addressing = "virtual",
                                                 .checksum = "crc64nvme",
                                                 .sse = "aws:kms",
                                                 .sse_key = "k1",
                                                 .sse_bucket_key = 1}};
}

static void test_stores_output_has_what_the_input_has(void)
{
    wk_store_conf_t in, out;

    reset();
    in = wk_conf_store(&conf, MEDIA_STORE_INPUT);
    out = wk_conf_store(&conf, MEDIA_STORE_OUTPUT);
    CHECK_STR(out.access_key, in.access_key);
    CHECK_STR(out.secret_key, in.secret_key);
    CHECK_STR(out.session_token, in.session_token);
    CHECK_STR(out.region, in.region);
    CHECK_STR(out.endpoint, in.endpoint);
    CHECK_STR(out.bucket, in.bucket);
    CHECK_STR(out.addressing, in.addressing);
    CHECK_STR(out.checksum, in.checksum);
    CHECK_STR(out.sse, in.sse);
    CHECK_STR(out.sse_key, in.sse_key);
    CHECK_INT(out.sse_bucket_key, in.sse_bucket_key);
    CHECK(out.prefix == NULL && out.credentials == NULL);
    CHECK(!wk_conf_output_keys(&conf));
}

static void test_stores_output_has_its_own(void)
{
    wk_store_conf_t out;

    reset();
    conf.s3[MEDIA_STORE_OUTPUT] = (wk_store_conf_t){.bucket = "made", .prefix = "p/"};
    out = wk_conf_store(&conf, MEDIA_STORE_OUTPUT);
    CHECK_STR(out.bucket, "made");
    CHECK_STR(out.prefix, "p/");
    CHECK_STR(out.endpoint, "http://in:1");
    CHECK_STR(out.access_key, "AKIN");
    CHECK_STR(out.session_token, "ST");
    CHECK_STR(out.sse_key, "k1");
    CHECK_INT(out.sse_bucket_key, 1);

    /* keys, and encryption, are taken over as a whole or not at all */
    conf.s3[MEDIA_STORE_OUTPUT].access_key = "AKOUT";
    conf.s3[MEDIA_STORE_OUTPUT].sse = "AES256";
    out = wk_conf_store(&conf, MEDIA_STORE_OUTPUT);
    CHECK(wk_conf_output_keys(&conf));
    CHECK_STR(out.access_key, "AKOUT");
    CHECK(out.secret_key == NULL && out.session_token == NULL);
    CHECK_STR(out.sse, "AES256");
    CHECK(out.sse_key == NULL && out.sse_bucket_key == 0);
    CHECK_STR(wk_conf_store(&conf, MEDIA_STORE_INPUT).access_key, "AKIN");
}

static void test_stores_output_keys_are_never_half_the_input_s(void)
{
    media_s3_cred_t cred;
    wk_cred_t *c;

    reset();
    conf.s3[MEDIA_STORE_OUTPUT].access_key = "AKOUT";
    c = wk_cred_new(&conf, MEDIA_STORE_OUTPUT);
    CHECK_INT(wk_cred_get(c, &cred, &ei), MEDIA_E_AUTH);
    CHECK(strstr(ei.text, "MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY") != NULL);
    wk_cred_unref(c);
}

static void write_keys(const char *path)
{
    FILE *f = fopen(path, "w");

    CHECK(f != NULL);
    (void)fputs("[default]\naws_access_key_id=A1\naws_secret_access_key=S1\n"
                "[made]\naws_access_key_id=A2\naws_secret_access_key=S2\n",
                f);
    (void)fclose(f);
}

static void test_stores_other_sources_have_their_own_variables(void)
{
    char path[] = "/tmp/wk-stores-XXXXXX";
    media_s3_cred_t cred;
    wk_cred_t *c;

    reset();
    (void)close(mkstemp(path));
    write_keys(path);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    (void)setenv("MEDIA_S3_OUTPUT_PROFILE", "made", 1);
    conf.s3[MEDIA_STORE_INPUT].credentials = "file";
    conf.s3[MEDIA_STORE_OUTPUT].credentials = "file";
    for (int i = 0; i < MEDIA_STORE_COUNT; i++) {
        c = wk_cred_new(&conf, (enum media_store)i);
        CHECK_INT(wk_cred_get(c, &cred, &ei), 0);
        CHECK_STR(cred.access_key, i == MEDIA_STORE_INPUT ? "A1" : "A2");
        wk_cred_unref(c);
    }
    (void)unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    (void)unsetenv("MEDIA_S3_OUTPUT_PROFILE");
    (void)unlink(path);
}

/* ---- requests ---- */

static void begin(const fake_s3_step_t *in, int n_in, const fake_s3_step_t *out, int n_out)
{
    reset();
    input = fake_s3_start(in, n_in);
    output = fake_s3_start(out, n_out);
    conf.s3[MEDIA_STORE_INPUT] =
        (wk_store_conf_t){.endpoint = wk_fmt(urls[0], 64, "http://127.0.0.1:%d", input->port),
                          .access_key = "AKIN",
                          .secret_key = "secret-in",
                          .region = "eu-1",
                          .bucket = "uploads"};
    conf.s3[MEDIA_STORE_OUTPUT] =
        (wk_store_conf_t){.endpoint = wk_fmt(urls[1], 64, "http://127.0.0.1:%d", output->port),
                          .access_key = "AKOUT",
                          .secret_key = "secret-out",
                          .region = "us-2",
                          .bucket = "made"};
    s3 = wk_s3_new(&conf);
    CHECK(s3 != NULL);
}

/* Each server was asked as often, and by its own keys only. */
static void end(int n_in, int n_out)
{
    fake_s3_end(input);
    fake_s3_end(output);
    CHECK_INT(input->requests, n_in);
    CHECK_INT(output->requests, n_out);
    for (int i = 0; i < n_in && i < input->requests; i++) {
        CHECK(strstr(input->head[i], " /uploads") != NULL);
        CHECK(strstr(input->head[i], "Credential=AKIN/") != NULL);
        CHECK(strstr(input->head[i], "/eu-1/s3/") != NULL);
    }
    for (int i = 0; i < n_out && i < output->requests; i++) {
        CHECK(strstr(output->head[i], " /made") != NULL);
        CHECK(strstr(output->head[i], "Credential=AKOUT/") != NULL);
        CHECK(strstr(output->head[i], "/us-2/s3/") != NULL);
    }
    wk_s3_free(s3);
    fake_s3_free(input);
    fake_s3_free(output);
}

#define LEN(script) ((int)(sizeof(script) / sizeof((script)[0])))
#define NOTHING "<ListMultipartUploadsResult></ListMultipartUploadsResult>"

static void test_stores_keys_tell_the_server(void)
{
    static const fake_s3_step_t in[] = {{206, "hello", 0}, {204, "", 0}, {200, NOTHING, 0}};
    static const fake_s3_step_t out[] = {
        {200, "", 0}, {206, "made!", 0}, {204, "", 0}, {200, NOTHING, 0}};
    char buf[8], etag[80];
    int fd = memfd_create("file", MFD_CLOEXEC);
    wk_s3_t *other;

    begin(in, LEN(in), out, LEN(out));
    other = wk_s3_like(s3);
    CHECK_INT(ftruncate(fd, 9), 0);
    CHECK_INT(wk_s3_get_range(other, ORIGINAL, 0, 5, buf, &ei), 5);
    CHECK_INT(wk_s3_put_fd(s3, OUTPUT, "audio/mpeg", fd, 9, NULL, NULL, etag, sizeof(etag), &ei),
              0);
    wk_s3_free(other);
    CHECK_INT(wk_s3_get_range(s3, OUTPUT, 0, 5, buf, &ei), 5);
    CHECK(memcmp(buf, "made!", 5) == 0);
    CHECK_INT(wk_s3_delete(s3, OUTPUT, &ei), 0);
    CHECK_INT(wk_s3_abort_listed(s3, OUTPUT, &ei), 0);
    CHECK_INT(wk_s3_delete(s3, ORIGINAL, &ei), 0);
    CHECK_INT(wk_s3_abort_listed(s3, ORIGINAL, &ei), 0);
    (void)close(fd);
    end(LEN(in), LEN(out));
}

static void test_stores_ready_means_both(void)
{
    static const fake_s3_step_t in[] = {{200, "", 0}, {200, "", 0}, {403, "", 0}};
    static const fake_s3_step_t out[] = {{200, "", 0}, {403, "", 0}};

    begin(in, LEN(in), out, LEN(out));
    CHECK_INT(wk_s3_ready(s3, &ei), 0);
    CHECK_INT(wk_s3_ready(s3, &ei), MEDIA_E_AUTH);
    CHECK_INT(wk_s3_ready(s3, &ei), MEDIA_E_AUTH);
    end(LEN(in), LEN(out));
}

static void test_stores_one_is_asked_once(void)
{
    static const fake_s3_step_t in[] = {{200, "", 0}};

    begin(in, LEN(in), in, 0);
    wk_s3_free(s3);
    conf.s3[MEDIA_STORE_OUTPUT] = (wk_store_conf_t){.prefix = "made/"};
    s3 = wk_s3_new(&conf);
    CHECK_INT(wk_s3_ready(s3, &ei), 0);
    end(LEN(in), 0);
}

int main(void)
{
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    test_stores_output_has_what_the_input_has();
    test_stores_output_has_its_own();
    test_stores_output_keys_are_never_half_the_input_s();
    test_stores_other_sources_have_their_own_variables();
    test_stores_keys_tell_the_server();
    test_stores_ready_means_both();
    test_stores_one_is_asked_once();
    return test_report();
}
