/* Passes, tiles and their union with a detector that is a function here; scaling; masks of hits. */
#include <math.h>

#include "an_scales.h"
#include "media/err.h"
#include "test.h"

#define ASKED_MAX 64

typedef struct {
    int question;
    an_hit_t hit;
} says_t;

/* Says what it is told to say to question number i, and remembers what was asked. */
typedef struct {
    int n, w[ASKED_MAX], h[ASKED_MAX];
    enum an_kind kind[ASKED_MAX];
    int fail_at; /* this question fails; -1: none */
    const says_t *says;
    int says_count;
    int crowd;  /* besides so many small faces to each question, */
    float last; /* the last one with this score */
} oracle_t;

static int answer(void *ctx, enum an_kind kind, const an_picture_t *p, an_hit_t *hits, int max)
{
    oracle_t *o = ctx;
    int found = 0, number = o->n++;

    CHECK(number < ASKED_MAX && max >= o->says_count);
    CHECK((size_t)p->width * (size_t)p->height * 3 <= AN_PICTURE_MAX);
    CHECK_INT(p->stride, 3 * (size_t)p->width);
    o->w[number] = p->width;
    o->h[number] = p->height;
    o->kind[number] = kind;
    for (int i = 0; i < o->says_count; i++) {
        if (o->says[i].question == number) {
            hits[found++] = o->says[i].hit;
        }
    }
    for (int i = 0; i < o->crowd && found < max; i++) {
        hits[found++] = (an_hit_t){(float)(i % 40 * 16),
                                   (float)(i / 40 * 16),
                                   8,
                                   8,
                                   i + 1 < o->crowd ? 0.9F : o->last,
                                   AN_FACE};
    }
    return number == o->fail_at ? MEDIA_E_RETRY : found;
}

static an_hit_t found[AN_HITS_MAX];

/* Looks for faces (and persons) in a grey picture of w x h. */
static int look(oracle_t *o, int w, int h, int persons)
{
    uint8_t *bgr = calloc((size_t)w * (size_t)h, 3);
    const an_picture_t p = {bgr, w, h, 3 * (size_t)w};
    const an_ask_t ask = {o, answer};
    an_scales_t s;
    int n;

    an_scales_init(&s);
    CHECK_INT(an_scales_add(&s, AN_FACE, AN_KIND_YUNET, -1), 0);
    if (persons) {
        CHECK_INT(an_scales_add(&s, AN_PERSON, AN_KIND_DNN, 0.4F), 0);
        CHECK_INT(an_scales_add(&s, AN_VEHICLE, AN_KIND_DNN, 0.6F), 0);
    }
    n = an_scales_find(&s, &p, &ask, found, AN_HITS_MAX);
    free(bgr);
    return n;
}

static void test_an_scales_questions_follow_the_size(void)
{
    oracle_t o = {.fail_at = -1};

    CHECK_INT(look(&o, 300, 200, 0), 0);
    CHECK_INT(o.n, 1);
    o.n = 0;
    CHECK_INT(look(&o, 1000, 750, 0), 0);
    CHECK_INT(o.n, 2);
    CHECK(o.w[0] == 640 && o.h[0] == 480 && o.w[1] == 320 && o.h[1] == 240);
    o.n = 0;
    CHECK_INT(look(&o, 1280, 720, 0), 0);
    CHECK_INT(o.n, 2);
    o.n = 0;
    CHECK_INT(look(&o, 1920, 1080, 0), 0); /* in tiles of 1280 x 720 */
    CHECK_INT(o.n, 4);
    CHECK(o.w[2] == 704 && o.h[2] == 720);
    o.n = 0;
    CHECK_INT(look(&o, 4000, 3000, 0), 0); /* 2000 x 1500 */
    CHECK_INT(o.n, 6);
    o.n = 0;
    CHECK_INT(look(&o, 12000, 9000, 0), 0); /* no more than 2048 x 1536 */
    CHECK_INT(o.n, 6);
    o.n = 0;
    CHECK_INT(look(&o, 1, 4000, 0), 0);
    CHECK_INT(o.n, 4);
    o.n = 0;
    CHECK_INT(look(&o, 100, 100, 1), 0); /* one question for both of its classes */
    CHECK_INT(o.n, 2);
    CHECK(o.kind[0] == AN_KIND_YUNET && o.kind[1] == AN_KIND_DNN);
}

/* Near-square pictures are the largest questions; each class, by each of its detectors. */
static void test_an_scales_question_fits_into_a_frame(void)
{
    static const int sizes[][2] = {{1093, 1280}, {1181, 1182}, {1280, 1280}, {1280, 1094},
                                   {1281, 1281}, {2304, 2304}, {3000, 2900}, {4096, 4096}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const int w = sizes[i][0], h = sizes[i][1];
        uint8_t *bgr = calloc((size_t)w * (size_t)h, 3);
        const an_picture_t p = {bgr, w, h, 3 * (size_t)w};

        for (int c = 0; c < AN_CLASS_COUNT; c++) {
            for (int kind = 0; kind < AN_KIND_COUNT; kind++) {
                oracle_t o = {.fail_at = -1};
                const an_ask_t ask = {&o, answer};
                an_scales_t s;

                an_scales_init(&s);
                if (an_scales_add(&s, (enum an_class)c, (enum an_kind)kind, -1) == 0) {
                    CHECK_INT(an_scales_find(&s, &p, &ask, found, AN_HITS_MAX), 0);
                    CHECK(o.n > 0);
                }
            }
        }
        free(bgr);
    }
}

static void test_an_scales_hits_are_in_pixels_of_the_picture(void)
{
    oracle_t o = {
        .fail_at = -1,
        .says = (const says_t[]){{0, {64, 48, 32, 40, 0.9F, AN_FACE}},
                                 {0, {300, 48, 32, 40, 0.49F, AN_FACE}},  /* below the threshold */
                                 {0, {300, 48, 32, 40, 0.9F, AN_PLATE}}}, /* not asked for */
        .says_count = 3};

    CHECK_INT(look(&o, 1280, 960, 0), 1);
    CHECK(found[0].x == 128 && found[0].y == 96 && found[0].w == 64 && found[0].h == 80);
}

/* The whole pass puts a box over a part of a large face, or two; the small one sees it right. */
static void test_an_scales_large_face_becomes_one_box(void)
{
    oracle_t o = {.fail_at = -1,
                  .says =
                      (const says_t[]){
                          {0, {100, 200, 300, 420, 0.7F, AN_FACE}},
                          {0, {220, 180, 300, 410, 0.6F, AN_FACE}},
                          {0, {10, 10, 30, 40, 0.9F, AN_FACE}},
                          {1, {55, 40, 180, 260, 0.9F, AN_FACE}},
                          {1, {5, 5, 15, 20, 0.9F, AN_FACE}}, /* small: the whole pass has it */
                          {1, {250, 10, 60, 100, 0.7F, AN_FACE}}}, /* alone, and not sure enough */
                  .says_count = 6};

    CHECK_INT(look(&o, 640, 640, 0), 2);
    CHECK(found[0].score == 0.9F && found[1].score == 0.9F);
    an_hit_t *large = found[0].w > found[1].w ? &found[0] : &found[1];
    CHECK(large->x == 100 && large->y == 80 && large->x + large->w == 520 &&
          large->y + large->h == 620);
}

static void test_an_scales_large_face_seen_by_the_small_pass_alone_is_kept(void)
{
    oracle_t o = {.fail_at = -1,
                  .says = (const says_t[]){{1, {50, 40, 180, 260, 0.85F, AN_FACE}}},
                  .says_count = 1};

    CHECK_INT(look(&o, 640, 640, 0), 1);
    CHECK(found[0].x == 100 && found[0].h == 520);
}

/* A face on the shirt of somebody close by does not stand for his own. */
static void test_an_scales_small_face_does_not_hide_a_large_one(void)
{
    oracle_t o = {.fail_at = -1,
                  .says = (const says_t[]){{0, {200, 400, 30, 40, 0.9F, AN_FACE}},
                                           {1, {50, 40, 180, 260, 0.85F, AN_FACE}}},
                  .says_count = 2};

    CHECK_INT(look(&o, 640, 640, 0), 2);
    CHECK(found[0].w == 30 && found[1].x == 100 && found[1].h == 520);
}

/* What the whole pass has seen well is not added again. */
static void test_an_scales_large_face_that_is_known_stays_one(void)
{
    oracle_t o = {.fail_at = -1,
                  .says = (const says_t[]){{0, {100, 100, 300, 390, 0.9F, AN_FACE}},
                                           {1, {50, 50, 160, 210, 0.95F, AN_FACE}}},
                  .says_count = 2};

    CHECK_INT(look(&o, 640, 640, 0), 1);
    CHECK(found[0].w == 300);
}

/* A child before an adult, seen in a tile alone; and the adult's arm, which he covers already. */
static void test_an_scales_child_does_not_hide_an_adult(void)
{
    oracle_t o = {.fail_at = -1,
                  .says = (const says_t[]){{5, {300, 300, 60, 100, 0.9F, AN_PERSON}},
                                           {5, {250, 100, 130, 310, 0.8F, AN_PERSON}},
                                           {5, {260, 200, 20, 40, 0.7F, AN_PERSON}}},
                  .says_count = 3};

    CHECK_INT(look(&o, 1920, 1080, 1), 2);
    CHECK(found[0].score == 0.9F && found[1].score == 0.8F);
}

static void test_an_scales_tiles_add_small_faces_once(void)
{
    /* 2560 x 1440 in tiles of 704 x 720 at half the size; the second begins at 576 */
    oracle_t o = {.fail_at = -1,
                  .says =
                      (const says_t[]){
                          {0, {100, 100, 20, 20, 0.9F, AN_FACE}}, /* at 400, 400: 80 */
                          {2, {202, 199, 40, 40, 0.8F, AN_FACE}}, /* the same */
                          {2, {600, 300, 16, 16, 0.7F, AN_FACE}}, /* in both tiles */
                          {3, {24, 300, 16, 16, 0.7F, AN_FACE}},
                          {2, {690, 500, 14, 16, 0.9F, AN_FACE}},   /* cut, */
                          {3, {114, 500, 20, 16, 0.9F, AN_FACE}},   /* and whole in the other */
                          {3, {300, 300, 200, 200, 0.9F, AN_FACE}}, /* large: not a tile's word */
                          {3, {400, 10, 20, 20, 0.55F, AN_FACE}}},  /* not sure enough for a tile */
                  .says_count = 8};

    CHECK_INT(look(&o, 2560, 1440, 0), 3);
    CHECK_INT(o.n, 4);
    CHECK(found[0].w == 80 || found[1].w == 80);
    CHECK(found[2].x == 1200 && found[2].y == 600 && found[2].w == 32);
    CHECK(found[0].x == 1380 || found[1].x == 1380);
}

static void test_an_scales_thresholds_are_of_the_class(void)
{
    oracle_t o = {.fail_at = -1,
                  .says = (const says_t[]){{1, {10, 10, 40, 80, 0.5F, AN_PERSON}},
                                           {1, {60, 10, 80, 40, 0.5F, AN_VEHICLE}}},
                  .says_count = 2};
    an_scales_t s;

    CHECK_INT(look(&o, 200, 200, 1), 1);
    CHECK_INT(found[0].label, AN_PERSON);
    an_scales_init(&s);
    CHECK_INT(an_scales_add(&s, AN_PERSON, AN_KIND_YUNET, -1), MEDIA_E_REJECT);
    CHECK_INT(an_scales_add(&s, AN_FACE, AN_KIND_PLATES, -1), MEDIA_E_REJECT);
    CHECK_INT(an_scales_add(&s, AN_FACE, AN_KIND_DNN, -1), 0);
}

/* Whichever question fails, nothing is said to have been looked at. */
static void test_an_scales_failed_question_fails_all(void)
{
    for (int i = 0; i < 7; i++) {
        oracle_t o = {.fail_at = i};

        CHECK_INT(look(&o, 1920, 1080, 1), MEDIA_E_RETRY);
        CHECK_INT(o.n, i + 1);
    }
    oracle_t o = {.fail_at = -1};
    const an_ask_t ask = {&o, answer};
    const an_picture_t none = {.bgr = NULL};
    an_scales_t s;
    an_scales_init(&s);
    CHECK_INT(an_scales_find(&s, &none, &ask, found, AN_HITS_MAX), MEDIA_E_REJECT);
}

/* More than there is room for are not left out in silence; in one answer or in all together. */
static void test_an_scales_too_many_hits_are_refused(void)
{
    oracle_t full = {.fail_at = -1, .crowd = AN_HITS_MAX, .last = 0.9F};
    oracle_t enough = {.fail_at = -1, .crowd = AN_HITS_MAX, .last = 0.4F};
    oracle_t together = {.fail_at = -1, .crowd = 600, .last = 0.9F};
    uint8_t *bgr = calloc(640, 640 * 3);
    const an_picture_t p = {bgr, 640, 640, 3 * 640};
    const an_ask_t ask = {&enough, answer};
    an_scales_t s;

    CHECK_INT(look(&full, 640, 640, 0), MEDIA_E_TOOBIG);
    /* best first: what did not fit in is below the threshold */
    CHECK_INT(look(&enough, 640, 640, 0), AN_HITS_MAX - 1);
    CHECK_INT(look(&together, 640, 640, 0), 600);
    together.n = 0;
    CHECK_INT(look(&together, 2560, 1440, 0), MEDIA_E_TOOBIG);
    an_scales_init(&s);
    CHECK_INT(an_scales_add(&s, AN_FACE, AN_KIND_YUNET, -1), 0);
    enough.crowd = 10;
    enough.n = 0;
    CHECK_INT(an_scales_find(&s, &p, &ask, found, 9), 9);
    CHECK_INT(an_scales_find(&s, &p, &ask, found, 8), MEDIA_E_TOOBIG);
    free(bgr);
}

static void test_an_shrink_averages_areas(void)
{
    /* 3 x 2 -> 2 x 1: a pixel of the result is one and a half of the source, twice */
    const uint8_t bgr[] = {10, 0, 255, 20, 0, 255, 30, 0, 255, 99, 99, 99,
                           30, 0, 255, 40, 0, 255, 50, 0, 255, 99, 99, 99};
    const an_picture_t p = {bgr, 3, 2, 12};
    uint8_t dst[6], same[18];

    CHECK_INT(an_shrink(&p, 2, 1, dst), 0);
    CHECK_INT(dst[0], 23); /* (10 + 20 / 2 + 30 + 40 / 2) / 3 = 23.3 */
    CHECK_INT(dst[3], 37);
    CHECK_INT(dst[1], 0);
    CHECK_INT(dst[2], 255);
    CHECK_INT(an_shrink(&p, 3, 2, same), 0);
    CHECK(memcmp(same, bgr, 9) == 0 && memcmp(same + 9, bgr + 12, 9) == 0);
}

static void test_an_hit_ellipse_covers_the_whole_box(void)
{
    const an_hit_t hit = {100, 50, 40, 60, 1, AN_FACE};

    for (float grow = 0; grow < 0.5F; grow += 0.1F) {
        an_box_t e = an_hit_cover(&hit, grow, 1);
        float dx = (hit.x - (e.x + e.w / 2)) / (e.w / 2),
              dy = (hit.y - (e.y + e.h / 2)) / (e.h / 2);

        CHECK(dx * dx + dy * dy <= 1.0001F); /* a corner */
        CHECK(e.w >= hit.w * (1 + 2 * grow) - 0.001F);
    }
    CHECK(an_hit_cover(&hit, 0, 0).w == hit.w);
    CHECK(fabsf(an_hit_cover(&hit, 0.25F, 0).x - 90) < 0.001F);
}

static void test_an_hit_best_of_one_class_is_kept(void)
{
    an_hit_t hits[] = {{0, 0, 10, 10, 0.5F, AN_FACE},
                       {1, 0, 10, 10, 0.9F, AN_FACE},
                       {1, 0, 10, 10, 0.6F, AN_PERSON},
                       {50, 0, 10, 10, 0.7F, AN_FACE}};

    CHECK(fabsf(an_iou(&hits[0], &hits[1]) - 90.0F / 110) < 1e-6F);
    CHECK(an_iou(&hits[0], &hits[3]) == 0);
    CHECK_INT(an_nms(hits, 4, 0.3F), 3);
    CHECK(hits[0].score == 0.9F && hits[1].score == 0.7F && hits[2].label == AN_PERSON);
}

static void test_an_hit_names_of_networks_are_known(void)
{
    CHECK_INT(an_class_of_label("car", 3), AN_VEHICLE);
    CHECK_INT(an_class_of_label("Person", 6), AN_PERSON);
    CHECK_INT(an_class_of_label("license_plate", 13), AN_PLATE);
    CHECK_INT(an_class_of_label("human face", 10), AN_FACE);
    CHECK_INT(an_class_of_label("cart", 4), -1);
    CHECK_INT(an_class_of_label("", 0), -1);
    CHECK_INT(an_kind_parse("yunet_2022mar"), AN_KIND_YUNET_2022MAR);
    CHECK_INT(an_kind_parse("yolo"), -1);
    CHECK_STR(an_class_name(AN_PLATE), "plate");
}

int main(void)
{
    test_an_scales_questions_follow_the_size();
    test_an_scales_question_fits_into_a_frame();
    test_an_scales_hits_are_in_pixels_of_the_picture();
    test_an_scales_large_face_becomes_one_box();
    test_an_scales_large_face_seen_by_the_small_pass_alone_is_kept();
    test_an_scales_small_face_does_not_hide_a_large_one();
    test_an_scales_large_face_that_is_known_stays_one();
    test_an_scales_child_does_not_hide_an_adult();
    test_an_scales_tiles_add_small_faces_once();
    test_an_scales_thresholds_are_of_the_class();
    test_an_scales_failed_question_fails_all();
    test_an_scales_too_many_hits_are_refused();
    test_an_shrink_averages_areas();
    test_an_hit_ellipse_covers_the_whole_box();
    test_an_hit_best_of_one_class_is_kept();
    test_an_hit_names_of_networks_are_known();
    return test_report();
}
