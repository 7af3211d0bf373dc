/* Timeline, resampling and the fifo in front of the encoder. */
#include "tc_pcm.h"

#include <math.h>
#include <string.h>

#define GAP_MIN_S 0.040    /* less is jitter of coarse time stamps */
#define GAP_SURE_S 0.2     /* a step of this size is a hole at once, */
#define GAP_FRAMES 16      /* a smaller one when it lasts: some parsers go wrong for a few frames */
#define GAP_BLIND_S 10.0   /* a longer hole must lie within the declared length to be believed */
#define GAP_MAX_S 600.0    /* and one beyond this is another clock */
#define JUMP_BACK_S (-1.0) /* time stamps that start again */
#define PTS_SANE (INT64_MAX / 8) /* AV_NOPTS_VALUE and what a hostile header says lie outside */
#define SILENCE_SAMPLES 4096
#define SAMPLE_LIMIT 16.0f /* of full scale */

int tc_pcm_open(tc_pcm_t *p, const tc_pcm_conf_t *conf, tc_fail_t *f)
{
    memset(p, 0, sizeof(*p));
    p->conf = *conf;
    memset(&p->conf.layout, 0, sizeof(p->conf.layout));
    p->base_pts = AV_NOPTS_VALUE;
    p->fifo = av_audio_fifo_alloc(conf->sample_fmt, conf->layout.nb_channels, 1 << 14);
    if (p->fifo == NULL || av_channel_layout_copy(&p->conf.layout, &conf->layout) < 0) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return 0;
}

void tc_pcm_close(tc_pcm_t *p)
{
    swr_free(&p->swr);
    if (p->fifo != NULL) {
        av_audio_fifo_free(p->fifo);
        p->fifo = NULL;
    }
    av_frame_free(&p->silence);
    if (p->buffer != NULL) {
        av_freep(&p->buffer[0]);
        av_freep(&p->buffer);
    }
    av_channel_layout_uninit(&p->in_layout);
    av_channel_layout_uninit(&p->conf.layout);
}

/* Encoders are not made for what a hostile float PCM file can hold: NaN, infinity, 1e30. */
static void tame(float *s, int n)
{
    for (int i = 0; i < n; i++) {
        float v = s[i] > SAMPLE_LIMIT ? SAMPLE_LIMIT : s[i];
        v = v < -SAMPLE_LIMIT ? -SAMPLE_LIMIT : v;
        s[i] = v == v ? v : 0;
    }
}

static void tame_buffer(tc_pcm_t *p, int samples)
{
    int channels = p->conf.layout.nb_channels;

    if (p->conf.sample_fmt == AV_SAMPLE_FMT_FLT) {
        tame((float *)(void *)p->buffer[0], samples * channels);
    } else if (p->conf.sample_fmt == AV_SAMPLE_FMT_FLTP) {
        for (int c = 0; c < channels; c++) {
            tame((float *)(void *)p->buffer[c], samples);
        }
    }
}

static int buffer_reserve(tc_pcm_t *p, int samples)
{
    if (samples <= p->buffer_samples) {
        return 0;
    }
    if (p->buffer != NULL) {
        av_freep(&p->buffer[0]);
        av_freep(&p->buffer);
    }
    p->buffer_samples = 0;
    if (av_samples_alloc_array_and_samples(&p->buffer, NULL, p->conf.layout.nb_channels, samples,
                                           p->conf.sample_fmt, 0) < 0) {
        return -1;
    }
    p->buffer_samples = samples;
    return 0;
}

/* Converts n input samples (data NULL: flushes) into the fifo. */
static int convert(tc_pcm_t *p, const uint8_t **data, int n, tc_fail_t *f)
{
    int room = swr_get_out_samples(p->swr, n);
    int got;

    if (room < 0 || buffer_reserve(p, room + 64) != 0) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    got = swr_convert(p->swr, p->buffer, p->buffer_samples, data, n);
    if (got < 0) {
        return tc_fail_av(f, got, "The sound cannot be converted");
    }
    tame_buffer(p, got);
    if (av_audio_fifo_write(p->fifo, (void **)p->buffer, got) < got) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    p->total += got;
    if (p->total > p->conf.limit_s * p->conf.sample_rate) {
        return tc_fail(f, "limits", "The file is longer than the limit of %lld seconds.",
                       (long long)p->conf.limit_s);
    }
    return 0;
}

int tc_pcm_flush(tc_pcm_t *p, tc_fail_t *f)
{
    return p->swr != NULL ? convert(p, NULL, 0, f) : 0;
}

/* The layout of a frame, made usable: some files name none, or one with holes. */
static int frame_layout(const AVFrame *frame, AVChannelLayout *layout)
{
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_NATIVE) {
        return av_channel_layout_copy(layout, &frame->ch_layout);
    }
    av_channel_layout_default(layout, frame->ch_layout.nb_channels);
    return 0;
}

static int same_input(const tc_pcm_t *p, const AVFrame *frame, const AVChannelLayout *layout)
{
    return p->swr != NULL && p->in_fmt == (enum AVSampleFormat)frame->format &&
           p->in_rate == frame->sample_rate &&
           av_channel_layout_compare(&p->in_layout, layout) == 0;
}

/* Sets the converter up for the frame's format, if it is not that already. */
static int follow(tc_pcm_t *p, const AVFrame *frame, tc_fail_t *f)
{
    AVChannelLayout layout = {0};
    int rc;

    if (frame->sample_rate <= 0 || frame->ch_layout.nb_channels <= 0) {
        return tc_fail(f, "unreadable_media", "The sound track has no usable format.");
    }
    rc = frame_layout(frame, &layout);
    if (rc < 0 || same_input(p, frame, &layout)) {
        av_channel_layout_uninit(&layout);
        return rc < 0 ? tc_fail_av(f, rc, "") : 0;
    }
    if (tc_pcm_flush(p, f) != 0) {
        av_channel_layout_uninit(&layout);
        return -1;
    }
    swr_free(&p->swr);
    av_frame_free(&p->silence);
    rc = swr_alloc_set_opts2(&p->swr, &p->conf.layout, p->conf.sample_fmt, p->conf.sample_rate,
                             &layout, frame->format, frame->sample_rate, 0, NULL);
    if (rc >= 0) {
        rc = swr_init(p->swr);
    }
    av_channel_layout_uninit(&p->in_layout);
    p->in_layout = layout;
    p->in_fmt = frame->format;
    p->in_rate = frame->sample_rate;
    p->base_pts = AV_NOPTS_VALUE;
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    return rc < 0 ? tc_fail(f, "unsupported_codec",
                            "The sound track's channels (%d) cannot be converted.",
                            p->in_layout.nb_channels)
                  : 0;
}

static int fill(tc_pcm_t *p, int64_t samples, tc_fail_t *f)
{
    if (p->silence == NULL) {
        p->silence = av_frame_alloc();
        if (p->silence == NULL) {
            return tc_fail_av(f, AVERROR(ENOMEM), "");
        }
        p->silence->format = p->in_fmt;
        p->silence->nb_samples = SILENCE_SAMPLES;
        p->silence->sample_rate = p->in_rate;
        if (av_channel_layout_copy(&p->silence->ch_layout, &p->in_layout) < 0 ||
            av_frame_get_buffer(p->silence, 0) < 0) {
            return tc_fail_av(f, AVERROR(ENOMEM), "");
        }
        (void)av_samples_set_silence(p->silence->extended_data, 0, SILENCE_SAMPLES,
                                     p->in_layout.nb_channels, p->in_fmt);
    }
    while (samples > 0) {
        int n = samples < SILENCE_SAMPLES ? (int)samples : SILENCE_SAMPLES;
        if (convert(p, (const uint8_t **)p->silence->extended_data, n, f) != 0) {
            return -1;
        }
        samples -= n;
    }
    return 0;
}

/* Seconds between the samples so far and pts. Where another clock starts, the timeline goes on from
 * there without a hole. */
static double gap_of(tc_pcm_t *p, int64_t pts)
{
    AVRational in_tb = {1, p->in_rate};
    int64_t expected = p->base_pts + av_rescale_q(p->base_samples, in_tb, p->conf.time_base);
    double gap_s = (double)(pts - expected) * av_q2d(p->conf.time_base);
    double end_s = (double)p->total / p->conf.sample_rate + gap_s;

    if (gap_s < JUMP_BACK_S || gap_s > GAP_MAX_S ||
        (gap_s > GAP_BLIND_S && end_s > p->conf.duration_s + 1)) {
        p->base_pts = pts;
        p->base_samples = 0;
        gap_s = 0;
    }
    return gap_s;
}

/* Compares the frame's time stamp with the samples so far and fills a hole. Small steps back are
 * left alone: dropping samples on the word of a jittery clock loses sound. */
static int align(tc_pcm_t *p, const AVFrame *frame, tc_fail_t *f)
{
    AVRational in_tb = {1, p->in_rate};
    int64_t pts = frame->best_effort_timestamp, samples;
    double gap_s, step_s;

    if (!p->conf.timed || pts < -PTS_SANE || pts > PTS_SANE) {
        return 0;
    }
    if (p->base_pts == AV_NOPTS_VALUE) {
        p->base_pts = p->next_pts = pts;
        p->base_samples = 0;
        p->late_frames = 0;
    }
    gap_s = gap_of(p, pts);
    step_s = (double)(pts - p->next_pts) * av_q2d(p->conf.time_base);
    p->next_pts = pts + av_rescale_q(frame->nb_samples, in_tb, p->conf.time_base);
    p->late_frames = gap_s < GAP_MIN_S ? 0 : p->late_frames + 1;
    if (p->late_frames == 0 || (step_s < GAP_SURE_S && p->late_frames < GAP_FRAMES)) {
        return 0;
    }
    p->late_frames = 0;
    samples = llrint(gap_s * p->in_rate);
    p->base_samples += samples;
    return fill(p, samples, f);
}

int tc_pcm_frame(tc_pcm_t *p, const AVFrame *frame, tc_fail_t *f)
{
    if (frame->nb_samples <= 0) {
        return 0;
    }
    if (follow(p, frame, f) != 0 || align(p, frame, f) != 0) {
        return -1;
    }
    p->base_samples += frame->nb_samples;
    return convert(p, (const uint8_t **)frame->extended_data, frame->nb_samples, f);
}
