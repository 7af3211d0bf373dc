#include "test.h"

#include "media/json.h"

static void check_reject(media_str_t text, int want)
{
    json_t *obj = (json_t *)&obj;
    media_err_t ei = {""};
    CHECK_INT(media_json_parse(text, &obj, &ei), want);
    CHECK(obj == NULL);
    CHECK(ei.text[0] != '\0');
}

static void test_json_parse_refuses_what_is_no_clean_object(void)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "null",
                                      "1",
                                      "\"a\"",
                                      "[]",
                                      "[{}]",
                                      "{",
                                      "{}}",
                                      "{} x",
                                      "{}{}",
                                      "{\"a\":1,}",
                                      "{'a':1}",
                                      "{a:1}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":{\"b\":1,\"b\":1}}",
                                      "{\"a\":1,\"\\u0061\":2}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":.5}",
                                      "{\"a\":NaN}",
                                      "{\"a\":1e999}",
                                      "{\"a\":99999999999999999999}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\\ud800\"}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":1 /* c */}",
                                      "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_reject(media_str(bad[i]), MEDIA_E_REJECT);
    }
    check_reject(MEDIA_STR_NULL, MEDIA_E_REJECT);
    check_reject(MEDIA_STR("{}\0"), MEDIA_E_REJECT);
    check_reject(MEDIA_STR("{\"a\":1\0}"), MEDIA_E_REJECT);
}

static void test_json_parse_depth_limit_is_32(void)
{
    char text[256];
    json_t *obj;
    for (int depth = 30; depth <= 36; depth++) {
        size_t n = 0;
        n += (size_t)snprintf(text, sizeof(text), "{\"a\":");
        for (int i = 1; i < depth; i++) {
            text[n++] = '[';
        }
        for (int i = 1; i < depth; i++) {
            text[n++] = ']';
        }
        text[n++] = '}';
        if (depth <= 32) {
            CHECK_INT(media_json_parse((media_str_t){text, n}, &obj, NULL), 0);
            json_decref(obj);
        } else {
            check_reject((media_str_t){text, n}, MEDIA_E_REJECT);
        }
    }
    /* brackets in a string do not nest, also after an escaped quote */
    static const char brackets[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
    snprintf(text, sizeof(text), "{\"%s\\\"%s\":1}", brackets, brackets);
    CHECK_INT(media_json_parse(media_str(text), &obj, NULL), 0);
    json_decref(obj);
}

static void test_json_parse_deep_and_long_bombs(void)
{
    size_t n = 1 << 20;
    char *bomb = malloc(n + 1);
    memset(bomb, '[', n + 1);
    check_reject((media_str_t){bomb, n}, MEDIA_E_REJECT);
    check_reject((media_str_t){bomb, n + 1}, MEDIA_E_TOOBIG);
    memset(bomb, ' ', n);
    memcpy(bomb, "{}", 2);
    json_t *obj;
    CHECK_INT(media_json_parse((media_str_t){bomb, n}, &obj, NULL), 0);
    json_decref(obj);
    free(bomb);
}

static void test_json_parse_error_does_not_quote_the_input(void)
{
    json_t *obj;
    media_err_t ei = {""};
    media_json_parse(MEDIA_STR("{\"password\":\"hunter2\" \"x\":1}"), &obj, &ei);
    CHECK(ei.text[0] != '\0' && strstr(ei.text, "hunter2") == NULL);
    media_json_parse(MEDIA_STR("{\"hunter2\":1,\"hunter2\":1}"), &obj, &ei);
    CHECK(strstr(ei.text, "twice") != NULL && strstr(ei.text, "hunter2") == NULL);
}

static void test_json_only_names_the_stranger(void)
{
    static const char *const names[] = {"a", "b", NULL};
    media_err_t ei;
    json_t *obj;
    CHECK_INT(media_json_parse(MEDIA_STR("{\"b\":1,\"a\":2}"), &obj, NULL), 0);
    CHECK_INT(media_json_only(obj, names, &ei), 0);
    json_decref(obj);
    CHECK_INT(media_json_parse(MEDIA_STR("{\"a\":1,\"x\\ny\":2}"), &obj, NULL), 0);
    CHECK_INT(media_json_only(obj, names, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "unknown member \"x?y\"");
    json_decref(obj);
}

static void test_json_members(void)
{
    json_t *obj;
    media_str_t s = MEDIA_STR("unset");
    int64_t i = -1;
    media_err_t ei;
    CHECK_INT(media_json_parse(
                  MEDIA_STR("{\"s\":\"abc\",\"e\":\"\",\"n\":null,\"i\":7,\"r\":7.0,\"b\":true,"
                            "\"m\":-9223372036854775808}"),
                  &obj, NULL),
              0);
    CHECK_INT(media_json_str(obj, "s", 3, &s, &ei), 0);
    CHECK_MEM(s.p, s.len, "abc");
    CHECK_INT(media_json_str(obj, "e", 0, &s, &ei), 0);
    CHECK_INT(s.len, 0);
    CHECK_INT(media_json_str(obj, "s", 2, &s, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_str(obj, "x", 9, &s, &ei), MEDIA_E_GONE);
    CHECK_INT(media_json_str(obj, "n", 9, &s, &ei), MEDIA_E_GONE);
    CHECK_INT(media_json_str(obj, "i", 9, &s, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "i", 7, 7, &i, &ei), 0);
    CHECK_INT(i, 7);
    CHECK_INT(media_json_int(obj, "m", INT64_MIN, 0, &i, &ei), 0);
    CHECK(i == INT64_MIN);
    CHECK_INT(media_json_int(obj, "i", 8, 9, &i, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "i", 0, 6, &i, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "r", 0, 9, &i, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "b", 0, 9, &i, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "s", 0, 9, &i, &ei), MEDIA_E_REJECT);
    CHECK_INT(media_json_int(obj, "n", 0, 9, &i, &ei), MEDIA_E_GONE);
    json_object_set_new(obj, "z", json_stringn_nocheck("a\0b", 3));
    CHECK_INT(media_json_str(obj, "z", 9, &s, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "member \"z\" holds a NUL");
    json_decref(obj);
}

int main(void)
{
    test_json_parse_refuses_what_is_no_clean_object();
    test_json_parse_depth_limit_is_32();
    test_json_parse_deep_and_long_bombs();
    test_json_parse_error_does_not_quote_the_input();
    test_json_only_names_the_stranger();
    test_json_members();
    return test_report();
}
