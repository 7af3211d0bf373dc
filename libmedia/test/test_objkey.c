/* objkey.c: the shape of keys, one spelling per id, refusal of everything else. */
#include "media/objkey.h"

#include "test.h"

#define ID "018f6b1e-7c2a-7abc-8def-0123456789ab"
#define JOB "018f6b1e-7c2a-7abc-8def-ffffffffffff"

static void test_objkey_keys_have_their_shape(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK_INT(media_objkey_original(MEDIA_STR(ID), dst, sizeof(dst)), 51);
    CHECK_STR(dst, "media/" ID "/original");
    CHECK(media_objkey_output(MEDIA_STR(ID), MEDIA_STR(JOB), 12, MEDIA_STR("audio.mp3"), dst,
                              sizeof(dst)) > 0);
    CHECK_STR(dst, "media/" ID "/" JOB "/12/audio.mp3");
}

static void test_objkey_longest_output_fits(void)
{
    char dst[MEDIA_OBJKEY_MAX], name[MEDIA_OUTPUT_NAME_MAX + 2];

    memset(name, 'a', sizeof(name));
    CHECK(media_objkey_output(MEDIA_STR(ID), MEDIA_STR(JOB), INT64_MAX,
                              (media_str_t){name, MEDIA_OUTPUT_NAME_MAX}, dst, sizeof(dst)) > 0);
    CHECK_INT(media_objkey_output(MEDIA_STR(ID), MEDIA_STR(JOB), 1,
                                  (media_str_t){name, MEDIA_OUTPUT_NAME_MAX + 1}, dst, sizeof(dst)),
              MEDIA_E_REJECT);
}

static void test_objkey_ids_have_one_spelling(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK(media_objkey_original(MEDIA_STR("018F6B1E-7C2A-7ABC-8DEF-0123456789AB"), dst,
                                sizeof(dst)) > 0);
    CHECK_STR(dst, "media/" ID "/original");
}

static void test_objkey_bad_input_is_rejected(void)
{
    char dst[MEDIA_OBJKEY_MAX];

    CHECK_INT(media_objkey_original(MEDIA_STR("../../etc/passwd"), dst, sizeof(dst)),
              MEDIA_E_REJECT);
    CHECK_INT(media_objkey_original(MEDIA_STR(""), dst, sizeof(dst)), MEDIA_E_REJECT);
    CHECK_INT(
        media_objkey_output(MEDIA_STR(ID), MEDIA_STR("x"), 1, MEDIA_STR("a"), dst, sizeof(dst)),
        MEDIA_E_REJECT);
    CHECK_INT(
        media_objkey_output(MEDIA_STR(ID), MEDIA_STR(JOB), -1, MEDIA_STR("a"), dst, sizeof(dst)),
        MEDIA_E_REJECT);
    CHECK_INT(
        media_objkey_output(MEDIA_STR(ID), MEDIA_STR(JOB), 1, MEDIA_STR("a/b"), dst, sizeof(dst)),
        MEDIA_E_REJECT);
}

static void test_objkey_small_buffer_is_toobig(void)
{
    char dst[52];

    CHECK_INT(media_objkey_original(MEDIA_STR(ID), dst, 51), MEDIA_E_TOOBIG);
    CHECK_INT(media_objkey_original(MEDIA_STR(ID), dst, 52), 51);
    CHECK_INT(media_objkey_original(MEDIA_STR(ID), dst, 0), MEDIA_E_TOOBIG);
}

static void test_objkey_output_names(void)
{
    static const char *const good[] = {"a", "audio.mp3", "seg-00001_v2.m4s", "0"};
    static const char *const bad[] = {"",    ".",   "..",   ".hidden",  "A.mp3", "a b",
                                      "a/b", "a\\", "a\tb", "\xc3\xa4", "a%2f"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(media_output_name_valid(media_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!media_output_name_valid(media_str(bad[i])));
    }
    CHECK(!media_output_name_valid((media_str_t){"a\0b", 3}));
}

int main(void)
{
    test_objkey_keys_have_their_shape();
    test_objkey_longest_output_fits();
    test_objkey_ids_have_one_spelling();
    test_objkey_bad_input_is_rejected();
    test_objkey_small_buffer_is_toobig();
    test_objkey_output_names();
    return test_report();
}
