#include "media/problem.h"

#include "media/err.h"

static const media_problem_t problems[] = {
#define X(name, status, code, title) {status, code, title},
    MEDIA_PROBLEMS(X)
#undef X
};

const media_problem_t *media_problem_get(enum media_problem p)
{
    return &problems[(size_t)p < MEDIA_PROBLEM_COUNT ? p : MEDIA_PROBLEM_INTERNAL];
}

int media_problem_parse(media_str_t code)
{
    for (int i = 0; i < MEDIA_PROBLEM_COUNT; i++) {
        if (media_str_eq(code, media_str(problems[i].code))) {
            return i;
        }
    }
    return MEDIA_E_REJECT;
}

static void write_member(media_buf_t *out, const char *name, media_str_t value)
{
    if (value.len > 0) {
        media_buf_fmt(out, ",\"%s\":", name);
        media_buf_json(out, value);
    }
}

int media_problem_write(media_buf_t *out, int status, media_str_t code, media_str_t title,
                        media_str_t detail, media_str_t instance, media_str_t request_id,
                        const char *extra)
{
    media_buf_cstr(out, "{\"type\":\"about:blank\"");
    write_member(out, "title", title);
    media_buf_fmt(out, ",\"status\":%d", status);
    write_member(out, "detail", detail);
    write_member(out, "instance", instance);
    write_member(out, "code", code);
    write_member(out, "request_id", request_id);
    media_buf_cstr(out, extra);
    return media_buf_cstr(out, "}");
}
