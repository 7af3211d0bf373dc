/* Packets by number. */
#include "vd_reader.h"

#include <string.h>

#include <libavutil/avstring.h>

/* Demuxers that can start anywhere by byte position; the others are asked for a time. */
#define BY_BYTE "mpegts,mpeg,mpegvideo,h264,hevc,m4v,obu,dv"
/* A transport stream says in its tables what the tracks are, and the index knows the track: a look
 * at them suffices. A program stream needs its guess. */
#define TABLE_BYTES (256 << 10)
/* packets around the expected one in which the demuxer's place is looked for */
#define WINDOW 4096

/* How far before the wanted packet the demuxer is put down, try by try; then comes the start. */
static const uint32_t steps_back[] = {2, 12, 100, 1000};

#define STEPS (sizeof(steps_back) / sizeof(steps_back[0]))

void vd_reader_init(vd_reader_t *r, vd_io_t *io, const media_vindex_t *v)
{
    *r = (vd_reader_t){.io = io, .v = v};
}

void vd_reader_close(vd_reader_t *r)
{
    avformat_close_input(&r->format);
}

static int lost(tc_fail_t *f)
{
    return tc_fail(f, "internal", "The file could not be read.");
}

static int is_track(const vd_reader_t *r, const AVStream *st)
{
    return st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && st->id == r->v->track_id &&
           ((r->format->ctx_flags & AVFMTCTX_NOHEADER) || st->index == r->v->track);
}

/* The demuxer's next packet of the track: 1, 0, -1. */
static int demux(vd_reader_t *r, AVPacket *p, tc_fail_t *f)
{
    int rc;

    do {
        av_packet_unref(p);
        rc = av_read_frame(r->format, p);
    } while (rc >= 0 && !is_track(r, r->format->streams[p->stream_index]));
    if (rc >= 0) {
        return 1;
    }
    if (r->io->lost) {
        return lost(f);
    }
    return rc == AVERROR(ENOMEM) ? tc_fail_av(f, rc, "") : 0;
}

/* At the start of the file, whose first packet is number 0. */
static int restart(vd_reader_t *r, tc_fail_t *f)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(r->v->codec);
    int64_t ahead = strcmp(r->v->container, "mpegts") == 0 ? TABLE_BYTES : 0;

    avformat_close_input(&r->format);
    r->next = 0;
    r->from_start = 1;
    if (vd_io_restart(r->io, 0, f) != 0 || tc_container_open(r->io, ahead, &r->format, f) != 0) {
        return -1;
    }
    /* whatever a program stream's first bytes look like from there */
    r->format->video_codec_id = d != NULL ? d->id : AV_CODEC_ID_NONE;
    return 0;
}

/* The number of a packet that the demuxer gave after a jump to about `near`, -1: not recognized.
 * The first piece after a jump may be the end of an earlier packet: its size tells. */
static int64_t recognize(const vd_reader_t *r, const AVPacket *p, uint32_t near, int by_byte)
{
    uint32_t from = near > WINDOW ? near - WINDOW : 0;
    uint32_t to = r->v->npackets - near > WINDOW ? near + WINDOW : r->v->npackets;

    for (uint32_t i = from; i < to && p->pos >= 0; i++) {
        const media_vindex_packet_t *q = &r->v->packets[i];
        if (q->pos == p->pos && (int64_t)q->size == p->size && (by_byte || q->dts == p->dts)) {
            return i;
        }
    }
    return -1;
}

static int jump(vd_reader_t *r, uint32_t to, int by_byte)
{
    const media_vindex_packet_t *q = &r->v->packets[to];

    while (to > 0 && (by_byte ? q->pos < 0 : q->dts == MEDIA_VINDEX_NO_TS)) {
        q = &r->v->packets[--to];
    }
    if (to == 0) {
        return -1;
    }
    return by_byte ? av_seek_frame(r->format, -1, q->pos, AVSEEK_FLAG_BYTE)
                   : av_seek_frame(r->format, (int)r->v->track, q->dts, AVSEEK_FLAG_BACKWARD);
}

/* Reads on until a packet is recognized, which must come before `next`. 1: the packet after it is
 * next; 0: not here; -1 with a cause. */
static int find_place(vd_reader_t *r, uint32_t next, uint32_t near, int by_byte, tc_fail_t *f)
{
    AVPacket *p = av_packet_alloc();
    int64_t number = -1, limit = r->v->packets[next].pos;
    int rc = p != NULL ? 1 : tc_fail_av(f, AVERROR(ENOMEM), "");

    for (uint32_t i = 0; rc > 0 && number < 0 && i < next - near + WINDOW; i++) {
        rc = demux(r, p, f);
        if (rc > 0 && limit >= 0 && p->pos > limit) {
            break; /* too far */
        }
        number = rc > 0 ? recognize(r, p, near, by_byte) : -1;
    }
    av_packet_free(&p);
    if (rc < 0) {
        return -1;
    }
    r->next = (uint32_t)(number + 1);
    return number >= 0 && number < (int64_t)next;
}

static int skip_to(vd_reader_t *r, uint32_t next, tc_fail_t *f)
{
    AVPacket *p = av_packet_alloc();
    int rc = p != NULL ? 1 : tc_fail_av(f, AVERROR(ENOMEM), "");

    while (rc > 0 && r->next < next) {
        rc = vd_reader_packet(r, p, f);
    }
    av_packet_free(&p);
    return rc < 0 ? -1 : 0;
}

int vd_reader_seek(vd_reader_t *r, uint32_t next, tc_fail_t *f)
{
    int by_byte, rc;

    if (r->v->plain) {
        r->next = next;
        return 0;
    }
    if (restart(r, f) != 0) {
        return -1;
    }
    by_byte = av_match_list(r->format->iformat->name, BY_BYTE, ',') > 0;
    r->from_start = 0;
    for (size_t i = 0; i < STEPS && next > steps_back[i]; i++) {
        uint32_t near = next - steps_back[i];
        if (jump(r, near, by_byte) < 0) {
            break;
        }
        rc = find_place(r, next, near, by_byte, f);
        if (rc != 0) {
            return rc < 0 ? -1 : skip_to(r, next, f);
        }
    }
    return restart(r, f) != 0 ? -1 : skip_to(r, next, f);
}

static int read_plain(vd_reader_t *r, const media_vindex_packet_t *q, AVPacket *p, tc_fail_t *f)
{
    int rc;

    if (q->size > VD_PACKET_MAX) {
        return tc_fail(f, "limits", "A picture takes %u bytes; the limit is %d.", q->size,
                       VD_PACKET_MAX);
    }
    rc = av_new_packet(p, (int)q->size);
    if (rc < 0) {
        return tc_fail_av(f, rc, "");
    }
    return vd_io_read(r->io, q->pos, p->data, q->size) == (ssize_t)q->size ? 1 : lost(f);
}

/* Is it the one? A demuxer put down in a damaged stretch may lose its place. */
static int is_packet(const media_vindex_packet_t *q, const AVPacket *p)
{
    return p->size == (int64_t)q->size && (p->pos < 0 || q->pos < 0 || p->pos == q->pos);
}

/* The demuxer's packet number r->next; once more from the start, where it has lost its place. */
static int read_demuxed(vd_reader_t *r, const media_vindex_packet_t *q, AVPacket *p, tc_fail_t *f)
{
    uint32_t number = r->next;
    int rc = demux(r, p, f);

    if (!r->from_start && rc >= 0 && (rc == 0 || !is_packet(q, p))) {
        rc = restart(r, f) != 0 || skip_to(r, number, f) != 0 ? -1 : demux(r, p, f);
    }
    if (rc > 0 && !is_packet(q, p)) {
        rc = tc_fail(f, "internal", "Packet %u of the video is not what its index says.", number);
    }
    return rc;
}

int vd_reader_packet(vd_reader_t *r, AVPacket *p, tc_fail_t *f)
{
    const media_vindex_packet_t *q;
    int rc;

    av_packet_unref(p);
    if (r->next >= r->v->npackets) {
        return 0;
    }
    q = &r->v->packets[r->next];
    rc = r->v->plain ? read_plain(r, q, p, f) : read_demuxed(r, q, p, f);
    if (rc <= 0) {
        return rc;
    }
    p->pts = r->next++;
    p->dts = AV_NOPTS_VALUE;
    p->pos = -1;
    p->flags = (q->flags & MEDIA_VINDEX_KEY ? AV_PKT_FLAG_KEY : 0) |
               (q->flags & MEDIA_VINDEX_DISCARD ? AV_PKT_FLAG_DISCARD : 0);
    return 1;
}
