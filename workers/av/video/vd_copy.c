/* Packets of a range -> segments. */
#include "vd_copy.h"

#include "vd_decoder.h"
#include "vd_reader.h"
#include "vd_segments.h"

/* How far, at most, a packet of the whole film comes behind the time it is shown at, when packets
 * follow each other at the times that pictures do. Groups are closed, so packet i decodes when
 * picture i is shown. */
static int64_t latest(const media_vindex_t *v)
{
    int64_t ticks = 0;

    for (uint32_t i = 0; i < v->npackets; i++) {
        int64_t late = v->frames[i].pts - v->frames[v->packets[i].frame].pts;

        ticks = late > ticks ? late : ticks;
    }
    return ticks * v->tb_num;
}

static int copy(vd_reader_t *r, const vd_range_plan_t *plan, vd_segments_t *s, AVPacket *p,
                tc_fail_t *f)
{
    const media_vindex_t *v = r->v;
    uint32_t first = plan->spans[0].first, end = plan->spans[plan->nspans - 1].end;
    int rc = vd_reader_seek(r, first, f);

    for (uint32_t i = first; rc == 0 && i < end; i++) {
        rc = vd_reader_packet(r, p, f);
        if (rc <= 0) {
            return rc < 0 ? -1 : tc_fail(f, "unreadable_media", "The video ends at picture %u.", i);
        }
        p->pts = (v->frames[v->packets[i].frame].pts - plan->origin) * v->tb_num;
        p->flags = v->packets[i].flags & MEDIA_VINDEX_KEY ? AV_PKT_FLAG_KEY : 0;
        rc = vd_segments_add(s, p, f);
        rc = rc == 0 ? vd_sink_progress(s->sink, (double)(i - first) / (end - first), f) : rc;
    }
    return rc;
}

static int copy_range(const vd_source_t *source, const media_vindex_t *index,
                      const vd_range_plan_t *plan, const vd_sink_t *sink, json_t *tracks,
                      tc_fail_t *f)
{
    AVCodecParameters *par = vd_decoder_parameters(index);
    AVPacket *p = av_packet_alloc();
    vd_segments_t s = {.cmaf = NULL};
    vd_reader_t r;
    vd_io_t io;
    int rc = vd_io_open(&io, source, f);

    vd_reader_init(&r, &io, index);
    if (rc == 0 && (par == NULL || p == NULL)) {
        rc = tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (rc == 0) {
        rc = vd_segments_open(&s, plan, 0, index, par, latest(index), sink, f);
    }
    if (rc == 0) {
        rc = copy(&r, plan, &s, p, f);
    }
    if (rc == 0 && !vd_segments_done(&s)) {
        rc = tc_fail(f, "internal", "The source gave %u of %u segments.", s.out, plan->nspans);
    }
    if (rc == 0 && plan->number == 1 && json_array_append_new(tracks, vd_segments_track(&s)) != 0) {
        rc = tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    vd_segments_close(&s);
    vd_reader_close(&r);
    vd_io_close(&io);
    av_packet_free(&p);
    avcodec_parameters_free(&par);
    return rc;
}

int vd_copy(const vd_source_t *source, const media_vindex_t *index, const vd_range_plan_t *plan,
            const vd_sink_t *sink, json_t *tracks, tc_fail_t *f)
{
    if (index->npackets != index->nframes || source->size != index->file_size ||
        plan->spans[plan->nspans - 1].end > index->nframes || plan->nrungs != 1 ||
        plan->step != 1) {
        return tc_fail(f, "internal", "The packets wanted are not those of the index.");
    }
    return copy_range(source, index, plan, sink, tracks, f);
}
