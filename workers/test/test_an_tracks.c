/* Tracks and masks over films that are known by construction: where a face is in each picture is a
 * function of time, what the detector says is that with noise, in every third picture, and with
 * misses. No face is uncovered, no mask flickers. */
#include <math.h>
#include <time.h>

#include "an_film_report.h"
#include "an_kept.h"
#include "test.h"

#define FPS 25
#define PICTURES 300
#define FACES_MAX 4
#define SIDE 9 /* points of a face that are asked for, each way */

/* Middle and size in pixels; w <= 0: not there. */
typedef struct {
    double x, y, w, h;
} face_t;

typedef struct {
    const char *name;
    int nfaces;
    int every;
    double jitter;        /* of a face's size */
    double miss;          /* how often a face is not found */
    int gap_from, gap_to; /* pictures in which nothing is found */
    int cut;              /* a scene begins; 0: none */
    face_t (*at)(int face, double s);
    double fps; /* 0: FPS */
} film_case_t;

static const int width = 640, height = 360;
static double times[PICTURES + 1];

static an_film_t film_of(const film_case_t *c)
{
    for (int i = 0; i <= PICTURES; i++) {
        times[i] = (double)i / (c->fps > 0 ? c->fps : FPS);
    }
    return (an_film_t){PICTURES, times, width, height};
}

/* ---- films ---- */

static face_t still(int face, double s)
{
    (void)s;
    return (face_t){150 + 200 * face, 150, 60, 80};
}

static face_t moving(int face, double s)
{
    return face == 0 ? (face_t){40 + 45 * s, 100 + 10 * s, 50, 60}
                     : (face_t){600 - 90 * fmod(s, 6), 250, 50 + 5 * s, 60 + 6 * s};
}

/* 40 sizes in 12 s, on a circle: one around in 3 s. */
static face_t rotating(int face, double s)
{
    double a = s * 2 * M_PI / 3 + face * M_PI;

    return (face_t){320 + 110 * cos(a), 180 + 110 * sin(a), 56, 70};
}

static face_t fading(int face, double s)
{
    double phase = fmod(s + face, 6);

    /* there for 4 s, gone for 2 */
    return phase < 4 ? (face_t){200 + 200 * face + 10 * s, 180, 60, 75} : (face_t){0, 0, 0, 0};
}

static face_t crossing(int face, double s)
{
    return face == 0 ? (face_t){60 + 43 * s, 180, 60, 75} : (face_t){580 - 43 * s, 190, 56, 70};
}

static face_t nodding(int face, double s)
{
    return (face_t){200 + 250 * face, 180 + 40 * sin(s * 2 * M_PI / 0.8), 70, 90};
}

/* Another place in the second scene. */
static face_t cutting(int face, double s)
{
    return s < 6 ? (face_t){150 + 150 * face + 15 * s, 120, 60, 75}
                 : (face_t){500 - 200 * face - 15 * (s - 6), 250, 90, 110};
}

static face_t racing(int face, double s)
{
    double x = fmod(s, 4) / 4;

    return (face_t){face == 0 ? 640 * x : 640 * (1 - x), 100 + 150 * face, 80, 100};
}

/* ---- the detector ---- */

static uint32_t noise_state;

static double noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (double)(noise_state >> 8) / (1 << 24);
}

static int is_seen(const face_t *f)
{
    return f->w > 0 && f->x > 0 && f->x < width && f->y > 0 && f->y < height;
}

static void detect(const film_case_t *c, an_found_t *found)
{
    for (int i = 0; i < PICTURES; i++) {
        an_hit_t hits[FACES_MAX];
        int n = 0;
        unsigned flags = AN_LOOK_SEEN | (c->cut > 0 && i == c->cut ? AN_LOOK_CUT : 0u);

        if (i % c->every != 0 && i != PICTURES - 1 && (c->cut == 0 || abs(i - c->cut) > 2)) {
            continue;
        }
        for (int k = 0; k < c->nfaces; k++) {
            face_t f = c->at(k, times[i]);
            double jx = (2 * noise() - 1) * c->jitter, jy = (2 * noise() - 1) * c->jitter;
            double js = 1 + (2 * noise() - 1) * c->jitter;
            int missed = noise() < c->miss || (i >= c->gap_from && i < c->gap_to);

            if (is_seen(&f) && !missed) {
                hits[n++] = (an_hit_t){(float)((f.x - f.w * js / 2 + f.w * jx) / width),
                                       (float)((f.y - f.h * js / 2 + f.h * jy) / height),
                                       (float)(f.w * js / width),
                                       (float)(f.h * js / height),
                                       0.9f,
                                       AN_FACE};
            }
        }
        CHECK_INT(an_found_look(found, (uint32_t)i, flags, hits, n, NULL), 0);
    }
}

/* A hit that is no box might be something to mask: it is not left out. */
static void test_an_found_hit_that_is_no_box_fails(void)
{
    static const an_hit_t wrong[] = {{NAN, 0, 0.1F, 0.1F, 0.9F, AN_FACE},
                                     {0, 0, 0, 0.1F, 0.9F, AN_FACE},
                                     {0, 0, 0.1F, -1, 0.9F, AN_FACE},
                                     {0, 17, 0.1F, 0.1F, 0.9F, AN_FACE},
                                     {0, 0, 0.1F, 0.1F, 0.9F, AN_CLASS_COUNT}};
    const an_hit_t right = {0, 0, 0.1F, 0.1F, 0.9F, AN_FACE};
    an_found_t found = {0};
    media_err_t ei;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const an_hit_t hits[] = {right, wrong[i]};

        CHECK_INT(an_found_look(&found, 7, AN_LOOK_SEEN, hits, 2, &ei), MEDIA_E_REJECT);
        CHECK_STR(ei.text, "a detection is no box");
    }
    CHECK(found.nlooks == 0 && found.nhits == 0);
    CHECK_INT(an_found_look(&found, 7, AN_LOOK_SEEN, &right, 1, &ei), 0);
    CHECK_INT(an_found_look(&found, 7, AN_LOOK_SEEN, &right, 1, &ei), MEDIA_E_REJECT);
    CHECK(found.nlooks == 1 && found.nhits == 1);
    an_found_free(&found);
}

/* ---- judging ---- */

static int is_under(const an_mask_t *masks, int n, double x, double y)
{
    for (int i = 0; i < n; i++) {
        const an_mask_t *m = &masks[i];
        double dx = (x - (double)(m->x + m->w / 2)) / (double)(m->w / 2);
        double dy = (y - (double)(m->y + m->h / 2)) / (double)(m->h / 2);

        if (m->shape == AN_BOX ? fabs(dx) <= 1 && fabs(dy) <= 1 : dx * dx + dy * dy <= 1) {
            return 1;
        }
    }
    return 0;
}

/* The share of a face that is masked, of what lies in the picture. */
static double covered(const face_t *f, const an_mask_t *masks, int n)
{
    int in = 0, all = 0;

    for (int i = 0; i < SIDE * SIDE; i++) {
        double x = f->x + f->w * ((i % SIDE + 0.5) / SIDE - 0.5);
        double y = f->y + f->h * ((i / SIDE + 0.5) / SIDE - 0.5);

        if (x >= 0 && y >= 0 && x < width && y < height) {
            all++;
            in += is_under(masks, n, x, y);
        }
    }
    return all > 0 ? (double)in / all : 1;
}

/* A mask that jumps: its middle or a side by more than a quarter of its size. */
static int jumps(const an_veil_box_t *a, const an_veil_box_t *b)
{
    double w = a->x1 - a->x0, h = a->y1 - a->y0, v = b->x1 - b->x0, u = b->y1 - b->y0;
    double dx = fabs((a->x0 + a->x1 - b->x0 - b->x1) / 2.0);
    double dy = fabs((a->y0 + a->y1 - b->y0 - b->y1) / 2.0);
    double ww = w < v ? w : v, hh = h < u ? h : u;

    return dx > 0.25 * ww || dy > 0.25 * hh || fabs(w - v) > 0.25 * ww || fabs(h - u) > 0.25 * hh;
}

static void check_calm(const film_case_t *c, const an_veils_t *veils)
{
    int steps = 0;

    for (uint32_t i = 0; i < veils->n; i++) {
        const an_veil_t *v = &veils->veils[i];

        for (uint32_t k = 1; k < v->nboxes; k++) {
            steps += jumps(&v->boxes[k - 1], &v->boxes[k]);
        }
        CHECK(c->cut == 0 || v->end <= (uint32_t)c->cut || v->first >= (uint32_t)c->cut);
    }
    if (c->fps == 0 || c->fps >= 10) {
        CHECK_INT(steps, 0);
    }
}

static void check_film(const film_case_t *c)
{
    static an_mask_t masks[AN_VEILS_AT_MAX];
    an_film_t film = film_of(c);
    an_found_t found = {0};
    an_tracks_t tracks;
    an_veils_t veils;
    an_params_t params = {.grow = 0.2f, .shape = AN_ELLIPSE};
    int uncovered = 0, flicker = 0, before[FACES_MAX] = {0}, two[FACES_MAX] = {0};
    double least = 1, area = 0;

    noise_state = 4711;
    detect(c, &found);
    CHECK_INT(an_tracks_make(&film, &found, &tracks), 0);
    CHECK_INT(an_veils_make(&film, &found, &tracks, &params, &veils), 0);
    for (int i = 0; i < PICTURES; i++) {
        int n = an_veils_at(&veils, (uint32_t)i, width, height, masks);

        for (int k = 0; k < n; k++) {
            area += (double)(masks[k].w * masks[k].h) / width / height / PICTURES;
        }
        for (int k = 0; k < c->nfaces; k++) {
            face_t f = c->at(k, times[i]);
            double share = is_seen(&f) ? covered(&f, masks, n) : 1;
            int ok = share >= 0.95;

            least = share < least ? share : least;
            uncovered += !ok;
            flicker += ok && two[k] && !before[k] && i > 1;
            two[k] = before[k];
            before[k] = ok;
        }
    }
    printf("# %s: %u tracks, %d uncovered, least %.3f, masked area %.3f\n", c->name, tracks.n,
           uncovered, least, area);
    CHECK_INT(uncovered, 0);
    CHECK_INT(flicker, 0);
    check_calm(c, &veils);
    an_veils_free(&veils);
    an_tracks_free(&tracks);
    an_found_free(&found);
}

static void test_an_tracks_cover_what_is_known(void)
{
    static const film_case_t cases[] = {
        {"still", 2, 3, 0.05, 0, 0, 0, 0, still, 0},
        {"still, every picture", 2, 1, 0.05, 0, 0, 0, 0, still, 0},
        {"still, a second without", 2, 3, 0.05, 0, 100, 123, 0, still, 0},
        {"still, half missed", 2, 3, 0.05, 0.5, 0, 0, 0, still, 0},
        {"still, late", 2, 3, 0.05, 0, 0, 25, 0, still, 0},
        {"still, ends early", 2, 3, 0.05, 0, 276, 300, 0, still, 0},
        {"moving", 2, 3, 0.05, 0, 0, 0, 0, moving, 0},
        {"moving, a second without", 2, 3, 0.05, 0, 100, 123, 0, moving, 0},
        {"moving, 0.4 missed", 2, 3, 0.05, 0.4, 0, 0, 0, moving, 0},
        {"rotating", 2, 3, 0.05, 0, 0, 0, 0, rotating, 0},
        {"rotating, half a second without", 2, 3, 0.05, 0, 100, 112, 0, rotating, 0},
        {"rotating, a second without", 2, 3, 0.05, 0, 100, 123, 0, rotating, 0},
        {"rotating, 0.3 missed", 2, 3, 0.05, 0.3, 0, 0, 0, rotating, 0},
        {"fading", 2, 3, 0.05, 0.1, 0, 0, 0, fading, 0},
        {"crossing", 2, 3, 0.05, 0, 0, 0, 0, crossing, 0},
        {"crossing, not seen where they meet", 2, 3, 0.05, 0, 138, 162, 0, crossing, 0},
        {"crossing, 0.3 missed", 2, 3, 0.05, 0.3, 0, 0, 0, crossing, 0},
        {"nodding", 2, 3, 0.05, 0, 0, 0, 0, nodding, 0},
        {"nodding, 0.2 missed", 2, 3, 0.05, 0.2, 0, 0, 0, nodding, 0},
        {"a cut", 2, 3, 0.05, 0.2, 0, 0, 150, cutting, 0},
        {"racing", 2, 3, 0.03, 0, 0, 0, 0, racing, 0},
        {"slow pictures", 2, 1, 0.05, 0.3, 0, 0, 0, still, 2},
        {"slow pictures, one in two seconds", 2, 1, 0.05, 0.1, 0, 0, 0, still, 0.5},
        {"slow pictures, moving", 2, 1, 0.05, 0.2, 0, 0, 0, moving, 5},
        {"fast pictures", 2, 3, 0.05, 0.2, 0, 0, 0, rotating, 60},
        {"every tenth", 2, 10, 0.05, 0, 0, 0, 0, moving, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_film(&cases[i]);
    }
}

/* Regions, what is never masked, tracks that stay visible. */
static void test_an_veils_follow_the_parameters(void)
{
    static an_mask_t masks[AN_VEILS_AT_MAX];
    static const film_case_t c = {"still", 2, 3, 0, 0, 0, 0, 0, still, 0};
    an_film_t film = film_of(&c);
    an_region_t regions[] = {{1, 0.75f, 0.75f, 0.125f, 0.25f, 2, 4, 0},
                             {2, 0.75f, 0, 0.25f, 0.125f, 11, -1, 0},
                             {3, 0.1f, 0.3f, 0.3f, 0.3f, 5, 6, 1}};
    int32_t kept = 2;
    an_params_t params = {.grow = 0.2f, .shape = AN_BOX, .regions = regions, .nregions = 3};
    an_found_t found = {0};
    an_tracks_t tracks;
    an_veils_t veils, edited;
    int n;

    detect(&c, &found);
    CHECK_INT(an_tracks_make(&film, &found, &tracks), 0);
    CHECK_INT(tracks.n, 2);
    CHECK_INT(an_veils_make(&film, &found, &tracks, &params, &veils), 0);
    CHECK_INT(an_veils_at(&veils, 0, width, height, masks), 2);
    n = an_veils_at(&veils, 2 * FPS, width, height, masks);
    CHECK_INT(n, 3);
    CHECK(masks[2].x == 480 && masks[2].y == 270 && masks[2].w == 80 && masks[2].h == 90);
    CHECK_INT(masks[2].shape, AN_BOX);
    CHECK_INT(an_veils_at(&veils, 4 * FPS, width, height, masks), 2);
    CHECK_INT(an_veils_at(&veils, PICTURES - 1, width, height, masks), 3);
    /* the left face is spared for a second */
    n = an_veils_at(&veils, 5 * FPS + 3, width, height, masks);
    CHECK_INT(n, 1);
    CHECK(masks[0].x > 300 && masks[0].x < 350);
    params.kept = &kept;
    params.nkept = 1;
    CHECK_INT(an_veils_make(&film, &found, &tracks, &params, &edited), 0);
    CHECK_INT(an_veils_at(&edited, 0, width, height, masks), 1);
    CHECK(masks[0].x < 150);
    CHECK(masks[0].seed != 0 && edited.veils[0].seed != veils.veils[0].seed);
    CHECK_INT(an_veils_same(&veils, &edited, 0, PICTURES), 0);
    params.nkept = 0;
    regions[0].to_s = 3;
    an_veils_free(&edited);
    CHECK_INT(an_veils_make(&film, &found, &tracks, &params, &edited), 0);
    CHECK_INT(an_veils_same(&veils, &edited, 0, 3 * FPS), 1);
    CHECK_INT(an_veils_same(&veils, &edited, 3 * FPS, 4 * FPS), 0);
    CHECK_INT(an_veils_same(&veils, &edited, 4 * FPS, PICTURES), 1);
    an_veils_free(&edited);
    an_veils_free(&veils);
    an_tracks_free(&tracks);
    an_found_free(&found);
}

/* Four hours, 30000 tracks: what a range shows is told by the tracks in it. */
static void test_an_veils_same_of_long_films(void)
{
    enum { LONG = 4 * 3600 * FPS, TRACKS = 30000, RANGE = 20 * FPS };
    an_veils_t a = {0}, b = {0};
    clock_t from = clock();
    uint32_t changed = 0;

    for (uint32_t i = 0; i < TRACKS; i++) {
        for (int is_b = 0; is_b < 2; is_b++) {
            an_veil_t *v = an_veils_add(is_b ? &b : &a, 12 * i, 12 * i + 2 * FPS, 2 * FPS);

            CHECK(v != NULL);
            for (uint32_t k = 0; v != NULL && k < v->nboxes; k++) {
                v->boxes[k] = (an_veil_box_t){10, 10, 100, 100};
            }
        }
    }
    b.veils[TRACKS / 2].boxes[0].x0 = 11;
    for (uint32_t first = 0; first < LONG; first += RANGE) {
        changed += !an_veils_same(&a, &b, first, first + RANGE);
    }
    CHECK_INT(changed, 1);
    CHECK(clock() - from < 10 * CLOCKS_PER_SEC);
    an_veils_free(&a);
    an_veils_free(&b);
}

/* The times of a region are those of what is on display, not of the pictures that begin in it. */
static void test_an_veils_regions_mask_what_is_shown(void)
{
    static const double slides[] = {0, 10, 10.04, 14, 20};
    static const struct {
        double from_s, to_s;
        int is_never;
        int masked[4]; /* of 4 pictures that have a face each */
    } cases[] = {
        {4, 8, 0, {1, 0, 0, 0}},    {9.99, 10.01, 0, {1, 1, 0, 0}}, {10, 10.04, 0, {0, 1, 0, 0}},
        {12, 12, 0, {0, 0, 1, 0}},  {10, 10, 0, {0, 1, 0, 0}},      {13, -1, 0, {0, 0, 1, 1}},
        {0, 0.01, 0, {1, 0, 0, 0}}, {20, -1, 0, {0, 0, 0, 0}},      {4, 14, 1, {1, 0, 0, 1}},
        {4, 8, 1, {1, 1, 1, 1}},    {10.02, -1, 1, {1, 1, 0, 0}},   {0, 10, 1, {0, 1, 1, 1}},
    };
    static an_mask_t masks[AN_VEILS_AT_MAX];
    const an_film_t film = {4, slides, width, height};
    an_found_t found = {0};
    an_hit_t face = {0.4f, 0.4f, 0.2f, 0.2f, 0.9f, AN_FACE};

    for (uint32_t i = 0; i < 4; i++) {
        CHECK_INT(an_found_look(&found, i, AN_LOOK_SEEN, &face, 1, NULL), 0);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        an_region_t region = {
            1, 0.3f, 0.3f, 0.4f, 0.4f, cases[i].from_s, cases[i].to_s, cases[i].is_never};
        an_params_t params = {.grow = 0.2f, .regions = &region, .nregions = 1};
        an_tracks_t tracks = {0};
        an_veils_t veils;

        if (cases[i].is_never) {
            CHECK_INT(an_tracks_make(&film, &found, &tracks), 0);
        }
        CHECK_INT(an_veils_make(&film, &found, &tracks, &params, &veils), 0);
        for (uint32_t k = 0; k < 4; k++) {
            CHECK_INT(an_veils_at(&veils, k, width, height, masks), cases[i].masked[k]);
        }
        an_veils_free(&veils);
        an_tracks_free(&tracks);
    }
    an_found_free(&found);
}

/* A report tells of regions that nobody sees. */
static void test_an_film_report_tells_of_unused_regions(void)
{
    static const film_case_t c = {"still", 1, 3, 0, 0, 0, 0, 0, still, 0};
    an_film_t film = film_of(&c);
    an_region_t regions[] = {
        {0, 0, 0, 1, 1, 12, -1, 0}, {2, 0, 0, 1, 1, 11.99, -1, 0}, {3, 0, 0, 1, 1, 12, 14, 0}};
    an_params_t params = {.grow = 0.2f, .regions = regions, .nregions = 3};
    an_found_t found = {0};
    an_tracks_t tracks = {0};
    json_t *report = an_film_report(&film, &found, &tracks, &params);
    json_t *warnings = json_object_get(report, "warnings"), *last = json_array_get(warnings, 1);

    CHECK_INT(json_array_size(warnings), 2);
    CHECK_STR(json_string_value(json_object_get(json_array_get(warnings, 0), "detail")),
              "The parameter regions[0] lies behind the end.");
    CHECK_STR(json_string_value(json_object_get(last, "code")), "region_unused");
    CHECK_STR(json_string_value(json_object_get(last, "detail")), "Region 3 lies behind the end.");
    json_decref(report);
}

/* A report tells when nothing was found, and of no more than was. */
static void test_an_film_report_tells_gaps(void)
{
    static const film_case_t c = {"still", 1, 3, 0, 0, 60, 81, 0, still, 0};
    an_film_t film = film_of(&c);
    an_params_t params = {.grow = 0.2f};
    an_found_t found = {0};
    an_tracks_t tracks;
    json_t *report, *track, *gap;

    detect(&c, &found);
    CHECK_INT(an_tracks_make(&film, &found, &tracks), 0);
    report = an_film_report(&film, &found, &tracks, &params);
    track = json_array_get(json_object_get(report, "tracks"), 0);
    CHECK_INT(json_array_size(json_object_get(report, "tracks")), 1);
    CHECK_INT(json_array_size(json_object_get(track, "boxes")), 94);
    CHECK_INT(json_array_size(json_object_get(track, "gaps")), 1);
    gap = json_array_get(json_object_get(track, "gaps"), 0);
    CHECK(json_real_value(json_array_get(gap, 0)) == 2.28);
    CHECK(json_real_value(json_array_get(gap, 1)) == 3.24);
    CHECK(json_real_value(json_object_get(track, "to")) == 12);
    json_decref(report);
    an_tracks_free(&tracks);
    an_found_free(&found);
}

int main(void)
{
    test_an_found_hit_that_is_no_box_fails();
    test_an_veils_follow_the_parameters();
    test_an_veils_regions_mask_what_is_shown();
    test_an_veils_same_of_long_films();
    test_an_film_report_tells_gaps();
    test_an_film_report_tells_of_unused_regions();
    test_an_tracks_cover_what_is_known();
    return test_report();
}
