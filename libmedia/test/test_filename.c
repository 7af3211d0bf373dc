#include "test.h"

#include "media/filename.h"

#define FFFD "\xef\xbf\xbd"

static void check_clean(media_str_t raw, const char *want)
{
    char out[MEDIA_FILENAME_MAX + 1];
    ssize_t n = media_filename_clean(raw, out, sizeof(out));
    CHECK_INT(n, strlen(want));
    CHECK_MEM(out, n < 0 ? 0 : n, want);
    CHECK(n >= 0 && out[n] == '\0');
}

static void test_filename_clean_takes_the_base_name(void)
{
    check_clean(MEDIA_STR("song.mp3"), "song.mp3");
    check_clean(MEDIA_STR("/etc/passwd"), "passwd");
    check_clean(MEDIA_STR("..\\..\\windows\\a b.mp4"), "a b.mp4");
    check_clean(MEDIA_STR("a/b\\c/d"), "d");
    check_clean(MEDIA_STR("..."), "...");
    check_clean(MEDIA_STR(".profile"), ".profile");
}

static void test_filename_clean_names_the_nameless(void)
{
    check_clean(MEDIA_STR(""), "file");
    check_clean(MEDIA_STR_NULL, "file");
    check_clean(MEDIA_STR("."), "file");
    check_clean(MEDIA_STR(".."), "file");
    check_clean(MEDIA_STR("dir/"), "file");
    check_clean(MEDIA_STR("dir/.."), "file");
    check_clean(MEDIA_STR("\r\n\x7f"), "file");
    check_clean(MEDIA_STR(".\x01."), "file");
}

static void test_filename_clean_removes_controls(void)
{
    check_clean(MEDIA_STR("a\0b\r\nc\x1b[1m\x7f.mp3"), "abc[1m.mp3");
    check_clean(MEDIA_STR("a\xc2\x85"
                          "b\xc2\xa0"
                          "c"),
                "ab\xc2\xa0"
                "c");
    check_clean(MEDIA_STR("x\xe2\x80\xae"
                          "3pm.exe"),
                "x3pm.exe");
    check_clean(MEDIA_STR("x\xe2\x81\xa6y\xe2\x80\x94z"), "xy\xe2\x80\x94z");
}

static void test_filename_clean_replaces_invalid_utf8(void)
{
    check_clean(MEDIA_STR("a\xff.mp3"), "a" FFFD ".mp3");
    check_clean(MEDIA_STR("a\xc3"), "a" FFFD);
    check_clean(MEDIA_STR("\xed\xa0\x80"), FFFD FFFD FFFD);
    check_clean(MEDIA_STR("\xc0\xaf\xc0\xae"), FFFD FFFD FFFD FFFD);
    check_clean(MEDIA_STR("\xc3\xbc\xf0\x9f\x8e\xb5.mp3"), "\xc3\xbc\xf0\x9f\x8e\xb5.mp3");
}

static void test_filename_clean_cuts_and_keeps_the_extension(void)
{
    char raw[2000];
    char out[MEDIA_FILENAME_MAX + 1];
    memset(raw, 'a', sizeof(raw));
    CHECK_INT(media_filename_clean((media_str_t){raw, 255}, out, sizeof(out)), 255);
    CHECK_INT(media_filename_clean((media_str_t){raw, 256}, out, sizeof(out)), 255);
    memcpy(raw + 996, ".mp3", 4);
    CHECK_INT(media_filename_clean((media_str_t){raw, 1000}, out, sizeof(out)), 255);
    CHECK_STR(out + 250, "a.mp3");
    /* the extension counts as it will be written, not as it came */
    memcpy(raw + 990, ".mp3\x01\x01\x01\x01\x01\x01", 10);
    CHECK_INT(media_filename_clean((media_str_t){raw, 1000}, out, sizeof(out)), 255);
    CHECK_STR(out + 250, "a.mp3");
    /* no half of a character: 251 bytes of stem are 125 of two bytes */
    for (size_t i = 0; i < 996; i += 2) {
        memcpy(raw + i, "\xc3\xbc", 2);
    }
    memcpy(raw + 996, ".mp3", 4);
    CHECK_INT(media_filename_clean((media_str_t){raw, 1000}, out, sizeof(out)), 254);
    CHECK_STR(out + 248, "\xc3\xbc.mp3");
    /* a dot far from the end makes no extension */
    memset(raw, 'b', sizeof(raw));
    raw[1] = '.';
    CHECK_INT(media_filename_clean((media_str_t){raw, 1000}, out, sizeof(out)), 255);
    CHECK_STR(out + 252, "bbb");
}

static void test_filename_clean_small_buffer_is_toobig(void)
{
    char out[5];
    CHECK_INT(media_filename_clean(MEDIA_STR("abcd"), out, 5), 4);
    CHECK_INT(media_filename_clean(MEDIA_STR("abcde"), out, 5), MEDIA_E_TOOBIG);
    CHECK_INT(media_filename_clean(MEDIA_STR("a"), out, 0), MEDIA_E_TOOBIG);
}

static void check_disposition(const char *type, media_str_t name, const char *ext, const char *want)
{
    char out[2048];
    ssize_t n = media_content_disposition(type, name, media_str(ext), out, sizeof(out));
    CHECK_MEM(out, n < 0 ? 0 : n, want);
    CHECK(media_content_disposition(type, name, media_str(ext), out, (size_t)n + 1) == n);
    CHECK_INT(media_content_disposition(type, name, media_str(ext), out, (size_t)n),
              MEDIA_E_TOOBIG);
}

static void test_filename_disposition_plain(void)
{
    check_disposition("attachment", MEDIA_STR("song.mp3"), "", "attachment; filename=\"song.mp3\"");
    check_disposition("inline", MEDIA_STR("my clip.mp4"), ".mp3",
                      "inline; filename=\"my clip.mp3\"");
    check_disposition("inline", MEDIA_STR("clip"), ".mp3", "inline; filename=\"clip.mp3\"");
    check_disposition("inline", MEDIA_STR(".mp4"), ".mp3", "inline; filename=\".mp4.mp3\"");
    check_disposition("inline", MEDIA_STR("a.b.mp4"), ".mp3", "inline; filename=\"a.b.mp3\"");
    check_disposition("inline", MEDIA_STR(""), "", "inline; filename=\"file\"");
    check_disposition("inline", MEDIA_STR("100% a;b,c'd.mp3"), "",
                      "inline; filename=\"100% a;b,c'd.mp3\"");
}

static void test_filename_disposition_extended(void)
{
    check_disposition(
        "attachment", MEDIA_STR("\xe2\x82\xac rates.txt"), "",
        "attachment; filename=\"_ rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt");
    check_disposition("inline", MEDIA_STR("a\"b\\c.mp4"), ".mp3",
                      "inline; filename=\"a_b_c.mp3\"; filename*=UTF-8''a%22b%5Cc.mp3");
    check_disposition("inline", MEDIA_STR("%41.txt"), "",
                      "inline; filename=\"_41.txt\"; filename*=UTF-8''%2541.txt");
}

static void test_filename_disposition_cannot_split_the_header(void)
{
    check_disposition("inline", MEDIA_STR("a\r\nSet-Cookie: x=1\n.mp3"), "",
                      "inline; filename=\"aSet-Cookie: x=1.mp3\"");
    check_disposition("inline", MEDIA_STR("a\0b\xff"), "",
                      "inline; filename=\"ab_\"; filename*=UTF-8''ab%EF%BF%BD");
}

static void check_parse(const char *value, const char *want)
{
    char out[256];
    ssize_t n = media_content_disposition_parse(media_str(value), out, sizeof(out));
    CHECK_INT(n, strlen(want));
    CHECK_MEM(out, n < 0 ? 0 : n, want);
}

/* The cases of RFC 6266 section 5, and what browsers and curl send. */
static void test_filename_parse_accepts(void)
{
    check_parse("Attachment; filename=example.html", "example.html");
    check_parse("INLINE; FILENAME= \"an example.html\"", "an example.html");
    check_parse("attachment; filename*= UTF-8''%e2%82%ac%20rates", "\xe2\x82\xac rates");
    check_parse("attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates",
                "\xe2\x82\xac rates");
    check_parse("attachment; filename*=UTF-8'en'a%20b;filename=x", "a b");
    check_parse("form-data; name=\"f\"; filename=\"a\\\"b\\\\c\"", "a\"b\\c");
    check_parse("attachment; filename=\"C:\\dir\\f.txt\"", "C:\\dir\\f.txt");
    check_parse("attachment; filename=\"a;b=c.txt\" ; x=y ;", "a;b=c.txt");
    check_parse("attachment;;filename=\"\"", "");
    check_parse("attachment; foo=\"filename=no\"; filename=yes", "yes");
    check_parse("attachment; filename=\"\xc3\xbc.txt\"", "\xc3\xbc.txt");
}

static void test_filename_parse_falls_back_from_bad_extended(void)
{
    check_parse("attachment; filename=a; filename*=ISO-8859-1''%e4", "a");
    check_parse("attachment; filename=a; filename*=UTF-8''%ff", "a");
    check_parse("attachment; filename=a; filename*=UTF-8''%00", "a");
    check_parse("attachment; filename=a; filename*=UTF-8''%4", "a");
    check_parse("attachment; filename=a; filename*=UTF-8'x", "a");
    check_parse("attachment; filename=a; filename*=\"UTF-8''b\"", "a");
}

static void test_filename_parse_refuses(void)
{
    static const char *const none[] = {"attachment", "inline;", "attachment; name=x",
                                       "attachment ; ; ", "attachment; filename*=UTF-8''%zz"};
    static const char *const bad[] = {"",
                                      ";filename=x",
                                      "attachment filename=x",
                                      "attachment; filename",
                                      "attachment; filename=",
                                      "attachment; filename=\"x",
                                      "attachment; filename=\"x\\\"",
                                      "attachment; filename=x y",
                                      "attachment; filename=\"x\"y",
                                      "attachment; filename=x; filename=y",
                                      "attachment; =x",
                                      "attachment, filename=x"};
    char out[64];
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        CHECK_INT(media_content_disposition_parse(media_str(none[i]), out, sizeof(out)),
                  MEDIA_E_GONE);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_content_disposition_parse(media_str(bad[i]), out, sizeof(out)),
                  MEDIA_E_REJECT);
    }
    CHECK_INT(media_content_disposition_parse(MEDIA_STR("a; filename=abc"), out, 3),
              MEDIA_E_TOOBIG);
    CHECK_INT(media_content_disposition_parse(MEDIA_STR("a; filename*=UTF-8''abc"), out, 3),
              MEDIA_E_TOOBIG);
    CHECK_INT(media_content_disposition_parse(MEDIA_STR("a; filename=abc"), out, 0),
              MEDIA_E_TOOBIG);
}

/* What we write, we read. */
static void test_filename_disposition_round_trips(void)
{
    static const char *const names[] = {"a.mp3", "a b", "\xe2\x82\xac\"\\;=.x",
                                        "%41%",  "'",   "~!#$&"};
    char value[512];
    char back[512];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ssize_t n = media_content_disposition("inline", media_str(names[i]), MEDIA_STR(""), value,
                                              sizeof(value));
        ssize_t m =
            media_content_disposition_parse((media_str_t){value, (size_t)n}, back, sizeof(back));
        CHECK_MEM(back, m, names[i]);
    }
}

int main(void)
{
    test_filename_clean_takes_the_base_name();
    test_filename_clean_names_the_nameless();
    test_filename_clean_removes_controls();
    test_filename_clean_replaces_invalid_utf8();
    test_filename_clean_cuts_and_keeps_the_extension();
    test_filename_clean_small_buffer_is_toobig();
    test_filename_disposition_plain();
    test_filename_disposition_extended();
    test_filename_disposition_cannot_split_the_header();
    test_filename_parse_accepts();
    test_filename_parse_falls_back_from_bad_extended();
    test_filename_parse_refuses();
    test_filename_disposition_round_trips();
    return test_report();
}
