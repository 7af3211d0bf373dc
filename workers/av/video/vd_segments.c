/* Packets -> CMAF segments of a plan's spans. */
#include "vd_segments.h"

#include <string.h>

int vd_segments_open(vd_segments_t *s, const vd_range_plan_t *plan, int i, const media_vindex_t *v,
                     const AVCodecParameters *par, int64_t edit, const vd_sink_t *sink,
                     tc_fail_t *f)
{
    const vd_cmaf_track_t track = {.par = par, .timescale = v->tb_den, .edit = edit};
    vd_piece_t init = {.track = plan->rungs[i].name};

    memset(s, 0, sizeof(*s));
    s->plan = plan;
    s->rendition = &plan->rungs[i];
    s->sink = sink;
    s->tb_num = v->tb_num;
    s->timescale = v->tb_den;
    s->cmaf = vd_cmaf_open(&track, f);
    if (s->cmaf == NULL) {
        return -1;
    }
    init.head = vd_cmaf_init(s->cmaf);
    return plan->number == 1 ? vd_sink_put(s->sink, &init, f) : 0;
}

static int cut(vd_segments_t *s, tc_fail_t *f)
{
    int64_t number = s->plan->number + s->out;
    vd_cmaf_segment_t made;
    vd_piece_t piece;

    if (vd_cmaf_cut(s->cmaf, number, s->plan->spans[s->out].stop * s->tb_num, &made, f) != 0) {
        return -1;
    }
    piece = (vd_piece_t){.track = s->rendition->name,
                         .number = number,
                         .duration = made.duration,
                         .iframe_offset = made.iframe_offset,
                         .iframe_bytes = made.iframe_bytes,
                         .head = made.head,
                         .body = made.body};
    s->out++;
    s->packets = 0;
    return vd_sink_put(s->sink, &piece, f);
}

/* How many pictures a span keeps. */
static int64_t kept(const vd_segments_t *s, const vd_span_t *span)
{
    return (span->end - span->first + s->plan->step - 1) / s->plan->step;
}

int vd_segments_done(const vd_segments_t *s)
{
    return s->out == s->plan->nspans;
}

int vd_segments_add(vd_segments_t *s, const AVPacket *packet, tc_fail_t *f)
{
    const vd_span_t *span = &s->plan->spans[s->out];

    if (vd_segments_done(s) || packet->pts < s->plan->spans[0].start * s->tb_num) {
        return 0; /* a picture of the range behind or before this one */
    }
    if (s->packets == 0 &&
        (packet->pts != span->start * s->tb_num || !(packet->flags & AV_PKT_FLAG_KEY))) {
        return tc_fail(f, "internal", "There is no key frame where a segment begins.");
    }
    if (vd_cmaf_add(s->cmaf, packet, f) != 0) {
        return -1;
    }
    return ++s->packets == kept(s, span) ? cut(s, f) : 0;
}

json_t *vd_segments_track(const vd_segments_t *s)
{
    const media_rendition_t *t = s->rendition;

    return json_pack("{s:s,s:I,s:{s:s,s:s,s:I,s:i,s:i,s:i,s:[i,i]}}", "name", t->name, "segments",
                     (json_int_t)s->plan->total, "info", "kind", "video", "codecs",
                     vd_cmaf_codecs(s->cmaf), "timescale", (json_int_t)s->timescale, "start", 0,
                     "width", t->width, "height", t->height, "fps", s->plan->fps_num,
                     s->plan->fps_den);
}

void vd_segments_close(vd_segments_t *s)
{
    vd_cmaf_close(s->cmaf);
    s->cmaf = NULL;
}
