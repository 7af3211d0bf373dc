/* Target formats and the parameters of a job. */
#ifndef TC_FORMAT_H
#define TC_FORMAT_H

#include <jansson.h>

#include "tc.h"

typedef struct {
    const char *name;   /* of the parameter: "mp3" */
    const char *output; /* "audio.mp3" */
    const char *content_type;
    const char *muxer;
    const char *encoder;    /* for 16 bits per sample, where it matters */
    const char *encoder_24; /* for more; NULL: the same */
    int lossless;
    int channels_max;
    int bitrate_kbps; /* default; 0: has none */
    int bitrate_min_kbps, bitrate_max_kbps;
    double quality_min, quality_max; /* of the encoder's own VBR scale; equal: has none */
    int cover;                       /* 1: the container carries pictures, 2: as a Vorbis comment */
} tc_format_t;

typedef struct {
    const tc_format_t *format;
    int bitrate_kbps; /* 0: not by bit rate */
    int has_quality;
    double quality;
    int channels;    /* 0: the source's */
    int sample_rate; /* 0: the source's */
    int keep_cover;
} tc_params_t;

/* Reads the job's params (may be NULL). 0, or -1 with a cause that names the parameter. */
int tc_params_read(const json_t *json, tc_params_t *out, tc_fail_t *f);

#endif
