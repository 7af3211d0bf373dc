/* Segments and ranges of made-up indexes. */
#include "test.h"
#include "vd_cuts.h"

static void fill(media_vindex_t *v, uint32_t n, int tb_den, int64_t step)
{
    memset(v, 0, sizeof(*v));
    v->tb_num = 1;
    v->tb_den = tb_den;
    v->nframes = n;
    v->frames = calloc(n, sizeof(*v->frames));
    for (uint32_t i = 0; i < n; i++) {
        v->frames[i].pts = 777 + step * i;
        v->frames[i].packet = i;
    }
    v->end = 777 + step * n;
}

static const vd_cuts_params_t usual = VD_CUTS_DEFAULT;

/* No picture is lost or twice, times join. */
static void check_whole(const media_vindex_t *v, const vd_cuts_t *c)
{
    uint32_t kept = 0, in_ranges = 0;

    for (uint32_t i = 0; i < c->nsegments; i++) {
        const vd_segment_t *s = &c->segments[i];
        CHECK_INT(s->first, i == 0 ? 0 : s[-1].end);
        CHECK_INT(s->pts, v->frames[s->first].pts);
        CHECK_INT(s->pts, i == 0 ? v->frames[0].pts : s[-1].pts + s[-1].duration);
        CHECK_INT(s->first % c->step, 0);
        CHECK(s->count > 0 && s->duration > 0);
        CHECK_INT(s->count, (s->end - s->first + c->step - 1) / c->step);
        kept += s->count;
    }
    CHECK_INT(c->segments[c->nsegments - 1].end, v->nframes);
    CHECK_INT(kept, (v->nframes + c->step - 1) / c->step);
    for (uint32_t i = 0; i < c->nranges; i++) {
        uint32_t length = c->ranges[i].end - c->ranges[i].first;
        CHECK_INT(c->ranges[i].first, in_ranges);
        CHECK(length == c->nsegments / c->nranges || length == c->nsegments / c->nranges + 1);
        CHECK(length <= (uint32_t)usual.range_segments);
        in_ranges = c->ranges[i].end;
    }
    CHECK_INT(in_ranges, c->nsegments);
}

static void cut(media_vindex_t *v, vd_cuts_t *c)
{
    tc_fail_t f = {{0}, {0}, 0};

    CHECK_INT(vd_cuts(v, &usual, c, &f), 0);
    check_whole(v, c);
}

static void done(media_vindex_t *v, vd_cuts_t *c)
{
    free(v->frames);
    vd_cuts_free(c);
}

static void test_vd_cuts_constant_rate_cuts_every_four_seconds(void)
{
    media_vindex_t v;
    vd_cuts_t c;

    fill(&v, 25 * 60 * 10, 12800, 512);
    cut(&v, &c);
    CHECK_INT(c.step, 1);
    CHECK_INT(c.nsegments, 150);
    CHECK_INT(c.nranges, 15);
    for (uint32_t i = 0; i < c.nsegments; i++) {
        CHECK_INT(c.segments[i].count, 100);
        CHECK_INT(c.segments[i].duration, 4 * 12800);
    }
    done(&v, &c);
}

/* 30000/1001 per second: boundaries stay within half a picture of the grid, for hours. */
static void test_vd_cuts_ntsc_rate_never_drifts(void)
{
    media_vindex_t v;
    vd_cuts_t c;

    fill(&v, 30 * 3600, 30000, 1001);
    cut(&v, &c);
    for (uint32_t i = 0; i < c.nsegments; i++) {
        int64_t off = c.segments[i].pts - v.frames[0].pts - 120000 * (int64_t)i;
        CHECK(off >= -501 && off <= 501);
    }
    done(&v, &c);
}

/* Milliseconds that were rounded down: 3999 begins the second segment. */
static void test_vd_cuts_rounded_times_do_not_matter(void)
{
    media_vindex_t v;
    vd_cuts_t c;

    fill(&v, 600, 1000, 33);
    for (uint32_t i = 0; i < v.nframes; i++) {
        v.frames[i].pts = (int64_t)i * 1000 / 30 - (i % 120 == 0 && i > 0);
    }
    v.end = 20000;
    cut(&v, &c);
    CHECK_INT(c.nsegments, 5);
    for (uint32_t i = 0; i < c.nsegments; i++) {
        CHECK_INT(c.segments[i].first, 120 * i);
    }
    done(&v, &c);
}

static void test_vd_cuts_high_rates_are_halved(void)
{
    static const struct {
        int rate;
        uint32_t step;
    } cases[] = {{50, 1}, {60, 1}, {61, 2}, {100, 2}, {120, 2}, {121, 4}, {240, 4}, {960, 16}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        media_vindex_t v;
        vd_cuts_t c;
        fill(&v, (uint32_t)cases[i].rate * 30 + 1, cases[i].rate * 10, 10);
        cut(&v, &c);
        CHECK_INT(c.step, cases[i].step);
        CHECK_INT(c.nsegments, 8); /* 4 s each, the last of 2 s and a bit */
        done(&v, &c);
    }
}

static void test_vd_cuts_short_rest_joins_the_last(void)
{
    static const struct {
        uint32_t frames, segments;
    } cases[] = {{1, 1}, {10, 1}, {100, 1}, {149, 1}, {150, 2}, {199, 2}, {249, 2}, {250, 3}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        media_vindex_t v;
        vd_cuts_t c;
        fill(&v, cases[i].frames, 25, 1);
        cut(&v, &c);
        CHECK_INT(c.nsegments, cases[i].segments);
        CHECK_INT(c.nranges, 1);
        done(&v, &c);
    }
}

/* A lecture: pictures at 0, 1, 2 s, then one that stays for a minute, then 25 per second. */
static void test_vd_cuts_holes_have_no_boundary(void)
{
    media_vindex_t v;
    vd_cuts_t c;

    fill(&v, 3 + 1 + 250, 1000, 40);
    for (uint32_t i = 0; i < v.nframes; i++) {
        v.frames[i].pts = i < 4 ? 1000 * (int64_t)i : 63000 + 40 * (int64_t)(i - 4);
    }
    v.end = v.frames[v.nframes - 1].pts + 40;
    cut(&v, &c);
    CHECK_INT(c.segments[0].count, 4);
    CHECK_INT(c.segments[0].duration, 63000);
    CHECK_INT(c.segments[1].pts, 63000);
    CHECK_INT(c.segments[2].pts, 64000);
    done(&v, &c);
}

static void test_vd_cuts_json_says_the_same(void)
{
    media_vindex_t v;
    vd_cuts_t c;
    json_t *o, *s;

    fill(&v, 1100, 25, 1);
    cut(&v, &c);
    o = vd_cuts_json(&c);
    CHECK_INT(json_integer_value(json_object_get(o, "step")), 1);
    CHECK_INT(json_array_size(json_object_get(o, "segments")), 11);
    CHECK_INT(json_array_size(json_object_get(o, "ranges")), 2);
    s = json_array_get(json_object_get(o, "segments"), 10);
    CHECK_INT(json_integer_value(json_array_get(s, 0)), 1000);
    CHECK_INT(json_integer_value(json_array_get(s, 1)), 1100);
    CHECK_INT(json_integer_value(json_array_get(s, 3)), 777 + 1000);
    json_decref(o);
    done(&v, &c);
}

int main(void)
{
    test_vd_cuts_constant_rate_cuts_every_four_seconds();
    test_vd_cuts_ntsc_rate_never_drifts();
    test_vd_cuts_rounded_times_do_not_matter();
    test_vd_cuts_high_rates_are_halved();
    test_vd_cuts_short_rest_joins_the_last();
    test_vd_cuts_holes_have_no_boundary();
    test_vd_cuts_json_says_the_same();
    return test_report();
}
