#include "test.h"

#include "media/json.h"
#include "media/ladder.h"

static media_ladder_t make(const char *params, media_ladder_source_t source)
{
    media_ladder_params_t p;
    media_ladder_t l = {0};
    json_t *obj = NULL;
    media_err_t ei = {""};
    if (params != NULL) {
        CHECK_INT(media_json_parse(media_str(params), &obj, &ei), 0);
    }
    CHECK_INT(media_ladder_params(obj, &p, &ei), 0);
    CHECK_INT(media_ladder_make(&p, &source, &l, &ei), 0);
    CHECK_STR(ei.text, "");
    json_decref(obj);
    return l;
}

/* "256x144 426x240": all rungs of a ladder in one line */
static const char *sizes(const media_ladder_t *l)
{
    static char out[400];
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < l->n; i++) {
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s:%dx%d", i > 0 ? " " : "",
                              l->rungs[i].name, l->rungs[i].width, l->rungs[i].height);
    }
    return out;
}

#define SIZES(params, want, ...)                                                                   \
    do {                                                                                           \
        media_ladder_t l_ = make(params, (media_ladder_source_t){__VA_ARGS__});                    \
        CHECK_STR(sizes(&l_), want);                                                               \
    } while (0)

static void test_ladder_default_numbers(void)
{
    static const int kbps[] = {150, 300, 500, 1000, 2500, 4500};
    static const int high[] = {150, 300, 500, 1000, 3500, 7500};
    media_ladder_t l = make(NULL, (media_ladder_source_t){1920, 1080, 1, 1, 0, 30000, 1001});
    media_ladder_t h = make(NULL, (media_ladder_source_t){3840, 2160, 0, 0, 0, 50, 1});
    CHECK_STR(sizes(&l), "144p:256x144 240p:426x240 360p:640x360 480p:854x480 720p:1280x720 "
                         "1080p:1920x1080");
    CHECK_INT(l.n, 6);
    CHECK_INT(h.n, 6);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(l.rungs[i].maxrate_bps, kbps[i] * 1500);
        CHECK_INT(l.rungs[i].bufsize_bits, kbps[i] * 1500);
        CHECK_INT(h.rungs[i].maxrate_bps, high[i] * 1500);
        CHECK_INT(l.rungs[i].crf, 23);
    }
    CHECK_INT(l.first, 2);
    CHECK_INT(l.frame_step, 1);
}

static void test_ladder_sizes(void)
{
    SIZES(NULL, "144p:144x256 240p:240x426 360p:360x640 480p:480x854 720p:720x1280", 1280, 720, 1,
          1, 90, 30, 1);
    SIZES(NULL, "144p:144x256 240p:240x426 360p:360x640 480p:480x854 720p:720x1280", 720, 1280, 0,
          0, -180, 30, 1);
    /* an odd size, and one between two rungs */
    SIZES(NULL, "144p:216x144 240p:360x240", 479, 319, 1, 1, 0, 25, 1);
    SIZES(NULL, "144p:144x144 240p:240x240 360p:360x360 480p:480x480", 642, 642, 1, 1, 0, 30, 1);
    /* anamorphic: 576 lines of 16:11 pixels, and 4:5 on its side */
    SIZES(NULL, "144p:262x144 240p:436x240 360p:654x360 480p:872x480", 720, 576, 16, 11, 0, 25, 1);
    SIZES(NULL, "144p:144x160 240p:240x266", 360, 320, 4, 5, 0, 25, 1);
    /* below every rung: its own size, even */
    SIZES(NULL, "100p:134x100", 135, 101, 1, 1, 0, 25, 1);
    SIZES(NULL, "2p:2x2", 1, 1, 1, 1, 0, 0, 0);
    SIZES("{\"rungs\":[720,1080]}", "360p:640x360", 640, 360, 1, 1, 0, 25, 1);
}

static void test_ladder_params_override(void)
{
    media_ladder_source_t uhd = {3840, 2160, 1, 1, 0, 60, 1};
    media_ladder_t l = make("{\"rungs\":[2160,{\"height\":540,\"kbps\":1500},"
                            "{\"height\":360,\"high_kbps\":900,\"crf\":20}],"
                            "\"crf\":30,\"rate_percent\":200,\"first_height\":400}",
                            uhd);
    CHECK_STR(sizes(&l), "360p:640x360 540p:960x540 2160p:3840x2160");
    CHECK_INT(l.rungs[0].maxrate_bps, 1800000);
    CHECK_INT(l.rungs[0].crf, 20);
    CHECK_INT(l.rungs[1].maxrate_bps, 3000000);
    CHECK_INT(l.rungs[1].crf, 30);
    CHECK_INT(l.rungs[2].maxrate_bps, 80000000);
    CHECK_INT(l.first, 0);

    media_ladder_params_t p;
    json_t *obj;
    CHECK_INT(
        media_json_parse(
            MEDIA_STR(
                "{\"preset\":\"fast\",\"profile\":\"high\",\"remux\":\"never\",\"segment_s\":6,"
                "\"range_segments\":5,\"threads\":2,\"audio_kbps\":96}"),
            &obj, NULL),
        0);
    CHECK_INT(media_ladder_params(obj, &p, NULL), 0);
    CHECK_STR(p.preset, "fast");
    CHECK_STR(p.profile, "high");
    CHECK_STR(p.remux, "never");
    CHECK_INT(p.segment_s, 6);
    CHECK_INT(p.range_segments, 5);
    CHECK_INT(p.threads, 2);
    CHECK_INT(p.audio_kbps, 96);
    CHECK_INT(p.nrungs, 6);
    json_decref(obj);
}

static void test_ladder_frame_step(void)
{
    static const struct {
        int num, den, step;
        int high;
    } cases[] = {{24, 1, 1, 0},       {30, 1, 1, 0},
                 {30005, 1000, 1, 0}, {50, 1, 1, 1},
                 {60, 1, 1, 1},       {60000, 1001, 1, 1},
                 {60020, 1000, 1, 1}, {72, 1, 2, 1},
                 {120, 1, 2, 1},      {119880, 1000, 2, 1},
                 {240, 1, 4, 1},      {0, 0, 1, 0},
                 {100000, 1, 64, 1},  {INT32_MAX, INT32_MAX, 1, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        media_ladder_t l =
            make(NULL, (media_ladder_source_t){1280, 720, 1, 1, 0, cases[i].num, cases[i].den});
        CHECK_INT(l.frame_step, cases[i].step);
        CHECK_INT(l.rungs[4].maxrate_bps, cases[i].high ? 5250000 : 3750000);
    }
}

static void test_ladder_params_refuses_by_name(void)
{
    static const char *const bad[][2] = {
        {"{\"crf\":52}", "crf"},
        {"{\"crf\":\"23\"}", "crf"},
        {"{\"crff\":23}", "crff"},
        {"{\"crf\":null}", "crf"},
        {"{\"preset\":\"placebo\"}", "preset"},
        {"{\"profile\":1}", "profile"},
        {"{\"remux\":\"always\"}", "remux"},
        {"{\"rungs\":[]}", "rungs"},
        {"{\"rungs\":360}", "rungs"},
        {"{\"rungs\":null}", "rungs"},
        {"{\"rungs\":[361]}", "rungs[0]"},
        {"{\"rungs\":[360,360]}", "rungs[1]: height 360"},
        {"{\"rungs\":[144,{\"height\":361}]}", "rungs[1]: member \"kbps\""},
        {"{\"rungs\":[{\"height\":360,\"kbps\":0}]}", "kbps"},
        {"{\"rungs\":[{\"height\":360,\"fps\":1}]}", "fps"},
        {"{\"rungs\":[{}]}", "height"},
        {"{\"rungs\":[144,240,360,480,720,1080,1440,2160,1,1,1,1,1]}", "1 to 12"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        media_ladder_params_t p;
        media_err_t ei = {""};
        json_t *obj;
        CHECK_INT(media_json_parse(media_str(bad[i][0]), &obj, &ei), 0);
        CHECK_INT(media_ladder_params(obj, &p, &ei), MEDIA_E_REJECT);
        CHECK(strstr(ei.text, bad[i][1]) != NULL);
        json_decref(obj);
    }
}

static void test_ladder_source_refuses(void)
{
    static const media_ladder_source_t bad[] = {{0, 720, 1, 1, 0, 25, 1},
                                                {1280, -1, 1, 1, 0, 25, 1},
                                                {40000, 720, 1, 1, 0, 25, 1},
                                                {30000, 720, 2, 1, 0, 25, 1},
                                                {10, 720, 1, 100, 0, 25, 1}};
    media_ladder_params_t p;
    media_ladder_t l;
    CHECK_INT(media_ladder_params(NULL, &p, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        media_err_t ei = {""};
        CHECK_INT(media_ladder_make(&p, &bad[i], &l, &ei), MEDIA_E_REJECT);
        CHECK(ei.text[0] != '\0');
    }
}

/* sql/test/ladder.sql walks the same vectors through the database */
static void test_ladder_params_of_the_vectors(void)
{
    char *text = test_read(VECTORS "/ladder.json", NULL);
    json_t *doc = json_loads(text, 0, NULL);
    media_ladder_params_t p;
    media_err_t ei = {""};
    size_t i;
    json_t *v;

    CHECK(json_array_size(json_object_get(doc, "accepted")) > 10);
    CHECK(json_array_size(json_object_get(doc, "refused")) > 50);
    json_array_foreach(json_object_get(doc, "accepted"), i, v)
    {
        char *said = json_dumps(v, JSON_ENCODE_ANY);
        if (media_ladder_params(v, &p, &ei) != 0) {
            CHECK_STR(said, ei.text);
        }
        free(said);
    }
    json_array_foreach(json_object_get(doc, "refused"), i, v)
    {
        char *said = json_dumps(v, JSON_ENCODE_ANY);
        ei.text[0] = '\0';
        if (media_ladder_params(v, &p, &ei) != MEDIA_E_REJECT || ei.text[0] == '\0') {
            CHECK_STR(said, "refused with a cause");
        }
        free(said);
    }
    json_decref(doc);
    free(text);
}

static void test_ladder_heights_that_become_one(void)
{
    SIZES("{\"rungs\":[{\"height\":359,\"kbps\":500},{\"height\":358,\"kbps\":400},720]}",
          "358p:636x358 720p:1280x720", 1280, 720, 1, 1, 0, 25, 1);
}

int main(void)
{
    test_ladder_default_numbers();
    test_ladder_sizes();
    test_ladder_params_override();
    test_ladder_frame_step();
    test_ladder_params_refuses_by_name();
    test_ladder_source_refuses();
    test_ladder_params_of_the_vectors();
    test_ladder_heights_that_become_one();
    return test_report();
}
