/* Pictures [first, end) of an indexed track, exactly these, in order, each with its number and its
 * time in the source: what a decode of the whole file would give.
 *
 * Decoding starts at a key frame that is shown no later than the first picture wanted, so that the
 * pictures which an open group shows before its key frame are decoded from the group before; what
 * comes out too early is told by its number, not by its time. */
#ifndef VD_RANGE_H
#define VD_RANGE_H

#include "media/vindex.h"
#include "vd_source.h"
#include "tc.h"

typedef struct vd_range_s vd_range_t;

typedef struct {
    int64_t fetched;  /* bytes read from the source */
    int64_t decoded;  /* pictures, with those not wanted */
    int64_t repaired; /* pictures that could not be decoded: their neighbour is given instead, with
                         AV_FRAME_FLAG_CORRUPT */
    int64_t errors;   /* packets that the decoder refused */
} vd_range_stats_t;

/* Opens pictures first <= i < end (within the index, which must outlive the range), with a decoder
 * of so many threads. 0: to be closed; -1 with a cause. */
int vd_range_open(vd_range_t **out, const vd_source_t *source, const media_vindex_t *index,
                  uint32_t first, uint32_t end, int threads, tc_fail_t *f);
/* The next picture: 1, with its number in *number and its pts in the index's time base; 0 after the
 * last; -1 with a cause (nothing at all can be decoded, or our side failed). */
int vd_range_frame(vd_range_t *r, AVFrame *frame, uint32_t *number, tc_fail_t *f);
const vd_range_stats_t *vd_range_stats(vd_range_t *r);
void vd_range_close(vd_range_t *r);

/* The bytes such a range will usually ask for, headers of a container that needs its demuxer aside:
 * *from <= byte < *to, for whoever fetches ahead. The whole file where the index does not know. */
void vd_range_bytes(const media_vindex_t *index, uint32_t first, uint32_t end, int64_t *from,
                    int64_t *to);

#endif
