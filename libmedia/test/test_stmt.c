#include "test.h"

#include "media/stmt.h"

static int highest_param(const char *text)
{
    int max = 0;
    for (const char *p = strchr(text, '$'); p != NULL; p = strchr(p + 1, '$')) {
        int n = (int)strtol(p + 1, NULL, 10);
        max = n > max ? n : max;
    }
    return max;
}

static void test_stmt_parameters_match_the_text(void)
{
    for (int i = 0; i < MEDIA_STMT_COUNT; i++) {
        const media_stmt_t *s = media_stmt_get((enum media_stmt)i);
        CHECK_INT(highest_param(s->text), s->nparams);
        for (int n = 1; n <= s->nparams; n++) {
            char param[16];
            snprintf(param, sizeof(param), "$%d", n);
            CHECK(strstr(s->text, param) != NULL);
        }
        CHECK(strchr(s->text, ';') == NULL);
        CHECK(strncmp(s->text, "SELECT ", 7) == 0);
        CHECK(strlen(s->name) < 63);
    }
}

static void test_stmt_get_by_enum(void)
{
    CHECK_STR(media_stmt_get(MEDIA_STMT_PING)->text, "SELECT 1");
    CHECK_STR(media_stmt_get(MEDIA_STMT_CTL_MEDIA_RM)->name, "CTL_MEDIA_RM");
    CHECK(media_stmt_get(MEDIA_STMT_COUNT) == NULL);
}

int main(void)
{
    test_stmt_parameters_match_the_text();
    test_stmt_get_by_enum();
    return test_report();
}
