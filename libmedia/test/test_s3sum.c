/* s3sum.c: CRC-64/NVME against the catalogue's check value and NVMe's own, sums in pieces and
 * combined. */
#include "media/s3sum.h"

#include "test.h"

static void test_s3sum_crc_has_the_known_values(void)
{
    static unsigned char bytes[4096];

    CHECK(media_crc64nvme(0, "123456789", 9) == 0xae8b14860a799888ull);
    CHECK(media_crc64nvme(0, "", 0) == 0);
    /* NVM Command Set 1.0, 5.2.1.3.4: 4 KiB of zeros, of ones, of 0,1,2..., of 255,254... */
    CHECK(media_crc64nvme(0, bytes, sizeof(bytes)) == 0x6482d367eb22b64eull);
    memset(bytes, 0xff, sizeof(bytes));
    CHECK(media_crc64nvme(0, bytes, sizeof(bytes)) == 0xc0ddba7302eca3acull);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
    }
    CHECK(media_crc64nvme(0, bytes, sizeof(bytes)) == 0x3e729f5f6750449cull);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(255 - i);
    }
    CHECK(media_crc64nvme(0, bytes, sizeof(bytes)) == 0x9a2df64b8e9e517eull);
}

static void fill(unsigned char *p, size_t n)
{
    uint32_t x = 1;

    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (unsigned char)(x >> 24);
    }
}

static void test_s3sum_crc_does_not_depend_on_the_pieces(void)
{
    unsigned char bytes[1000];
    uint64_t whole;

    fill(bytes, sizeof(bytes));
    whole = media_crc64nvme(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut += 7) {
        uint64_t a = media_crc64nvme(0, bytes, cut);
        uint64_t b = media_crc64nvme(0, bytes + cut, sizeof(bytes) - cut);

        CHECK(media_crc64nvme(a, bytes + cut, sizeof(bytes) - cut) == whole);
        CHECK(media_crc64nvme_combine(a, b, (int64_t)(sizeof(bytes) - cut)) == whole);
    }
}

/* 5 TiB of zeros behind a byte, by doubling, is what combine() says at once. */
static void test_s3sum_combine_reaches_as_far_as_objects(void)
{
    uint64_t zeros = media_crc64nvme(0, "", 1), a = media_crc64nvme(0, "a", 1), want = a;
    int64_t len = 1, left = 5ll << 40;

    CHECK_INT(left % 2, 0);
    while (len <= left) {
        if (left & len) {
            want = media_crc64nvme_combine(want, zeros, len);
        }
        zeros = media_crc64nvme_combine(zeros, zeros, len);
        len *= 2;
    }
    CHECK(want != a);
    len = 4ll << 40;
    zeros = media_crc64nvme(0, "", 1);
    for (int64_t n = 1; n < len; n *= 2) {
        zeros = media_crc64nvme_combine(zeros, zeros, n);
    }
    a = media_crc64nvme_combine(a, zeros, len);
    zeros = media_crc64nvme(0, "", 1);
    for (int64_t n = 1; n < 1ll << 40; n *= 2) {
        zeros = media_crc64nvme_combine(zeros, zeros, n);
    }
    CHECK(media_crc64nvme_combine(a, zeros, 1ll << 40) == want);
}

static void check_sum(enum media_s3_sum_alg alg, const char *text, const char *want)
{
    char dst[MEDIA_S3_SUM_TEXT];
    media_s3_sum_t s;

    media_s3_sum_init(&s, alg);
    for (const char *p = text; *p != '\0'; p++) {
        media_s3_sum_add(&s, p, 1);
    }
    CHECK_INT(s.n, strlen(text));
    media_s3_sum_end(&s, dst);
    CHECK_STR(dst, want);
}

static void test_s3sum_texts_are_base64(void)
{
    check_sum(MEDIA_S3_SUM_NONE, "123456789", "");
    check_sum(MEDIA_S3_SUM_CRC64NVME, "123456789", "rosUhgp5mIg=");
    check_sum(MEDIA_S3_SUM_CRC64NVME, "", "AAAAAAAAAAA=");
    check_sum(MEDIA_S3_SUM_SHA256, "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    check_sum(MEDIA_S3_SUM_SHA256, "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

static void test_s3sum_parse_knows_its_words(void)
{
    CHECK_INT(media_s3_sum_parse(MEDIA_STR("none")), MEDIA_S3_SUM_NONE);
    CHECK_INT(media_s3_sum_parse(MEDIA_STR("sha256")), MEDIA_S3_SUM_SHA256);
    CHECK_INT(media_s3_sum_parse(MEDIA_STR("crc64nvme")), MEDIA_S3_SUM_CRC64NVME);
    CHECK_INT(media_s3_sum_parse(MEDIA_STR("SHA256")), -1);
    CHECK_INT(media_s3_sum_parse(MEDIA_STR("")), -1);
}

int main(void)
{
    test_s3sum_crc_has_the_known_values();
    test_s3sum_crc_does_not_depend_on_the_pieces();
    test_s3sum_combine_reaches_as_far_as_objects();
    test_s3sum_texts_are_base64();
    test_s3sum_parse_knows_its_words();
    return test_report();
}
