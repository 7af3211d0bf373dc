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
    {SIG("\0\0\0\x0cjP  \r\n\x87\n"), NONE, MEDIA_FAMILY_IMAGE, "image/jp2"},
    {SIG("\0\0\0\x0cJXL \r\n\x87\n"), NONE, MEDIA_FAMILY_IMAGE, "image/jxl"},
    {SIG("RIFF"), "WEBP", 8, 4, MEDIA_FAMILY_IMAGE, "image/webp"},
    {SIG("RIFF"), "AVI ", 8, 4, MEDIA_FAMILY_VIDEO, "video/x-msvideo"},
    {SIG("RIFF"), "WAVE", 8, 4, MEDIA_FAMILY_AUDIO, "audio/wav"},
    {SIG("RIFX"), "WAVE", 8, 4, MEDIA_FAMILY_AUDIO, "audio/wav"},
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
    static const probe_pt probes[] = {probe_signatures, probe_ftyp,    probe_ebml,     probe_ogg,
                                      probe_id3,        probe_bmp,     probe_adts,     probe_ac3,
                                      probe_mpeg_audio, probe_mpeg_ts, probe_late_sync};
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

/* What a declared type claims to be; an audio type that names a coding, not a container. */
typedef struct {
    enum media_family family;
    int is_other; /* a family that nothing sniffed here belongs to */
    int is_coded;
} claim_t;

static int has_prefix(media_str_t s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.len >= n && media_str_ieq((media_str_t){s.p, n}, (media_str_t){prefix, n});
}

static int is_one_of(media_str_t type, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (media_str_ieq(type, media_str(*names))) {
            return 1;
        }
    }
    return 0;
}

/* Of text, the types a person would mean: desktops call an MPEG-TS file (.ts) text/texmacs or
 * text/vnd.trolltech.linguist. application/ claims nothing: it is what is said of any file. */
static claim_t claim_of(media_str_t declared)
{
    static const char *const texts[] = {"text/plain", "text/html",     "text/css", "text/csv",
                                        "text/xml",   "text/markdown", NULL};
    static const char *const codings[] = {
        "audio/mpeg", "audio/mp3",    "audio/x-mp3", "audio/x-mpeg",
        "audio/wav",  "audio/wave",   "audio/x-wav", "audio/vnd.wave",
        "audio/flac", "audio/x-flac", "audio/aiff",  "audio/x-aiff",
        "audio/amr",  "audio/amr-wb", "audio/midi",  NULL};
    const char *end = declared.len > 0 ? memchr(declared.p, ';', declared.len) : NULL;
    media_str_t type =
        end != NULL ? (media_str_t){declared.p, (size_t)(end - declared.p)} : declared;
    claim_t claim = {MEDIA_FAMILY_UNKNOWN, 0, 0};

    type = media_str_trim(type);
    claim.family = has_prefix(type, "video/")   ? MEDIA_FAMILY_VIDEO
                   : has_prefix(type, "audio/") ? MEDIA_FAMILY_AUDIO
                   : has_prefix(type, "image/") ? MEDIA_FAMILY_IMAGE
                                                : MEDIA_FAMILY_UNKNOWN;
    claim.is_other = has_prefix(type, "font/") || has_prefix(type, "model/") ||
                     has_prefix(type, "message/") || is_one_of(type, texts);
    claim.is_coded = is_one_of(type, codings);
    return claim;
}

/* Containers that carry sound alone as well, so that "audio/" and "video/" may both be true. */
static int is_either(const char *content_type)
{
    static const char *const both[] = {
        "video/mp4",  "audio/mp4",       "video/quicktime", "video/webm",  "video/x-matroska",
        "video/ogg",  "audio/ogg",       "video/3gpp",      "video/3gpp2", "video/x-ms-asf",
        "video/mp2t", "video/x-msvideo", "video/x-flv",     "video/mpeg",  NULL};

    return is_one_of(media_str(content_type), both);
}

int media_sniff_lies(media_str_t declared, const media_sniff_t *found)
{
    claim_t claim = claim_of(declared);

    if (found->family == MEDIA_FAMILY_UNKNOWN) {
        return 0;
    }
    if (claim.family == MEDIA_FAMILY_UNKNOWN || claim.family == found->family) {
        return claim.is_other;
    }
    return claim.family == MEDIA_FAMILY_IMAGE || found->family == MEDIA_FAMILY_IMAGE ||
           claim.is_coded || !is_either(found->content_type);
}
