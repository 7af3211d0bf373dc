/* gw_names: which answers are used, and for how long. */
#include "gw_names.h"
#include "test.h"

static gw_addrs_t answer(const char *a, const char *b)
{
    gw_addrs_t addrs = {0};

    if (a != NULL) {
        gw_addrs_add(&addrs, a);
    }
    if (b != NULL) {
        gw_addrs_add(&addrs, b);
    }
    return addrs;
}

static void told(gw_name_t *name, const char *a, const char *b, int64_t now_ms)
{
    gw_addrs_t addrs = answer(a, b);

    gw_name_answer(name, &addrs, now_ms);
}

static void test_names_address_is_never_stale(void)
{
    gw_name_t name;

    gw_name_init(&name, MEDIA_STR("10.0.0.1"), 0);
    CHECK(name.is_address);
    CHECK_STR(name.used.at[0], "10.0.0.1");
    CHECK(!gw_name_stale(&name, 1 << 30));
    gw_name_init(&name, MEDIA_STR("fd00::1"), 0);
    CHECK(name.is_address);
    gw_name_init(&name, MEDIA_STR("/run/postgresql"), 0);
    CHECK(name.is_address);
    CHECK_INT(name.used.count, 0);
    CHECK(!gw_name_stale(&name, 0));
}

static void test_names_without_grace_followed_at_once(void)
{
    gw_name_t name;

    gw_name_init(&name, MEDIA_STR("postgres"), 0);
    CHECK(!name.is_address);
    CHECK(gw_name_stale(&name, 0));
    told(&name, "10.0.0.1", NULL, 1000);
    gw_name_use(&name);
    CHECK(!gw_name_stale(&name, 1000));
    /* one more is no reason, nor is no answer */
    told(&name, "10.0.0.1", "10.0.0.2", 2000);
    CHECK(!gw_name_stale(&name, 2000));
    told(&name, NULL, NULL, 3000);
    CHECK(!gw_name_stale(&name, 1 << 30));
    told(&name, "10.0.0.2", NULL, 4000);
    CHECK(gw_name_stale(&name, 4000));
    gw_name_use(&name);
    CHECK_STR(name.used.at[0], "10.0.0.2");
    CHECK_INT(name.used.count, 1);
    CHECK(!gw_name_stale(&name, 4000));
}

static void test_names_rotating_answers_kept_for_the_grace(void)
{
    gw_name_t name;

    gw_name_init(&name, MEDIA_STR("s3"), 300000);
    told(&name, "10.0.0.1", "10.0.0.2", 1000);
    gw_name_use(&name);
    told(&name, "10.0.0.3", "10.0.0.4", 31000);
    CHECK(!gw_name_stale(&name, 330999));
    CHECK(gw_name_stale(&name, 331000));
    /* they come back, one after the other */
    told(&name, "10.0.0.1", "10.0.0.3", 300000);
    told(&name, "10.0.0.2", "10.0.0.3", 330000);
    CHECK(!gw_name_stale(&name, 331000));
    CHECK(!gw_name_stale(&name, 629999));
    /* 10.0.0.1 is in no answer since 330000 */
    CHECK(gw_name_stale(&name, 630000));
    gw_name_use(&name);
    CHECK_STR(name.used.at[0], "10.0.0.2");
    CHECK_STR(name.used.at[1], "10.0.0.3");
}

static void test_names_addrs_sorted_and_bounded(void)
{
    gw_addrs_t addrs = answer("10.0.0.9", "10.0.0.1");
    char text[INET6_ADDRSTRLEN];

    gw_addrs_add(&addrs, "10.0.0.9");
    CHECK_INT(addrs.count, 2);
    CHECK_STR(addrs.at[0], "10.0.0.1");
    for (int i = 0; i < 2 * GW_ADDRS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "10.0.1.%d", i);
        gw_addrs_add(&addrs, text);
    }
    CHECK_INT(addrs.count, GW_ADDRS_MAX);
}

static void test_names_lookup_of_localhost_answers(void)
{
    gw_name_t name;
    gw_addrs_t addrs;
    int64_t now = 0;

    gw_name_init(&name, MEDIA_STR("localhost"), 0);
    CHECK_INT(gw_lookup_start(&name, 0), 0);
    while (!gw_lookup_read(&name, now, &addrs) && now < 1000000000) {
        now = 0;
    }
    CHECK(addrs.count >= 1);
    CHECK_INT(name.pid, 0);
    CHECK_INT(name.fd, -1);
    /* a resolver that says nothing is ended */
    CHECK_INT(gw_lookup_start(&name, 0), 0);
    CHECK_INT(gw_lookup_read(&name, 3600000, &addrs), 1);
    CHECK_INT(name.pid, 0);
}

int main(void)
{
    test_names_address_is_never_stale();
    test_names_without_grace_followed_at_once();
    test_names_rotating_answers_kept_for_the_grace();
    test_names_addrs_sorted_and_bounded();
    test_names_lookup_of_localhost_answers();
    return test_report();
}
