/* Streams known by their frames rather than by a signature: MPEG-TS (ISO/IEC 13818-1), MPEG audio
 * (11172-3, 13818-3), ADTS AAC (14496-3), AC-3 (ETSI TS 102 366), and what follows an ID3 tag. One
 * sync word is a coincidence, so a second one must stand where the first frame says. */
#include "sniff_probe.h"

#define TS_PACKETS 4
#define LATE_FRAMES 3 /* behind padding or a cut frame: one coincidence more to rule out */
#define LATE_TS_PACKETS 8
#define TEXT_LEN 8 /* a file that begins with so much plain text is no stream */

static unsigned byte_at(media_str_t s, size_t i)
{
    return (unsigned char)s.p[i];
}

/* YES, NO or AGAIN for a frame of `size` bytes that must be followed by `want` under `mask`; a file
 * may end with its only frame. */
static enum probe next_sync(media_str_t head, int last, size_t size, uint32_t want, uint32_t mask)
{
    if (last && head.len == size) {
        return PROBE_YES;
    }
    if (head.len < size + 4) {
        return PROBE_AGAIN;
    }
    return (probe_be32(head.p + size) & mask) == (want & mask) ? PROBE_YES : PROBE_NO;
}

/* Bytes of an MPEG audio frame, 0: this is no frame header. Free format is not known here. */
static size_t mpeg_audio_frame(uint32_t h)
{
    static const uint16_t kbps[5][15] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, /* MPEG-1 layer I */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    /* MPEG-1 II */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     /* MPEG-1 III */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    /* MPEG-2 I */
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         /* MPEG-2 II, III */
    };
    static const uint32_t rates[3] = {44100, 48000, 32000};
    unsigned version = h >> 19 & 3, layer = 4 - (h >> 17 & 3), rate = h >> 12 & 15;
    unsigned freq = h >> 10 & 3, pad = h >> 9 & 1;
    uint32_t hz, bps;

    if ((h & 0xffe00000) != 0xffe00000 || version == 1 || layer == 4 || rate == 0 || rate == 15 ||
        freq == 3) {
        return 0;
    }
    hz = rates[freq] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    if (version == 3) {
        bps = kbps[layer - 1][rate] * 1000u;
    } else {
        bps = kbps[layer == 1 ? 3 : 4][rate] * 1000u;
    }
    if (layer == 1) {
        return (12 * bps / hz + pad) * 4;
    }
    return (layer == 3 && version != 3 ? 72 : 144) * bps / hz + pad;
}

enum probe probe_mpeg_audio(media_str_t head, int last, media_sniff_t *out)
{
    uint32_t h;
    size_t size;
    enum probe a = probe_bytes(head, 0, "\xff", 1);

    if (a != PROBE_YES) {
        return a;
    }
    if (head.len < 4) {
        return head.len > 1 && (byte_at(head, 1) & 0xe0) != 0xe0 ? PROBE_NO : PROBE_AGAIN;
    }
    h = probe_be32(head.p);
    size = mpeg_audio_frame(h);
    if (size == 0) {
        return PROBE_NO;
    }
    /* version, layer and sampling rate stay, bit rate and padding may change */
    a = next_sync(head, last, size, h, 0xfffe0c00);
    return a == PROBE_YES ? probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/mpeg") : a;
}

enum probe probe_adts(media_str_t head, int last, media_sniff_t *out)
{
    size_t size;
    enum probe a = probe_bytes(head, 0, "\xff", 1);

    if (a != PROBE_YES) {
        return a;
    }
    if (head.len > 1 && (byte_at(head, 1) & 0xf6) != 0xf0) {
        return PROBE_NO;
    }
    if (head.len < 7) {
        return PROBE_AGAIN;
    }
    size = (byte_at(head, 3) & 3) << 11 | byte_at(head, 4) << 3 | byte_at(head, 5) >> 5;
    if ((byte_at(head, 2) >> 2 & 15) > 12 || size < 7) {
        return PROBE_NO;
    }
    a = next_sync(head, last, size, probe_be32(head.p), 0xfffefdc0);
    return a == PROBE_YES ? probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/aac") : a;
}

/* Bytes of an AC-3 frame (TS 102 366 table 4.13), 0: not possible. */
static size_t ac3_frame(unsigned code)
{
    static const uint16_t kbps[19] = {32,  40,  48,  56,  64,  80,  96,  112, 128, 160,
                                      192, 224, 256, 320, 384, 448, 512, 576, 640};
    unsigned freq = code >> 6, size = code & 63;

    if (freq == 3 || size >= 38) {
        return 0;
    }
    switch (freq) {
    case 0:
        return kbps[size / 2] * 4u;
    case 1:
        return (kbps[size / 2] * 96000u / 44100 + (size & 1)) * 2;
    default:
        return kbps[size / 2] * 6u;
    }
}

enum probe probe_ac3(media_str_t head, int last, media_sniff_t *out)
{
    enum probe a = probe_bytes(head, 0, "\x0b\x77", 2);
    int enhanced;
    size_t size;

    if (a != PROBE_YES) {
        return a;
    }
    if (head.len < 6) {
        return PROBE_AGAIN;
    }
    enhanced = byte_at(head, 5) >> 3 > 10;
    if (byte_at(head, 5) >> 3 > 16) {
        return PROBE_NO;
    }
    size = enhanced ? ((byte_at(head, 2) & 7) << 8 | byte_at(head, 3)) * 2 + 2
                    : ac3_frame(byte_at(head, 4));
    if (size < 6) {
        return PROBE_NO;
    }
    a = next_sync(head, last, size, 0x0b770000, 0xffff0000);
    return a == PROBE_YES
               ? probe_yes(out, MEDIA_FAMILY_AUDIO, enhanced ? "audio/eac3" : "audio/ac3")
               : a;
}

/* An ID3v2 tag means audio; a short one shows in front of which kind. */
enum probe probe_id3(media_str_t head, int last, media_sniff_t *out)
{
    enum probe a = probe_bytes(head, 0, "ID3", 3);
    size_t size = 10;

    if (a != PROBE_YES) {
        return a;
    }
    if (head.len < 10) {
        return PROBE_AGAIN;
    }
    for (int i = 6; i < 10; i++) {
        if (byte_at(head, (size_t)i) & 0x80) {
            return PROBE_NO;
        }
        size += (size_t)byte_at(head, (size_t)i) << (7 * (9 - i));
    }
    size += byte_at(head, 5) & 0x10 ? 10 : 0; /* a footer */
    if (size + 4 > head.len) {
        if (size + 4 <= MEDIA_SNIFF_LEN && !last) {
            return PROBE_AGAIN;
        }
        return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/mpeg");
    }
    if (memcmp(head.p + size, "fLaC", 4) == 0) {
        return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/flac");
    }
    if (byte_at(head, size) == 0xff && (byte_at(head, size + 1) & 0xf6) == 0xf0) {
        return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/aac");
    }
    if (memcmp(head.p + size, "\x0b\x77", 2) == 0) {
        return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/ac3");
    }
    return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/mpeg");
}

/* Sync bytes at first, first + step, ... */
static enum probe ts_syncs(media_str_t head, int last, size_t first, size_t step)
{
    int seen = 0;

    for (size_t at = first; seen < TS_PACKETS && at < head.len; at += step) {
        if (head.p[at] != 0x47) {
            return PROBE_NO;
        }
        seen++;
    }
    return seen == TS_PACKETS || (last && seen > 1) ? PROBE_YES : PROBE_AGAIN;
}

/* 188 bytes; 192 with a time stamp in front (BDAV); 204 with error correction behind. */
enum probe probe_mpeg_ts(media_str_t head, int last, media_sniff_t *out)
{
    static const struct {
        size_t first;
        size_t step;
    } layouts[] = {{0, 188}, {4, 192}, {0, 204}};
    enum probe best = PROBE_NO, a;

    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        a = ts_syncs(head, last, layouts[i].first, layouts[i].step);
        if (a == PROBE_YES) {
            return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/mp2t");
        }
        best = a == PROBE_AGAIN ? a : best;
    }
    return best;
}

/* Bytes of an ADTS frame, 0: this is no frame header. */
static size_t adts_frame(media_str_t head)
{
    size_t size = (byte_at(head, 3) & 3) << 11 | byte_at(head, 4) << 3 | byte_at(head, 5) >> 5;

    return (byte_at(head, 1) & 0xf6) == 0xf0 && (byte_at(head, 2) >> 2 & 15) <= 12 && size >= 7
               ? size
               : 0;
}

/* Frames of one kind, one behind the other, from here on. */
static enum probe frame_chain(media_str_t s, int last, int is_adts)
{
    uint32_t first = 0, mask = is_adts ? 0xfffefdc0 : 0xfffe0c00;

    for (int seen = 0; seen < LATE_FRAMES; seen++) {
        size_t size;

        if (s.len < 7) {
            return last ? PROBE_NO : PROBE_AGAIN;
        }
        first = seen == 0 ? probe_be32(s.p) : first;
        size = is_adts ? adts_frame(s) : mpeg_audio_frame(probe_be32(s.p));
        if (size == 0 || (probe_be32(s.p) & mask) != (first & mask)) {
            return PROBE_NO;
        }
        if (seen + 1 < LATE_FRAMES && s.len < size) {
            return last ? PROBE_NO : PROBE_AGAIN;
        }
        s.p += size < s.len ? size : s.len;
        s.len -= size < s.len ? size : s.len;
    }
    return PROBE_YES;
}

static enum probe ts_chain(media_str_t s, int last, size_t step)
{
    for (size_t i = 0; i < LATE_TS_PACKETS; i++) {
        if (i * step >= s.len) {
            return last ? PROBE_NO : PROBE_AGAIN;
        }
        if (s.p[i * step] != 0x47) {
            return PROBE_NO;
        }
    }
    return PROBE_YES;
}

/* What begins at one place, if anything does. */
static enum probe late_sync_at(media_str_t s, int last, size_t at, media_sniff_t *out)
{
    static const size_t steps[] = {188, 192, 204};
    enum probe best = PROBE_NO, a;

    if (byte_at(s, 0) == 0xff) {
        for (int is_adts = 0; is_adts < 2; is_adts++) {
            a = frame_chain(s, last, is_adts);
            if (a == PROBE_YES) {
                return probe_yes(out, MEDIA_FAMILY_AUDIO, is_adts ? "audio/aac" : "audio/mpeg");
            }
            best = a == PROBE_AGAIN ? a : best;
        }
    }
    for (size_t i = 0; byte_at(s, 0) == 0x47 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        a = at < steps[i] ? ts_chain(s, last, steps[i]) : PROBE_NO;
        if (a == PROBE_YES) {
            return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/mp2t");
        }
        best = a == PROBE_AGAIN ? a : best;
    }
    return best;
}

/* A stream that was cut out of a longer one, or stands behind padding: the first place where one
 * goes on decides. Of several candidates the first has to fail before the next one counts, so that
 * the verdict does not hang on how much is in sight. */
enum probe probe_late_sync(media_str_t head, int last, media_sniff_t *out)
{
    size_t text = 0;

    while (text < head.len && text < TEXT_LEN &&
           ((head.p[text] >= ' ' && head.p[text] <= '~') || memchr("\t\r\n", head.p[text], 3))) {
        text++;
    }
    if (text == TEXT_LEN) {
        return PROBE_NO;
    }
    for (size_t at = 0; at < head.len; at++) {
        media_str_t s = {head.p + at, head.len - at};
        enum probe a = late_sync_at(s, last, at, out);

        if (a == PROBE_YES || (a == PROBE_AGAIN && !last)) {
            return a;
        }
    }
    return last ? PROBE_NO : PROBE_AGAIN;
}
