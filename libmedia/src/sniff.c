/* What a file is, by its first bytes.
 *
 * A list of probes in order of precedence, simple signatures as a table, formats that need a look
 * inside in sniff_container.c and sniff_stream.c. The first probe that says YES decides, and it may
 * only do so once every probe before it has said NO. */
#include "media/sniff.h"
#include "sniff_probe.h"

#define UNKNOWN_TYPE "application/octet-stream"

/* Up to two byte strings at fixed places. */
static const struct {
    const char *sig;
    size_t len;
    const char *sig2;
    size_t at2;
    size_t len2;
    enum media_family family;
    const char *type;
} signatures[] = {
#define SIG(s) s, sizeof(s) - 1
#define NONE NULL, 0, 0
    {SIG("\xff\xd8\xff"), NONE, MEDIA_FAMILY_IMAGE, "image/jpeg"},
    {SIG("\x89PNG\r\n\x1a\n"), NONE, MEDIA_FAMILY_IMAGE, "image/png"},
    {SIG("GIF87a"), NONE, MEDIA_FAMILY_IMAGE, "image/gif"},
    {SIG("GIF89a"), NONE, MEDIA_FAMILY_IMAGE, "image/gif"},
    {SIG("II*\0"), NONE, MEDIA_FAMILY_IMAGE, "image/tiff"},
    {SIG("MM\0*"), NONE, MEDIA_FAMILY_IMAGE, "image/tiff"},
    {SIG("II+\0\x08\0\0\0"), NONE, MEDIA_FAMILY_IMAGE, "image/tiff"},
    {SIG("MM\0+\0\x08\0\0"), NONE, MEDIA_FAMILY_IMAGE, "image/tiff"},
    {SIG("RIFF"), "WEBP", 8, 4, MEDIA_FAMILY_IMAGE, "image/webp"},
    {SIG("RIFF"), "AVI ", 8, 4, MEDIA_FAMILY_VIDEO, "video/x-msvideo"},
    {SIG("RIFF"), "WAVE", 8, 4, MEDIA_FAMILY_AUDIO, "audio/wav"},
    {SIG("RF64"), "WAVE", 8, 4, MEDIA_FAMILY_AUDIO, "audio/wav"},
    {SIG("BW64"), "WAVE", 8, 4, MEDIA_FAMILY_AUDIO, "audio/wav"},
    {SIG("FORM"), "AIFF", 8, 4, MEDIA_FAMILY_AUDIO, "audio/aiff"},
    {SIG("FORM"), "AIFC", 8, 4, MEDIA_FAMILY_AUDIO, "audio/aiff"},
    {SIG("fLaC"), NONE, MEDIA_FAMILY_AUDIO, "audio/flac"},
    {SIG("#!AMR\n"), NONE, MEDIA_FAMILY_AUDIO, "audio/amr"},
    {SIG("#!AMR-WB\n"), NONE, MEDIA_FAMILY_AUDIO, "audio/amr-wb"},
    {SIG("FLV\x01"), NONE, MEDIA_FAMILY_VIDEO, "video/x-flv"},
    {SIG("\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"), NONE,
     MEDIA_FAMILY_VIDEO, "video/x-ms-asf"},
    {SIG("\x00\x00\x01\xba"), NONE, MEDIA_FAMILY_VIDEO, "video/mpeg"},
    {SIG("\x00\x00\x01\xb3"), NONE, MEDIA_FAMILY_VIDEO, "video/mpeg"},
#undef SIG
#undef NONE
};

static enum probe probe_signatures(media_str_t head, int last, media_sniff_t *out)
{
    enum probe best = PROBE_NO, a;

    (void)last;
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        a = probe_bytes(head, 0, signatures[i].sig, signatures[i].len);
        if (a == PROBE_YES && signatures[i].sig2 != NULL) {
            a = probe_bytes(head, signatures[i].at2, signatures[i].sig2, signatures[i].len2);
        }
        if (a == PROBE_YES) {
            return probe_yes(out, signatures[i].family, signatures[i].type);
        }
        best = a == PROBE_AGAIN ? PROBE_AGAIN : best;
    }
    return best;
}

/* "BM" alone is two letters: the reserved words must be zero and the header of a known size. */
static enum probe probe_bmp(media_str_t head, int last, media_sniff_t *out)
{
    static const unsigned char sizes[] = {12, 40, 52, 56, 64, 108, 124};
    enum probe a = probe_bytes(head, 0, "BM", 2);

    (void)last;
    if (a == PROBE_YES) {
        a = probe_bytes(head, 6, "\0\0\0\0", 4);
    }
    if (a == PROBE_YES) {
        a = probe_bytes(head, 15, "\0\0\0", 3);
    }
    if (a != PROBE_YES) {
        return a;
    }
    return memchr(sizes, (unsigned char)head.p[14], sizeof(sizes)) == NULL
               ? PROBE_NO
               : probe_yes(out, MEDIA_FAMILY_IMAGE, "image/bmp");
}

int media_sniff(media_str_t head, int last, media_sniff_t *out)
{
    static const probe_pt probes[] = {probe_signatures, probe_ftyp,   probe_ebml, probe_ogg,
                                      probe_id3,        probe_bmp,    probe_adts, probe_ac3,
                                      probe_mpeg_audio, probe_mpeg_ts};
    media_sniff_t found;

    *out = (media_sniff_t){UNKNOWN_TYPE, MEDIA_FAMILY_UNKNOWN};
    if (head.len >= MEDIA_SNIFF_LEN) {
        head.len = MEDIA_SNIFF_LEN;
        last = 1;
    }
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        enum probe a = probes[i](head, last, &found);

        if (a == PROBE_YES) {
            *out = found;
            return 0;
        }
        if (a == PROBE_AGAIN && !last) {
            return MEDIA_E_AGAIN;
        }
    }
    return 0;
}

static enum media_family declared_family(media_str_t type)
{
    static const struct {
        media_str_t prefix;
        enum media_family family;
    } tops[] = {{{"video/", 6}, MEDIA_FAMILY_VIDEO},
                {{"audio/", 6}, MEDIA_FAMILY_AUDIO},
                {{"image/", 6}, MEDIA_FAMILY_IMAGE}};

    type = media_str_trim(type);
    for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
        if (type.len > tops[i].prefix.len &&
            media_str_ieq((media_str_t){type.p, tops[i].prefix.len}, tops[i].prefix)) {
            return tops[i].family;
        }
    }
    return MEDIA_FAMILY_UNKNOWN;
}

/* text/ claims nothing either: desktops call an MPEG-TS file (.ts) text/vnd.trolltech.linguist. */
int media_sniff_lies(media_str_t declared, const media_sniff_t *found)
{
    enum media_family claim = declared_family(declared);

    if (claim == MEDIA_FAMILY_UNKNOWN || found->family == MEDIA_FAMILY_UNKNOWN) {
        return 0;
    }
    return (claim == MEDIA_FAMILY_IMAGE) != (found->family == MEDIA_FAMILY_IMAGE);
}
