/* Decoder -> one gapless stream of samples -> AAC -> segments. */
#include "vd_sound.h"

#include <string.h>

#include "media/lang.h"
#include "tc_input.h"
#include "tc_pcm.h"
#include "vd_cmaf.h"

#define CHANNELS_MAX 2
#define RATE_MAX 48000
#define KBPS_CHANNELS 2 /* the plan's bit rate is for so many */

typedef struct {
    const vd_track_plan_t *plan;
    const vd_sink_t *sink;
    tc_input_t in;
    tc_pcm_t pcm;
    AVCodecContext *encoder;
    AVFrame *frame, *block;
    AVPacket *packet;
    vd_cmaf_t *cmaf;
    int is_open;       /* encoder, pcm, cmaf */
    int64_t skip;      /* samples still to be left out */
    int64_t samples;   /* given to the encoder */
    int64_t coded_end; /* of the packets taken, presented samples */
    int64_t number;    /* of the segment being written */
    int64_t packets;   /* in it */
} sound_t;

/* ---- opening, once the first frame tells the format ---- */

static int choose_rate(int rate)
{
    static const int rates[] = {48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        if (rate >= rates[i]) {
            return rates[i];
        }
    }
    return rates[0];
}

static int open_encoder(sound_t *s, tc_fail_t *f)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("aac");
    AVCodecContext *e = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    int channels = s->frame->ch_layout.nb_channels > 1 ? CHANNELS_MAX : 1;
    int rc;

    if (e == NULL) {
        return tc_fail(f, "internal", "The encoder aac is not installed.");
    }
    s->encoder = e;
    av_channel_layout_default(&e->ch_layout, channels);
    e->sample_rate = choose_rate(s->frame->sample_rate);
    e->sample_fmt = AV_SAMPLE_FMT_FLTP;
    e->time_base = (AVRational){1, e->sample_rate};
    e->bit_rate = (int64_t)s->plan->kbps * 1000 * channels / KBPS_CHANNELS;
    e->thread_count = 1;
    e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    rc = avcodec_open2(e, codec, NULL);
    return rc < 0 ? tc_fail_av(f, rc, "The encoder cannot be opened") : 0;
}

static int open_cmaf(sound_t *s, tc_fail_t *f)
{
    AVCodecParameters *par = avcodec_parameters_alloc();
    vd_cmaf_track_t track = {.par = par,
                             .timescale = s->encoder->sample_rate,
                             .edit = s->encoder->initial_padding,
                             .language = strlen(s->plan->language) == 3 ? s->plan->language : NULL};
    vd_piece_t init = {.track = s->plan->name};

    if (par == NULL || avcodec_parameters_from_context(par, s->encoder) < 0) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
    } else {
        s->cmaf = vd_cmaf_open(&track, f);
    }
    avcodec_parameters_free(&par);
    if (s->cmaf == NULL) {
        return -1;
    }
    init.head = vd_cmaf_init(s->cmaf);
    return vd_sink_put(s->sink, &init, f);
}

/* Samples of the encoder between the first picture and the first sound; negative: before it. */
static int64_t lead_of(const sound_t *s)
{
    int64_t pts = s->frame->best_effort_timestamp, us;

    if (pts == AV_NOPTS_VALUE || !tc_input_timed(&s->in)) {
        return 0;
    }
    us = av_rescale_q(pts, s->in.stream->time_base, AV_TIME_BASE_Q) - s->plan->origin_us;
    if (us < -s->plan->length_us || us > s->plan->length_us) {
        return 0; /* another clock */
    }
    return av_rescale(us, s->encoder->sample_rate, 1000000);
}

static int add_silence(sound_t *s, int64_t samples, tc_fail_t *f)
{
    int size = s->encoder->frame_size;

    while (samples > 0) {
        int n = samples < size ? (int)samples : size;
        (void)av_samples_set_silence(s->block->extended_data, 0, n,
                                     s->encoder->ch_layout.nb_channels, s->encoder->sample_fmt);
        if (av_audio_fifo_write(s->pcm.fifo, (void **)s->block->extended_data, n) < n) {
            return tc_fail_av(f, AVERROR(ENOMEM), "");
        }
        samples -= n;
    }
    return 0;
}

static int open_output(sound_t *s, tc_fail_t *f)
{
    int exact;
    tc_pcm_conf_t conf = {.time_base = s->in.stream->time_base,
                          .limit_s = s->in.limits.duration_s,
                          .timed = tc_input_timed(&s->in),
                          .duration_s = tc_input_duration(&s->in, &exact)};
    int64_t lead;

    if (open_encoder(s, f) != 0 || open_cmaf(s, f) != 0) {
        return -1;
    }
    conf.sample_fmt = s->encoder->sample_fmt;
    conf.sample_rate = s->encoder->sample_rate;
    conf.layout = s->encoder->ch_layout;
    if (tc_pcm_open(&s->pcm, &conf, f) != 0) {
        return -1;
    }
    s->block->nb_samples = s->encoder->frame_size;
    s->block->format = s->encoder->sample_fmt;
    s->block->sample_rate = s->encoder->sample_rate;
    if (av_channel_layout_copy(&s->block->ch_layout, &s->encoder->ch_layout) < 0 ||
        av_frame_get_buffer(s->block, 0) < 0) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    s->is_open = 1;
    s->number = 1;
    lead = lead_of(s);
    s->skip = lead < 0 ? -lead : 0;
    return add_silence(s, lead, f);
}

/* ---- segments ---- */

static int cut(sound_t *s, tc_fail_t *f)
{
    vd_cmaf_segment_t seg;
    vd_piece_t piece;

    if (vd_cmaf_cut(s->cmaf, s->number, s->coded_end, &seg, f) != 0) {
        return -1;
    }
    piece = (vd_piece_t){.track = s->plan->name,
                         .number = s->number,
                         .duration = seg.duration,
                         .head = seg.head,
                         .body = seg.body};
    s->number++;
    s->packets = 0;
    return vd_sink_put(s->sink, &piece, f);
}

/* A segment ends with the packet that crosses a multiple of its length. */
static int take(sound_t *s, tc_fail_t *f)
{
    int64_t rate = s->encoder->sample_rate;
    int64_t due = av_rescale(s->number * s->plan->segment_ms, rate, 1000);
    int64_t end = s->packet->pts + s->encoder->frame_size;

    if (vd_cmaf_add(s->cmaf, s->packet, f) != 0) {
        return -1;
    }
    s->packets++;
    /* the encoder pads the last packet: the track ends with its samples */
    s->coded_end = end < s->samples || s->samples == 0 ? end : s->samples;
    return end >= due && end < s->samples ? cut(s, f) : 0;
}

static int drain(sound_t *s, tc_fail_t *f)
{
    int rc;

    while ((rc = avcodec_receive_packet(s->encoder, s->packet)) >= 0) {
        int bad = 0;
        /* behind the end there is nothing but padding */
        if (s->packet->pts < s->samples) {
            bad = take(s, f);
        }
        av_packet_unref(s->packet);
        if (bad != 0) {
            return -1;
        }
    }
    return rc == AVERROR(EAGAIN) || rc == AVERROR_EOF ? 0 : tc_fail_av(f, rc, "Encoding failed");
}

static int encode(sound_t *s, int n, tc_fail_t *f)
{
    int rc;

    if (av_frame_make_writable(s->block) < 0 ||
        av_audio_fifo_read(s->pcm.fifo, (void **)s->block->extended_data, n) < n) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    s->block->nb_samples = n;
    if (s->plan->alter.alter != NULL && s->plan->alter.alter(s->plan->alter.ctx, s->block) != 0) {
        return tc_fail(f, "internal", "The sound cannot be altered.");
    }
    s->block->pts = s->samples;
    s->samples += n;
    rc = avcodec_send_frame(s->encoder, s->block);
    return rc < 0 ? tc_fail_av(f, rc, "Encoding failed") : drain(s, f);
}

/* What the fifo has in whole frames; at the end all of it. */
static int encode_ready(sound_t *s, int all, tc_fail_t *f)
{
    int size = s->encoder->frame_size, have = av_audio_fifo_size(s->pcm.fifo);

    if (s->skip > 0) {
        int drop = s->skip < have ? (int)s->skip : have;
        (void)av_audio_fifo_drain(s->pcm.fifo, drop);
        s->skip -= drop;
        have -= drop;
    }
    for (; have >= size || (all && have > 0); have = av_audio_fifo_size(s->pcm.fifo)) {
        if (encode(s, have < size ? have : size, f) != 0) {
            return -1;
        }
    }
    return 0;
}

static int convert(sound_t *s, tc_fail_t *f)
{
    double length_s = (double)s->plan->length_us / 1e6;
    int rc;

    while ((rc = tc_input_frame(&s->in, s->frame, f)) > 0) {
        if ((!s->is_open && open_output(s, f) != 0) || tc_pcm_frame(&s->pcm, s->frame, f) != 0 ||
            encode_ready(s, 0, f) != 0) {
            return -1;
        }
        if (vd_sink_progress(s->sink, (double)s->samples / s->encoder->sample_rate / length_s, f) !=
            0) {
            return -1;
        }
    }
    return rc;
}

static int finish(sound_t *s, tc_fail_t *f)
{
    int rc;

    if (tc_pcm_flush(&s->pcm, f) != 0 || encode_ready(s, 1, f) != 0) {
        return -1;
    }
    rc = avcodec_send_frame(s->encoder, NULL);
    if (rc < 0) {
        return tc_fail_av(f, rc, "Encoding failed");
    }
    return drain(s, f) != 0 || (s->packets > 0 && cut(s, f) != 0) ? -1 : 0;
}

int vd_sound_describe(const vd_track_plan_t *plan, const vd_cmaf_t *cmaf, int rate, int channels,
                      int64_t segments, json_t *tracks)
{
    json_t *info = json_pack("{s:s,s:s,s:i,s:i,s:i,s:i,s:b}", "kind", "audio", "codecs",
                             vd_cmaf_codecs(cmaf), "timescale", rate, "start", 0, "channels",
                             channels, "rate", rate, "default", plan->is_default);

    if (plan->language[0] != '\0') {
        (void)json_object_set_new(info, "language", json_string(media_lang_tag(plan->language)));
    }
    return json_array_append_new(tracks, json_pack("{s:s,s:I,s:o}", "name", plan->name, "segments",
                                                   (json_int_t)segments, "info", info));
}

static int run(sound_t *s, const vd_source_t *source, json_t *tracks, tc_fail_t *f)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT; /* the index step has judged */

    s->frame = av_frame_alloc();
    s->block = av_frame_alloc();
    s->packet = av_packet_alloc();
    if (s->frame == NULL || s->block == NULL || s->packet == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (tc_input_open(&s->in, source, &limits, s->plan->stream, "aac", f) != 0 ||
        convert(s, f) != 0) {
        return -1;
    }
    if (!s->is_open) {
        return 0;
    }
    if (finish(s, f) != 0) {
        return -1;
    }
    if (s->number > 1 &&
        vd_sound_describe(s->plan, s->cmaf, s->encoder->sample_rate,
                          s->encoder->ch_layout.nb_channels, s->number - 1, tracks) != 0) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return 0;
}

int vd_sound(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
             json_t *tracks, tc_fail_t *f)
{
    sound_t s = {.plan = plan, .sink = sink};
    int rc = run(&s, source, tracks, f);

    tc_pcm_close(&s.pcm);
    vd_cmaf_close(s.cmaf);
    avcodec_free_context(&s.encoder);
    av_frame_free(&s.frame);
    av_frame_free(&s.block);
    av_packet_free(&s.packet);
    tc_input_close(&s.in);
    return rc;
}
