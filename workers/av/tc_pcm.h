/* Decoded frames -> one gapless stream of samples in the encoder's format.
 *
 * The timeline begins with the first sample of the track. Where the container has real time stamps,
 * a hole in them becomes silence; a change of rate, layout or format in mid-stream is converted. */
#ifndef TC_PCM_H
#define TC_PCM_H

#include <libavutil/audio_fifo.h>
#include <libswresample/swresample.h>

#include "tc.h"

typedef struct {
    /* of the encoder */
    enum AVSampleFormat sample_fmt;
    int sample_rate;
    AVChannelLayout layout;
    /* of the input: time base of frame->pts, whether pts are measured (not counted), length or 0 */
    AVRational time_base;
    int timed;
    double duration_s;
    int64_t limit_s; /* more is refused */
} tc_pcm_conf_t;

typedef struct {
    tc_pcm_conf_t conf;
    SwrContext *swr;
    AVAudioFifo *fifo; /* converted samples, taken by the encoder */
    AVFrame *silence;
    uint8_t **buffer; /* conversion target, buffer_samples long */
    int buffer_samples;

    /* of the current stretch of input */
    enum AVSampleFormat in_fmt;
    int in_rate;
    AVChannelLayout in_layout;

    int64_t base_pts;     /* pts of the first sample of the stretch */
    int64_t base_samples; /* input samples since, at in_rate */
    int64_t next_pts;     /* where the last frame ended by its own time stamp */
    int late_frames;      /* how many in a row came later than their samples say */
    int64_t total;        /* output samples so far */
} tc_pcm_t;

/* conf->layout is copied. 0, or -1 with a cause. */
int tc_pcm_open(tc_pcm_t *p, const tc_pcm_conf_t *conf, tc_fail_t *f);
/* Converts a frame into the fifo. */
int tc_pcm_frame(tc_pcm_t *p, const AVFrame *frame, tc_fail_t *f);
/* What the resampler still holds. */
int tc_pcm_flush(tc_pcm_t *p, tc_fail_t *f);
void tc_pcm_close(tc_pcm_t *p);

#endif
