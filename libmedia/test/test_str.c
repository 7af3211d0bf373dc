#include "test.h"

#include <time.h>

#include "media/err.h"
#include "media/str.h"

static void test_str_compare(void)
{
    CHECK(media_str_eq(MEDIA_STR("ab"), media_str("ab")));
    CHECK(!media_str_eq(MEDIA_STR("ab"), MEDIA_STR("aB")));
    CHECK(!media_str_eq(MEDIA_STR("ab"), MEDIA_STR("abc")));
    CHECK(media_str_eq(MEDIA_STR_NULL, MEDIA_STR("")));
    CHECK(media_str_ieq(MEDIA_STR("Content-Type"), MEDIA_STR("cONTENT-tYPE")));
    CHECK(!media_str_ieq(MEDIA_STR("@"), MEDIA_STR("`")));
    CHECK(!media_str_ieq(MEDIA_STR("["), MEDIA_STR("{")));
    CHECK(media_str_eq_consttime(MEDIA_STR("abc"), MEDIA_STR("abc")));
    CHECK(!media_str_eq_consttime(MEDIA_STR("abc"), MEDIA_STR("abd")));
    CHECK(!media_str_eq_consttime(MEDIA_STR("abc"), MEDIA_STR("ab")));
    CHECK(media_str_eq_consttime(MEDIA_STR_NULL, MEDIA_STR("")));
    CHECK_INT(media_str(NULL).len, 0);
    CHECK(media_str_eq(media_str_trim(MEDIA_STR(" \t a b \t")), MEDIA_STR("a b")));
    CHECK_INT(media_str_trim(MEDIA_STR(" \t ")).len, 0);
    CHECK_INT(media_str_trim(MEDIA_STR_NULL).len, 0);
}

static void test_str_to_i64_limits(void)
{
    int64_t v = -7;
    CHECK_INT(media_str_to_i64(MEDIA_STR("0"), &v), 0);
    CHECK_INT(v, 0);
    CHECK_INT(media_str_to_i64(MEDIA_STR("9223372036854775807"), &v), 0);
    CHECK_INT(v, INT64_MAX);
    CHECK_INT(media_str_to_i64(MEDIA_STR("0000000000000000000000012"), &v), 0);
    CHECK_INT(v, 12);
    static const char *const bad[] = {
        "", "9223372036854775808", "99999999999999999999", "-1", "+1", " 1", "1 ", "1a", "0x10"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_str_to_i64(media_str(bad[i]), &v), MEDIA_E_REJECT);
    }
    CHECK_INT(v, 12);
}

static void test_str_hex_round_trip(void)
{
    char out[16];
    uint8_t bin[4];
    CHECK_INT(media_hex_encode("\x00\xff\x1a", 3, out, sizeof(out)), 6);
    CHECK_STR(out, "00ff1a");
    CHECK_INT(media_hex_encode("\x00\xff\x1a", 3, out, 7), 6);
    CHECK_INT(media_hex_encode("\x00\xff\x1a", 3, out, 6), MEDIA_E_TOOBIG);
    CHECK_INT(media_hex_encode("", 0, out, 0), MEDIA_E_TOOBIG);
    CHECK_INT(media_hex_decode(MEDIA_STR("00fF1A"), bin, 3), 3);
    CHECK(memcmp(bin, "\x00\xff\x1a", 3) == 0);
    CHECK_INT(media_hex_decode(MEDIA_STR("00ff1a"), bin, 2), MEDIA_E_TOOBIG);
    CHECK_INT(media_hex_decode(MEDIA_STR("00f"), bin, 4), MEDIA_E_REJECT);
    CHECK_INT(media_hex_decode(MEDIA_STR("0g"), bin, 4), MEDIA_E_REJECT);
}

/* RFC 4648 section 10 */
static void test_str_b64_rfc4648_vectors(void)
{
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const enc[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                      "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    static const size_t url_len[] = {0, 2, 3, 4, 6, 7, 8};
    char out[16];
    for (size_t i = 0; i < 7; i++) {
        size_t n = strlen(plain[i]);
        size_t en = strlen(enc[i]);
        CHECK_INT(media_b64_encode(plain[i], n, out, en + 1), en);
        CHECK_STR(out, enc[i]);
        CHECK_INT(media_b64_encode(plain[i], n, out, en), MEDIA_E_TOOBIG);
        CHECK_INT(media_b64_decode(media_str(enc[i]), out, n), n);
        CHECK_MEM(out, n, plain[i]);
        CHECK_INT(media_b64url_encode(plain[i], n, out, url_len[i] + 1), url_len[i]);
        CHECK_INT(media_b64url_decode((media_str_t){enc[i], url_len[i]}, out, n), n);
        CHECK_MEM(out, n, plain[i]);
        if (n > 0) {
            CHECK_INT(media_b64_decode(media_str(enc[i]), out, n - 1), MEDIA_E_TOOBIG);
        }
    }
}

static void test_str_b64_alphabets_differ(void)
{
    char out[8];
    CHECK_INT(media_b64_encode("\xfb\xff\xbf", 3, out, sizeof(out)), 4);
    CHECK_STR(out, "+/+/");
    CHECK_INT(media_b64url_encode("\xfb\xff\xbf", 3, out, sizeof(out)), 4);
    CHECK_STR(out, "-_-_");
    CHECK_INT(media_b64_decode(MEDIA_STR("-_-_"), out, 8), MEDIA_E_REJECT);
    CHECK_INT(media_b64url_decode(MEDIA_STR("+/+/"), out, 8), MEDIA_E_REJECT);
}

static void test_str_b64_refuses_sloppy_input(void)
{
    static const char *const bad[] = {"Zg",   "Zg=",   "Zg===",    "Z===",      "====",
                                      "Zh==", "Zm9=",  "Zm 9",     "Zm9v\n",    "=Zm9",
                                      "Zm=v", "Zm9v=", "Zg==Zg==", "Zm\xc3\xb6"};
    char out[16];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_b64_decode(media_str(bad[i]), out, sizeof(out)), MEDIA_E_REJECT);
    }
    static const char *const bad_url[] = {
        "Z", "A", "Zm9vA", "Zg=", "Zg==", "Zh", "Zm9", "Zm9vY", "Zm9v ", "."};
    CHECK_INT(media_b64url_decode(MEDIA_STR("Zm8"), out, sizeof(out)), 2);
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++) {
        CHECK_INT(media_b64url_decode(media_str(bad_url[i]), out, sizeof(out)), MEDIA_E_REJECT);
    }
}

static void test_str_b64url_every_byte_round_trips(void)
{
    uint8_t all[257];
    uint8_t back[257];
    char enc[400];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)(i * 7);
    }
    for (size_t n = 0; n <= sizeof(all); n++) {
        ssize_t e = media_b64url_encode(all, n, enc, sizeof(enc));
        ssize_t d = media_b64url_decode((media_str_t){enc, (size_t)e}, back, sizeof(back));
        CHECK(d == (ssize_t)n && memcmp(all, back, n) == 0);
    }
}

static void test_str_pct(void)
{
    char out[64];
    CHECK_INT(media_pct_encode(MEDIA_STR("a/b c~\xc3\xa9%+"), 1, out, sizeof(out)), 20);
    CHECK_STR(out, "a/b%20c~%C3%A9%25%2B");
    CHECK_INT(media_pct_encode(MEDIA_STR("a/b"), 0, out, sizeof(out)), 5);
    CHECK_STR(out, "a%2Fb");
    CHECK_INT(media_pct_encode(MEDIA_STR("a/b"), 0, out, 6), 5);
    CHECK_INT(media_pct_encode(MEDIA_STR("a/b"), 0, out, 5), MEDIA_E_TOOBIG);
    CHECK_INT(media_pct_encode(MEDIA_STR(""), 0, out, 0), MEDIA_E_TOOBIG);
    ssize_t n = media_pct_decode(MEDIA_STR("a%2fb+%C3%A9"), out, sizeof(out));
    CHECK_MEM(out, n, "a/b+\xc3\xa9");
    CHECK_INT(media_pct_decode(MEDIA_STR("abc"), out, 2), MEDIA_E_TOOBIG);
    static const char *const bad[] = {"%", "%4", "a%", "%zz", "%4g", "%00", "a%00b", "%%41"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_pct_decode(media_str(bad[i]), out, sizeof(out)), MEDIA_E_REJECT);
    }
    CHECK_INT(media_pct_decode(MEDIA_STR("a\0b"), out, sizeof(out)), MEDIA_E_REJECT);
}

/* Every code point encoded by hand is accepted, surrogates are not; then forms beside the rule. */
static void test_str_utf8_all_code_points(void)
{
    int wrong = 0;
    for (unsigned long c = 0; c <= 0x110000; c++) {
        char b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        b[0] = (char)(lead[n] | (c >> (6 * (n - 1))));
        for (size_t i = 1; i < n; i++) {
            b[i] = (char)(0x80 | ((c >> (6 * (n - 1 - i))) & 0x3f));
        }
        int legal = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        wrong += media_utf8_valid((media_str_t){b, n}) != legal;
        wrong += n > 1 && media_utf8_valid((media_str_t){b, n - 1});
    }
    CHECK_INT(wrong, 0);
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xe0\x80\xaf",
                                      "\xf0\x80\x80\xaf",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xc3(",
                                      "\xe2\x28\xa1",
                                      "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!media_utf8_valid(media_str(bad[i])));
    }
    CHECK(media_utf8_valid(MEDIA_STR("")));
}

/* Our calendar against libc's over ten thousand years. */
static void test_str_dates_agree_with_libc(void)
{
    int wrong = 0;
    for (int64_t t = -62167219200; t <= 253402300799; t += 86400 * 37 + 12345) {
        char ours[32];
        char libc[64];
        struct tm tm;
        int64_t back = -1;
        time_t tt = (time_t)t;
        gmtime_r(&tt, &tm);
        strftime(libc, sizeof(libc), "%a, %d %b ", &tm);
        size_t n = strlen(libc);
        snprintf(libc + n, sizeof(libc) - n, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        wrong += media_http_date(t, ours, sizeof(ours)) != 29 || strcmp(ours, libc) != 0;
        wrong += media_http_date_parse(media_str(ours), &back) != 0 || back != t;
    }
    CHECK_INT(wrong, 0);
}

static void test_str_dates_at_the_edges(void)
{
    char out[32];
    CHECK_INT(media_http_date(784111777, out, sizeof(out)), 29);
    CHECK_STR(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_INT(media_http_date(INT64_MAX, out, sizeof(out)), 29);
    CHECK_STR(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_INT(media_http_date(INT64_MIN, out, sizeof(out)), 29);
    CHECK_INT(media_rfc3339(1700000000123, out, sizeof(out)), 24);
    CHECK_STR(out, "2023-11-14T22:13:20.123Z");
    CHECK_INT(media_rfc3339(-1, out, sizeof(out)), 24);
    CHECK_STR(out, "1969-12-31T23:59:59.999Z");
    CHECK_INT(media_rfc3339(INT64_MIN, out, sizeof(out)), 24);
    CHECK_INT(media_rfc3339(INT64_MAX, out, sizeof(out)), 24);
    CHECK_INT(media_http_date(0, out, 29), 0);
}

static void test_str_http_date_parse_refuses(void)
{
    int64_t t = 5;
    static const char *const bad[] = {"",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sunday, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov  6 08:49:37 1994",
                                      "Mon, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 6 Nov 1994 08:49:37 GMT ",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:60:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "Wed, 30 Feb 1994 08:49:37 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, +6 Nov 1994 08:49:37 GMT",
                                      "nSu, 06 Nov 1994 08:49:37 GMT"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_http_date_parse(media_str(bad[i]), &t), MEDIA_E_REJECT);
    }
    CHECK_INT(t, 5);
    CHECK_INT(media_http_date_parse(MEDIA_STR("Thu, 29 Feb 2024 00:00:00 GMT"), &t), 0);
    CHECK_INT(t, 1709164800);
}

/* RFC 9562 appendix A.6 */
static void test_str_uuid7_rfc9562_vector(void)
{
    static const uint8_t rnd[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    char id[MEDIA_UUID_LEN + 1];
    media_uuid7(1645557742000, rnd, id);
    CHECK_STR(id, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    static const uint8_t ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    media_uuid7(1645557742000, ones, id);
    CHECK_STR(id, "017f22e2-79b0-7fff-bfff-ffffffffffff");
}

static void test_str_uuid_parse_gives_bytes_and_time(void)
{
    static const uint8_t want[16] = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x7c, 0xc3,
                                     0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    uint8_t id[16];
    CHECK_INT(media_uuid_parse(MEDIA_STR("017F22e2-79b0-7cc3-98c4-dc0c0c07398f"), id), 0);
    CHECK(memcmp(id, want, sizeof(id)) == 0);
    CHECK_INT(media_uuid7_ms(id), 1645557742000);
    CHECK_INT(media_uuid_parse(MEDIA_STR("017f22e2-79b0-4cc3-98c4-dc0c0c07398f"), id), 0);
    CHECK_INT(media_uuid7_ms(id), -1);
    CHECK_INT(media_uuid_parse(MEDIA_STR("017f22e279b07cc398c4dc0c0c07398f"), id), MEDIA_E_REJECT);
    CHECK_INT(media_uuid_parse(MEDIA_STR_NULL, id), MEDIA_E_REJECT);
}

static void test_str_uuid_valid(void)
{
    CHECK(media_uuid_valid(MEDIA_STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")));
    CHECK(media_uuid_valid(MEDIA_STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")));
    CHECK(!media_uuid_valid(MEDIA_STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398")));
    CHECK(!media_uuid_valid(MEDIA_STR("017f22e279b0-7cc3-98c4-dc0c0c07398f0")));
    CHECK(!media_uuid_valid(MEDIA_STR("017g22e2-79b0-7cc3-98c4-dc0c0c07398f")));
    CHECK(!media_uuid_valid(MEDIA_STR("{17f22e2-79b0-7cc3-98c4-dc0c0c07398}")));
    CHECK(!media_uuid_valid(MEDIA_STR_NULL));
}

static void test_str_rfc3339_parse_is_strict(void)
{
    static const char *const bad[] = {
        "",
        "2013-05-24",
        "2013-05-24T00:00:00",
        "2013-05-24T00:00:00.Z",
        "2013-05-24T00:00:00+00:00",
        "2013-05-24T00:00:00Zx",
        "2013-05-24 00:00:00Z",
        "2013-02-29T00:00:00Z",
        "2013-00-01T00:00:00Z",
        "2013-13-01T00:00:00Z",
        "2013-01-00T00:00:00Z",
        "2013-01-01T24:00:00Z",
        "2013-01-01T00:60:00Z",
        "+013-01-01T00:00:00Z",
    };
    char back[32];
    int64_t t = 0;

    CHECK_INT(media_rfc3339_parse(MEDIA_STR("2013-05-24T00:00:00Z"), &t), 0);
    CHECK_INT(t, 1369353600);
    CHECK_INT(media_rfc3339_parse(MEDIA_STR("2024-02-29T23:59:59.123456Z"), &t), 0);
    CHECK(media_rfc3339(t * 1000, back, sizeof(back)) > 0);
    CHECK_STR(back, "2024-02-29T23:59:59.000Z");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_rfc3339_parse(media_str(bad[i]), &t), MEDIA_E_REJECT);
    }
}

int main(void)
{
    test_str_compare();
    test_str_to_i64_limits();
    test_str_hex_round_trip();
    test_str_b64_rfc4648_vectors();
    test_str_b64_alphabets_differ();
    test_str_b64_refuses_sloppy_input();
    test_str_b64url_every_byte_round_trips();
    test_str_pct();
    test_str_utf8_all_code_points();
    test_str_dates_agree_with_libc();
    test_str_dates_at_the_edges();
    test_str_http_date_parse_refuses();
    test_str_uuid7_rfc9562_vector();
    test_str_uuid_parse_gives_bytes_and_time();
    test_str_uuid_valid();
    test_str_rfc3339_parse_is_strict();
    return test_report();
}
