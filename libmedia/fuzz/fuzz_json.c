/* JSON from outside: what is accepted is an object that survives writing and reading again. */
#include "fuzz.h"

#include "media/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b", NULL};
    media_str_t text = {(const char *)data, size};
    media_err_t ei = {""};
    media_str_t s;
    json_t *obj;
    json_t *again;
    int64_t i;
    if (media_json_parse(text, &obj, &ei) != 0) {
        MUST(obj == NULL && ei.text[0] != '\0');
        return 0;
    }
    MUST(json_is_object(obj));
    if (media_json_only(obj, names, &ei) == 0) {
        MUST(json_object_size(obj) <= 2);
    }
    if (media_json_str(obj, "a", 16, &s, &ei) == 0) {
        MUST(s.len <= 16 && memchr(s.p, '\0', s.len) == NULL && media_utf8_valid(s));
    }
    if (media_json_int(obj, "b", -5, 5, &i, &ei) == 0) {
        MUST(i >= -5 && i <= 5);
    }
    char *dump = json_dumps(obj, JSON_COMPACT);
    MUST(dump != NULL);
    if (strlen(dump) <= 1 << 20) {
        MUST(media_json_parse(media_str(dump), &again, NULL) == 0);
        MUST(json_equal(obj, again));
        json_decref(again);
    }
    free(dump);
    json_decref(obj);
    return 0;
}
