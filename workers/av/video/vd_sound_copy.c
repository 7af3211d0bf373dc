#include "vd_sound_copy.h"

#include "tc_container.h"
#include "vd_cmaf.h"
#include "vd_sound.h"

#define FRAME 1024 /* samples of a packet */

typedef struct {
    const vd_track_plan_t *plan;
    const vd_sink_t *sink;
    vd_io_t io;
    AVFormatContext *format;
    const AVStream *st;
    AVPacket *packet;
    vd_cmaf_t *cmaf; /* NULL before the first packet that is taken */
    int64_t next;    /* where the last packet ends, samples from the first picture */
    int64_t number;  /* of the segment being written */
    int64_t packets; /* in it */
} copy_t;

static int is_copied(const AVStream *st)
{
    const AVCodecParameters *par = st->codecpar;

    return par->codec_id == AV_CODEC_ID_AAC && par->profile == FF_PROFILE_AAC_LOW &&
           par->extradata_size >= 2 && par->sample_rate > 0 && par->ch_layout.nb_channels > 0 &&
           !tc_stream_encrypted(st);
}

static int open_cmaf(copy_t *c, int64_t first, tc_fail_t *f)
{
    const vd_cmaf_track_t track = {.par = c->st->codecpar,
                                   .timescale = c->st->codecpar->sample_rate,
                                   .edit = first < 0 ? -first : 0};
    vd_piece_t init = {.track = c->plan->name};

    c->cmaf = vd_cmaf_open(&track, f);
    if (c->cmaf == NULL) {
        return -1;
    }
    c->next = first;
    c->number = 1;
    init.head = vd_cmaf_init(c->cmaf);
    return vd_sink_put(c->sink, &init, f);
}

static int cut(copy_t *c, int64_t end, tc_fail_t *f)
{
    vd_cmaf_segment_t made;
    vd_piece_t piece;

    if (vd_cmaf_cut(c->cmaf, c->number, end, &made, f) != 0) {
        return -1;
    }
    piece = (vd_piece_t){.track = c->plan->name,
                         .number = c->number++,
                         .duration = made.duration,
                         .head = made.head,
                         .body = made.body};
    c->packets = 0;
    return vd_sink_put(c->sink, &piece, f);
}

/* When the packet sounds; times that are rounded only follow each other without a hole. */
static int64_t time_of(const copy_t *c)
{
    int rate = c->st->codecpar->sample_rate;
    int64_t at = av_rescale_q(c->packet->pts, c->st->time_base, (AVRational){1, rate}) -
                 av_rescale(c->plan->origin_us, rate, 1000000);

    return c->cmaf != NULL && at > c->next - FRAME / 2 && at < c->next + FRAME / 2 ? c->next : at;
}

static int take(copy_t *c, tc_fail_t *f)
{
    int64_t rate = c->st->codecpar->sample_rate, at;

    if (c->packet->pts == AV_NOPTS_VALUE || c->packet->size <= 0) {
        return 0;
    }
    at = time_of(c);
    /* the decoder needs one packet before the first that is heard; one that comes again is none */
    if (at <= -2 * FRAME || (c->cmaf != NULL && at < c->next)) {
        return 0;
    }
    if (c->cmaf == NULL && open_cmaf(c, at, f) != 0) {
        return -1;
    }
    if (c->packets > 0 && c->next >= av_rescale(c->number * c->plan->segment_ms, rate, 1000) &&
        cut(c, at, f) != 0) {
        return -1;
    }
    c->packet->pts = at;
    c->next = at + FRAME;
    c->packets++;
    return vd_cmaf_add(c->cmaf, c->packet, f);
}

static int copy(copy_t *c, json_t *tracks, tc_fail_t *f)
{
    double length = (double)c->plan->length_us / 1e6 * c->st->codecpar->sample_rate;
    int rc = 0;

    while (rc == 0 && av_read_frame(c->format, c->packet) >= 0) {
        if (c->packet->stream_index == c->st->index) {
            rc = take(c, f);
        }
        av_packet_unref(c->packet);
        rc =
            rc == 0 ? vd_sink_progress(c->sink, c->next > 0 ? (double)c->next / length : 0, f) : rc;
    }
    if (rc != 0 || c->io.lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    if (c->packets > 0 && cut(c, c->next, f) != 0) {
        return -1;
    }
    return c->cmaf == NULL || vd_sound_describe(c->plan, c->cmaf, c->st->codecpar->sample_rate,
                                                c->st->codecpar->ch_layout.nb_channels,
                                                c->number - 1, tracks) == 0
               ? 0
               : tc_fail_av(f, AVERROR(ENOMEM), "");
}

int vd_sound_copy(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
                  json_t *tracks, tc_fail_t *f)
{
    copy_t c = {.plan = plan, .sink = sink, .packet = av_packet_alloc()};
    int rc = vd_io_open(&c.io, source, f);

    if (rc == 0 && c.packet == NULL) {
        rc = tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (rc == 0 && (tc_container_open(&c.io, 0, &c.format, f) != 0 ||
                    tc_container_streams(c.format, &c.io, f) != 0)) {
        rc = -1;
    }
    if (rc == 0 && (unsigned)plan->stream < c.format->nb_streams) {
        c.st = c.format->streams[plan->stream];
        rc = is_copied(c.st) ? copy(&c, tracks, f) : 1;
    }
    vd_cmaf_close(c.cmaf);
    av_packet_free(&c.packet);
    avformat_close_input(&c.format);
    vd_io_close(&c.io);
    return rc;
}
