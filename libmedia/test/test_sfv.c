#include "test.h"

#include "media/sfv.h"

#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define ONES "//////////////////////////////////////////8="

/* The members as "key type value|..." */
static const char *walk(const char *text)
{
    static char out[1024];
    static const char *const types[] = {"true", "bytes", "other"};
    media_str_t rest = media_str(text);
    media_sf_member_t m;
    size_t n = 0;
    int rc;

    out[0] = '\0';
    while ((rc = media_sf_next(&rest, &m)) == 1) {
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s %s %.*s", n > 0 ? "|" : "",
                              (int)m.key.len, m.key.p, types[m.type], (int)m.value.len,
                              m.value.len > 0 ? m.value.p : "");
    }
    if (rc < 0) {
        CHECK_INT(rc, MEDIA_E_REJECT);
        snprintf(out + n, sizeof(out) - n, "%srejected", n > 0 ? "|" : "");
    }
    return out;
}

static void test_sf_next_walks_dictionaries(void)
{
    CHECK_STR(walk(""), "");
    CHECK_STR(walk(" \t "), "");
    CHECK_STR(walk("a"), "a true ");
    CHECK_STR(walk("a=1"), "a other 1");
    CHECK_STR(walk("a=:YQ==:"), "a bytes YQ==");
    CHECK_STR(walk("a=::"), "a bytes ");
    CHECK_STR(walk("a=1, b=2.5 ,\tc=tok/en, *d-._0=\"x\\\"\\\\y\""),
              "a other 1|b other 2.5|c other tok/en|*d-._0 other \"x\\\"\\\\y\"");
    CHECK_STR(walk("a;x;y=1; z=\"q\", b=?1;n=:AA:"), "a true |b other ?1");
    CHECK_STR(walk("a=(1 2;x  \"y\" :AA:);z, b=()"), "a other (1 2;x  \"y\" :AA:)|b other ()");
    CHECK_STR(walk("a=@1659578233, b=-1"), "a other @1659578233|b other -1");
}

static void test_sf_next_refuses_what_is_malformed(void)
{
    static const char *const bad[] = {"A=1",       "1a=1",     "=1",     "a=",         "a=,b",
                                      "a,",        ",a",       "a b",    "a=1 b=2",    "a=\"x",
                                      "a=\"\\x\"", "a=\"\t\"", "a=:AA",  "a=:A A:",    "a=?2",
                                      "a=(1",      "a=(1,2)",  "a=(1)x", "a=1;",       "a=1;X",
                                      "a=1;b=",    "a=\xff",   "\xff",   "a=(1\"x\")", "a==1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *said = walk(bad[i]);

        if (strstr(said, "rejected") == NULL) {
            printf("%s: %s\n", bad[i], said);
        }
        CHECK(strstr(said, "rejected") != NULL);
    }
}

static void check_string(const char *text, const char *want)
{
    char out[16];
    ssize_t n = media_sf_string(media_str(text), out, sizeof(out));

    CHECK_INT(n, strlen(want));
    CHECK_MEM(out, n < 0 ? 0 : n, want);
}

static void test_sf_string_takes_quoted_and_bare(void)
{
    char out[16];
    static const char *const bad[] = {"",     " ",        "\"\"",    "\"a",     "a\"",     "\"a\"b",
                                      "a b",  "a,b",      "a;b=1",   "a\tb",    "\"a\";b", "a\\b",
                                      "\x7f", "\xc3\xa4", "\"\\a\"", "\"\x01\""};

    check_string("\"key\"", "key");
    check_string("key", "key");
    check_string("  key ", "key");
    check_string("\"a b,c;d\"", "a b,c;d");
    check_string("\"a\\\"b\\\\c\"", "a\"b\\c");
    check_string("8e03978e-40d5", "8e03978e-40d5");
    check_string("{a:/+=}", "{a:/+=}");
    check_string("123456789012345", "123456789012345");
    CHECK_INT(media_sf_string(MEDIA_STR("1234567890123456"), out, sizeof(out)), MEDIA_E_TOOBIG);
    CHECK_INT(media_sf_string(MEDIA_STR("\"1234567890123456\""), out, sizeof(out)), MEDIA_E_TOOBIG);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_sf_string(media_str(bad[i]), out, sizeof(out)), MEDIA_E_REJECT);
    }
}

static int digest(const char *text, uint8_t out[32], media_err_t *ei)
{
    memset(out, 0x55, 32);
    return media_sf_sha256(media_str(text), out, ei);
}

static void test_sf_sha256_finds_its_digest(void)
{
    static const uint8_t zero[32];
    uint8_t out[32];
    media_err_t ei;

    CHECK_INT(digest("sha-256=:" ZERO ":", out, &ei), 0);
    CHECK(memcmp(out, zero, 32) == 0);
    CHECK_INT(digest("md5=:AA:, sha-256=:" ZERO ":;q=1, sha-512=:A:", out, &ei), 0);
    CHECK(memcmp(out, zero, 32) == 0);
    CHECK_INT(digest("sha-256=:" ZERO ":,sha-256=:" ZERO ":", out, &ei), 0);
    CHECK_INT(digest("", out, &ei), MEDIA_E_GONE);
    CHECK_INT(digest("sha-512=:" ZERO ":, unixsum=30637, x", out, &ei), MEDIA_E_GONE);
}

static void test_sf_sha256_refuses_others(void)
{
    static const struct {
        const char *text;
        const char *cause;
    } bad[] = {{"sha-256", "sha-256 is not 32 bytes in base64"},
               {"sha-256=1", "sha-256 is not 32 bytes in base64"},
               {"sha-256=\"" ZERO "\"", "sha-256 is not 32 bytes in base64"},
               {"sha-256=::", "sha-256 is not 32 bytes in base64"},
               {"sha-256=:AAAA:", "sha-256 is not 32 bytes in base64"},
               {"sha-256=:" ZERO "=:", "sha-256 is not 32 bytes in base64"},
               {"sha-256=:" ZERO ":, sha-256=:" ONES ":", "two sha-256 that differ"},
               {"sha-256=:" ZERO, "is not a dictionary of digests"},
               {"SHA-256=:" ZERO ":", "is not a dictionary of digests"},
               {"sha-256=:" ZERO ":,", "is not a dictionary of digests"},
               {"md5:AA, sha-256=:" ZERO ":", "is not a dictionary of digests"}};
    uint8_t out[32];
    media_err_t ei;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(digest(bad[i].text, out, &ei), MEDIA_E_REJECT);
        CHECK_STR(ei.text, bad[i].cause);
    }
}

int main(void)
{
    test_sf_next_walks_dictionaries();
    test_sf_next_refuses_what_is_malformed();
    test_sf_string_takes_quoted_and_bare();
    test_sf_sha256_finds_its_digest();
    test_sf_sha256_refuses_others();
    return test_report();
}
