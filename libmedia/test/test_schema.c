#include "test.h"

#include <dirent.h>

#include "media/schema.h"

static void test_schema_number_is_that_of_the_last_migration(void)
{
    DIR *dir = opendir(SQL_DIR);
    struct dirent *e;
    int last = 0;

    CHECK(dir != NULL);
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int n = (int)strtol(e->d_name, NULL, 10);
        last = n > last ? n : last;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    CHECK_INT(MEDIA_SCHEMA, last);
}

static void test_schema_fits_from_oldest_to_version(void)
{
    CHECK(media_schema_fits((media_schema_t){MEDIA_SCHEMA, MEDIA_SCHEMA}));
    CHECK(media_schema_fits((media_schema_t){MEDIA_SCHEMA, 1}));
    CHECK(media_schema_fits((media_schema_t){MEDIA_SCHEMA + 9, MEDIA_SCHEMA}));
    CHECK(!media_schema_fits((media_schema_t){MEDIA_SCHEMA - 1, 1}));
    CHECK(!media_schema_fits((media_schema_t){MEDIA_SCHEMA + 1, MEDIA_SCHEMA + 1}));
    CHECK(!media_schema_fits((media_schema_t){0, 0}));
}

static void test_schema_read_takes_two_numbers(void)
{
    static const char *const bad[][2] = {{NULL, NULL}, {"16", NULL}, {NULL, "16"},
                                         {"", "16"},   {"x", "16"},  {"0", "0"},
                                         {"-1", "1"},  {"16", "-1"}, {"99999999999", "1"}};
    media_schema_t s = media_schema_read("18", "17");

    CHECK_INT(s.version, 18);
    CHECK_INT(s.oldest, 17);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(media_schema_read(bad[i][0], bad[i][1]).version, 0);
    }
}

static void test_schema_text_names_both_numbers(void)
{
    char text[MEDIA_SCHEMA_TEXT], want[MEDIA_SCHEMA_TEXT];

    CHECK_STR(media_schema_text((media_schema_t){MEDIA_SCHEMA, 1}, text, sizeof(text)), "");
    snprintf(want, sizeof(want), "schema 3, this program needs %d", MEDIA_SCHEMA);
    CHECK_STR(media_schema_text((media_schema_t){3, 1}, text, sizeof(text)), want);
    snprintf(want, sizeof(want), "schema 999 serves programs from 998 on, this one is %d",
             MEDIA_SCHEMA);
    CHECK_STR(media_schema_text((media_schema_t){999, 998}, text, sizeof(text)), want);
    snprintf(want, sizeof(want), "schema is older than this program needs, which is %d",
             MEDIA_SCHEMA);
    CHECK_STR(media_schema_text((media_schema_t){0, 0}, text, sizeof(text)), want);
    (void)media_schema_text((media_schema_t){2147483647, 2147483646}, text, sizeof(text));
    CHECK(strlen(text) < sizeof(text) - 1);
}

static void test_schema_missing_is_told_from_other_errors(void)
{
    CHECK(media_schema_missing("42883"));
    CHECK(media_schema_missing("3F000"));
    CHECK(media_schema_missing("42P01"));
    CHECK(!media_schema_missing("42501"));
    CHECK(!media_schema_missing("57014"));
    CHECK(!media_schema_missing(""));
}

int main(void)
{
    test_schema_number_is_that_of_the_last_migration();
    test_schema_fits_from_oldest_to_version();
    test_schema_read_takes_two_numbers();
    test_schema_text_names_both_numbers();
    test_schema_missing_is_told_from_other_errors();
    return test_report();
}
