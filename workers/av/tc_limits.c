#include "tc_limits.h"

static void read_number(const json_t *o, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(o, name);

    if (json_is_integer(v) && json_integer_value(v) > 0) {
        *out = json_integer_value(v);
    }
}

tc_limits_t tc_limits_read(const json_t *o)
{
    tc_limits_t l = TC_LIMITS_DEFAULT;
    int64_t streams = l.streams;

    read_number(o, "duration_s", &l.duration_s);
    read_number(o, "pixels", &l.pixels);
    read_number(o, "frames", &l.frames);
    read_number(o, "streams", &streams);
    l.streams = streams < TC_STREAMS_MAX ? (int)streams : TC_STREAMS_MAX;
    l.codecs = json_string_value(json_object_get(o, "codecs"));
    return l;
}
