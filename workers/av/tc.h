/* Media by libav inside a decoder child; bytes come and go through wk_peer_*. No globals; every
 * object is opened, used and closed per job. */
#ifndef TC_H
#define TC_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "wk_child.h"

/* Limits of an input; each refusal says what, the limit and the value. */
#define TC_STREAMS_MAX 100
#define TC_DURATION_MAX_S (24 * 3600)
#define TC_CHANNELS_MAX 8
#define TC_COVER_MAX (8 << 20)
#define TC_IO_BUFFER (256 << 10)

/* Why a job fails: set once, where the cause is known. */
typedef struct {
    char code[48];
    char detail[300];
    int retry;
} tc_fail_t;

/* Sets the cause (the first one stays) and returns -1. "internal" is our side's fault: tried again.
 */
int tc_fail(tc_fail_t *f, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The cause of a libav error code where nothing more special is known. */
int tc_fail_av(tc_fail_t *f, int averror, const char *what);

/* Before lock-down: whatever libav opens or allocates once. */
void tc_warm(void);

#endif
