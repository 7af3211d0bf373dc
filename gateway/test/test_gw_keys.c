/* gw_keys: which keys, in which order, and who signs. */
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gw_keys.h"
#include "test.h"

static char dir[] = "/tmp/test_gw_keys_XXXXXX";

static void put(const char *file)
{
    char path[PATH_MAX];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    f = fopen(path, "w");
    if (f == NULL || fclose(f) != 0) {
        exit(1);
    }
}

static void drop(const char *file)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    CHECK_INT(unlink(path), 0);
}

/* The order at a moment, "HS256 /jwt-key;HS256 /HS256.1 kid=1;" without the directory. */
static const char *order(gw_keys_t *keys, int64_t now_ms)
{
    static char said[1000];
    media_buf_t lines;
    media_err_t ei;
    size_t n = 0;

    said[0] = '\0';
    if (gw_keys_read(keys, dir, now_ms, &ei) != 0) {
        (void)snprintf(said, sizeof(said), "error: %s", ei.text);
        return said;
    }
    media_buf_init(&lines, 10000);
    (void)gw_keys_lines(keys, "", now_ms, &lines);
    for (const char *p = lines.p; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1) {
        n += (size_t)snprintf(said + n, sizeof(said) - n, "%.*s",
                              (int)strcspn(p + strlen("media_auth_key "), "\n"),
                              p + strlen("media_auth_key "));
    }
    media_buf_free(&lines);
    return said;
}

static void test_keys_one_alone_signs_at_once(void)
{
    gw_keys_t keys = {.settle_ms = 1000};

    put("jwt-key");
    CHECK_STR(order(&keys, 5), "HS256 /jwt-key;");
    CHECK(gw_keys_next_ms(&keys, 5) == INT64_MAX);
}

static void test_keys_new_one_signs_when_settled(void)
{
    gw_keys_t keys = {.settle_ms = 1000};

    CHECK_STR(order(&keys, 0), "HS256 /jwt-key;");
    put("ES256.2026-11");
    put("..data");
    CHECK_STR(order(&keys, 100), "HS256 /jwt-key;ES256 /ES256.2026-11 kid=2026-11;");
    CHECK_INT(gw_keys_next_ms(&keys, 100), 1100);
    CHECK_STR(order(&keys, 1099), "HS256 /jwt-key;ES256 /ES256.2026-11 kid=2026-11;");
    CHECK_STR(order(&keys, 1100), "ES256 /ES256.2026-11 kid=2026-11;HS256 /jwt-key;");
    put("HS512.2026-12");
    CHECK_STR(order(&keys, 2000), "ES256 /ES256.2026-11 kid=2026-11;HS256 /jwt-key;"
                                  "HS512 /HS512.2026-12 kid=2026-12;");
    drop("jwt-key");
    CHECK_STR(order(&keys, 3000),
              "HS512 /HS512.2026-12 kid=2026-12;ES256 /ES256.2026-11 kid=2026-11;");
}

/* A pod that starts in the middle of a rotation must not sign with what the others do not know. */
static void test_keys_of_a_start_newest_waits(void)
{
    gw_keys_t keys = {.settle_ms = 1000};

    CHECK_STR(order(&keys, 0),
              "ES256 /ES256.2026-11 kid=2026-11;HS512 /HS512.2026-12 kid=2026-12;");
    CHECK_STR(order(&keys, 1000),
              "HS512 /HS512.2026-12 kid=2026-12;ES256 /ES256.2026-11 kid=2026-11;");
}

static void test_keys_bad_names_refused(void)
{
    static const char *const bad[] = {"notes",    "HS256",     "HS256.",   "XX1.kid",
                                      "none.kid", "HS256.a b", "HS256.a;b"};
    gw_keys_t keys = {.settle_ms = 0};
    char want[300];

    (void)order(&keys, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put(bad[i]);
        (void)snprintf(want, sizeof(want),
                       "error: %s: \"%s\" is no name of a key, expected ALG.kid (HS256.2026-11) or "
                       "jwt-key",
                       dir, bad[i]);
        CHECK_STR(order(&keys, 0), want);
        CHECK_INT(keys.count, 2);
        drop(bad[i]);
    }
}

static void test_keys_none_refused(void)
{
    gw_keys_t keys = {0};
    media_err_t ei;

    drop("HS512.2026-12");
    drop("ES256.2026-11");
    CHECK(strstr(order(&keys, 0), "is empty") != NULL);
    CHECK(gw_keys_read(&keys, "/nowhere", 0, &ei) != 0);
    CHECK_STR(ei.text, "/nowhere: No such file or directory");
}

int main(void)
{
    CHECK(mkdtemp(dir) != NULL);
    test_keys_one_alone_signs_at_once();
    test_keys_new_one_signs_when_settled();
    test_keys_of_a_start_newest_waits();
    test_keys_bad_names_refused();
    test_keys_none_refused();
    drop("..data");
    CHECK_INT(rmdir(dir), 0);
    return test_report();
}
