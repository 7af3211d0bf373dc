/* Pictures of every format: masked where they are to be, as they were elsewhere, nothing left of
 * what came with them; and what is not whole is refused. */
#include "an_formats.h"
#include "an_seen_kept.h"

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

static void check_avif_refused(bytes_t in, const char *code, const char *word)
{
    finder_t finder = here;
    ran_t r = run(in, "{}", &finder);

    CHECK_STR(r.f.code, code);
    CHECK(strstr(r.f.detail, word) != NULL);
    ran_free(&r);
}

/* (HEIC: test_an_image_files.c) */
static void test_an_image_avif_becomes_jpeg(void)
{
    AVFrame *picture = picture_make(W - 1, H - 1, box, 0);
    bytes_t in = encode_avif(picture, 1), two = encode_avif(picture, 2);
    finder_t finder = {
        {40.0F / (W - 1), 30.0F / (H - 1), 40.0F / (W - 1), 50.0F / (H - 1)}, -1, 0, 0, 0};
    ran_t r = run(in, "{}", &finder);
    decoded_t after = decode(r.out);

    CHECK_STR(r.f.detail, "");
    CHECK_STR(r.name, "masked.jpg");
    CHECK_INT(after.n, 1);
    if (after.n == 1) {
        CHECK(psnr_outside(picture, after.frames[0], 17) > 34);
        CHECK(inside_off(after.frames[0], box, 0, 0, 0) <= 12);
    }
    CHECK_STR(json_string_value(json_array_get(json_object_get(r.report, "warnings"), 0)),
              "converted_to_jpeg");
    decoded_free(&after);
    ran_free(&r);
    check_avif_refused(two, "unsupported_media", "2 pictures");
    for (size_t cut = in.n / 3; cut < in.n; cut += in.n / 5) {
        check_avif_refused((bytes_t){in.p, cut}, "unreadable_media", "damaged");
    }
    free(in.p);
    free(two.p);
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
    finder.fails = 0;
    finder.crowds = 1;
    r = run(in, "{}", &finder);
    CHECK_INT(r.rc, -1);
    CHECK_STR(r.f.code, "limits");
    CHECK_STR(r.f.detail, "There are more than 1024 things to mask in one picture.");
    CHECK_INT(r.puts, 0);
    ran_free(&r);
    free(in.p);
    av_frame_free(&picture);
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
        {"{\"regions\":[{\"box\":[0,0.75,0.2,0.25],\"from\":4,\"to\":8}]}", 1, 1},
        {"{\"edit\":{\"base\":\"masked\"},\"regions\":[{\"box\":[0,0.75,0.2,0.25]}]}", 0, 1}};
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
        CHECK_INT(finder.asked, strstr(cases[i].params, "masked") == NULL);
        decoded_free(&after);
        ran_free(&r);
    }
    free(in.p);
    av_frame_free(&f);
}

/* An edit goes by what was found the first time: another detector sees somebody else, further up,
 * who would be the first. */
static void test_an_image_edit_keeps_who_was_kept(void)
{
    static const struct {
        const char *params;
        int face;
    } cases[] = {{"{\"edit\":{\"kept\":[1]}}", 0},
                 {"{\"edit\":{\"kept\":[2]}}", 1},
                 {"{\"edit\":{\"kept\":[]}}", 1}};
    static const int other[4] = {4, 4, 20, 20};
    AVFrame *f = picture_make(W, H, box, 0);
    bytes_t in = encode(&formats[2].make, &f, 1);
    finder_t finder = here;
    ran_t base = run(in, "{}", &finder);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        finder_t today = {{0, 0, 0.25F, 0.25F}, -1, 0, 0, 0};
        ran_t r = run_edit(in, base.kept, cases[i].params, &today);
        ran_t next = run_edit(in, r.kept, "{\"edit\":{\"kept\":[]}}", &today);
        decoded_t after = decode(r.out), last = decode(next.out);

        CHECK_STR(r.f.detail, "");
        CHECK_INT(today.asked, 0);
        CHECK_INT(json_array_size(json_object_get(r.report, "tracks")), 1);
        CHECK_INT(inside_off(after.frames[0], box, 0, 0, 0) == 0, cases[i].face);
        CHECK(inside_off(after.frames[0], other, 0, 0, 0) > 0);
        CHECK_INT(inside_off(last.frames[0], box, 0, 0, 0), 0);
        decoded_free(&after);
        decoded_free(&last);
        ran_free(&r);
        ran_free(&next);
    }
    ran_free(&base);
    free(in.p);
    av_frame_free(&f);
}

static void check_edit_refused(bytes_t in, bytes_t kept, const char *params, const char *detail)
{
    finder_t finder = here;
    ran_t r = run_edit(in, kept, params, &finder);

    CHECK_INT(r.rc, -1);
    CHECK_STR(r.f.code, "internal");
    CHECK_STR(r.f.detail, detail);
    CHECK_INT(r.puts, 0);
    ran_free(&r);
}

static void test_an_image_edit_without_what_was_found_refused(void)
{
    AVFrame *f = picture_make(W, H, box, 0), *small = picture_make(W - 16, H, box, 0);
    bytes_t in = encode(&formats[2].make, &f, 1), in_small = encode(&formats[2].make, &small, 1);
    finder_t finder = here;
    ran_t base = run(in, "{}", &finder);
    ran_t anew = run_edit(in, (bytes_t){NULL, 0}, "{\"edit\":{\"kept\":[]}}", &finder);

    CHECK_STR(anew.f.detail, "");
    CHECK_INT(finder.asked, 2);
    check_edit_refused(in, (bytes_t){NULL, 0}, "{\"edit\":{\"kept\":[1]}}",
                       "What was found in the picture before is missing.");
    check_edit_refused(in_small, base.kept, "{\"edit\":{\"kept\":[]}}",
                       "What was kept is of a picture of another size.");
    check_edit_refused(in, (bytes_t){base.kept.p, 20}, "{\"edit\":{\"kept\":[1]}}",
                       "What was kept of the picture is not usable: what was found is cut off.");
    ran_free(&base);
    ran_free(&anew);
    free(in.p);
    free(in_small.p);
    av_frame_free(&f);
    av_frame_free(&small);
}

/* Not one byte of it is trusted. */
static void test_an_image_kept_is_read_with_care(void)
{
    AVFrame *f = picture_make(W, H, box, 0);
    bytes_t in = encode(&formats[2].make, &f, 1);
    finder_t finder = here;
    ran_t base = run(in, "{}", &finder);
    an_seen_t s;
    int bad = 0;

    CHECK_INT(an_seen_read(base.kept.p, base.kept.n, &s, NULL), 0);
    CHECK_INT(s.n, 1);
    an_seen_free(&s);
    for (size_t i = 0; i < base.kept.n; i++) {
        bytes_t part = bytes_of(base.kept.p, i);

        CHECK(an_seen_read(part.p, part.n, &s, NULL) != 0);
        an_seen_free(&s);
        free(part.p);
        for (int bit = 0; bit < 8; bit++) {
            base.kept.p[i] ^= (uint8_t)(1 << bit);
            bad += an_seen_read(base.kept.p, base.kept.n, &s, NULL) != 0;
            an_seen_free(&s);
            base.kept.p[i] ^= (uint8_t)(1 << bit);
        }
    }
    CHECK(bad > 100);
    ran_free(&base);
    free(in.p);
    av_frame_free(&f);
}

/* What is on display while a region holds: slides of 4 s each. */
static void test_an_image_timed_regions_of_animations(void)
{
    static const make_t slides = {"gif", "gif", AV_PIX_FMT_RGB8, "", 0, "loop", {4, 1}};
    static const int corner[4] = {0, 95, 30, 28};
    static const struct {
        const char *params;
        int masked[3];
        const char *warning;
    } cases[] = {
        {"{\"regions\":[{\"box\":[0,0.75,0.2,0.25],\"from\":5,\"to\":6}]}", {0, 1, 0}, ""},
        {"{\"regions\":[{\"box\":[0,0.75,0.2,0.25],\"from\":4,\"to\":8}]}", {0, 1, 0}, ""},
        {"{\"regions\":[{\"box\":[0,0.75,0.2,0.25],\"from\":11.9}]}", {0, 0, 1}, ""},
        {"{\"edit\":{\"regions\":[{\"box\":[0,0.75,0.2,0.25],\"id\":7,\"from\":12}]}}",
         {0, 0, 0},
         "Region 7 lies behind the end."},
    };
    AVFrame *frames[3];
    bytes_t in;

    for (int i = 0; i < 3; i++) {
        frames[i] = picture_make(W, H, box, 5 * i);
    }
    in = encode(&slides, frames, 3);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        finder_t finder = here;
        ran_t r = run(in, cases[i].params, &finder);
        int loops;
        decoded_t after = decode_any(r.out, &loops);
        const json_t *warning = json_array_get(json_object_get(r.report, "warnings"), 0);

        CHECK_INT(after.n, 3);
        for (int k = 0; k < after.n; k++) {
            CHECK(fabs(after.shown_s[k] - 4) < 1e-6);
            CHECK_INT(inside_off(after.frames[k], corner, 0, 0, 0) == 0, cases[i].masked[k]);
        }
        CHECK_STR(warning != NULL ? json_string_value(json_object_get(warning, "detail")) : "",
                  cases[i].warning);
        decoded_free(&after);
        ran_free(&r);
    }
    for (int i = 0; i < 3; i++) {
        av_frame_free(&frames[i]);
    }
    free(in.p);
}

int main(void)
{
    an_image_warm();
    av_log_set_level(AV_LOG_QUIET);
    test_an_image_every_format_masked_inside_same_outside();
    test_an_image_avif_becomes_jpeg();
    test_an_image_cut_file_refused();
    test_an_image_detector_fails_nothing_handed_over();
    test_an_image_animation_keeps_time_and_masks_a_second_around();
    test_an_image_cut_animation_refused();
    test_an_image_regions_and_kept_tracks();
    test_an_image_edit_keeps_who_was_kept();
    test_an_image_edit_without_what_was_found_refused();
    test_an_image_kept_is_read_with_care();
    test_an_image_timed_regions_of_animations();
    return test_report();
}
