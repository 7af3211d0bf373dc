/* Ladder parameters from outside: what is accepted makes a sane ladder of any source. */
#include "fuzz.h"

#include "media/json.h"
#include "media/ladder.h"

static void check(const media_ladder_params_t *p, const media_ladder_source_t *s)
{
    media_ladder_t l;
    media_err_t ei = {""};
    if (media_ladder_make(p, s, &l, &ei) != 0) {
        MUST(ei.text[0] != '\0');
        return;
    }
    MUST(l.n >= 1 && l.n <= MEDIA_LADDER_MAX && l.first >= 0 && l.first < l.n && l.frame_step >= 1);
    for (int i = 0; i < l.n; i++) {
        const media_rendition_t *r = &l.rungs[i];
        MUST(r->width >= 2 && r->height >= 2 && r->width % 2 == 0 && r->height % 2 == 0);
        MUST(r->maxrate_bps > 0 && r->bufsize_bits == r->maxrate_bps);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_ladder_source_t s = {0};
    media_ladder_params_t p;
    media_err_t ei = {""};
    json_t *obj;
    if (size < sizeof(s)) {
        return 0;
    }
    memcpy(&s, data, sizeof(s));
    media_str_t text = {(const char *)data + sizeof(s), size - sizeof(s)};
    if (media_json_parse(text, &obj, NULL) != 0) {
        return 0;
    }
    if (media_ladder_params(obj, &p, &ei) == 0) {
        check(&p, &s);
    } else {
        MUST(ei.text[0] != '\0');
    }
    json_decref(obj);
    return 0;
}
