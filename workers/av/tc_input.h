/* The input: bytes from the parent, demuxed and decoded; nothing else is ever opened. */
#ifndef TC_INPUT_H
#define TC_INPUT_H

#include "tc_container.h"
#include "tc_limits.h"

#define TC_TRACK_ANY (-1)

typedef struct {
    const char *target;
    tc_limits_t limits;
    vd_io_t io;
    AVFormatContext *format;
    AVStream *stream; /* the sound track */
    AVCodecContext *decoder;
    AVPacket *packet;
    int64_t frames; /* decoded */
    int64_t errors; /* packets that did not decode */
    int read_error; /* what ended reading, other than the end */
    int draining;
} tc_input_t;

/* Opens the file and a decoder for its sound track `track`, TC_TRACK_ANY: the best one; target
 * ("mp3") is for texts. 0, or -1 with a cause. */
int tc_input_open(tc_input_t *in, const vd_source_t *source, const tc_limits_t *limits, int track,
                  const char *target, tc_fail_t *f);
/* The next decoded frame: 1; 0 at the end; -1 with a cause. */
int tc_input_frame(tc_input_t *in, AVFrame *frame, tc_fail_t *f);
void tc_input_close(tc_input_t *in);

/* Declared length of the sound track in seconds, 0: unknown; *exact tells whether its container
 * stores it for this track, so that less than that means a truncated file. */
double tc_input_duration(const tc_input_t *in, int *exact);

/* Whether the container's time stamps are measured, not counted. */
int tc_input_timed(const tc_input_t *in);

/* The bytes of the job's input. */
vd_source_t tc_input_source(wk_peer_t *peer, int64_t size);

/* ---- tc_probe.c ---- */

/* {container, duration, streams:[...]}; owned, NULL when out of memory. */
json_t *tc_probe(const AVFormatContext *format);

/* Adds what only a picture of the track tells: HDR metadata in the stream, interlacing. */
void tc_probe_frame(json_t *probe, int track, const AVFrame *frame);
/* How a picture is to be shown: mirrored left to right, then turned clockwise, 0..359 degrees. */
void tc_stream_rotation(const AVStream *st, int *rotation, int *flip);

#endif
