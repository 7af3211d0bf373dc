/* objkey.c: the shape of keys, one spelling per id, refusal of everything else. */
#include "media/objkey.h"

#include "test.h"

#define ID "018f6b1e-7c2a-7abc-8def-0123456789ab"
#define JOB "018f6b1e-7c2a-7abc-8def-ffffffffffff"

static void test_objkey_keys_have_their_shape(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR(ID), dst, sizeof(dst)), 51);
    CHECK_STR(dst, "media/" ID "/original");
    CHECK(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), 12,
                              MEDIA_STR("audio.mp3"), dst, sizeof(dst)) > 0);
    CHECK_STR(dst, "media/" ID "/" JOB "/12/audio.mp3");
}

static void test_objkey_longest_output_fits(void)
{
    char dst[MEDIA_OBJKEY_MAX], name[MEDIA_OUTPUT_NAME_MAX + 2];

    memset(name, 'a', sizeof(name));
    CHECK(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), INT64_MAX,
                              (media_str_t){name, MEDIA_OUTPUT_NAME_MAX}, dst, sizeof(dst)) > 0);
    CHECK_INT(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), 1,
                                  (media_str_t){name, MEDIA_OUTPUT_NAME_MAX + 1}, dst, sizeof(dst)),
              MEDIA_E_REJECT);
}

static void test_objkey_ids_have_one_spelling(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK(media_objkey_original(MEDIA_STR(""), MEDIA_STR("018F6B1E-7C2A-7ABC-8DEF-0123456789AB"),
                                dst, sizeof(dst)) > 0);
    CHECK_STR(dst, "media/" ID "/original");
}

static void test_objkey_bad_input_is_rejected(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR("../../etc/passwd"), dst, sizeof(dst)),
              MEDIA_E_REJECT);
    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR(""), dst, sizeof(dst)),
              MEDIA_E_REJECT);
    CHECK_INT(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR("x"), 1, MEDIA_STR("a"),
                                  dst, sizeof(dst)),
              MEDIA_E_REJECT);
    CHECK_INT(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), -1, MEDIA_STR("a"),
                                  dst, sizeof(dst)),
              MEDIA_E_REJECT);
    CHECK_INT(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), 1,
                                  MEDIA_STR("a//b"), dst, sizeof(dst)),
              MEDIA_E_REJECT);
}

static void test_objkey_small_buffer_is_toobig(void)
{
    char dst[52];

    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR(ID), dst, 51), MEDIA_E_TOOBIG);
    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR(ID), dst, 52), 51);
    CHECK_INT(media_objkey_original(MEDIA_STR(""), MEDIA_STR(ID), dst, 0), MEDIA_E_TOOBIG);
}

static void test_objkey_output_names(void)
{
    static const char *const good[] = {"a", "audio.mp3",       "seg-00001_v2.m4s",
                                       "0", "hls/master.m3u8", "cmaf/1/360p/init.mp4"};
    static const char *const bad[] = {"",    ".",    "..",       ".hidden", "A.mp3", "a b",
                                      "/a",  "a/",   "a//b",     "a/.b",    "a/..",  "../a",
                                      "a\\", "a\tb", "\xc3\xa4", "a%2f"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(media_output_name_valid(media_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!media_output_name_valid(media_str(bad[i])));
    }
    CHECK(!media_output_name_valid((media_str_t){"a\0b", 3}));
}

static void test_objkey_prefix_goes_in_front(void)
{
    char dst[MEDIA_OBJKEY_MAX], longest[MEDIA_OBJKEY_PREFIX_MAX + 2];
    media_str_t prefix = MEDIA_STR("tenants/a@b/"), key;

    key.len = (size_t)media_objkey_original(prefix, MEDIA_STR(ID), dst, sizeof(dst));
    key.p = dst;
    CHECK_STR(dst, "tenants/a@b/media/" ID "/original");
    CHECK_INT(media_objkey_store(key), MEDIA_STORE_INPUT);
    CHECK(media_objkey_output(prefix, MEDIA_STR(ID), MEDIA_STR(JOB), 1, MEDIA_STR("a"), dst,
                              sizeof(dst)) > 0);
    CHECK_STR(dst, "tenants/a@b/media/" ID "/" JOB "/1/a");
    memset(longest, 'p', sizeof(longest));
    longest[MEDIA_OBJKEY_PREFIX_MAX - 1] = '/';
    memset(dst, 'a', MEDIA_OUTPUT_NAME_MAX);
    CHECK(
        media_objkey_output((media_str_t){longest, MEDIA_OBJKEY_PREFIX_MAX}, MEDIA_STR(ID),
                            MEDIA_STR(JOB), INT64_MAX,
                            MEDIA_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                      "aaaa"),
                            dst, sizeof(dst)) > 0);
    longest[MEDIA_OBJKEY_PREFIX_MAX] = '/';
    CHECK(!media_objkey_prefix_valid((media_str_t){longest, MEDIA_OBJKEY_PREFIX_MAX + 1}));
}

static void test_objkey_prefixes(void)
{
    static const char *const good[] = {"", "a/", "tenants/auth0|12/", "a/b/c/", "...a/", ".a/"};
    static const char *const bad[] = {"a",         "/",      "a//",  "../",  "a/../",
                                      "./",        "a/./b/", "a b/", "a\\/", "a%2f/",
                                      "\xc3\xa4/", "a/b",    "a\n/"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(media_objkey_prefix_valid(media_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!media_objkey_prefix_valid(media_str(bad[i])));
    }
    CHECK(!media_objkey_prefix_valid((media_str_t){"a\0/", 3}));
    CHECK_INT(media_objkey_original(MEDIA_STR("../"), MEDIA_STR(ID), (char[64]){0}, 64),
              MEDIA_E_REJECT);
}

static void test_objkey_tells_the_store(void)
{
    static const char *const originals[] = {
        "media/" ID "/original", "tenants/" ID "/media/" ID "/original",
        "media/" ID "/" JOB "/1/media/" ID "/original", /* as odd as a prefix may be */
    };
    static const char *const others[] = {
        "",
        "original",
        "media/" ID "/" JOB "/1/original",
        "media/" ID "/" JOB "/1/masked.mp4",
        "derived/media/" ID "/" JOB "/12/cmaf/v/1.m4s",
        "media/" ID "/original/",
        "media/" ID "/Original",
        "xmedia/" ID "/original",
        "media/018f6b1e/original",
    };
    char dst[MEDIA_OBJKEY_MAX];

    for (size_t i = 0; i < sizeof(originals) / sizeof(originals[0]); i++) {
        CHECK_INT(media_objkey_store(media_str(originals[i])), MEDIA_STORE_INPUT);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK_INT(media_objkey_store(media_str(others[i])), MEDIA_STORE_OUTPUT);
    }
    CHECK_INT(media_objkey_store(MEDIA_STR_NULL), MEDIA_STORE_OUTPUT);
    /* no job can write what would be taken for an upload */
    CHECK_INT(media_objkey_output(MEDIA_STR(""), MEDIA_STR(ID), MEDIA_STR(JOB), 1,
                                  MEDIA_STR("media/" ID "/original"), dst, sizeof(dst)),
              MEDIA_E_REJECT);
}

int main(void)
{
    test_objkey_tells_the_store();
    test_objkey_prefix_goes_in_front();
    test_objkey_prefixes();
    test_objkey_keys_have_their_shape();
    test_objkey_longest_output_fits();
    test_objkey_ids_have_one_spelling();
    test_objkey_bad_input_is_rejected();
    test_objkey_small_buffer_is_toobig();
    test_objkey_output_names();
    return test_report();
}
