/* What pictures look like once what told it is gone (orientation, profiles, inks), and that it is
 * gone. */
#include "an_color.h"
#include "an_formats.h"

/* ---- orientation ---- */

static bytes_t with_app1(bytes_t jpeg, const void *p, size_t n)
{
    bytes_t b = {malloc(jpeg.n + n + 4), jpeg.n + n + 4};
    uint8_t head[6] = {0xFF, 0xD8, 0xFF, 0xE1, (uint8_t)((n + 2) >> 8), (uint8_t)(n + 2)};

    memcpy(b.p, head, 6);
    memcpy(b.p + 6, p, n);
    memcpy(b.p + 6 + n, jpeg.p + 2, jpeg.n - 2);
    return b;
}

/* The stored picture that is `upright` once turned as `orientation` says. */
static AVFrame *stored(const AVFrame *upright, int orientation)
{
    int turned = orientation >= 5, w = upright->width, h = upright->height;
    AVFrame *f = picture_new(turned ? h : w, turned ? w : h);

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            /* where EXIF puts the 0th row and column: top left, top right, ... */
            static const int right[9] = {0, 0, 1, 1, 0, 0, 1, 1, 0};
            static const int bottom[9] = {0, 0, 0, 1, 1, 0, 0, 1, 1};
            int column = right[orientation] ? w - 1 - x : x,
                row = bottom[orientation] ? h - 1 - y : y;
            memcpy(turned ? px(f, row, column) : px(f, column, row), px(upright, x, y), 4);
        }
    }
    return f;
}

static void test_an_image_all_orientations_upright(void)
{
    AVFrame *upright = picture_make(W, H, box, 0);

    for (int o = 1; o <= 8; o++) {
        AVFrame *f = stored(upright, o);
        bytes_t plain = encode(&formats[0].make, &f, 1), in, out;
        uint8_t exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x00\0\0\0\0\0\0";
        finder_t finder = here;
        decoded_t after;
        ran_t r;

        exif[25] = (uint8_t)o;
        in = with_app1(plain, exif, sizeof(exif) - 1);
        r = run(in, "{}", &finder);
        CHECK_STR(r.f.detail, "");
        out = r.out;
        after = decode(out);
        CHECK_INT(after.n, 1);
        if (after.n == 1) {
            CHECK_INT(after.frames[0]->width, W);
            CHECK_INT(after.frames[0]->height, H);
            CHECK(psnr_outside(upright, after.frames[0], 17) > 36);
            CHECK(inside_off(after.frames[0], box, 0, 0, 0) <= 12);
        }
        decoded_free(&after);
        ran_free(&r);
        free(in.p);
        free(plain.p);
        av_frame_free(&f);
    }
    av_frame_free(&upright);
}

/* ---- colours ---- */

static AVFrame *flat(int r, int g, int b, int a)
{
    AVFrame *f = picture_new(32, 32);

    for (int i = 0; i < 32 * 32; i++) {
        uint8_t v[4] = {(uint8_t)r, (uint8_t)g, (uint8_t)b, (uint8_t)a};
        memcpy(px(f, i % 32, i / 32), v, 4);
    }
    return f;
}

static void check_flat(bytes_t in, const char *params, int r, int g, int b)
{
    finder_t nobody = {{0}, -1, 0, 0, 0};
    ran_t ran = run(in, params, &nobody);
    decoded_t after = decode(ran.out);
    int all[4] = {0, 0, 32, 32};

    CHECK_STR(ran.f.detail, "");
    CHECK_INT(after.n, 1);
    if (after.n == 1) {
        if (inside_off(after.frames[0], all, r, g, b) > 5) {
            const uint8_t *p = px(after.frames[0], 9, 9);
            printf("got %d %d %d, expected %d %d %d\n", p[0], p[1], p[2], r, g, b);
        }
        CHECK(inside_off(after.frames[0], all, r, g, b) <= 5);
    }
    decoded_free(&after);
    ran_free(&ran);
}

static void test_an_image_cmyk_becomes_rgb(void)
{
    static const struct {
        int c, m, y, k;
        int rgb[3];
    } cases[] = {{255, 255, 255, 255, {255, 255, 255}}, /* Adobe: 255 is no ink */
                 {0, 255, 255, 255, {0, 255, 255}},
                 {255, 0, 0, 255, {255, 0, 0}},
                 {255, 255, 255, 0, {0, 0, 0}},
                 {200, 100, 50, 255, {200, 100, 50}}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AVFrame *f = flat(cases[i].c, cases[i].m, cases[i].y, cases[i].k);
        bytes_t a = encode_jpeg(f, JCS_CMYK, JCS_CMYK), b = encode_jpeg(f, JCS_CMYK, JCS_YCCK);

        check_flat(a, "{}", cases[i].rgb[0], cases[i].rgb[1], cases[i].rgb[2]);
        check_flat(b, "{}", cases[i].rgb[0], cases[i].rgb[1], cases[i].rgb[2]);
        free(a.p);
        free(b.p);
        av_frame_free(&f);
    }
}

/* An ICC profile in APP2. */
static bytes_t with_icc(bytes_t jpeg, const uint8_t *icc, size_t n)
{
    bytes_t b;
    uint8_t *p = malloc(n + 14);

    memcpy(p, "ICC_PROFILE\0\x01\x01", 14);
    memcpy(p + 14, icc, n);
    b = with_app1(jpeg, p, n + 14);
    b.p[3] = 0xE2;
    free(p);
    return b;
}

static int holds(bytes_t b, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i + n <= b.n; i++) {
        if (memcmp(b.p + i, text, n) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Display P3 (234, 51, 35) is sRGB's red. */
static void test_an_image_profile_becomes_srgb_or_stays(void)
{
    static const double p3[8] = {0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060};
    size_t n;
    uint8_t *icc = an_color_profile(p3, 0, &n);
    AVFrame *f = flat(234, 51, 35, 255);
    bytes_t plain = encode_jpeg(f, JCS_EXT_RGBA, JCS_RGB), in = with_icc(plain, icc, n);
    finder_t nobody = {{0}, -1, 0, 0, 0};
    ran_t r;

    check_flat(plain, "{}", 234, 51, 35);
    check_flat(in, "{}", 255, 0, 0);
    check_flat(in, "{\"keep_metadata\":[\"icc\"]}", 234, 51, 35);
    r = run(in, "{}", &nobody);
    CHECK(!holds(r.out, "ICC_PROFILE"));
    ran_free(&r);
    r = run(in, "{\"keep_metadata\":[\"icc\"]}", &nobody);
    CHECK(holds(r.out, "ICC_PROFILE"));
    ran_free(&r);
    free(icc);
    free(in.p);
    free(plain.p);
    av_frame_free(&f);
}

static void test_an_image_hidden_colors_cleared(void)
{
    static const int kinds[] = {3, 10}; /* PNG, WebP lossless */

    for (int i = 0; i < 2; i++) {
        AVFrame *f = picture_make(W, H, box, 0);
        finder_t nobody = {{0}, -1, 0, 0, 0};
        decoded_t after;
        bytes_t in;
        ran_t r;

        for (int y = 20; y < 100; y++) {
            for (int x = 20; x < 100; x++) {
                px(f, x, y)[3] = x < 60 ? 0 : 100;
            }
        }
        in = encode(&formats[kinds[i]].make, &f, 1);
        r = run(in, "{}", &nobody);
        CHECK_STR(r.f.detail, "");
        CHECK_INT(nobody.asked, 2); /* on white, and the colours alone */
        after = decode(r.out);
        CHECK_INT(after.n, 1);
        if (after.n == 1) {
            CHECK_INT(px(after.frames[0], 50, 50)[3], 0);
            CHECK_INT(px(after.frames[0], 50, 50)[0], 0);
            CHECK_INT(px(after.frames[0], 70, 50)[3], 100);
            CHECK_INT(px(after.frames[0], 70, 50)[0], px(f, 70, 50)[0]);
        }
        decoded_free(&after);
        ran_free(&r);
        free(in.p);
        av_frame_free(&f);
    }
}

/* ---- no trace ---- */

static const char *const planted[] = {"PLANTED", "Lavc",    "Lavf", "LEAD",
                                      "JFXX",    "libtiff", "GPS",  NULL};

static void check_no_trace(bytes_t in, const char *what, const char *params)
{
    finder_t finder = here;
    ran_t r = run(in, params, &finder);

    CHECK_STR(r.f.detail, "");
    for (int i = 0; planted[i] != NULL; i++) {
        if (holds(r.out, planted[i])) {
            printf("%s holds %s\n", what, planted[i]);
        }
        CHECK(!holds(r.out, planted[i]));
    }
    ran_free(&r);
}

static bytes_t joined(bytes_t a, const char *tail)
{
    bytes_t b = {malloc(a.n + strlen(tail) + 1), a.n + strlen(tail)};

    memcpy(b.p, a.p, a.n);
    memcpy(b.p + a.n, tail, strlen(tail));
    return b;
}

static void test_an_image_nothing_planted_survives(void)
{
    static const uint8_t exif[] =
        "Exif\0\0II*\0\x08\0\0\0\x03\0" /* ImageDescription, Software, Copyright */
        "\x0E\x01\x02\0\x08\0\0\0\x32\0\0\0\x31\x01\x02\0\x08\0\0\0\x32\0\0\0"
        "\x98\x82\x02\0\x08\0\0\0\x3A\0\0\0\0\0\0\0PLANTED\0Justice";
    AVFrame *f = picture_make(W, H, box, 0);
    bytes_t plain = encode(&formats[0].make, &f, 1), a, b, c, d, e;
    finder_t finder = here;
    ran_t r;

    a = with_app1(plain, exif, sizeof(exif));
    b = with_app1(a, "http://ns.adobe.com/xap/1.0/\0<PLANTED/>", 39);
    c = with_app1(b, "PLANTED comment", 15);
    c.p[3] = 0xFE;
    d = with_app1(c, "Photoshop 3.0\08BIM\x04\x04\0\0\0\0\0\x07PLANTED", 33);
    d.p[3] = 0xED;
    e = joined(d, "PLANTED trailer");
    CHECK(holds(e, "PLANTED trailer"));
    check_no_trace(e, "JPEG", "{}");
    r = run(e, "{\"keep_metadata\":[\"copyright\"]}", &finder);
    CHECK(holds(r.out, "Justice"));
    CHECK(!holds(r.out, "PLANTED"));
    ran_free(&r);
    free(a.p);
    free(b.p);
    free(c.p);
    free(d.p);
    free(e.p);
    free(plain.p);
    for (size_t i = 0; i < NFORMATS; i++) {
        plain = encode(&formats[i].make, &f, 1);
        a = joined(plain, "PLANTED trailer");
        check_no_trace(a, formats[i].make.codec, "{}");
        free(a.p);
        free(plain.p);
    }
    av_frame_free(&f);
}

int main(void)
{
    an_image_warm();
    av_log_set_level(AV_LOG_QUIET);
    test_an_image_all_orientations_upright();
    test_an_image_cmyk_becomes_rgb();
    test_an_image_profile_becomes_srgb_or_stays();
    test_an_image_hidden_colors_cleared();
    test_an_image_nothing_planted_survives();
    return test_report();
}
