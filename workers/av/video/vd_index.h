/* The `index` step: what a file holds (for people and for the pipeline) and where each picture of
 * its video track is (for every later job).
 *
 *   vd_index   container, tracks, limits, probe document
 *   vd_scan    one pass over the packets; an MP4 gives them from its moov alone
 *   vd_order   packets -> pictures in presentation order, by their times where these are complete,
 *              else by decoding the track once */
#ifndef VD_INDEX_H
#define VD_INDEX_H

#include <jansson.h>

#include "media/vindex.h"
#include "vd_source.h"
#include "tc_container.h"
#include "tc_limits.h"

#define VD_TRACKS_MAX 32 /* of a kind; more are not carried over */

typedef struct {
    json_t *probe;                    /* of tc_probe */
    media_vindex_t index;             /* of the video track */
    int audio[VD_TRACKS_MAX], naudio; /* stream numbers: sound that can be decoded */
    int text[VD_TRACKS_MAX], ntext;   /* subtitles made of text */
    int ordered_by_decoding;
    int64_t fetched; /* bytes read from the source */
} vd_indexed_t;

/* 0, or -1 with a cause; to be freed in any case. */
int vd_index(const vd_source_t *source, const tc_limits_t *limits, vd_indexed_t *out, tc_fail_t *f);
void vd_indexed_free(vd_indexed_t *x);

/* ---- vd_scan.c ---- */

/* Fills packets, end and plain from the demuxer at its start, which is used up. */
int vd_scan(vd_io_t *io, AVFormatContext *s, AVStream *st, const tc_limits_t *limits,
            media_vindex_t *v, tc_fail_t *f);
/* As vd_scan without reading the file, by an MP4's sample table: 1, or 0 where it has none that is
 * complete; the demuxer is used up. */
int vd_scan_table(vd_io_t *io, AVFormatContext *s, AVStream *st, const tc_limits_t *limits,
                  media_vindex_t *v, tc_fail_t *f);

/* ---- vd_order.c ---- */

/* Fills frames, end and reorder from the packets by their times: 1, or 0 where these do not tell.
 */
int vd_order_by_time(media_vindex_t *v, tc_fail_t *f);
/* The same by decoding everything; frame_ts is the usual length of a picture, 0: unknown. */
int vd_order_by_decoding(vd_io_t *io, media_vindex_t *v, int64_t frame_ts, tc_fail_t *f);

#endif
