#include "tc_limits.h"

#include <libavutil/avstring.h>

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

int tc_limits_codec(const tc_limits_t *l, const AVCodecParameters *par, const char *what,
                    tc_fail_t *f)
{
    const char *name = avcodec_get_name(par->codec_id);

    if (l->codecs == NULL || av_match_name(name, l->codecs)) {
        return 0;
    }
    return tc_fail(f, "limits", "The %s is coded as %s; allowed are: %.180s.", what, name,
                   l->codecs);
}
