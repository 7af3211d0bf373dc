/* Does a file hold all the bytes that its own structure announces? A demuxer reads what is there
 * and says "end of file" to a cut recording; people want to know. Only headers are read, each skip
 * is by the size field, the number of steps is bounded. */
#include "tc_container.h"

#include <string.h>

#include <libavutil/intreadwrite.h>

#define STEPS_MAX 100000
#define OGG_TAIL 131072 /* holds any Ogg page (65307 bytes) twice */

static int get(vd_io_t *io, int64_t off, uint8_t *dst, size_t len)
{
    return vd_io_read(io, off, dst, len) == (ssize_t)len;
}

/* ISO 14496-12 4.2: where the box that crosses the end of the file should end, 0: none does. Only
 * boxes that carry media count: some recorders append rubbish. *fragments: a moof was passed. */
static int64_t mp4_size(vd_io_t *io, int64_t size, int *fragments)
{
    uint8_t h[16];
    int64_t pos = 0;

    for (int i = 0; i < STEPS_MAX && pos + 16 <= size && get(io, pos, h, sizeof(h)); i++) {
        uint64_t len = AV_RB32(h);
        uint32_t type = AV_RL32(h + 4);

        *fragments |= type == MKTAG('m', 'o', 'o', 'f');
        if (len == 1) {
            len = AV_RB64(h + 8);
        }
        if (len == 0) {
            return 0; /* up to the end, wherever that is */
        }
        if (len < 8 || len > INT64_MAX - (uint64_t)pos) {
            return 0;
        }
        pos += (int64_t)len;
        if (pos > size) {
            return type == MKTAG('m', 'd', 'a', 't') || type == MKTAG('m', 'o', 'o', 'v') ||
                           type == MKTAG('m', 'o', 'o', 'f')
                       ? pos
                       : 0;
        }
    }
    return 0;
}

/* An EBML variable-size integer (RFC 8794 4); -1: broken, -2: unknown size. */
static int64_t ebml_size(const uint8_t *p, int *used)
{
    int len = 1;
    uint64_t v, all;

    while (len <= 8 && !(p[0] & (0x100 >> len))) {
        len++;
    }
    if (len > 8) {
        return -1;
    }
    v = p[0] & ((0x100 >> len) - 1);
    all = v == (uint64_t)((0x100 >> len) - 1);
    for (int i = 1; i < len; i++) {
        v = v << 8 | p[i];
        all = all && p[i] == 0xff;
    }
    *used = len;
    return all ? -2 : (int64_t)v;
}

/* EBML header, then the Segment with its size. */
static int64_t matroska_size(vd_io_t *io, int64_t size)
{
    uint8_t h[16];
    int used = 0;
    int64_t len, pos;

    if (!get(io, 0, h, sizeof(h)) || (len = ebml_size(h + 4, &used)) < 0) {
        return 0;
    }
    pos = 4 + used + len;
    if (pos + 16 > size || !get(io, pos, h, sizeof(h)) || AV_RB32(h) != 0x18538067 ||
        (len = ebml_size(h + 4, &used)) < 0 || len > INT64_MAX / 2) {
        return 0;
    }
    return pos + 4 + used + len;
}

/* RIFF and FORM chunks; 0 and all ones mean that the writer did not know. A few bytes of slack:
 * many writers count the header wrongly. */
static int64_t riff_size(vd_io_t *io, int64_t size, int big_endian)
{
    uint8_t h[8];
    int64_t pos = 0;

    for (int i = 0; i < 64 && pos + 8 <= size && get(io, pos, h, sizeof(h)); i++) {
        uint32_t len = big_endian ? AV_RB32(h + 4) : AV_RL32(h + 4);

        if (memcmp(h, big_endian ? "FORM" : "RIFF", 4) != 0 || len == 0 || len >= 0xfffffff0) {
            return 0;
        }
        pos += 8 + (int64_t)len + (len & 1);
        if (pos > size + 16) {
            return pos;
        }
    }
    return 0;
}

/* ASF header object -> file properties object -> file size, unless it was a broadcast. */
static int64_t asf_size(vd_io_t *io)
{
    static const uint8_t properties[16] = {0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11,
                                           0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65};
    uint8_t h[92];
    int64_t pos = 30;

    for (int i = 0; i < 64 && get(io, pos, h, sizeof(h)); i++) {
        uint64_t len = AV_RL64(h + 16);

        if (memcmp(h, properties, sizeof(properties)) == 0) {
            uint64_t declared = AV_RL64(h + 40);
            return (AV_RL32(h + 88) & 1) == 0 && declared < INT64_MAX ? (int64_t)declared : 0;
        }
        if (len < 24 || len > (1 << 24)) {
            return 0;
        }
        pos += (int64_t)len;
    }
    return 0;
}

/* RFC 3533 6: the last page that begins must also end. */
static int64_t ogg_size(vd_io_t *io, int64_t size)
{
    static uint8_t tail[OGG_TAIL];
    size_t len = size < OGG_TAIL ? (size_t)size : OGG_TAIL;
    int64_t start = size - (int64_t)len;

    if (!get(io, start, tail, len)) {
        return 0;
    }
    for (size_t i = len; i >= 4; i--) {
        const uint8_t *page = tail + i - 4;
        size_t left = len - (i - 4);
        int64_t end = 27;

        if (memcmp(page, "OggS", 4) != 0) {
            continue;
        }
        if (left < 27 || left < 27u + page[26]) {
            return size + 1;
        }
        end += page[26];
        for (int k = 0; k < page[26]; k++) {
            end += page[27 + k];
        }
        return start + (int64_t)(i - 4) + end;
    }
    return 0;
}

int64_t tc_check_size(vd_io_t *io)
{
    static const uint8_t asf[4] = {0x30, 0x26, 0xb2, 0x75};
    int64_t size = io->source.size;
    uint8_t h[16] = {0};
    int fragments = 0;
    size_t len = size < 16 ? (size_t)size : 16;

    if (!get(io, 0, h, len) || len < 12) {
        return 0;
    }
    if (AV_RB32(h) == 0x1a45dfa3) {
        return matroska_size(io, size);
    }
    if (memcmp(h, "RIFF", 4) == 0) {
        return riff_size(io, size, 0);
    }
    if (memcmp(h, "FORM", 4) == 0) {
        return riff_size(io, size, 1);
    }
    if (memcmp(h, "OggS", 4) == 0) {
        return ogg_size(io, size);
    }
    if (memcmp(h, asf, sizeof(asf)) == 0) {
        return asf_size(io);
    }
    return mp4_size(io, size, &fragments);
}

int tc_check_fragmented(const AVFormatContext *format)
{
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *st = format->streams[i];
        /* the count of an unfragmented track comes from its stsz box, and is that of its index */
        if (st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && st->nb_frames > 0 &&
            avformat_index_get_entries_count(st) >= st->nb_frames / 2) {
            return 0;
        }
    }
    return strstr(format->iformat->name, "mp4") != NULL;
}

int tc_check_moof(vd_io_t *io)
{
    int fragments = 0;

    (void)mp4_size(io, io->source.size, &fragments);
    return fragments;
}

int tc_check_index(const AVFormatContext *format, int64_t size)
{
    for (unsigned i = 0; i < format->nb_streams; i++) {
        /* the index of a stream is read-only here, libav merely takes no const */
        AVStream *st = format->streams[i];
        enum AVMediaType type = st->codecpar->codec_type;
        int n = avformat_index_get_entries_count(st);

        if (type != AVMEDIA_TYPE_AUDIO && type != AVMEDIA_TYPE_VIDEO) {
            continue;
        }
        for (int k = 0; k < n; k++) {
            const AVIndexEntry *e = avformat_index_get_entry(st, k);
            if (e->pos > size || e->size > size - e->pos) {
                return 1;
            }
        }
    }
    return 0;
}
