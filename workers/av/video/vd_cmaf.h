/* CMAF (ISO/IEC 23000-19) of one track: an init segment, and media segments of one moof + mdat.
 *
 * A segment's bytes depend on its own packets, its number and its end alone, not on what was
 * written before: whichever worker makes its neighbours, it is the same.
 *
 * Decoding times of video are the segment's presentation times in ascending order, so a segment
 * decodes from where it presents; that needs closed GOPs, the first packet a key and the earliest.
 * Composition offsets are then negative where a picture comes late ('cmf2', no edit list), or, with
 * an `edit` of at least the largest such delay, never: libav takes the former for a video that
 * starts that much later, so ladders have the latter; browsers show both alike. Audio: the edit
 * list skips the encoder's priming.
 *
 * styp + moof + mdat, no sidx: playlists and manifests list every segment. */
#ifndef VD_CMAF_H
#define VD_CMAF_H

#include "media/buf.h"
#include "media/codecs.h"
#include "tc.h"

#define VD_CMAF_SAMPLES_MAX 8192              /* of a segment: 30 s at 240 fps */
#define VD_CMAF_BYTES_MAX ((size_t)192 << 20) /* of a segment: 30 s at 50 Mb/s */

typedef struct {
    const AVCodecParameters *par; /* H.264, HEVC, AAC; with its extradata; borrowed */
    int64_t timescale;            /* the packets' times count its ticks */
    int64_t edit;                 /* media time of presentation time 0, told by an edit list; audio:
                                     codecpar's initial_padding; video: see above, or 0 */
    const char *language;         /* ISO 639-2/T, three letters; NULL: unknown */
} vd_cmaf_track_t;

/* One finished segment; head and body are borrowed until the next call. */
typedef struct {
    int64_t start;         /* when it presents, ticks */
    int64_t duration;      /* presented ticks: what is before 0 does not count */
    int64_t bytes;         /* head and body */
    int64_t iframe_offset; /* of the moof */
    int64_t iframe_bytes;  /* from there to the end of the first sample; audio: 0 */
    int samples;
    media_str_t head; /* styp, moof, the mdat's header */
    media_str_t body;
} vd_cmaf_segment_t;

typedef struct vd_cmaf_s vd_cmaf_t;

/* NULL with a cause: a codec or extradata that cannot be stored. */
vd_cmaf_t *vd_cmaf_open(const vd_cmaf_track_t *track, tc_fail_t *f);
void vd_cmaf_close(vd_cmaf_t *c);

/* The init segment, borrowed until the close. */
media_str_t vd_cmaf_init(const vd_cmaf_t *c);
/* Its RFC 6381 string, borrowed. */
const char *vd_cmaf_codecs(const vd_cmaf_t *c);

/* Adds a packet, in decoding order, to the segment at hand; pts counts, dts does not. */
int vd_cmaf_add(vd_cmaf_t *c, const AVPacket *packet, tc_fail_t *f);
/* Ends the segment: `number` counts from 1 in the whole track, `end` is the presentation time of
 * the next segment's first packet, or where the track ends. */
int vd_cmaf_cut(vd_cmaf_t *c, int64_t number, int64_t end, vd_cmaf_segment_t *out, tc_fail_t *f);

#endif
