#include "test.h"

#include "media/buf.h"
#include "media/err.h"

static void test_buf_add_grows_and_terminates(void)
{
    media_buf_t b;
    media_buf_init(&b, 100000);
    CHECK_INT(media_buf_view(&b).len, 0);
    CHECK(media_buf_view(&b).p != NULL);
    for (int i = 0; i < 10000; i++) {
        CHECK_INT(media_buf_add(&b, "0123456789", 10), 0);
        if (b.p[b.len] != '\0') {
            CHECK(!"terminated");
        }
    }
    CHECK_INT(b.len, 100000);
    CHECK(b.size <= 100001);
    CHECK(memcmp(b.p + 99990, "0123456789", 11) == 0);
    media_buf_free(&b);
    CHECK(b.p == NULL && b.cap == 100000);
}

static void test_buf_add_past_cap_is_sticky(void)
{
    media_buf_t b;
    media_buf_init(&b, 5);
    CHECK_INT(media_buf_cstr(&b, "12345"), 0);
    CHECK_INT(media_buf_cstr(&b, "6"), MEDIA_E_TOOBIG);
    CHECK_INT(media_buf_add(&b, "", 0), MEDIA_E_TOOBIG);
    CHECK_INT(media_buf_fmt(&b, "%s", ""), MEDIA_E_TOOBIG);
    CHECK_STR(b.p, "12345");
    media_buf_reset(&b);
    CHECK_INT(media_buf_cstr(&b, "abc"), 0);
    CHECK_INT(media_buf_fmt(&b, "%d", 12), 0);
    CHECK_INT(media_buf_fmt(&b, "%d", 1), MEDIA_E_TOOBIG);
    CHECK_STR(b.p, "abc12");
    media_buf_free(&b);
}

static void test_buf_cap_zero_and_huge(void)
{
    media_buf_t b;
    media_buf_init(&b, 0);
    CHECK_INT(media_buf_add(&b, NULL, 0), 0);
    CHECK_INT(media_buf_add(&b, "x", 1), MEDIA_E_TOOBIG);
    media_buf_free(&b);
    media_buf_init(&b, SIZE_MAX - 1);
    CHECK_INT(media_buf_cstr(&b, "x"), 0);
    CHECK_INT(media_buf_add(&b, "x", SIZE_MAX - 1), MEDIA_E_TOOBIG);
    media_buf_free(&b);
}

static void check_json(media_str_t in, const char *want)
{
    media_buf_t b;
    media_buf_init(&b, 1000);
    CHECK_INT(media_buf_json(&b, in), 0);
    CHECK_MEM(b.p, b.len, want);
    media_buf_free(&b);
}

static void test_buf_json_escapes(void)
{
    check_json(MEDIA_STR_NULL, "\"\"");
    check_json(MEDIA_STR("plain"), "\"plain\"");
    check_json(MEDIA_STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    check_json(MEDIA_STR("\b\f\n\r\t\x01\x1f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\"");
    check_json(MEDIA_STR("a\0b"), "\"a\\u0000b\"");
    check_json(MEDIA_STR("Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x8e\xb5"),
               "\"Gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x8e\xb5\"");
}

static void test_buf_json_replaces_invalid_utf8(void)
{
    check_json(MEDIA_STR("a\xff z"), "\"a\xef\xbf\xbd z\"");
    check_json(MEDIA_STR("\xc3"), "\"\xef\xbf\xbd\"");
    check_json(MEDIA_STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json(MEDIA_STR("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void test_buf_json_too_big_stays_within_cap(void)
{
    media_buf_t b;
    media_buf_init(&b, 4);
    CHECK_INT(media_buf_json(&b, MEDIA_STR("abcdefgh\n\xff")), MEDIA_E_TOOBIG);
    CHECK(b.len <= 4);
    media_buf_free(&b);
}

int main(void)
{
    test_buf_add_grows_and_terminates();
    test_buf_add_past_cap_is_sticky();
    test_buf_cap_zero_and_huge();
    test_buf_json_escapes();
    test_buf_json_replaces_invalid_utf8();
    test_buf_json_too_big_stays_within_cap();
    return test_report();
}
