#include "test.h"

#include "media/pace.h"

/* `seconds` of waiting in steps of step_ms, each of them bringing `bytes` */
static int64_t wait_for(media_pace_t *p, int64_t now, int seconds, int step_ms, int64_t bytes)
{
    for (int64_t end = now + seconds * 1000LL; now < end;) {
        media_pace_wait(p, now);
        now += step_ms;
        media_pace_rest(p, now);
        media_pace_add(p, bytes);
    }
    return now;
}

static void test_pace_silence_is_judged_after_a_window(void)
{
    media_pace_t p = {0};

    CHECK_INT(media_pace_below(&p, 1000, 1), 0);
    media_pace_wait(&p, 1000);
    CHECK_INT(media_pace_below(&p, 10999, 1), 0);
    CHECK_INT(media_pace_below(&p, 11000, 1), 1);
    CHECK_INT(media_pace_below(&p, 11000, 0), 0);
}

static void test_pace_polling_changes_nothing(void)
{
    media_pace_t p = {0};

    media_pace_wait(&p, 0);
    for (int64_t now = 0; now < 10000; now += 100) {
        CHECK_INT(media_pace_below(&p, now, 100), 0);
    }
    CHECK_INT(media_pace_below(&p, 10000, 100), 1);
    media_pace_wait(&p, 10050);
    media_pace_rest(&p, 10100);
    media_pace_rest(&p, 90000);
    CHECK_INT(media_pace_below(&p, 90000, 100), 1);
}

static void test_pace_steady_peer_is_measured(void)
{
    static const int steps[] = {10, 100, 700, 1000, 2500};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        media_pace_t p = {0};
        int64_t now = wait_for(&p, 5000, 120, steps[i], steps[i]);

        CHECK_INT(media_pace_below(&p, now, 800), 0);
        CHECK_INT(media_pace_below(&p, now, 1300), 1);
    }
}

static void test_pace_time_of_our_own_does_not_count(void)
{
    media_pace_t p = {0};
    int64_t now = 0;

    for (int i = 0; i < 100; i++) {
        media_pace_wait(&p, now);
        media_pace_rest(&p, now + 10);
        media_pace_add(&p, 1000);
        now += 60000;
    }
    CHECK_INT(media_pace_below(&p, now, 1 << 30), 0);
    CHECK_INT(media_pace_below(&p, wait_for(&p, now, 9, 10, 1000), 99000), 0);
}

/* What it sent long ago is forgotten, and what it did not send, too. */
static void test_pace_window_slides(void)
{
    media_pace_t p = {0};
    int64_t now = wait_for(&p, 0, 1, 10, 1 << 20);

    media_pace_wait(&p, now);
    CHECK_INT(media_pace_below(&p, now + 8000, 1000), 0);
    CHECK_INT(media_pace_below(&p, now + 10000, 1000), 0);
    now = wait_for(&p, now + 10000, 12, 100, 0);
    CHECK_INT(media_pace_below(&p, now, 1000), 1);
    now = wait_for(&p, now, 13, 100, 200);
    CHECK_INT(media_pace_below(&p, now, 1500), 0);
}

static void test_pace_one_long_silence_then_a_burst(void)
{
    media_pace_t p = {0};

    media_pace_wait(&p, 0);
    media_pace_rest(&p, 20000);
    media_pace_add(&p, 100000);
    CHECK_INT(media_pace_below(&p, 20000, 4900), 0);
    CHECK_INT(media_pace_below(&p, 20000, 5100), 1);
}

static void test_pace_huge_figures(void)
{
    media_pace_t p = {0};

    media_pace_wait(&p, 0);
    media_pace_add(&p, INT64_MAX / 2);
    CHECK_INT(media_pace_below(&p, 1LL << 40, INT64_MAX), 1);
    CHECK_INT(media_pace_below(&p, 1LL << 40, 1), 0);
}

int main(void)
{
    test_pace_silence_is_judged_after_a_window();
    test_pace_polling_changes_nothing();
    test_pace_steady_peer_is_measured();
    test_pace_time_of_our_own_does_not_count();
    test_pace_window_slides();
    test_pace_one_long_silence_then_a_burst();
    test_pace_huge_figures();
    return test_report();
}
