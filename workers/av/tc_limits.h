/* What a file may be, whatever its bytes are: the operator's policy (MEDIA_LIMIT_*), handed to the
 * child by its parent. A refusal says what, the limit and the value. */
#ifndef TC_LIMITS_H
#define TC_LIMITS_H

#include "media/vindex.h"
#include "tc.h"

typedef struct {
    int64_t duration_s;
    int64_t pixels; /* of one picture */
    int64_t frames;
    int streams;
    const char *codecs; /* libav's names, "h264,aac"; NULL: all that can be decoded */
} tc_limits_t;

#define TC_LIMITS_DEFAULT                                                                          \
    {                                                                                              \
        .duration_s = TC_DURATION_MAX_S, .pixels = 8192 * 4352, .frames = MEDIA_VINDEX_FRAMES_MAX, \
        .streams = TC_STREAMS_MAX                                                                  \
    }

/* The document of the parent; what it leaves out (NULL: everything) is the default. Borrows from o.
 */
tc_limits_t tc_limits_read(const json_t *o);
/* 0; -1 with a cause where a coding is not among those that are allowed; what: "video". */
int tc_limits_codec(const tc_limits_t *l, const AVCodecParameters *par, const char *what,
                    tc_fail_t *f);

#endif
