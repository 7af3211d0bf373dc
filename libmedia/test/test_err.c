#include "test.h"

#include "media/err.h"
#include "media/str.h"

static void test_err_name_known_and_unknown(void)
{
    CHECK_STR(media_err_name(0), "ok");
    CHECK_STR(media_err_name(17), "ok");
    CHECK_STR(media_err_name(MEDIA_E_REJECT), "reject");
    CHECK_STR(media_err_name(MEDIA_E_BUG), "bug");
    CHECK_STR(media_err_name(-99), "unknown");
}

static void test_err_set_returns_code_and_text(void)
{
    media_err_t ei;
    CHECK_INT(media_err_set(&ei, MEDIA_E_GONE, "no %s of %d", "part", 3), MEDIA_E_GONE);
    CHECK_STR(ei.text, "no part of 3");
    CHECK_INT(media_err_set(NULL, MEDIA_E_AUTH, "%s", "x"), MEDIA_E_AUTH);
}

static void test_err_set_replaces_line_breaks(void)
{
    media_err_t ei;
    media_err_set(&ei, -1, "name \"%s\"", "a\r\nlevel=error\x7f");
    CHECK_STR(ei.text, "name \"a??level=error?\"");
}

static void test_err_set_cuts_at_a_character(void)
{
    media_err_t ei;
    char in[400];
    for (int lead = 0; lead < 4; lead++) {
        size_t n = 0;
        while (n < (size_t)lead) {
            in[n++] = 'a';
        }
        for (int i = 0; i < 90; i++) {
            memcpy(in + n, "\xf0\x9f\x8e\xb5", 4);
            n += 4;
        }
        in[n] = '\0';
        media_err_set(&ei, -1, "%s", in);
        size_t want = 199 - (199 - (size_t)lead) % 4;
        CHECK_INT(strlen(ei.text), want);
        CHECK(media_utf8_valid(media_str(ei.text)));
        CHECK(memcmp(ei.text, in, want) == 0);
    }
}

int main(void)
{
    test_err_name_known_and_unknown();
    test_err_set_returns_code_and_text();
    test_err_set_replaces_line_breaks();
    test_err_set_cuts_at_a_character();
    return test_report();
}
