/* Apart from tc_limits.c: it alone needs libavcodec, which takes long to load. */
#include <libavutil/avstring.h>

#include "tc_limits.h"

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
