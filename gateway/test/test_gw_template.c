#include "gw_template.h"
#include "test.h"

static const gw_value_t values[] = {
    {"A", "one"},   {"LINES", "x 1;\ny 2;"}, {"EMPTY", ""},
    {"NONE", NULL}, {"AT", "@A@"},           {NULL, NULL},
};

/* The filled text, or the error. */
static const char *fill(const char *text)
{
    static char said[1000];
    media_buf_t out;
    media_err_t ei;

    media_buf_init(&out, sizeof(said) - 1);
    if (gw_template_fill(media_str(text), values, &out, &ei) != 0) {
        (void)snprintf(said, sizeof(said), "error: %s", ei.text);
    } else {
        (void)snprintf(said, sizeof(said), "%.*s", (int)out.len, out.len > 0 ? out.p : "");
    }
    media_buf_free(&out);
    return said;
}

static void test_template_names_filled(void)
{
    CHECK_STR(fill("a @A@ b@A@@A@\n"), "a one boneone\n");
    CHECK_STR(fill("no end @A@"), "no end one");
    CHECK_STR(fill("[@EMPTY@@NONE@]\n"), "[]\n");
    /* what a value says is never read as a template */
    CHECK_STR(fill("@AT@\n"), "@A@\n");
    CHECK_STR(fill("location @media_object {}\nmail@example.org @ @@\n"),
              "location @media_object {}\nmail@example.org @ @@\n");
    CHECK_STR(fill("@B@\n"), "error: no value for @B@");
}

static void test_template_lines_indented(void)
{
    CHECK_STR(fill("  @LINES@\nz\n"), "  x 1;\n  y 2;\nz\n");
}

static void test_template_if_kept_or_left_out(void)
{
    CHECK_STR(fill("1\n  @if A@\n  @A@\n  @end@\n2\n"), "1\n  one\n2\n");
    CHECK_STR(fill("1\n@if EMPTY@\n@B@\n@end@\n2\n"), "1\n2\n");
    CHECK_STR(fill("1\n@if NONE@\nx\n@end@"), "1\n");
    CHECK_STR(fill("@if B@\n@end@\n"), "error: no value for @if B@");
    CHECK_STR(fill("@if A@\nx\n"), "error: @if A@ has no @end@");
}

int main(void)
{
    test_template_names_filled();
    test_template_lines_indented();
    test_template_if_kept_or_left_out();
    return test_report();
}
