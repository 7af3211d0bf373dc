/* What the index tells first, what has to be read last. */
#include "vd_fit.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/mathematics.h>

#include "vd_entry.h"
#include "vd_nal.h"

#define SLACK_MS 10 /* times are rounded */
#define PROFILE_BITS 0xff
#define CONFIG_MAX 4096
#define TIMESCALE_MAX (1 << 26) /* so that a group's times fit 31 bits */
#define SAMPLE_MAX (8u << 20)

static int is_stream(const media_vindex_t *v)
{
    int64_t profile = v->profile & PROFILE_BITS;

    return strcmp(v->codec, "h264") == 0 && v->plain && v->extradata_len >= 7 &&
           v->extradata_len <= CONFIG_MAX && v->extradata[0] == 1 && (v->extradata[4] & 3) == 3 &&
           (v->extradata[5] & 0x1f) == 1 && v->tb_den <= TIMESCALE_MAX &&
           (profile == FF_PROFILE_H264_BASELINE || profile == FF_PROFILE_H264_MAIN ||
            profile == FF_PROFILE_H264_HIGH);
}

static int is_picture(const media_vindex_t *v)
{
    return strcmp(v->pix_fmt, "yuv420p") == 0 && v->color_range != AVCOL_RANGE_JPEG &&
           (v->field_order == AV_FIELD_UNKNOWN || v->field_order == AV_FIELD_PROGRESSIVE) &&
           v->rotation == 0 && v->flip == 0 && (v->sar_num == 0 || v->sar_num == v->sar_den);
}

static int is_key(const media_vindex_t *v, uint32_t packet)
{
    return (v->packets[packet].flags & MEDIA_VINDEX_KEY) != 0;
}

/* The packets from one key to the next are the pictures from one to the next, and no others. */
static int is_closed(const media_vindex_t *v, uint32_t key, uint32_t next)
{
    for (uint32_t i = key; i < next; i++) {
        const media_vindex_packet_t *p = &v->packets[i];
        if ((p->flags & MEDIA_VINDEX_DISCARD) || p->frame == MEDIA_VINDEX_NO_FRAME ||
            p->frame < key || p->frame >= next) {
            return 0;
        }
    }
    return v->packets[key].frame == key;
}

static int are_keys(const media_vindex_t *v, int segment_ms)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den}, ms = {1, 1000};
    uint32_t next;

    if (v->npackets != v->nframes || !is_key(v, 0)) {
        return 0;
    }
    for (uint32_t key = 0; key < v->npackets; key = next) {
        int64_t gap, end = v->end;

        for (next = key + 1; next < v->npackets && !is_key(v, next); next++) {
        }
        if (!is_closed(v, key, next)) {
            return 0;
        }
        end = next < v->npackets ? v->frames[next].pts : end;
        gap = av_rescale_q(end - v->frames[key].pts, tb, ms);
        if (gap > segment_ms * 3 / 2 + SLACK_MS ||
            (gap < segment_ms / 2 - SLACK_MS && next < v->npackets)) {
            return 0;
        }
    }
    return 1;
}

int vd_fit_by_index(const media_vindex_t *v, int segment_ms)
{
    return is_stream(v) && is_picture(v) && are_keys(v, segment_ms);
}

/* The packet's own bytes; a size that no segment could hold is not asked for. */
static int is_sample(vd_io_t *io, const media_vindex_packet_t *q, uint8_t *buf)
{
    return q->size > 0 && q->size <= SAMPLE_MAX &&
           vd_io_read(io, q->pos, buf, q->size) == (ssize_t)q->size &&
           vd_nal_is_framed((vd_bytes_t){buf, q->size}) &&
           !vd_nal_has_sets((vd_bytes_t){buf, q->size});
}

int vd_fit_by_bytes(const vd_source_t *source, const media_vindex_t *v)
{
    uint8_t *buf = malloc(SAMPLE_MAX);
    tc_fail_t why = {{0}, {0}, 0};
    vd_io_t io;
    int fits = vd_io_open(&io, source, &why) == 0 && buf != NULL;

    for (uint32_t i = 0; fits && i < v->npackets; i++) {
        fits = is_sample(&io, &v->packets[i], buf) &&
               (!is_key(v, i) ||
                (vd_entry_look(&io, v, i) & ~(unsigned)VD_ENTRY_RECOVERY) == VD_ENTRY_IDR);
    }
    vd_io_close(&io);
    free(buf);
    return fits;
}
