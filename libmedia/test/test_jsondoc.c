/* The allocation-free JSON reader, against what jansson says of the same text. */
#include "media/json.h"
#include "media/jsondoc.h"
#include "test.h"

#define NODES 2048

static int read_doc(media_str_t text, media_jsondoc_t *doc)
{
    static char copy[70000];
    static media_jsonnode_t nodes[NODES];
    memcpy(copy, text.p, text.len);
    return media_jsondoc_parse(copy, text.len, nodes, NODES, doc);
}

/* Both readers take it, or both refuse it. */
static void check_both(media_str_t text)
{
    json_t *tree;
    media_jsondoc_t doc;
    int want = media_json_parse(text, &tree, NULL);
    int got = read_doc(text, &doc);
    if (want != got) {
        printf("%.*s\n", (int)text.len, text.p);
    }
    CHECK_INT(got, want);
    json_decref(tree);
}

static const char *const texts[] = {
    "{}",
    " { } ",
    "{\"a\":1}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "[]",
    "1",
    "\"a\"",
    "null",
    "",
    " ",
    "{",
    "}",
    "{}{}",
    "{}x",
    "{} \t\r\n",
    "\xef\xbb\xbf{}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":tru}",
    "{\"a\":trueish}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":nul}",
    "{\"a\":NULL}",
    "{\"a\":-0}",
    "{\"a\":-}",
    "{\"a\":+1}",
    "{\"a\":01}",
    "{\"a\":0x10}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":1.5e}",
    "{\"a\":1e5}",
    "{\"a\":1E+05}",
    "{\"a\":1e-400}",
    "{\"a\":1e400}",
    "{\"a\":-1e400}",
    "{\"a\":9223372036854775807}",
    "{\"a\":9223372036854775808}",
    "{\"a\":-9223372036854775808}",
    "{\"a\":-9223372036854775809}",
    "{\"a\":99999999999999999999999}",
    "{\"a\":1",
    "{\"a\":1e5",
    "{\"a\":[1,2,[3,{\"b\":[]}]]}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":[}",
    "{\"a\":]}",
    "{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\/\\\"\\\\\\b\\f\\r\\t\"}",
    "{\"a\":\"\\ud83d\"}",
    "{\"a\":\"\\ude00\"}",
    "{\"a\":\"\\ud83d\\u0041\"}",
    "{\"a\":\"\\ud83dx\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\\u0000\":1}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u12g4\"}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":\"\\",
    "{\"a\":\"\\u",
    "{\"a\":\"",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\x7f\"}",
    "{\"a\":\"\xc3\xa9\"}",
    "{\"a\":\"\xc3\"}",
    "{\"a\":\"\xc0\xaf\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xf4\x90\x80\x80\"}",
    "{\"\xff\":1}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"a\":{\"b\":1,\"b\":2}}",
    "{\"a\":[{\"b\":1},{\"b\":2}]}",
    "{\"\":1,\"\":2}",
    "{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}",
    "{\"a\":1,\"b\":{\"x\":1},\"a\":2}",
    "//{}",
    "{\"a\":1/**/}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":\v1}",
};

static void test_jsondoc_agrees_with_jansson(void)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_both(media_str(texts[i]));
    }
    check_both(MEDIA_STR("{\"a\":\"\0\"}"));
    check_both(MEDIA_STR("{}\0"));
    check_both(MEDIA_STR("{\"a\":1\0}"));
}

static void test_jsondoc_depth_is_32(void)
{
    char text[256];
    for (size_t depth = 30; depth < 40; depth++) {
        size_t n = 0;
        memcpy(text, "{\"a\":", 5);
        n = 5;
        memset(text + n, '[', depth - 1);
        n += depth - 1;
        memset(text + n, ']', depth - 1);
        n += depth - 1;
        text[n++] = '}';
        check_both((media_str_t){text, n});
    }
}

static void test_jsondoc_values(void)
{
    media_jsondoc_t doc;
    CHECK_INT(read_doc(MEDIA_STR("{\"s\\u0041\":\"\\u00fc\\ud83d\\ude00\\t\\/"
                                 "x\",\"n\":-12,\"r\":2.5e1,\"o\":{\"t\":true},"
                                 "\"a\":[1,[2,3],{\"k\":4},\"five\"],\"last\":null}"),
                       &doc),
              0);
    size_t at = media_jsondoc_get(&doc, 0, MEDIA_STR("sA"));
    CHECK_INT(media_jsondoc_type(&doc, at), MEDIA_JSON_STRING);
    media_str_t s = media_jsondoc_text(&doc, at);
    CHECK_MEM(s.p, s.len, "\xc3\xbc\xf0\x9f\x98\x80\t/x");
    at = media_jsondoc_get(&doc, 0, MEDIA_STR("n"));
    CHECK_INT(media_jsondoc_type(&doc, at), MEDIA_JSON_INTEGER);
    CHECK_INT(media_jsondoc_int(&doc, at), -12);
    at = media_jsondoc_get(&doc, 0, MEDIA_STR("r"));
    CHECK_INT(media_jsondoc_type(&doc, at), MEDIA_JSON_REAL);
    CHECK(media_jsondoc_real(&doc, at) == 25);
    s = media_jsondoc_text(&doc, at);
    CHECK_MEM(s.p, s.len, "2.5e1");
    at = media_jsondoc_get(&doc, media_jsondoc_get(&doc, 0, MEDIA_STR("o")), MEDIA_STR("t"));
    CHECK_INT(media_jsondoc_type(&doc, at), MEDIA_JSON_TRUE);
    at = media_jsondoc_get(&doc, 0, MEDIA_STR("a"));
    int types[8];
    int n = 0;
    for (size_t i = at + 1; i < media_jsondoc_next(&doc, at); i = media_jsondoc_next(&doc, i)) {
        types[n++] = (int)media_jsondoc_type(&doc, i);
    }
    CHECK_INT(n, 4);
    CHECK(types[0] == MEDIA_JSON_INTEGER && types[1] == MEDIA_JSON_ARRAY &&
          types[2] == MEDIA_JSON_OBJECT && types[3] == MEDIA_JSON_STRING);
    at = media_jsondoc_get(&doc, 0, MEDIA_STR("last"));
    CHECK_INT(media_jsondoc_type(&doc, at), MEDIA_JSON_NULL);
    /* names of inner objects, values and half names are no members */
    CHECK_INT(media_jsondoc_get(&doc, 0, MEDIA_STR("t")), 0);
    CHECK_INT(media_jsondoc_get(&doc, 0, MEDIA_STR("k")), 0);
    CHECK_INT(media_jsondoc_get(&doc, 0, MEDIA_STR("five")), 0);
    CHECK_INT(media_jsondoc_get(&doc, 0, MEDIA_STR("")), 0);
    CHECK_INT(media_jsondoc_get(&doc, at, MEDIA_STR("last")), 0);
    CHECK_INT(media_jsondoc_get(&doc, 10000, MEDIA_STR("last")), 0);
}

static void test_jsondoc_limits(void)
{
    media_jsonnode_t nodes[8];
    media_jsondoc_t doc;
    char three[] = "{\"a\":[1,2,3,4,5]}"; /* root, name, array, five numbers */
    CHECK_INT(media_jsondoc_parse(three, strlen(three), nodes, 8, &doc), 0);
    CHECK_INT(doc.nnodes, 8);
    CHECK_INT(media_jsondoc_parse(three, strlen(three), nodes, 7, &doc), MEDIA_E_TOOBIG);
    CHECK_INT(doc.nnodes, 0);
    CHECK_INT(media_jsondoc_get(&doc, 0, MEDIA_STR("a")), 0);
    static char big[MEDIA_JSONDOC_TEXT_MAX + 2];
    memset(big, ' ', sizeof(big));
    memcpy(big, "{}", 2);
    CHECK_INT(media_jsondoc_parse(big, MEDIA_JSONDOC_TEXT_MAX, nodes, 8, &doc), 0);
    CHECK_INT(media_jsondoc_parse(big, MEDIA_JSONDOC_TEXT_MAX + 1, nodes, 8, &doc), MEDIA_E_TOOBIG);
}

int main(void)
{
    test_jsondoc_agrees_with_jansson();
    test_jsondoc_depth_is_32();
    test_jsondoc_values();
    test_jsondoc_limits();
    return test_report();
}
