/* Which picture begins in which packet, and when it is shown. */
#include "vd_index.h"

#include <stdlib.h>

#include "vd_decoder.h"
#include "vd_reader.h"

#define REORDER_MAX 16

static int alloc_frames(media_vindex_t *v, tc_fail_t *f)
{
    free(v->frames);
    v->nframes = 0;
    v->frames = calloc((size_t)v->npackets + 1, sizeof(*v->frames));
    return v->frames == NULL ? tc_fail_av(f, AVERROR(ENOMEM), "") : 0;
}

/* The packets' numbers of their pictures, how deep the coding reorders, the end of the last. 0
 * where decoding and showing are further apart than any coding allows. */
static int finish(media_vindex_t *v, int64_t frame_ts)
{
    const media_vindex_frame_t *last = &v->frames[v->nframes - 1];
    int64_t decoded = 0, deepest = 0;

    for (uint32_t i = 0; i < v->nframes; i++) {
        v->packets[v->frames[i].packet].frame = i;
    }
    for (uint32_t i = 0; i < v->npackets; i++) {
        uint32_t shown = v->packets[i].frame;
        if (shown != MEDIA_VINDEX_NO_FRAME) {
            deepest = llabs(decoded - shown) > deepest ? llabs(decoded - shown) : deepest;
            if (decoded - shown > v->reorder && decoded - shown <= REORDER_MAX) {
                v->reorder = decoded - shown;
            }
            decoded++;
        }
    }
    if (v->end <= last->pts) {
        int64_t before = v->nframes > 1 ? last->pts - last[-1].pts : 1;
        v->end = last->pts + (frame_ts > 0 ? frame_ts : before);
    }
    return deepest <= REORDER_MAX;
}

static int by_pts(const void *a, const void *b)
{
    const media_vindex_frame_t *x = a, *y = b;

    return x->pts < y->pts ? -1 : x->pts > y->pts;
}

static int reorders(const media_vindex_t *v)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(v->codec);

    return d == NULL || (d->props & AV_CODEC_PROP_REORDER);
}

int vd_order_by_time(media_vindex_t *v, tc_fail_t *f)
{
    int in_order = !reorders(v);
    uint32_t i = 0;

    if (alloc_frames(v, f) != 0) {
        return -1;
    }
    while (i < v->npackets && !(v->packets[i].flags & MEDIA_VINDEX_KEY)) {
        i++; /* before the first key frame nothing can be decoded */
    }
    for (uint32_t key = i; i < v->npackets; i++) {
        const media_vindex_packet_t *p = &v->packets[i];
        int64_t pts = p->pts == MEDIA_VINDEX_NO_TS && in_order ? p->dts : p->pts;

        if (p->flags & MEDIA_VINDEX_DISCARD) {
            continue;
        }
        /* pictures shown before the first key frame may lack what they refer to */
        if (pts == MEDIA_VINDEX_NO_TS || (v->nframes > 0 && pts < v->packets[key].pts)) {
            return 0;
        }
        v->frames[v->nframes++] = (media_vindex_frame_t){pts, i};
    }
    if (v->nframes == 0) {
        return 0;
    }
    qsort(v->frames, v->nframes, sizeof(*v->frames), by_pts);
    for (i = 1; i < v->nframes; i++) {
        if (v->frames[i].pts == v->frames[i - 1].pts ||
            (in_order && v->frames[i].packet < v->frames[i - 1].packet)) {
            return 0;
        }
    }
    return finish(v, 0);
}

/* ---- by decoding ---- */

/* Takes what the decoder has; 1: it wants more, 0: it has ended, -1 with a cause. */
static int take_frames(media_vindex_t *v, AVCodecContext *dec, AVFrame *frame, tc_fail_t *f)
{
    for (;;) {
        int rc = avcodec_receive_frame(dec, frame);

        if (rc == AVERROR(EAGAIN)) {
            return 1;
        }
        if (rc == AVERROR(ENOMEM)) {
            return tc_fail_av(f, rc, "");
        }
        if (rc == AVERROR_EOF) {
            return 0;
        }
        if (rc < 0) {
            return 1; /* a damaged packet */
        }
        /* of two pictures from one packet the first counts */
        if (frame->pts >= 0 && frame->pts < v->npackets &&
            v->packets[frame->pts].frame == MEDIA_VINDEX_NO_FRAME && v->nframes < v->npackets) {
            v->packets[frame->pts].frame = v->nframes;
            v->frames[v->nframes++] =
                (media_vindex_frame_t){MEDIA_VINDEX_NO_TS, (uint32_t)frame->pts};
        }
        av_frame_unref(frame);
    }
}

static int decode_all(vd_reader_t *r, media_vindex_t *v, AVCodecContext *dec, tc_fail_t *f)
{
    AVPacket *p = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int more = 1, rc = 1;

    if (p == NULL || frame == NULL) {
        rc = tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    while (rc > 0 && more) {
        rc = vd_reader_packet(r, p, f);
        more = rc > 0;
        if (rc > 0 && p->size == 0) {
            continue;
        }
        if (rc >= 0) {
            (void)avcodec_send_packet(dec, more ? p : NULL);
            rc = take_frames(v, dec, frame, f);
        }
    }
    av_packet_free(&p);
    av_frame_free(&frame);
    return rc < 0 ? -1 : 0;
}

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Containers that know only when to decode (AVI): the times, in order, are those of the pictures in
 * order. 1: done, 0: there are none to take, -1. */
static int times_of_decoding(media_vindex_t *v, tc_fail_t *f)
{
    int64_t *times = malloc(((size_t)v->nframes + 1) * sizeof(*times));
    int ok = 1;

    if (times == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    for (uint32_t i = 0; i < v->nframes; i++) {
        times[i] = v->packets[v->frames[i].packet].dts;
    }
    qsort(times, v->nframes, sizeof(*times), by_number);
    for (uint32_t i = 0; i < v->nframes; i++) {
        ok &= times[i] != MEDIA_VINDEX_NO_TS && (i == 0 || times[i] > times[i - 1]);
    }
    for (uint32_t i = 0; ok && i < v->nframes; i++) {
        v->frames[i].pts = times[i];
    }
    free(times);
    return ok;
}

/* The packets' own times where they go forward; the gaps between are divided evenly. */
static void times_of_showing(media_vindex_t *v, int64_t frame_ts)
{
    int64_t usual = frame_ts > 0 ? frame_ts : 1;
    uint32_t known = v->nframes; /* the last one known */

    for (uint32_t i = 0; i < v->nframes; i++) {
        int64_t pts = v->packets[v->frames[i].packet].pts;
        int64_t from, least;

        if (known == v->nframes) {
            if (pts == MEDIA_VINDEX_NO_TS) {
                continue;
            }
            for (uint32_t k = 0; k <= i; k++) {
                v->frames[k].pts = pts - (int64_t)(i - k) * usual;
            }
            known = i;
            continue;
        }
        from = v->frames[known].pts;
        least = i - known;
        if (pts != MEDIA_VINDEX_NO_TS && pts >= from + least) {
            for (uint32_t k = known + 1; k <= i; k++) {
                v->frames[k].pts = from + (pts - from) * (int64_t)(k - known) / least;
            }
            known = i;
        }
    }
    if (known == v->nframes) {
        known = 0;
        v->frames[0].pts = 0;
    }
    for (uint32_t k = known + 1; k < v->nframes; k++) {
        v->frames[k].pts = v->frames[k - 1].pts + usual;
    }
}

static int any_time(const media_vindex_t *v)
{
    for (uint32_t i = 0; i < v->nframes; i++) {
        if (v->packets[v->frames[i].packet].pts != MEDIA_VINDEX_NO_TS) {
            return 1;
        }
    }
    return 0;
}

int vd_order_by_decoding(vd_io_t *io, media_vindex_t *v, int64_t frame_ts, tc_fail_t *f)
{
    AVCodecContext *dec = NULL;
    vd_reader_t reader;
    int rc = alloc_frames(v, f);

    for (uint32_t i = 0; i < v->npackets; i++) {
        v->packets[i].frame = MEDIA_VINDEX_NO_FRAME;
    }
    vd_reader_init(&reader, io, v);
    if (rc == 0) {
        dec = vd_decoder_open(v, 1, f);
        rc =
            dec == NULL || vd_reader_seek(&reader, 0, f) != 0 ? -1 : decode_all(&reader, v, dec, f);
    }
    vd_reader_close(&reader);
    avcodec_free_context(&dec);
    if (rc == 0 && v->nframes == 0) {
        rc = tc_fail(f, "unreadable_media", "The video is damaged: none of it can be decoded.");
    }
    if (rc == 0) {
        int done = any_time(v) ? 0 : times_of_decoding(v, f);
        if (done == 0) {
            times_of_showing(v, frame_ts);
        }
        rc = done < 0 ? -1 : 0;
    }
    if (rc == 0) {
        v->end = -MEDIA_VINDEX_TS_MAX; /* what the scan saw may be another time line */
        (void)finish(v, frame_ts);
    }
    return rc;
}
