/* The allocation-free JSON reader against jansson: the same texts, the same values. */
#include "fuzz.h"

#include "media/json.h"
#include "media/jsondoc.h"

#define NODES 4096

static void same(const media_jsondoc_t *doc, size_t at, const json_t *v);

static void same_object(const media_jsondoc_t *doc, size_t at, const json_t *v)
{
    size_t n = 0;
    for (size_t i = at + 1; i < media_jsondoc_next(doc, at); i = media_jsondoc_next(doc, i)) {
        char name[65536];
        media_str_t s = media_jsondoc_text(doc, i);
        memcpy(name, s.p, s.len);
        name[s.len] = '\0';
        const json_t *member = json_object_get(v, name);
        MUST(member != NULL && media_jsondoc_get(doc, at, s) == i + 1);
        same(doc, i + 1, member);
        n++;
    }
    MUST(n == json_object_size(v));
}

static void same_array(const media_jsondoc_t *doc, size_t at, const json_t *v)
{
    size_t n = 0;
    for (size_t i = at + 1; i < media_jsondoc_next(doc, at); i = media_jsondoc_next(doc, i)) {
        MUST(n < json_array_size(v));
        same(doc, i, json_array_get(v, n++));
    }
    MUST(n == json_array_size(v));
}

static void same(const media_jsondoc_t *doc, size_t at, const json_t *v)
{
    media_str_t s = media_jsondoc_text(doc, at);
    switch (media_jsondoc_type(doc, at)) {
    case MEDIA_JSON_OBJECT:
        MUST(json_is_object(v));
        same_object(doc, at, v);
        break;
    case MEDIA_JSON_ARRAY:
        MUST(json_is_array(v));
        same_array(doc, at, v);
        break;
    case MEDIA_JSON_STRING:
        MUST(json_is_string(v) &&
             media_str_eq(s, (media_str_t){json_string_value(v), json_string_length(v)}));
        break;
    case MEDIA_JSON_INTEGER:
        MUST(json_is_integer(v) && json_integer_value(v) == media_jsondoc_int(doc, at));
        break;
    case MEDIA_JSON_REAL:
        MUST(json_is_real(v) && json_real_value(v) == media_jsondoc_real(doc, at));
        break;
    case MEDIA_JSON_TRUE:
        MUST(json_is_true(v));
        break;
    case MEDIA_JSON_FALSE:
        MUST(json_is_false(v));
        break;
    case MEDIA_JSON_NULL:
        MUST(json_is_null(v));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static media_jsonnode_t nodes[NODES];
    media_jsondoc_t doc;
    json_t *tree;
    char *copy = malloc(size + 1); /* exact: a read beyond the text is seen */
    MUST(copy != NULL);
    char *text = realloc(copy, size > 0 ? size : 1);
    MUST(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    int rc = media_jsondoc_parse(text, size, nodes, NODES, &doc);
    if (rc != MEDIA_E_TOOBIG) {
        int want = media_json_parse((media_str_t){(const char *)data, size}, &tree, NULL);
        MUST(rc == want);
        if (rc == 0) {
            same(&doc, 0, tree);
        }
        json_decref(tree);
    }
    free(text);
    return 0;
}
