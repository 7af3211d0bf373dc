/* Painted masks: where they are, what they hide, and that nothing under them is in what is painted.
 */
#include "an_mask.h"
#include "test.h"

#include <math.h>

#include <libavutil/pixdesc.h>

#define W 174
#define H 131

static const enum AVPixelFormat formats[] = {
    AV_PIX_FMT_RGB24,       AV_PIX_FMT_RGBA,        AV_PIX_FMT_GRAY8,    AV_PIX_FMT_YUV420P,
    AV_PIX_FMT_YUV422P,     AV_PIX_FMT_YUV444P,     AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P10LE,
    AV_PIX_FMT_YUV422P10LE, AV_PIX_FMT_YUV444P10LE, AV_PIX_FMT_RGB48LE,  AV_PIX_FMT_RGBA64LE};
#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

/* a small one, one over an edge, two that overlap, one of odd size and place, a thin one */
static const an_mask_t masks[] = {
    {20.3F, 15.7F, 30, 40, AN_ELLIPSE, 11}, {150, 100, 60, 60, AN_ELLIPSE, 12},
    {80, 20, 33.4F, 41.9F, AN_BOX, 13},     {100, 40, 37, 37, AN_ELLIPSE, 14},
    {61, 91, 7.5F, 9.25F, AN_ELLIPSE, 15},  {5, 120.2F, 50, 1.1F, AN_BOX, 16}};
#define NMASKS ((int)(sizeof(masks) / sizeof(masks[0])))

static AVFrame *frame_new(enum AVPixelFormat format, int w, int h)
{
    AVFrame *f = av_frame_alloc();

    f->format = format;
    f->width = w;
    f->height = h;
    if (av_frame_get_buffer(f, 0) != 0) {
        printf("no memory\n");
        exit(1);
    }
    return f;
}

/* One value, wherever it lies: the test's own way to a sample. */
static uint8_t *at(const AVFrame *f, int component, int x, int y)
{
    const AVComponentDescriptor *c = &av_pix_fmt_desc_get(f->format)->comp[component];

    return f->data[c->plane] + y * f->linesize[c->plane] + x * c->step + c->offset;
}

static int get(const AVFrame *f, int component, int x, int y)
{
    const uint8_t *p = at(f, component, x, y);

    return av_pix_fmt_desc_get(f->format)->comp[component].depth > 8 ? p[0] | p[1] << 8 : p[0];
}

static void set(const AVFrame *f, int component, int x, int y, int v)
{
    uint8_t *p = at(f, component, x, y);

    p[0] = (uint8_t)v;
    if (av_pix_fmt_desc_get(f->format)->comp[component].depth > 8) {
        p[1] = (uint8_t)(v >> 8);
    }
}

static void size_of(const AVFrame *f, int c, int *w, int *h, int *sx, int *sy)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    int chroma = (c == 1 || c == 2) && d->nb_components >= 3;

    *sx = chroma ? d->log2_chroma_w : 0;
    *sy = chroma ? d->log2_chroma_h : 0;
    *w = AV_CEIL_RSHIFT(f->width, *sx);
    *h = AV_CEIL_RSHIFT(f->height, *sy);
}

/* Whether the shape touches the pixel, asked of a grid of points. */
static int touches(const an_mask_t *m, int x, int y)
{
    for (int i = 0; i <= 16; i++) {
        for (int k = 0; k <= 16; k++) {
            double px = x + i / 16.0, py = y + k / 16.0;
            double u = (px - m->x - m->w / 2) / (m->w / 2), v = (py - m->y - m->h / 2) / (m->h / 2);

            if (m->shape == AN_BOX ? fabs(u) < 1 && fabs(v) < 1 : u * u + v * v < 1) {
                return 1;
            }
        }
    }
    return 0;
}

/* A byte per pixel: 1 under a mask. */
static const uint8_t *pixels_under(void)
{
    static uint8_t map[W * H];
    static int is_made;

    for (int i = 0; !is_made && i < W * H; i++) {
        for (int k = 0; k < NMASKS && map[i] == 0; k++) {
            map[i] = (uint8_t)touches(&masks[k], i % W, i / W);
        }
    }
    is_made = 1;
    return map;
}

/* A byte per sample: 1 where the sample stands for a pixel under a mask. */
static uint8_t *under(const AVFrame *f, int c)
{
    const uint8_t *pixels = pixels_under();
    int w, h, sx, sy;
    uint8_t *map;

    size_of(f, c, &w, &h, &sx, &sy);
    map = calloc((size_t)w, (size_t)h);
    for (int i = 0; i < W * H; i++) {
        map[(i / W >> sy) * w + (i % W >> sx)] |= pixels[i];
    }
    return map;
}

/* A picture; with `other` not 0 one that differs from it under the masks only. */
static AVFrame *picture(enum AVPixelFormat format, uint32_t other)
{
    AVFrame *f = frame_new(format, W, H);
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    int w, h, sx, sy;

    for (int c = 0; c < d->nb_components; c++) {
        uint8_t *map = under(f, c);
        size_of(f, c, &w, &h, &sx, &sy);
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                uint32_t v =
                    (uint32_t)(x * 3 + y * 2 + c * 50) + ((uint32_t)(x * 7919 + y * 104729) % 23);
                if (map[y * w + x] && other != 0) {
                    v = (v * 2654435761U ^ other) >> 3;
                }
                set(f, c, x, y, (int)(v & ((1u << d->comp[c].depth) - 1)));
            }
        }
        free(map);
    }
    return f;
}

static AVFrame *badge(void)
{
    AVFrame *f = frame_new(AV_PIX_FMT_RGBA, 20, 24);

    for (int y = 0; y < f->height; y++) {
        for (int x = 0; x < f->width; x++) {
            set(f, 0, x, y, x * 12);
            set(f, 1, x, y, y * 10);
            set(f, 2, x, y, 200);
            set(f, 3, x, y, (x + y) % 3 == 0 ? 0 : 255);
        }
    }
    return f;
}

static int differences(const AVFrame *a, const AVFrame *b)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(a->format);
    int n = 0, w, h, sx, sy;

    for (int c = 0; c < d->nb_components; c++) {
        size_of(a, c, &w, &h, &sx, &sy);
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                n += get(a, c, x, y) != get(b, c, x, y);
            }
        }
    }
    return n;
}

/* How many samples two pictures, that differ under the masks only, differ in once painted. */
static int leaks(enum AVPixelFormat format, const an_paint_t *paint)
{
    AVFrame *a = picture(format, 0), *b = picture(format, 0xBADF00D);
    int n;

    CHECK(differences(a, b) > 1000);
    CHECK_INT(an_mask_paint(a, masks, NMASKS, paint), 0);
    CHECK_INT(an_mask_paint(b, masks, NMASKS, paint), 0);
    n = differences(a, b);
    av_frame_free(&a);
    av_frame_free(&b);
    return n;
}

static void test_an_mask_strong_styles_let_nothing_through(void)
{
    static const int feathers[] = {0, 1, 5, 17, 64};
    AVFrame *image = badge();

    for (size_t i = 0; i < NFORMATS; i++) {
        for (size_t k = 0; k < sizeof(feathers) / sizeof(feathers[0]); k++) {
            an_paint_t paint = {.color = {10, 200, 90}, .feather = feathers[k], .image = image};
            paint.style = AN_SOLID;
            CHECK_INT(leaks(formats[i], &paint), 0);
            paint.style = AN_MOSAIC;
            CHECK_INT(leaks(formats[i], &paint), 0);
            paint.style = AN_IMAGE;
            CHECK_INT(leaks(formats[i], &paint), 0);
        }
    }
    av_frame_free(&image);
}

static void test_an_mask_weak_styles_do(void)
{
    for (size_t i = 0; i < NFORMATS; i++) {
        an_paint_t paint = {.style = AN_BLUR};
        CHECK(leaks(formats[i], &paint) > 100);
        paint.style = AN_PIXELATE;
        CHECK(leaks(formats[i], &paint) > 100);
    }
}

/* Every sample outside is as it was, and with a feather beyond the feather. */
static void test_an_mask_outside_untouched(void)
{
    AVFrame *image = badge();

    for (size_t i = 0; i < NFORMATS; i++) {
        for (int style = AN_SOLID; style <= AN_PIXELATE; style++) {
            an_paint_t paint = {.style = (enum an_style)style, .color = {1, 2, 3}, .image = image};
            AVFrame *a = picture(formats[i], 0), *b = picture(formats[i], 0);
            int changed = 0, w, h, sx, sy;

            CHECK_INT(an_mask_paint(a, masks, NMASKS, &paint), 0);
            for (int c = 0; c < av_pix_fmt_desc_get(formats[i])->nb_components; c++) {
                uint8_t *map = under(a, c);
                size_of(a, c, &w, &h, &sx, &sy);
                for (int s = 0; s < w * h; s++) {
                    changed += !map[s] && get(a, c, s % w, s / w) != get(b, c, s % w, s / w);
                }
                free(map);
            }
            /* an ellipse's edge may be seen to touch a pixel that the grid of points misses */
            CHECK(changed <= 12);
            av_frame_free(&a);
            av_frame_free(&b);
        }
    }
    av_frame_free(&image);
}

static void test_an_mask_solid_is_the_color(void)
{
    static const struct {
        enum AVPixelFormat format;
        enum AVColorSpace space;
        int want[3];
    } cases[] = {{AV_PIX_FMT_RGB24, AVCOL_SPC_RGB, {255, 0, 0}},
                 {AV_PIX_FMT_RGB48LE, AVCOL_SPC_RGB, {65535, 0, 0}},
                 {AV_PIX_FMT_GRAY8, AVCOL_SPC_UNSPECIFIED, {76, 76, 76}},
                 {AV_PIX_FMT_YUV420P, AVCOL_SPC_SMPTE170M, {81, 90, 240}},
                 {AV_PIX_FMT_YUV420P, AVCOL_SPC_UNSPECIFIED, {81, 90, 240}},
                 {AV_PIX_FMT_YUV420P, AVCOL_SPC_BT709, {63, 102, 240}},
                 {AV_PIX_FMT_YUV444P10LE, AVCOL_SPC_BT709, {250, 409, 960}},
                 {AV_PIX_FMT_YUVJ420P, AVCOL_SPC_SMPTE170M, {76, 85, 255}}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AVFrame *f = picture(cases[i].format, 0);
        an_paint_t paint = {.style = AN_SOLID, .color = {255, 0, 0}};
        int n = av_pix_fmt_desc_get(f->format)->nb_components, w, h, sx, sy;

        f->colorspace = cases[i].space;
        CHECK_INT(an_mask_paint(f, masks, NMASKS, &paint), 0);
        for (int c = 0; c < n; c++) {
            size_of(f, c, &w, &h, &sx, &sy);
            CHECK_INT(get(f, c, 35 >> sx, 35 >> sy), cases[i].want[c]);
        }
        av_frame_free(&f);
    }
}

static void test_an_mask_alpha_becomes_opaque(void)
{
    AVFrame *f = frame_new(AV_PIX_FMT_RGBA, 64, 64);
    an_mask_t m = {16, 16, 32, 32, AN_BOX, 1};
    an_paint_t paint = {.style = AN_MOSAIC};

    memset(f->data[0], 0, (size_t)f->linesize[0] * 64);
    CHECK_INT(an_mask_paint(f, &m, 1, &paint), 0);
    CHECK_INT(get(f, 3, 16, 16), 255);
    CHECK_INT(get(f, 3, 47, 47), 255);
    CHECK_INT(get(f, 3, 15, 16), 0);
    av_frame_free(&f);
}

/* 8 x 8 cells of one colour, that of the seed: the same wherever the mask is. */
static void test_an_mask_mosaic_is_fixed_to_the_mask(void)
{
    AVFrame *f = frame_new(AV_PIX_FMT_GRAY8, 300, 100);
    an_mask_t m[3] = {
        {10, 10, 80, 80, AN_BOX, 99}, {110, 10, 80, 80, AN_BOX, 99}, {210, 10, 80, 80, AN_BOX, 98}};
    an_paint_t paint = {.style = AN_MOSAIC};
    int same = 0, other = 0, values[256] = {0}, distinct = 0, sum = 0;

    memset(f->data[0], 120, (size_t)f->linesize[0] * 100);
    CHECK_INT(an_mask_paint(f, m, 3, &paint), 0);
    for (int y = 10; y < 90; y++) {
        for (int x = 10; x < 90; x++) {
            int v = get(f, 0, x, y);
            same += v == get(f, 0, x + 100, y);
            other += v == get(f, 0, x + 200, y);
            CHECK_INT(v, get(f, 0, 10 + (x - 10) / 10 * 10, 10 + (y - 10) / 10 * 10));
            distinct += values[v]++ == 0;
            sum += v;
        }
    }
    CHECK_INT(same, 6400);
    CHECK(other < 1000);
    CHECK(distinct > 30);
    CHECK(abs(sum / 6400 - 120) < 15);
    av_frame_free(&f);
}

static void test_an_mask_whole_picture_masked(void)
{
    for (size_t i = 0; i < NFORMATS; i++) {
        AVFrame *a = picture(formats[i], 0), *b = frame_new(formats[i], W, H);
        an_mask_t m = {-10, -10, 1e6F, 1e6F, AN_BOX, 5};
        an_paint_t paint = {.style = AN_MOSAIC};

        for (int p = 0; p < 4 && b->data[p] != NULL && b->linesize[p] > 0; p++) {
            memset(b->data[p], 0, (size_t)b->linesize[p] * (size_t)(p == 0 ? H : H / 2));
        }
        CHECK_INT(an_mask_paint(a, &m, 1, &paint), 0);
        CHECK_INT(an_mask_paint(b, &m, 1, &paint), 0);
        CHECK_INT(differences(a, b), 0);
        av_frame_free(&a);
        av_frame_free(&b);
    }
}

/* From the shape outwards only, ever less. */
static void test_an_mask_feather_fades_outwards(void)
{
    AVFrame *f = frame_new(AV_PIX_FMT_GRAY8, 100, 100);
    an_mask_t m = {30, 30, 40, 40, AN_ELLIPSE, 1};
    an_paint_t paint = {.style = AN_SOLID, .feather = 10};
    int before = 0;

    memset(f->data[0], 200, (size_t)f->linesize[0] * 100);
    CHECK_INT(an_mask_paint(f, &m, 1, &paint), 0);
    for (int x = 50; x < 70; x++) {
        CHECK_INT(get(f, 0, x, 50), 0);
    }
    for (int x = 71; x < 82; x++) {
        CHECK(get(f, 0, x, 50) >= before);
        before = get(f, 0, x, 50);
    }
    CHECK(get(f, 0, 75, 50) > 50 && get(f, 0, 75, 50) < 150);
    CHECK_INT(get(f, 0, 81, 50), 200);
    av_frame_free(&f);
}

/* A face of stripes has none left: weak is not nothing. */
static void test_an_mask_blur_has_strength(void)
{
    for (int style = AN_BLUR; style <= AN_PIXELATE; style++) {
        AVFrame *f = frame_new(AV_PIX_FMT_YUV420P, 128, 128);
        an_mask_t m = {32, 32, 64, 64, AN_BOX, 1};
        an_paint_t paint = {.style = (enum an_style)style};
        int least = 255, most = 0;

        memset(f->data[1], 128, (size_t)f->linesize[1] * 64);
        memset(f->data[2], 128, (size_t)f->linesize[2] * 64);
        for (int i = 0; i < 128 * 128; i++) {
            set(f, 0, i % 128, i / 128, i % 4 < 2 ? 30 : 220);
        }
        CHECK_INT(an_mask_paint(f, &m, 1, &paint), 0);
        for (int i = 0; i < 64 * 64; i++) {
            int v = get(f, 0, 32 + i % 64, 32 + i / 64);
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
        CHECK(most - least < 30);
        CHECK(least > 90 && most < 160);
        av_frame_free(&f);
    }
}

static void test_an_mask_what_is_none_refused(void)
{
    static const an_mask_t none[] = {{NAN, 0, 10, 10, AN_BOX, 0},
                                     {0, 0, NAN, 10, AN_BOX, 0},
                                     {0, 0, 0, 10, AN_BOX, 0},
                                     {0, 0, 10, -1, AN_BOX, 0},
                                     {0, 0, INFINITY, 1, AN_BOX, 0}};
    AVFrame *f = picture(AV_PIX_FMT_RGB24, 0), *odd = frame_new(AV_PIX_FMT_PAL8, 16, 16);
    an_paint_t paint = {.style = AN_SOLID};

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        for (int style = AN_SOLID; style <= AN_PIXELATE; style++) {
            paint.style = (enum an_style)style;
            CHECK_INT(an_mask_paint(f, &none[i], 1, &paint), -1);
        }
    }
    CHECK_INT(an_mask_paint(odd, masks, 1, &paint), -1);
    paint.style = AN_IMAGE;
    CHECK_INT(an_mask_paint(f, masks, 1, &paint), -1);
    av_frame_free(&f);
    av_frame_free(&odd);
}

int main(void)
{
    test_an_mask_strong_styles_let_nothing_through();
    test_an_mask_weak_styles_do();
    test_an_mask_outside_untouched();
    test_an_mask_solid_is_the_color();
    test_an_mask_alpha_becomes_opaque();
    test_an_mask_mosaic_is_fixed_to_the_mask();
    test_an_mask_whole_picture_masked();
    test_an_mask_feather_fades_outwards();
    test_an_mask_blur_has_strength();
    test_an_mask_what_is_none_refused();
    return test_report();
}
