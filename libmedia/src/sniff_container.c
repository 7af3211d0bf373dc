/* Containers one must look into: ISO BMFF and QuickTime (ISO/IEC 14496-12), Matroska and WebM
 * (RFC 8794), Ogg (RFC 3533). */
#include "sniff_probe.h"

static int is_fourcc(const char *p, const char *code)
{
    return memcmp(p, code, 4) == 0;
}

static int is_one_of(const char *p, const char *codes)
{
    for (; *codes != '\0'; codes += 4) {
        if (is_fourcc(p, codes)) {
            return 1;
        }
    }
    return 0;
}

/* A still-image brand says how the image is coded only in its list of compatible brands. */
static enum probe heif_brands(media_str_t box, int complete, media_sniff_t *out)
{
    for (size_t at = 16; at + 4 <= box.len; at += 4) {
        if (is_one_of(box.p + at, "avifavis")) {
            return probe_yes(out, MEDIA_FAMILY_IMAGE, "image/avif");
        }
        if (is_one_of(box.p + at, "heicheixheimheishevchevx")) {
            return probe_yes(out, MEDIA_FAMILY_IMAGE, "image/heic");
        }
    }
    return complete ? probe_yes(out, MEDIA_FAMILY_IMAGE, "image/heif") : PROBE_AGAIN;
}

/* An ftyp or styp box at the start of `box`. */
static enum probe brands(media_str_t box, int last, media_sniff_t *out)
{
    uint32_t size = probe_be32(box.p);
    const char *major = box.p + 8;
    size_t end = size < MEDIA_SNIFF_LEN ? size : MEDIA_SNIFF_LEN;

    if (size < 8) {
        return PROBE_NO;
    }
    if (box.len < 12) {
        return PROBE_AGAIN;
    }
    if (is_one_of(major, "M4A M4B M4P F4A F4B ")) {
        return probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/mp4");
    }
    if (is_fourcc(major, "qt  ")) {
        return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/quicktime");
    }
    if (is_one_of(major, "avifavis")) {
        return probe_yes(out, MEDIA_FAMILY_IMAGE, "image/avif");
    }
    if (is_one_of(major, "heicheixheimheishevchevx")) {
        return probe_yes(out, MEDIA_FAMILY_IMAGE, "image/heic");
    }
    if (is_fourcc(major, "crx ")) {
        return probe_yes(out, MEDIA_FAMILY_IMAGE, "image/x-canon-cr3");
    }
    if (is_one_of(major, "mif1mif2msf1miaf")) {
        return heif_brands((media_str_t){box.p, box.len < end ? box.len : end},
                           last || box.len >= end, out);
    }
    if (memcmp(major, "3g2", 3) == 0) {
        return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/3gpp2");
    }
    if (memcmp(major, "3g", 2) == 0) {
        return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/3gpp");
    }
    return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/mp4");
}

/* Whether the bytes there may still become one of the four-letter codes. */
static enum probe any_code(media_str_t head, size_t at, const char *codes)
{
    enum probe best = PROBE_NO, a;

    for (; *codes != '\0'; codes += 4) {
        a = probe_bytes(head, at, codes, 4);
        if (a == PROBE_YES) {
            return a;
        }
        best = a == PROBE_AGAIN ? a : best;
    }
    return best;
}

/* The movie box of a file without brands: QuickTime. Its first child proves it is no text. */
static enum probe movie(media_str_t box, media_sniff_t *out)
{
    enum probe a = any_code(box, 12, "mvhdcmovrmraiodstrakudta");

    return a == PROBE_YES ? probe_yes(out, MEDIA_FAMILY_VIDEO, "video/quicktime") : a;
}

enum probe probe_ftyp(media_str_t head, int last, media_sniff_t *out)
{
    enum probe a;

    for (;;) {
        uint32_t size;

        a = any_code(head, 4, "ftypstypmoovmdatmoofsidxpnotfreeskipwide");
        if (a != PROBE_YES) {
            return a;
        }
        size = probe_be32(head.p);
        if (is_one_of(head.p + 4, "ftypstyp")) {
            return brands(head, last, out);
        }
        if (is_fourcc(head.p + 4, "moov")) {
            return movie(head, out);
        }
        if (is_one_of(head.p + 4, "moofsidx")) {
            return size < 8 ? PROBE_NO : probe_yes(out, MEDIA_FAMILY_VIDEO, "video/mp4");
        }
        if (is_fourcc(head.p + 4, "mdat")) {
            return size > 1 && size < 8 ? PROBE_NO
                                        : probe_yes(out, MEDIA_FAMILY_VIDEO, "video/quicktime");
        }
        /* padding: what follows decides, and it must be in sight ("The free beer" is no movie) */
        if (size < 8 || size > MEDIA_SNIFF_LEN) {
            return PROBE_NO;
        }
        if (size > head.len) {
            return PROBE_AGAIN;
        }
        head.p += size;
        head.len -= size;
    }
}

/* An EBML number (RFC 8794 4): 0 when it is cut or broken. */
static size_t ebml_number(media_str_t s, int keep_marker, uint64_t *out)
{
    unsigned char first;
    size_t n = 1;

    if (s.len == 0) {
        return 0;
    }
    first = (unsigned char)s.p[0];
    while (n <= 8 && !(first & (0x80 >> (n - 1)))) {
        n++;
    }
    if (n > 8 || n > s.len) {
        return 0;
    }
    *out = keep_marker ? first : first & (0xffu >> n);
    for (size_t i = 1; i < n; i++) {
        *out = *out << 8 | (unsigned char)s.p[i];
    }
    return n;
}

/* The DocType in an EBML header's content. */
static enum probe doctype(media_str_t s, media_sniff_t *out)
{
    uint64_t id, size;

    while (s.len != 0) {
        size_t n = ebml_number(s, 1, &id);
        size_t m = n == 0 ? 0 : ebml_number((media_str_t){s.p + n, s.len - n}, 0, &size);

        if (m == 0 || size > s.len - n - m) {
            return PROBE_NO;
        }
        s.p += n + m;
        s.len -= n + m;
        if (id == 0x4282) {
            media_str_t type = {s.p, (size_t)size};

            while (type.len != 0 && type.p[type.len - 1] == '\0') {
                type.len--;
            }
            if (media_str_eq(type, MEDIA_STR("webm"))) {
                return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/webm");
            }
            return media_str_eq(type, MEDIA_STR("matroska"))
                       ? probe_yes(out, MEDIA_FAMILY_VIDEO, "video/x-matroska")
                       : PROBE_NO;
        }
        s.p += size;
        s.len -= (size_t)size;
    }
    return PROBE_NO;
}

enum probe probe_ebml(media_str_t head, int last, media_sniff_t *out)
{
    enum probe a = probe_bytes(head, 0, "\x1a\x45\xdf\xa3", 4);
    uint64_t size;
    size_t n;

    (void)last;
    if (a != PROBE_YES) {
        return a;
    }
    head.p += 4;
    head.len -= 4;
    n = ebml_number(head, 0, &size);
    if (n == 0) {
        return head.len < 8 ? PROBE_AGAIN : PROBE_NO;
    }
    if (size > MEDIA_SNIFF_LEN) {
        return PROBE_NO;
    }
    if (size > head.len - n) {
        return PROBE_AGAIN;
    }
    return doctype((media_str_t){head.p + n, (size_t)size}, out);
}

/* A codec's first packet: 2 video, 1 audio, 0 neither (a skeleton, subtitles). */
static int ogg_codec(media_str_t packet)
{
    static const struct {
        media_str_t magic;
        int kind;
    } codecs[] = {
        {{"\x80theora", 7}, 2},
        {{"\x01video", 6}, 2},
        {{"BBCD\0", 5}, 2},
        {{"OVP80", 5}, 2},
        {{"\x01vorbis", 7}, 1},
        {{"OpusHead", 8}, 1},
        {{"\x7f"
          "FLAC",
          5},
         1},
        {{"Speex   ", 8}, 1},
        {{"\x80kate\0", 6}, 0},
        {{"fishead\0", 8}, 0},
    };

    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        if (packet.len >= codecs[i].magic.len &&
            memcmp(packet.p, codecs[i].magic.p, codecs[i].magic.len) == 0) {
            return codecs[i].kind;
        }
    }
    return 0;
}

/* Takes a page that begins a stream off *head, with its first packet; NO: it is none. */
static enum probe ogg_first_page(media_str_t *head, media_str_t *packet)
{
    enum probe a = probe_bytes(*head, 0, "OggS\0", 5);
    size_t segments, body = 0;

    if (a != PROBE_YES) {
        return a;
    }
    if (head->len < 27) {
        return PROBE_AGAIN;
    }
    segments = (unsigned char)head->p[26];
    if (!(head->p[5] & 2)) {
        return PROBE_NO;
    }
    if (head->len < 27 + segments) {
        return PROBE_AGAIN;
    }
    for (size_t i = 0; i < segments; i++) {
        body += (unsigned char)head->p[27 + i];
    }
    if (body > MEDIA_SNIFF_LEN) {
        return PROBE_NO;
    }
    if (head->len < 27 + segments + body) {
        return PROBE_AGAIN;
    }
    *packet = (media_str_t){head->p + 27 + segments, body};
    head->p += 27 + segments + body;
    head->len -= 27 + segments + body;
    return PROBE_YES;
}

/* All streams begin before the first one goes on: one with video makes the file a video. */
enum probe probe_ogg(media_str_t head, int last, media_sniff_t *out)
{
    media_str_t packet;
    int kind, audio = 0;
    enum probe a;

    while ((a = ogg_first_page(&head, &packet)) == PROBE_YES) {
        kind = ogg_codec(packet);
        if (kind == 2) {
            return probe_yes(out, MEDIA_FAMILY_VIDEO, "video/ogg");
        }
        audio |= kind;
    }
    if (a == PROBE_AGAIN && !last) {
        return PROBE_AGAIN;
    }
    return audio ? probe_yes(out, MEDIA_FAMILY_AUDIO, "audio/ogg") : PROBE_NO;
}
