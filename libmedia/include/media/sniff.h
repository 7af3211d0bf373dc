/* What a file is, by its first bytes. Decides the stored content type; a client's declaration is
 * only compared with it. */
#ifndef MEDIA_SNIFF_H
#define MEDIA_SNIFF_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_SNIFF_LEN 4096 /* bytes that suffice for a verdict */

enum media_family {
    MEDIA_FAMILY_UNKNOWN,
    MEDIA_FAMILY_VIDEO,
    MEDIA_FAMILY_AUDIO,
    MEDIA_FAMILY_IMAGE
};

typedef struct {
    const char *content_type; /* "video/mp4" ...; "application/octet-stream" when unknown. static */
    enum media_family family;
} media_sniff_t;

/* Looks at up to MEDIA_SNIFF_LEN bytes; `last` says that the file ends here. MEDIA_E_AGAIN while
 * more bytes could change the verdict, else 0. Knows MP4/MOV/M4A/3GP/HEIC/AVIF (ftyp brands;
 * moov/mdat first), Matroska/WebM, AVI, WAV, WebP, MPEG-TS (188/192/204), MPEG-PS, FLV, ASF, Ogg
 * (video or audio), FLAC, MP3 (ID3 or frame syncs, also behind padding), ADTS AAC, AIFF, AMR, JPEG,
 * JPEG 2000, JPEG XL, PNG, GIF, BMP, TIFF. An audio-only MP4 brand (M4A) is audio; isom stays
 * video. [any] */
int media_sniff(media_str_t head, int last, media_sniff_t *out);

/* 1 if a declared Content-Type contradicts the sniffed one: another top-level family. Sound alone
 * in a container that could carry pictures may be called either; but audio/mpeg for a film is a
 * lie. Absent, application/ and unknown declarations claim nothing. [any] */
int media_sniff_lies(media_str_t declared, const media_sniff_t *found);

#endif
