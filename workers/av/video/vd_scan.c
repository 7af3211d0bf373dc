/* The packets of the video track. */
#include "vd_index.h"

#include <stdlib.h>
#include <string.h>

#include "vd_reader.h"

#define FIRST_PACKETS 4096
#define FIND_WITHIN 64 /* a packet's own header in the container is shorter */
#define FIND_BY 16
#define PIECE 4096u

typedef struct {
    vd_io_t *io;
    const tc_limits_t *limits;
    media_vindex_t *v;
    uint32_t room;
    int as_table; /* hollow: what was read is what the table says */
} scan_t;

static media_vindex_packet_t *append(scan_t *s, tc_fail_t *f)
{
    media_vindex_t *v = s->v;

    if (v->npackets >= s->limits->frames || v->npackets >= MEDIA_VINDEX_FRAMES_MAX) {
        (void)tc_fail(f, "limits", "The video has more than %u pictures; the limit is %lld.",
                      v->npackets, (long long)s->limits->frames);
        return NULL;
    }
    if (v->npackets == s->room) {
        uint32_t room = s->room > 0 ? 2 * s->room : FIRST_PACKETS;
        media_vindex_packet_t *p = realloc(v->packets, room * sizeof(*p));
        if (p == NULL) {
            (void)tc_fail_av(f, AVERROR(ENOMEM), "");
            return NULL;
        }
        v->packets = p;
        s->room = room;
    }
    return &v->packets[v->npackets++];
}

/* RFC 6386 9.1: a VP8 frame that is only referred to. */
static int never_shown(const AVStream *st, const AVPacket *p)
{
    return st->codecpar->codec_id == AV_CODEC_ID_VP8 && p->size > 0 && !(p->data[0] & 0x10);
}

static int64_t sane_ts(int64_t ts)
{
    return ts >= -MEDIA_VINDEX_TS_MAX && ts <= MEDIA_VINDEX_TS_MAX ? ts : MEDIA_VINDEX_NO_TS;
}

static int add(scan_t *s, const AVStream *st, const AVPacket *p, tc_fail_t *f)
{
    media_vindex_packet_t *q = append(s, f);

    if (q == NULL) {
        return -1;
    }
    q->pts = sane_ts(p->pts);
    q->dts = sane_ts(p->dts);
    q->pos = p->pos >= 0 && p->pos <= s->v->file_size ? p->pos : -1;
    q->size = (uint32_t)p->size;
    q->flags = p->flags & AV_PKT_FLAG_KEY ? MEDIA_VINDEX_KEY : 0;
    if ((p->flags & AV_PKT_FLAG_DISCARD) || p->size == 0 || never_shown(st, p)) {
        q->flags |= MEDIA_VINDEX_DISCARD;
    }
    q->frame = 0; /* until the end of the scan: how far behind pos the data begins */
    if (!(q->flags & MEDIA_VINDEX_DISCARD) && q->pts != MEDIA_VINDEX_NO_TS && p->duration >= 0 &&
        p->duration < MEDIA_VINDEX_TS_MAX && q->pts + p->duration > s->v->end) {
        s->v->end = q->pts + p->duration;
    }
    return 0;
}

/* Where the track's parameters change on the way, or travel beside the data, only the demuxer can
 * tell a decoder. */
static int has_news(const AVStream *st, const AVPacket *p)
{
    size_t size = 0;
    const uint8_t *extra = av_packet_get_side_data(p, AV_PKT_DATA_NEW_EXTRADATA, &size);

    if (extra != NULL && (size != (size_t)st->codecpar->extradata_size ||
                          memcmp(extra, st->codecpar->extradata, size) != 0)) {
        return 1;
    }
    return av_packet_get_side_data(p, AV_PKT_DATA_PALETTE, NULL) != NULL ||
           av_packet_get_side_data(p, AV_PKT_DATA_PARAM_CHANGE, NULL) != NULL;
}

/* Does the file hold the packet byte by byte in one piece? Its data is looked for behind the
 * position the demuxer gave, which may be that of a header; *behind: how far. */
static int in_one_piece(vd_io_t *io, const AVPacket *p, uint32_t *behind)
{
    uint8_t head[FIND_WITHIN + FIND_BY], piece[PIECE];
    size_t size = (size_t)p->size, by = size < FIND_BY ? size : FIND_BY, i = 0;
    ssize_t n = p->pos >= 0 ? vd_io_read(io, p->pos, head, sizeof(head)) : -1;

    while (n >= 0 && i + by <= (size_t)n && memcmp(head + i, p->data, by) != 0) {
        i++;
    }
    if (n < 0 || i + by > (size_t)n) {
        return 0;
    }
    *behind = (uint32_t)i;
    for (size_t done = 0; done < size; done += PIECE) {
        size_t want = size - done < PIECE ? size - done : PIECE;
        if (vd_io_read(io, p->pos + (int64_t)(i + done), piece, want) != (ssize_t)want ||
            memcmp(piece, p->data + done, want) != 0) {
            return 0;
        }
    }
    return 1;
}

/* One packet of the track. */
static int take(scan_t *s, AVStream *st, const AVPacket *p, tc_fail_t *f)
{
    const AVIndexEntry *e;

    if (av_packet_get_side_data(p, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL) {
        return tc_fail(f, "encrypted_media", "The video is encrypted (copy protection).");
    }
    if (add(s, st, p, f) != 0) {
        return -1;
    }
    if (s->io->hollow) {
        e = avformat_index_get_entry(st, (int)s->v->npackets - 1);
        s->as_table &= e != NULL && e->pos == p->pos && e->size == p->size;
        s->v->plain &= !has_news(st, p);
    } else if (s->v->plain) {
        s->v->plain =
            !has_news(st, p) && in_one_piece(s->io, p, &s->v->packets[s->v->npackets - 1].frame);
    }
    return 0;
}

static int read_packets(scan_t *s, AVFormatContext *format, AVStream *st, tc_fail_t *f)
{
    AVPacket *p = av_packet_alloc();
    int rc = p != NULL ? 0 : AVERROR(ENOMEM);
    int bad = 0;

    s->v->plain = 1;
    s->v->npackets = 0;
    s->v->end = -MEDIA_VINDEX_TS_MAX;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        format->streams[i]->discard = (int)i == st->index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    while (rc >= 0 && bad == 0) {
        rc = av_read_frame(format, p);
        if (rc >= 0 && p->stream_index == st->index) {
            bad = take(s, st, p, f);
        }
        if (rc >= 0) {
            av_packet_unref(p);
        }
    }
    av_packet_free(&p);
    for (uint32_t i = 0; i < s->v->npackets; i++) {
        s->v->packets[i].pos += s->v->plain ? s->v->packets[i].frame : 0;
        s->v->packets[i].frame = MEDIA_VINDEX_NO_FRAME;
    }
    if (bad == 0 && s->io->lost) {
        bad = tc_fail(f, "internal", "The file could not be read.");
    }
    if (bad == 0 && rc == AVERROR(ENOMEM)) {
        bad = tc_fail_av(f, rc, "");
    }
    return bad;
}

int vd_scan(vd_io_t *io, AVFormatContext *format, AVStream *st, const tc_limits_t *limits,
            media_vindex_t *v, tc_fail_t *f)
{
    scan_t s = {.io = io, .limits = limits, .v = v};

    return read_packets(&s, format, st, f);
}

int vd_scan_table(vd_io_t *io, AVFormatContext *format, AVStream *st, const tc_limits_t *limits,
                  media_vindex_t *v, tc_fail_t *f)
{
    scan_t s = {.io = io, .limits = limits, .v = v, .as_table = 1};
    const AVIndexEntry *first = avformat_index_get_entry(st, 0);
    int n = avformat_index_get_entries_count(st);

    if (n > limits->frames) {
        return tc_fail(f, "limits", "The video has %d pictures; the limit is %lld.", n,
                       (long long)limits->frames);
    }
    for (int i = 0; i < n; i++) {
        if (avformat_index_get_entry(st, i)->size > VD_PACKET_MAX) {
            return tc_fail(f, "limits", "A picture takes %d bytes; the limit is %d.",
                           avformat_index_get_entry(st, i)->size, VD_PACKET_MAX);
        }
    }
    /* going back ends the parsers, and zeros are not to be parsed */
    if (first == NULL || av_seek_frame(format, st->index, first->timestamp,
                                       AVSEEK_FLAG_BACKWARD | AVSEEK_FLAG_ANY) < 0) {
        return 0;
    }
    format->flags |= AVFMT_FLAG_NOPARSE;
    io->hollow = 1;
    if (read_packets(&s, format, st, f) != 0) {
        return -1;
    }
    return s.as_table && v->npackets == (uint32_t)n;
}
