/* Lines of a manifest. */
#include "ob_line.h"
#include "test.h"

#define ID "0193a000-0000-7000-8000-00000000000a"
#define ORIGINAL "media/" ID "/original"
#define OUTPUT "a/media/" ID "/" ID "/3/audio.mp3"
#define SUM "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void test_ob_line_is_printed_as_it_is_parsed(void)
{
    static const char *const lines[] = {
        "input\t" ORIGINAL "\t5\t" SUM,
        "output\t" OUTPUT "\t0\t-",
        "output\t" OUTPUT "\t-1\t-",
        "input\tt/a b/" ORIGINAL "\t9223372036854775807\t-",
    };
    char dst[OB_LINE_MAX];
    ob_line_t line;
    media_err_t ei;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        CHECK_INT(ob_line_parse(media_str(lines[i]), &line, &ei), 0);
        CHECK_INT(ob_line_format(&line, dst), strlen(lines[i]) + 1);
        CHECK(strncmp(dst, lines[i], strlen(lines[i])) == 0 && dst[strlen(lines[i])] == '\n');
    }
    CHECK_INT(ob_line_parse(media_str(lines[1]), &line, &ei), 0);
    CHECK_INT(line.store, MEDIA_STORE_OUTPUT);
    CHECK_STR(line.key, OUTPUT);
    CHECK_INT(line.size, 0);
    CHECK_STR(line.sha256, "");
}

static void test_ob_line_bad_ones_are_rejected(void)
{
    static const struct {
        const char *text, *cause;
    } bad[] = {
        {"", "store, key, size and sha256"},
        {"input\t" ORIGINAL "\t5", "store, key, size and sha256"},
        {"input\t" ORIGINAL "\t5\t-\t", "store, key, size and sha256"},
        {"input " ORIGINAL " 5 -", "store, key, size and sha256"},
        {"elsewhere\t" ORIGINAL "\t5\t-", "no key of that store"},
        {"output\t" ORIGINAL "\t5\t-", "no key of that store"},
        {"input\t" OUTPUT "\t5\t-", "no key of that store"},
        {"output\t\t5\t-", "no key of that store"},
        {"output\ta\x01\t5\t-", "no key of that store"},
        {"input\t" ORIGINAL "\t-2\t-", "no size"},
        {"input\t" ORIGINAL "\t\t-", "no size"},
        {"input\t" ORIGINAL "\t9223372036854775808\t-", "no size"},
        {"input\t" ORIGINAL "\t5\t", "no sha256"},
        {"input\t" ORIGINAL "\t5\t" SUM "0", "no sha256"},
        {"input\t" ORIGINAL "\t5\t2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
         "no sha256"},
        {"input\t" ORIGINAL "\t5\t-\r", "no sha256"},
    };
    ob_line_t line;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        media_err_t ei = {""};

        CHECK_INT(ob_line_parse(media_str(bad[i].text), &line, &ei), MEDIA_E_REJECT);
        CHECK(strncmp(ei.text, bad[i].cause, strlen(bad[i].cause)) == 0);
    }
}

static void test_ob_line_key_has_a_limit(void)
{
    char text[OB_LINE_MAX];
    ob_line_t line;
    media_err_t ei;

    memset(text, 'a', sizeof(text));
    memcpy(text, "output\t", 7);
    memcpy(text + 7 + MEDIA_OBJKEY_MAX - 1, "\t5\t-", 5);
    CHECK_INT(ob_line_parse(media_str(text), &line, &ei), 0);
    memcpy(text + 7 + MEDIA_OBJKEY_MAX - 1, "a\t5\t-", 6);
    CHECK_INT(ob_line_parse(media_str(text), &line, &ei), MEDIA_E_REJECT);
}

int main(void)
{
    test_ob_line_is_printed_as_it_is_parsed();
    test_ob_line_bad_ones_are_rejected();
    test_ob_line_key_has_a_limit();
    return test_report();
}
