#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"
#include "wk_secret.h"

static char file[] = "/tmp/test_wk_secret.XXXXXX";
static char text[WK_SECRET_MAX];
static media_err_t ei;

static void put(const char *bytes, size_t len)
{
    int fd = open(file, O_WRONLY | O_TRUNC);

    CHECK_INT(write(fd, bytes, len), len);
    close(fd);
}

static const char *check_word(const char *v)
{
    return strchr(v, ' ') == NULL ? NULL : "one word";
}

static int read_file(const char *bytes, size_t len)
{
    const wk_secret_t s = {.name = "A_SECRET", .file = file, .check = check_word};

    put(bytes, len);
    return wk_secret_read(&s, text, &ei);
}

static void test_secret_value_or_nothing(void)
{
    wk_secret_t s = {.name = "A_SECRET", .value = "hunter2", .check = check_word};

    CHECK(wk_secret_given(&s));
    CHECK_INT(wk_secret_read(&s, text, &ei), 0);
    CHECK_STR(text, "hunter2");
    s.value = "hunter2 x";
    CHECK_INT(wk_secret_read(&s, text, &ei), MEDIA_E_RETRY);
    CHECK_STR(ei.text, "A_SECRET: expected one word");
    CHECK_STR(text, "");
    s.value = NULL;
    CHECK(!wk_secret_given(&s));
    CHECK_INT(wk_secret_read(&s, text, &ei), MEDIA_E_RETRY);
    CHECK_STR(ei.text, "A_SECRET is not set");
}

static void test_secret_file_loses_one_newline(void)
{
    CHECK_INT(read_file("hunter2", 7), 0);
    CHECK_STR(text, "hunter2");
    CHECK_INT(read_file("hunter3\n", 8), 0); /* read again */
    CHECK_STR(text, "hunter3");
    CHECK_INT(read_file("hunter4\n\n", 9), 0);
    CHECK_STR(text, "hunter4\n");
}

static void test_secret_file_limits(void)
{
    char big[WK_SECRET_MAX + 1];

    memset(big, 'x', sizeof(big));
    CHECK_INT(read_file(big, WK_SECRET_MAX - 1), 0);
    CHECK_INT(strlen(text), WK_SECRET_MAX - 1);
    CHECK_INT(read_file(big, WK_SECRET_MAX), MEDIA_E_RETRY);
    CHECK(strstr(ei.text, ": too long") != NULL);
    big[WK_SECRET_MAX - 1] = '\n';
    CHECK_INT(read_file(big, WK_SECRET_MAX), 0);
    CHECK_INT(read_file(big, WK_SECRET_MAX + 1), MEDIA_E_RETRY);
}

/* The variable and the file are named, the content is not. */
static void test_secret_file_that_is_bad_is_named(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;
    } bad[] = {{"", 0, "empty"},
               {"\n", 1, "empty"},
               {"hun\0ter2", 8, "no text"},
               {"hunter2 x", 9, "expected one word"}};
    wk_secret_t s = {.name = "A_SECRET", .file = "/nonexistent/secret"};
    char want[100];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_INT(read_file(bad[i].bytes, bad[i].len), MEDIA_E_RETRY);
        snprintf(want, sizeof(want), "A_SECRET_FILE: %s: %s", file, bad[i].why);
        CHECK_STR(ei.text, want);
        for (size_t n = 0; n < sizeof(text); n++) {
            CHECK_INT(text[n], 0);
        }
    }
    CHECK_INT(wk_secret_read(&s, text, &ei), MEDIA_E_RETRY);
    CHECK_STR(ei.text, "A_SECRET_FILE: /nonexistent/secret: No such file or directory");
}

int main(void)
{
    close(mkstemp(file));
    test_secret_value_or_nothing();
    test_secret_file_loses_one_newline();
    test_secret_file_limits();
    test_secret_file_that_is_bad_is_named();
    unlink(file);
    return test_report();
}
