/* Pictures of every format: masked where they are to be, as they were elsewhere, nothing left of
 * what came with them; and what is not whole is refused. */
#include "an_pictures.h"
#include "test.h"

#include <math.h>

#define W 161
#define H 123

static const int box[4] = {40, 30, 40, 50};
static const finder_t here = {{40.0F / W, 30.0F / H, 40.0F / W, 50.0F / H}, -1, 0, 0};

typedef struct {
    make_t make;
    const char *name, *type;
    int psnr; /* outside of masks at least; 0: equal */
} format_t;

static const format_t formats[] = {
    {{"image2pipe", "mjpeg", AV_PIX_FMT_YUVJ444P, "", 0, NULL, {1, 25}},
     "masked.jpg",
     "image/jpeg",
     40},
    {{"image2pipe", "mjpeg", AV_PIX_FMT_YUVJ420P, "", 0, NULL, {1, 25}},
     "masked.jpg",
     "image/jpeg",
     38},
    {{"image2pipe", "png", AV_PIX_FMT_RGB24, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_RGBA, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_RGB48BE, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "png", AV_PIX_FMT_GRAY8, "", 0, NULL, {1, 25}}, "masked.png", "image/png", 0},
    {{"image2pipe", "bmp", AV_PIX_FMT_BGR24, "", 0, NULL, {1, 25}}, "masked.bmp", "image/bmp", 0},
    {{"image2pipe", "bmp", AV_PIX_FMT_RGB565LE, "", 0, NULL, {1, 25}},
     "masked.bmp",
     "image/bmp",
     55},
    {{"image2pipe", "tiff", AV_PIX_FMT_RGB24, "compression_algo=deflate", 0, NULL, {1, 25}},
     "masked.tiff",
     "image/tiff",
     0},
    {{"image2pipe", "tiff", AV_PIX_FMT_GRAY8, "compression_algo=lzw", 0, NULL, {1, 25}},
     "masked.tiff",
     "image/tiff",
     0},
    {{"webp", "libwebp", AV_PIX_FMT_BGRA, "lossless=1", 0, NULL, {1, 25}},
     "masked.webp",
     "image/webp",
     0},
    {{"webp", "libwebp", AV_PIX_FMT_YUV420P, "quality=90", 0, NULL, {1, 25}},
     "masked.webp",
     "image/webp",
     38},
    {{"gif", "gif", AV_PIX_FMT_RGB8, "", 0, NULL, {1, 25}}, "masked.gif", "image/gif", 0},
};
#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

/* Whether a pixel is away from the mask of the box, by more than 2 pixels (chroma) or 8 (blocks).
 */
static int is_outside(int x, int y, const int b[4], int far)
{
    double cx = b[0] + b[2] / 2.0, cy = b[1] + b[3] / 2.0;
    double u = (x + 0.5 - cx) / (b[2] * 0.7072 + far), v = (y + 0.5 - cy) / (b[3] * 0.7072 + far);

    return u * u + v * v > 1;
}

static double psnr_outside(const AVFrame *a, const AVFrame *b, int far)
{
    double sum = 0, n = 0;

    for (int y = 0; y < a->height; y++) {
        for (int x = 0; x < a->width; x++) {
            for (int i = 0; is_outside(x, y, box, far) && i < 4; i++) {
                double d = px(a, x, y)[i] - px(b, x, y)[i];
                sum += d * d;
                n++;
            }
        }
    }
    return sum > 0 ? 10 * log10(255 * 255 * n / sum) : 200;
}

/* How far the box's pixels are from a colour, at most. */
static int inside_off(const AVFrame *f, const int b[4], int r, int g, int bl)
{
    int most = 0, want[3] = {r, g, bl};

    for (int y = b[1]; y < b[1] + b[3]; y++) {
        for (int x = b[0]; x < b[0] + b[2]; x++) {
            for (int i = 0; i < 3; i++) {
                int d = abs(px(f, x, y)[i] - want[i]);
                most = d > most ? d : most;
            }
        }
    }
    return most;
}

static void check_format(const format_t *k)
{
    AVFrame *picture = picture_make(W, H, box, 0);
    bytes_t in = encode(&k->make, &picture, 1);
    finder_t finder = here;
    ran_t r = run(in, "{}", &finder);
    decoded_t before = decode(in), after = decode(r.out);
    int far = k->psnr > 0 ? 17 : 1;

    CHECK_STR(r.f.detail, "");
    CHECK_INT(r.rc, 0);
    CHECK_INT(r.puts, 1);
    CHECK_STR(r.name, k->name);
    CHECK_STR(r.type, k->type);
    CHECK_INT(r.width, W);
    CHECK_INT(before.n, 1);
    CHECK_INT(after.n, 1);
    if (before.n == 1 && after.n == 1 && after.frames[0]->width == W) {
        double psnr = psnr_outside(before.frames[0], after.frames[0], far);
        if (psnr < (k->psnr > 0 ? k->psnr : 200)) {
            printf("%s %s: %.1f dB\n", k->make.codec, av_get_pix_fmt_name(k->make.format), psnr);
        }
        CHECK(psnr >= (k->psnr > 0 ? k->psnr : 200));
        CHECK(inside_off(before.frames[0], box, 0, 0, 0) > 150);
        CHECK(inside_off(after.frames[0], box, 0, 0, 0) <= (k->psnr > 0 ? 12 : 0));
    }
    CHECK_STR(json_string_value(json_object_get(r.report, "kind")), "image");
    CHECK_INT(json_array_size(json_object_get(r.report, "tracks")), 1);
    decoded_free(&before);
    decoded_free(&after);
    ran_free(&r);
    free(in.p);
    av_frame_free(&picture);
}

static void test_an_image_every_format_masked_inside_same_outside(void)
{
    for (size_t i = 0; i < NFORMATS; i++) {
        check_format(&formats[i]);
    }
}

/* ---- HEIC, AVIF ---- */

static void test_an_image_heif_becomes_jpeg(void)
{
    static const enum heif_compression_format kinds[] = {heif_compression_AV1,
                                                         heif_compression_HEVC};
    AVFrame *picture = picture_make(W - 1, H - 1, box, 0);

    for (int i = 0; i < 2; i++) {
        bytes_t in = encode_heif(picture, kinds[i], 1), two = encode_heif(picture, kinds[i], 2);
        finder_t finder = {
            {40.0F / (W - 1), 30.0F / (H - 1), 40.0F / (W - 1), 50.0F / (H - 1)}, -1, 0, 0};
        ran_t r = {0};
        decoded_t after;

        if (in.p == NULL) {
            printf("no encoder of HEIF kind %d\n", (int)kinds[i]);
            continue;
        }
        r = run(in, "{}", &finder);
        CHECK_STR(r.f.detail, "");
        CHECK_STR(r.name, "masked.jpg");
        after = decode(r.out);
        CHECK_INT(after.n, 1);
        if (after.n == 1) {
            CHECK(psnr_outside(picture, after.frames[0], 17) > 34);
            CHECK(inside_off(after.frames[0], box, 0, 0, 0) <= 12);
        }
        CHECK_STR(json_string_value(json_array_get(json_object_get(r.report, "warnings"), 0)),
                  "converted_to_jpeg");
        decoded_free(&after);
        ran_free(&r);
        r = run(two, "{}", &finder);
        CHECK_STR(r.f.code, "unsupported_media");
        CHECK(strstr(r.f.detail, "2 pictures") != NULL);
        ran_free(&r);
        for (size_t cut = in.n / 3; cut < in.n; cut += in.n / 5) {
            bytes_t part = {in.p, cut};
            r = run(part, "{}", &finder);
            CHECK_STR(r.f.code, "unreadable_media");
            ran_free(&r);
        }
        free(in.p);
        free(two.p);
    }
    av_frame_free(&picture);
}

/* ---- what is not whole ---- */

static void test_an_image_cut_file_refused(void)
{
    AVFrame *picture = picture_make(W, H, box, 0);

    for (size_t i = 0; i < NFORMATS; i++) {
        bytes_t in = encode(&formats[i].make, &picture, 1);
        size_t most = formats[i].psnr > 0 ? in.n - 20 : in.n - 1;

        for (size_t cut = 40; cut <= most; cut += 1 + (most - cut + 15) / 16) {
            bytes_t part = bytes_of(in.p, cut);
            finder_t finder = here;
            ran_t r = run(part, "{}", &finder);

            if (strcmp(r.f.code, "unreadable_media") != 0) {
                printf("%s cut to %zu of %zu: %s %s\n", formats[i].make.codec, cut, in.n, r.f.code,
                       r.f.detail);
            }
            CHECK_STR(r.f.code, "unreadable_media");
            CHECK_INT(r.puts, 0);
            ran_free(&r);
            free(part.p);
        }
        free(in.p);
    }
    av_frame_free(&picture);
}

static void test_an_image_detector_fails_nothing_handed_over(void)
{
    AVFrame *picture = picture_make(W, H, box, 0);
    bytes_t in = encode(&formats[0].make, &picture, 1);
    finder_t finder = here;
    ran_t r;

    finder.fails = 1;
    r = run(in, "{}", &finder);
    CHECK_INT(r.rc, -1);
    CHECK_STR(r.f.code, "internal");
    CHECK_INT(r.puts, 0);
    ran_free(&r);
    free(in.p);
    av_frame_free(&picture);
}

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
    finder_t nobody = {{0}, -1, 0, 0};
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

#include "an_color.h"

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
    finder_t nobody = {{0}, -1, 0, 0};
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
        finder_t nobody = {{0}, -1, 0, 0};
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

/* ---- animations ---- */

static const format_t animations[] = {
    {{"gif", "gif", AV_PIX_FMT_RGB8, "", 0, "loop", {4, 25}}, "masked.gif", "image/gif", 0},
    {{"apng", "apng", AV_PIX_FMT_RGBA, "", 0, "plays", {4, 25}}, "masked.png", "image/png", 0},
    {{"webp", "libwebp_anim", AV_PIX_FMT_BGRA, "lossless=1", 0, "loop", {4, 25}},
     "masked.webp",
     "image/webp",
     0},
};
#define NFRAMES 16

#include "an_reader.h"

/* By our own reader, where libav has none. */
static decoded_t decode_any(bytes_t b, int *loops)
{
    tc_limits_t limits = TC_LIMITS_DEFAULT;
    tc_fail_t f = {{0}, {0}, 0};
    an_reader_t r;
    decoded_t d = {.n = 0};
    AVRational delay;

    *loops = -1;
    if (an_reader_open(&r, b.p, b.n, &limits, &f) == 0) {
        *loops = r.loops;
        while (d.n < FRAMES_MAX && an_reader_next(&r, &d.frames[d.n], &delay, &f) > 0) {
            d.shown_s[d.n++] = av_q2d(delay);
        }
    }
    CHECK_STR(f.detail, "");
    an_reader_close(&r);
    return d;
}

/* A face in frame 7 only masks what is within a second of it: frames 1 to 13 at 0.16 s each. */
static void check_animation(const format_t *k)
{
    AVFrame *frames[NFRAMES];
    finder_t finder = here;
    decoded_t before, after, again;
    bytes_t in;
    ran_t r;
    int loops;

    for (int i = 0; i < NFRAMES; i++) {
        frames[i] = picture_make(W, H, box, 5 * i);
    }
    in = encode(&k->make, frames, NFRAMES);
    finder.only = 7;
    r = run(in, "{}", &finder);
    CHECK_STR(r.f.detail, "");
    CHECK_STR(r.name, k->name);
    CHECK_INT(finder.asked, NFRAMES);
    before = decode_any(in, &loops);
    CHECK_INT(loops, 0);
    after = decode_any(r.out, &loops);
    CHECK_INT(loops, 0);
    CHECK_INT(before.n, NFRAMES);
    CHECK_INT(after.n, NFRAMES);
    for (int i = 0; i < NFRAMES && after.n == NFRAMES && before.n == NFRAMES; i++) {
        int hidden = i >= 1 && i <= 13;
        CHECK(psnr_outside(before.frames[i], after.frames[i], 1) >= 200);
        CHECK_INT(inside_off(after.frames[i], box, 0, 0, 0) == 0, hidden);
        CHECK(fabs(after.shown_s[i] - 0.16) < 1e-6);
    }
    CHECK_STR(json_string_value(json_object_get(r.report, "kind")), "animation");
    CHECK(fabs(json_real_value(json_object_get(r.report, "duration")) - NFRAMES * 0.16) < 1e-6);
    if (strcmp(k->make.muxer, "webp") != 0) {
        again = decode(r.out);
        CHECK_INT(again.n, NFRAMES);
        for (int i = 0; i < again.n && i < after.n; i++) {
            CHECK(psnr_outside(after.frames[i], again.frames[i], -100) >= 200);
        }
        decoded_free(&again);
    }
    for (int i = 0; i < NFRAMES; i++) {
        av_frame_free(&frames[i]);
    }
    decoded_free(&before);
    decoded_free(&after);
    ran_free(&r);
    free(in.p);
}

static void test_an_image_animation_keeps_time_and_masks_a_second_around(void)
{
    for (size_t i = 0; i < sizeof(animations) / sizeof(animations[0]); i++) {
        check_animation(&animations[i]);
    }
}

static void test_an_image_cut_animation_refused(void)
{
    AVFrame *frames[4];

    for (int i = 0; i < 4; i++) {
        frames[i] = picture_make(W, H, box, 5 * i);
    }
    for (size_t i = 0; i < sizeof(animations) / sizeof(animations[0]); i++) {
        bytes_t in = encode(&animations[i].make, frames, 4);

        for (size_t cut = 40; cut < in.n; cut += 1 + (in.n - cut) / 12) {
            bytes_t part = bytes_of(in.p, cut);
            finder_t finder = here;
            ran_t r = run(part, "{}", &finder);

            CHECK_STR(r.f.code, "unreadable_media");
            CHECK_INT(r.puts, 0);
            ran_free(&r);
            free(part.p);
        }
        free(in.p);
    }
    for (int i = 0; i < 4; i++) {
        av_frame_free(&frames[i]);
    }
}

/* ---- regions, edits ---- */

static void test_an_image_regions_and_kept_tracks(void)
{
    static const struct {
        const char *params;
        int face, corner;
    } cases[] = {
        {"{}", 1, 0},
        {"{\"regions\":[{\"box\":[0,0.75,0.2,0.25]}]}", 1, 1},
        {"{\"regions\":[{\"box\":[0.2,0.2,0.4,0.5],\"mode\":\"never\"}]}", 0, 0},
        {"{\"regions\":[{\"box\":[0.8,0.8,0.2,0.2],\"mode\":\"never\"}]}", 1, 0},
        {"{\"edit\":{\"kept\":[1]}}", 0, 0},
        {"{\"edit\":{\"kept\":[2]}}", 1, 0},
        {"{\"edit\":{\"from_masked\":true},\"regions\":[{\"box\":[0,0.75,0.2,0.25]}]}", 0, 1}};
    static const int corner[4] = {0, 95, 30, 28};
    AVFrame *f = picture_make(W, H, box, 0);
    bytes_t in = encode(&formats[2].make, &f, 1);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        finder_t finder = here;
        ran_t r = run(in, cases[i].params, &finder);
        decoded_t after = decode(r.out);

        CHECK_STR(r.f.detail, "");
        CHECK_INT(inside_off(after.frames[0], box, 0, 0, 0) == 0, cases[i].face);
        CHECK_INT(inside_off(after.frames[0], corner, 0, 0, 0) == 0, cases[i].corner);
        CHECK_INT(finder.asked, strstr(cases[i].params, "from_masked") == NULL);
        decoded_free(&after);
        ran_free(&r);
    }
    free(in.p);
    av_frame_free(&f);
}

int main(void)
{
    an_image_warm();
    av_log_set_level(AV_LOG_QUIET);
    test_an_image_every_format_masked_inside_same_outside();
    test_an_image_heif_becomes_jpeg();
    test_an_image_cut_file_refused();
    test_an_image_detector_fails_nothing_handed_over();
    test_an_image_all_orientations_upright();
    test_an_image_cmyk_becomes_rgb();
    test_an_image_profile_becomes_srgb_or_stays();
    test_an_image_hidden_colors_cleared();
    test_an_image_nothing_planted_survives();
    test_an_image_animation_keeps_time_and_masks_a_second_around();
    test_an_image_cut_animation_refused();
    test_an_image_regions_and_kept_tracks();
    return test_report();
}
