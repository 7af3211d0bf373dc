/* Where a video is cut: segments of about so many seconds, the same for every rung, and ranges of
 * at most so many segments, one job each, all of about the same length, so that workers that begin
 * together end together. Only the index and the pipeline's parameters decide, never a worker.
 *
 * Boundaries lie on multiples of the segment's length after the first picture; the picture shown
 * nearest to one begins a segment, so variable frame rates need nothing special, and a stretch
 * without pictures has no boundary. A last segment shorter than half joins the one before. Where
 * the source's own pictures become a rung, its key pictures are the boundaries. */
#ifndef VD_CUTS_H
#define VD_CUTS_H

#include <jansson.h>

#include "media/vindex.h"
#include "tc.h"

typedef struct {
    int segment_ms;
    int range_segments;
    int fps_max; /* above, every second picture is left out until it fits */
    int at_keys; /* at each key picture instead, whatever the length */
} vd_cuts_params_t;

#define VD_CUTS_DEFAULT                                                                            \
    {                                                                                              \
        .segment_ms = 4000, .range_segments = 10, .fps_max = 60                                    \
    }

typedef struct {
    uint32_t first, end;   /* pictures by their number in the index */
    uint32_t count;        /* of them, those kept */
    int64_t pts, duration; /* in the index's time base */
} vd_segment_t;

typedef struct {
    uint32_t first, end; /* segments */
} vd_cut_range_t;

typedef struct {
    uint32_t step; /* pictures whose number is a multiple of it are kept: 1, 2, 4 ... */
    vd_segment_t *segments;
    uint32_t nsegments;
    vd_cut_range_t *ranges;
    uint32_t nranges;
} vd_cuts_t;

/* 0: to be freed; -1 with a cause. */
int vd_cuts(const media_vindex_t *v, const vd_cuts_params_t *params, vd_cuts_t *out, tc_fail_t *f);
void vd_cuts_free(vd_cuts_t *c);

/* {"step":1,"segments":[[first,end,count,pts,duration],...],"ranges":[[first,end],...]}; owned,
 * NULL when out of memory. */
json_t *vd_cuts_json(const vd_cuts_t *c);

#endif
