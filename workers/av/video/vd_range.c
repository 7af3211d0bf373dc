/* Decoding a range of pictures. */
#include "vd_range.h"

#include <stdlib.h>

#include "vd_decoder.h"
#include "vd_entry.h"
#include "vd_reader.h"

#define NONE UINT32_MAX
#define RESTARTS_MAX 2

struct vd_range_s {
    const media_vindex_t *v;
    vd_io_t io;
    vd_reader_t reader;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *ahead; /* decoded, number ahead_number, not due yet */
    uint32_t ahead_number;
    AVFrame *last; /* delivered last */
    uint32_t first, next, end;
    uint32_t start, stop; /* packets: decoding starts at, needs none from */
    int draining, drained;
    int restarts;
    vd_range_stats_t stats;
};

/* The last key packet up to `from` which is shown no later than picture `first`; 0 if none. */
static uint32_t key_before(const media_vindex_t *v, uint32_t from, uint32_t first)
{
    for (uint32_t i = from; i > 0; i--) {
        const media_vindex_packet_t *p = &v->packets[i];
        if ((p->flags & MEDIA_VINDEX_KEY) &&
            ((p->flags & MEDIA_VINDEX_DISCARD) ||
             (p->frame != MEDIA_VINDEX_NO_FRAME && p->frame <= first))) {
            return i;
        }
    }
    return 0;
}

/* The first packet behind the last one needed. A picture of two fields ends in the packet after. */
static uint32_t needed_end(const media_vindex_t *v, uint32_t first, uint32_t end)
{
    uint32_t last = 0;

    for (uint32_t i = first; i < end; i++) {
        last = v->frames[i].packet > last ? v->frames[i].packet : last;
    }
    do {
        last++;
    } while (last < v->npackets && v->packets[last].frame == MEDIA_VINDEX_NO_FRAME);
    return last;
}

void vd_range_bytes(const media_vindex_t *v, uint32_t first, uint32_t end, int64_t *from,
                    int64_t *to)
{
    uint32_t i = key_before(v, v->frames[first].packet, first);

    *from = v->file_size;
    *to = 0;
    for (uint32_t stop = needed_end(v, first, end); i < stop; i++) {
        const media_vindex_packet_t *p = &v->packets[i];
        if (p->pos < 0) {
            *from = 0;
            *to = v->file_size;
            return;
        }
        *from = p->pos < *from ? p->pos : *from;
        *to = p->pos + p->size > *to ? p->pos + p->size : *to;
    }
    *to = *to < v->file_size ? *to : v->file_size;
}

/* At a key packet shown no later than the first picture wanted, no later in the file than `from`.
 */
static int start_from(vd_range_t *r, uint32_t from, tc_fail_t *f)
{
    uint32_t packet = key_before(r->v, from, r->first);

    while (packet > 0 && !vd_entry_safe(&r->io, r->v, packet)) {
        packet = key_before(r->v, packet - 1, r->first);
    }
    r->start = packet;
    r->draining = r->drained = 0;
    r->ahead_number = NONE;
    avcodec_flush_buffers(r->decoder);
    return vd_reader_seek(&r->reader, packet, f);
}

int vd_range_open(vd_range_t **out, const vd_source_t *source, const media_vindex_t *index,
                  uint32_t first, uint32_t end, int threads, tc_fail_t *f)
{
    vd_range_t *r;

    *out = NULL;
    if (first >= end || end > index->nframes || source->size != index->file_size) {
        return tc_fail(f, "internal", "Pictures %u to %u are not those of the index.", first, end);
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    r->v = index;
    r->first = r->next = first;
    r->end = end;
    r->stop = needed_end(index, first, end);
    r->packet = av_packet_alloc();
    r->ahead = av_frame_alloc();
    r->last = av_frame_alloc();
    vd_reader_init(&r->reader, &r->io, index);
    if (r->packet == NULL || r->ahead == NULL || r->last == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        goto fail;
    }
    if (vd_io_open(&r->io, source, f) != 0 ||
        (r->decoder = vd_decoder_open(index, threads, f)) == NULL ||
        start_from(r, index->frames[first].packet, f) != 0) {
        goto fail;
    }
    *out = r;
    return 0;

fail:
    vd_range_close(r);
    return -1;
}

/* Sends the decoder one packet, or the end of what is needed. */
static int feed(vd_range_t *r, tc_fail_t *f)
{
    int rc = r->reader.next < r->stop ? vd_reader_packet(&r->reader, r->packet, f) : 0;

    if (rc < 0) {
        return -1;
    }
    r->draining = rc == 0;
    if (rc > 0 && r->packet->size == 0) {
        return 0; /* an empty one would mean the end */
    }
    rc = avcodec_send_packet(r->decoder, rc > 0 ? r->packet : NULL);
    av_packet_unref(r->packet);
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    r->stats.errors += rc < 0;
    return 0;
}

/* The decoder's next picture that is in the index into `ahead`: 1; 0 after the last; -1. */
static int decode(vd_range_t *r, tc_fail_t *f)
{
    for (;;) {
        int rc = avcodec_receive_frame(r->decoder, r->ahead);

        if (rc >= 0) {
            int64_t packet = r->ahead->pts;
            r->stats.decoded++;
            if (packet >= 0 && packet < r->v->npackets &&
                r->v->packets[packet].frame != MEDIA_VINDEX_NO_FRAME) {
                r->ahead_number = r->v->packets[packet].frame;
                return 1;
            }
            continue;
        }
        if (rc == AVERROR(ENOMEM)) {
            return tc_fail_av(f, rc, "");
        }
        if (rc == AVERROR_EOF || (rc != AVERROR(EAGAIN) && r->draining)) {
            r->drained = 1;
            return 0;
        }
        r->stats.errors += rc != AVERROR(EAGAIN);
        if (feed(r, f) != 0) {
            return -1;
        }
    }
}

/* Picture `next` did not come, a later one or the end did: from a key frame further back, where
 * nothing was delivered yet (a stream that recovers step by step), else its neighbour stands in. */
static int repair(vd_range_t *r, AVFrame *frame, tc_fail_t *f)
{
    const AVFrame *neighbour = r->next > r->first ? r->last : r->ahead;
    int rc;

    if (r->next == r->first && r->start > 0 && r->restarts < RESTARTS_MAX) {
        r->restarts++;
        return start_from(r, r->start - 1, f);
    }
    if (neighbour->buf[0] == NULL) {
        return tc_fail(f, "unreadable_media",
                       "The video is damaged: none of its pictures %u to %u can be decoded.",
                       r->first, r->end - 1);
    }
    r->stats.repaired++;
    rc = av_frame_ref(frame, neighbour);
    frame->flags |= AV_FRAME_FLAG_CORRUPT;
    return rc < 0 ? tc_fail_av(f, rc, "") : 1;
}

static int keep_last(vd_range_t *r, const AVFrame *frame, tc_fail_t *f)
{
    int rc;

    av_frame_unref(r->last);
    rc = av_frame_ref(r->last, frame);
    return rc < 0 ? tc_fail_av(f, rc, "") : 0;
}

int vd_range_frame(vd_range_t *r, AVFrame *frame, uint32_t *number, tc_fail_t *f)
{
    int rc = 0;

    av_frame_unref(frame);
    if (r->next == r->end) {
        return 0;
    }
    while (rc == 0) {
        while (!r->drained && (r->ahead_number == NONE || r->ahead_number < r->next)) {
            if (decode(r, f) < 0) {
                return -1;
            }
        }
        if (r->ahead_number == r->next) {
            av_frame_move_ref(frame, r->ahead);
            r->ahead_number = NONE;
            rc = 1;
        } else {
            rc = repair(r, frame, f);
        }
    }
    if (rc < 0 || keep_last(r, frame, f) != 0) {
        return -1;
    }
    frame->pts = r->v->frames[r->next].pts;
    *number = r->next++;
    return 1;
}

const vd_range_stats_t *vd_range_stats(vd_range_t *r)
{
    r->stats.fetched = r->io.fetched;
    return &r->stats;
}

void vd_range_close(vd_range_t *r)
{
    if (r == NULL) {
        return;
    }
    vd_reader_close(&r->reader);
    avcodec_free_context(&r->decoder);
    av_packet_free(&r->packet);
    av_frame_free(&r->ahead);
    av_frame_free(&r->last);
    vd_io_close(&r->io);
    free(r);
}
