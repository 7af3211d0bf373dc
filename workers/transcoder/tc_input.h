/* The input: bytes from the parent, demuxed and decoded; nothing else is ever opened. */
#ifndef TC_INPUT_H
#define TC_INPUT_H

#include "tc.h"

typedef struct {
    wk_peer_t *peer;
    int64_t size;
    const char *target;
    int64_t pos;
    int lost; /* the parent is gone */

    AVIOContext *pb;
    AVFormatContext *format;
    AVStream *stream; /* the sound track */
    AVCodecContext *decoder;
    AVPacket *packet;
    int64_t frames; /* decoded */
    int64_t errors; /* packets that did not decode */
    int read_error; /* what ended reading, other than the end */
    int draining;
} tc_input_t;

/* Opens the file, chooses the sound track and opens its decoder; target ("mp3") is for texts. 0, or
 * -1 with a cause. */
int tc_input_open(tc_input_t *in, wk_peer_t *peer, int64_t size, const char *target, tc_fail_t *f);
/* The next decoded frame: 1; 0 at the end; -1 with a cause. */
int tc_input_frame(tc_input_t *in, AVFrame *frame, tc_fail_t *f);
void tc_input_close(tc_input_t *in);

/* Declared length of the sound track in seconds, 0: unknown; *exact tells whether its container
 * stores it for this track, so that less than that means a truncated file. */
double tc_input_duration(const tc_input_t *in, int *exact);

/* ---- tc_probe.c ---- */

/* {container, duration, streams:[...]}; owned, NULL when out of memory. */
json_t *tc_probe(const AVFormatContext *format);

/* ---- tc_check.c ---- */

/* The size the file must have by its own structure, 0: it does not say. Reads through the peer. */
int64_t tc_check_size(wk_peer_t *peer, int64_t size);
/* 1 when an index entry of a sound or picture track lies behind the end of the file. */
int tc_check_index(const AVFormatContext *format, int64_t size);
/* 1 for an MP4 of fragments, whose index comes piece by piece. */
int tc_check_fragmented(const AVFormatContext *format);

#endif
