/* The output: encoder and muxer writing through the parent. */
#ifndef TC_OUTPUT_H
#define TC_OUTPUT_H

#include "tc_format.h"
#include "tc_input.h"
#include "tc_pcm.h"

typedef struct {
    wk_peer_t *peer;
    const tc_params_t *params;
    AVIOContext *pb;
    int64_t pos;
    int64_t end;
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *encoder;
    AVFrame *frame;
    AVPacket *packet;
    const AVPacket *cover; /* borrowed from the input, NULL: none */
    AVStream *cover_stream;
    tc_pcm_t pcm;
    int64_t samples; /* encoded */
} tc_output_t;

/* Opens encoder and muxer for a track whose first decoded frame is `first`. 0, or -1 with a cause.
 */
int tc_output_open(tc_output_t *o, wk_peer_t *peer, const tc_params_t *params, const tc_input_t *in,
                   const AVFrame *first, tc_fail_t *f);
int tc_output_frame(tc_output_t *o, const AVFrame *frame, tc_fail_t *f);
/* Ends the file and hands it to the parent with its description. */
int tc_output_finish(tc_output_t *o, tc_fail_t *f);
void tc_output_close(tc_output_t *o);

/* ---- tc_encoder.c ---- */

/* An open encoder for the format, as near to the source as the format allows. NULL with a cause. */
AVCodecContext *tc_encoder_open(const tc_params_t *params, const AVCodecContext *decoder,
                                const AVFrame *first, int global_header, tc_fail_t *f);

/* ---- tc_tags.c ---- */

/* Copies title, artist and the like; leaves out places and what describes the old container. */
int tc_tags_copy(AVFormatContext *to, AVStream *to_stream, const AVFormatContext *from,
                 const AVStream *from_stream);
/* The cover picture of a file, borrowed; NULL: none that may be kept. */
const AVPacket *tc_cover_find(const AVFormatContext *from, const AVStream **stream);
/* The picture as a METADATA_BLOCK_PICTURE comment (Ogg). */
int tc_cover_comment(AVStream *to, const AVStream *stream, const AVPacket *picture);

#endif
