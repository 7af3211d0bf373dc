/* What a job's params say. */
#include "an_params.h"
#include "test.h"

static int read_text(const char *text, an_params_t *p, tc_fail_t *f)
{
    json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    int rc;

    memset(f, 0, sizeof(*f));
    rc = an_params_read(o, p, f);
    json_decref(o);
    return rc;
}

static void test_an_params_nothing_gives_defaults(void)
{
    an_params_t p;
    tc_fail_t f = {{0}, {0}, 0};

    CHECK_INT(an_params_read(NULL, &p, &f), 0);
    CHECK_INT(p.classes, 1u << AN_FACE);
    CHECK_STR(p.faces, "yunet");
    CHECK_STR(p.objects, "dnn");
    CHECK_STR(p.preset, "medium");
    CHECK(p.threshold[AN_FACE] < 0 && p.threshold[AN_PLATE] < 0);
    CHECK(p.grow > 0.19F && p.grow < 0.21F);
    CHECK_INT(p.shape, AN_ELLIPSE);
    CHECK_INT(p.style, AN_SOLID);
    CHECK_INT(p.color[0] + p.color[1] + p.color[2], 0);
    CHECK_INT(p.feather, 0);
    CHECK_INT(p.every, 3);
    CHECK_INT(p.crf, 16);
    CHECK_INT(p.keep, 0);
    CHECK_INT(p.voice, AN_VOICE_KEEP);
    CHECK_INT(p.is_lenient, 0);
    CHECK_INT(p.is_edit, 0);
    CHECK_INT(p.nregions, 0);
    an_params_free(&p);
}

static void test_an_params_all_members_read(void)
{
    an_params_t p;
    tc_fail_t f;
    int rc = read_text(
        "{\"classes\":[\"person\",\"plate\"],\"detector\":\"haar\",\"objects\":\"hog\","
        "\"threshold\":{\"person\":0.25},\"grow\":1,\"shape\":\"box\",\"mask\":\"mosaic\","
        "\"color\":\"#12aBff\",\"feather\":9,\"every\":30,\"keep_metadata\":[\"icc\",\"date\"],"
        "\"voice\":\"disguise\",\"on_damage\":\"mask_all\",\"crf\":0,\"preset\":\"fast\","
        "\"keep_original_days\":3,\"unknown\":[],"
        "\"regions\":[{\"box\":[0,0.5,1,0.25]},"
        "{\"id\":7,\"box\":[0.1,0.1,0.1,0.1],\"mode\":\"never\",\"from\":1.5,\"to\":2}],"
        "\"edit\":{\"base\":\"masked\",\"kept\":[3,1]}}",
        &p, &f);

    CHECK_STR(f.detail, "");
    CHECK_INT(rc, 0);
    CHECK_INT(p.classes, 1u << AN_PERSON | 1u << AN_PLATE);
    CHECK_STR(p.faces, "haar");
    CHECK_STR(p.objects, "hog");
    CHECK(p.threshold[AN_PERSON] == 0.25F && p.threshold[AN_FACE] < 0);
    CHECK(p.grow == 1);
    CHECK_INT(p.shape, AN_BOX);
    CHECK_INT(p.style, AN_MOSAIC);
    CHECK_INT(p.color[0] << 16 | p.color[1] << 8 | p.color[2], 0x12ABFF);
    CHECK_INT(p.feather, 9);
    CHECK_INT(p.every, 30);
    CHECK_INT(p.keep, AN_KEEP_ICC | AN_KEEP_DATE);
    CHECK_INT(p.voice, AN_VOICE_DISGUISE);
    CHECK_INT(p.is_lenient, 1);
    CHECK_INT(p.crf, 0);
    CHECK_STR(p.preset, "fast");
    CHECK_INT(p.nregions, 2);
    CHECK(p.regions[0].y == 0.5F && p.regions[0].to_s < 0 && !p.regions[0].is_never);
    CHECK(p.regions[1].from_s == 1.5 && p.regions[1].to_s == 2 && p.regions[1].is_never);
    CHECK_INT(p.regions[1].id, 7);
    CHECK_INT(p.is_edit && p.from_masked, 1);
    CHECK_INT(p.nkept, 2);
    CHECK_INT(p.kept[0], 3);
    an_params_free(&p);
}

static void test_an_params_wrong_refused_by_name(void)
{
    static const struct {
        const char *text;
        const char *name;
    } cases[] = {{"[]", "object"},
                 {"{\"classes\":\"face\"}", "classes"},
                 {"{\"classes\":[\"dog\"]}", "classes"},
                 {"{\"classes\":[1]}", "classes"},
                 {"{\"detector\":\"dlib\"}", "detector"},
                 {"{\"objects\":7}", "objects"},
                 {"{\"threshold\":0.5}", "threshold"},
                 {"{\"threshold\":{\"face\":1.01}}", "threshold"},
                 {"{\"threshold\":{\"face\":0.19}}", "a number from 0.2 to 1"},
                 {"{\"grow\":-0.1}", "grow"},
                 {"{\"grow\":\"1\"}", "grow"},
                 {"{\"shape\":\"star\"}", "shape"},
                 {"{\"mask\":\"none\"}", "mask"},
                 {"{\"color\":\"#12345\"}", "color"},
                 {"{\"color\":\"#12345g\"}", "color"},
                 {"{\"feather\":65}", "feather"},
                 {"{\"feather\":1.5}", "feather"},
                 {"{\"every\":0}", "every"},
                 {"{\"crf\":41}", "crf"},
                 {"{\"preset\":\"placebo\"}", "preset"},
                 {"{\"voice\":true}", "voice"},
                 {"{\"on_damage\":\"go\"}", "on_damage"},
                 {"{\"keep_metadata\":[\"gps\"]}", "keep_metadata"},
                 {"{\"regions\":{}}", "regions"},
                 {"{\"regions\":[1]}", "regions"},
                 {"{\"regions\":[{}]}", "regions"},
                 {"{\"regions\":[{\"box\":[0,0,1]}]}", "regions"},
                 {"{\"regions\":[{\"box\":[0,0,0,1]}]}", "regions"},
                 {"{\"regions\":[{\"box\":[0,0,1.5,1]}]}", "regions"},
                 {"{\"regions\":[{\"box\":[0,0,1,1],\"from\":2,\"to\":1}]}", "regions"},
                 {"{\"edit\":1}", "edit"},
                 {"{\"edit\":{\"kept\":[0]}}", "edit"}};
    an_params_t p;
    tc_fail_t f;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_INT(read_text(cases[i].text, &p, &f), -1);
        CHECK_STR(f.code, "params_invalid");
        if (strstr(f.detail, cases[i].name) == NULL) {
            CHECK_STR(f.detail, cases[i].name);
        }
        CHECK(p.regions == NULL && p.kept == NULL);
    }
}

static void test_an_params_too_many_regions_refused(void)
{
    json_t *o = json_object(), *regions = json_array();
    an_params_t p;
    tc_fail_t f = {{0}, {0}, 0};

    for (int i = 0; i <= AN_REGIONS_MAX; i++) {
        json_array_append_new(regions, json_pack("{s:[f,f,f,f]}", "box", 0.1, 0.1, 0.1, 0.1));
    }
    json_object_set(o, "regions", regions);
    CHECK_INT(an_params_read(o, &p, &f), -1);
    CHECK_STR(f.code, "params_invalid");
    json_array_remove(regions, 0);
    memset(&f, 0, sizeof(f));
    CHECK_INT(an_params_read(o, &p, &f), 0);
    CHECK_INT(p.nregions, AN_REGIONS_MAX);
    an_params_free(&p);
    json_decref(regions);
    json_decref(o);
}

int main(void)
{
    test_an_params_nothing_gives_defaults();
    test_an_params_all_members_read();
    test_an_params_wrong_refused_by_name();
    test_an_params_too_many_regions_refused();
    return test_report();
}
