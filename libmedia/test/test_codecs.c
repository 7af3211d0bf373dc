#include "test.h"

#include "media/codecs.h"

static void test_codecs_avc(void)
{
    static const uint8_t main31[] = {1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0};
    static const uint8_t other[] = {2, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0};
    char out[MEDIA_CODECS_MAX];
    CHECK_INT(media_codecs_avc(main31, sizeof(main31), out, sizeof(out)), 11);
    CHECK_STR(out, "avc1.4d401f");
    CHECK_INT(media_codecs_avc(main31, sizeof(main31), out, 12), 11);
    CHECK_INT(media_codecs_avc(main31, sizeof(main31), out, 11), MEDIA_E_TOOBIG);
    CHECK_INT(media_codecs_avc(main31, 6, out, sizeof(out)), MEDIA_E_REJECT);
    CHECK_INT(media_codecs_avc(other, sizeof(other), out, sizeof(out)), MEDIA_E_REJECT);
    CHECK_INT(media_codecs_avc(NULL, 0, out, sizeof(out)), MEDIA_E_REJECT);
}

static void test_codecs_hevc_examples_of_annex_e(void)
{
    /* Main, level 3.1, progressive frames only: the standard's own example */
    uint8_t hvcc[23] = {1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93};
    char out[MEDIA_CODECS_MAX];
    CHECK(media_codecs_hevc(hvcc, sizeof(hvcc), out, sizeof(out)) > 0);
    CHECK_STR(out, "hvc1.1.6.L93.B0");
    /* Main 10, high tier, profile space 1, all constraint bytes */
    hvcc[1] = 0x40 | 0x20 | 2;
    hvcc[2] = 0x20;
    hvcc[11] = 1;
    hvcc[12] = 153;
    CHECK(media_codecs_hevc(hvcc, sizeof(hvcc), out, sizeof(out)) > 0);
    CHECK_STR(out, "hvc1.A2.4.H153.B0.0.0.0.0.1");
    hvcc[6] = 0;
    hvcc[11] = 0;
    CHECK(media_codecs_hevc(hvcc, sizeof(hvcc), out, sizeof(out)) > 0);
    CHECK_STR(out, "hvc1.A2.4.H153");
    CHECK_INT(media_codecs_hevc(hvcc, 22, out, sizeof(out)), MEDIA_E_REJECT);
}

static void test_codecs_aac(void)
{
    static const uint8_t lc[] = {0x11, 0x90};
    static const uint8_t he[] = {0x2b, 0x92};
    static const uint8_t usac[] = {0xf9, 0x40};
    char out[MEDIA_CODECS_MAX];
    CHECK(media_codecs_aac(lc, 2, out, sizeof(out)) > 0);
    CHECK_STR(out, "mp4a.40.2");
    CHECK(media_codecs_aac(he, 2, out, sizeof(out)) > 0);
    CHECK_STR(out, "mp4a.40.5");
    CHECK(media_codecs_aac(usac, 2, out, sizeof(out)) > 0);
    CHECK_STR(out, "mp4a.40.42");
    CHECK_INT(media_codecs_aac(lc, 1, out, sizeof(out)), MEDIA_E_REJECT);
    CHECK_INT(media_codecs_aac((const uint8_t *)"\0\0", 2, out, sizeof(out)), MEDIA_E_REJECT);
}

int main(void)
{
    test_codecs_avc();
    test_codecs_hevc_examples_of_annex_e();
    test_codecs_aac();
    return test_report();
}
