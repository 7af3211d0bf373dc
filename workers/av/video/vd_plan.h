/* What an indexed file is made into: the jobs of the `index` step's fan-out, each with everything
 * it needs beside the index, and the reading of one by the job. Boundaries, rungs and every number
 * of the encoders are decided here, once; a worker adds nothing to them.
 *
 * Times of a plan count ticks of the video's time base (its numerator times 1/denominator) from the
 * first picture on; sound and subtitles are moved by the same amount. */
#ifndef VD_PLAN_H
#define VD_PLAN_H

#include "media/ladder.h"
#include "vd_cuts.h"
#include "vd_index.h"
#include "vd_source.h"

#define VD_TRACK_NAME_MAX 64

/* {"fan_out":[{"step","range"}]} members as stmt.h has them: an array, owned. NULL with a cause. */
json_t *vd_plan(const vd_source_t *source, const vd_indexed_t *x, const json_t *params,
                tc_fail_t *f);

/* Another pipeline's documents, to be read back by vd_range_plan_read and vd_track_plan_read: range
 * i of the cuts as the only rung that `how` encodes; a sound or text track. Owned, NULL: no memory.
 */
json_t *vd_plan_range(const media_vindex_t *v, const vd_cuts_t *cuts, uint32_t i,
                      const media_rendition_t *rung, const media_ladder_params_t *how);
json_t *vd_plan_track(const media_vindex_t *v, const char *name, int stream,
                      const media_ladder_params_t *how);

/* Paints on a picture that is ready for the encoder: `from` is what was decoded. 0 or -1. */
typedef struct {
    void *ctx;
    int (*paint)(void *ctx, AVFrame *picture, const AVFrame *from, uint32_t number, tc_fail_t *f);
} vd_painter_t;

typedef struct {
    uint32_t first, end; /* pictures of the index */
    int64_t start, stop; /* when it presents: ticks from the first picture of the video */
} vd_span_t;

/* A range of `encode_first` and `encode`. */
typedef struct {
    int64_t origin;    /* pts of the video's first picture */
    int is_copy;       /* no encoder: the source's packets are those of the only rung */
    uint32_t step;     /* pictures whose number is a multiple are encoded */
    uint32_t seen;     /* the encoders see pictures from here, before the first span ... */
    uint32_t seen_end; /* ... to here, behind the last, and decide as if they made the whole file */
    int fps_num, fps_den;
    char preset[16], profile[16];
    int threads;    /* of one encoder */
    int64_t number; /* of the first span, from 1 */
    int64_t total;  /* segments of a whole track */
    uint32_t nspans;
    vd_span_t *spans;
    int nrungs;
    media_rendition_t rungs[MEDIA_LADDER_MAX]; /* maxrate_bps 0: by quality alone */
    int is_hdr;                                /* HEVC of 10 bits, else H.264 of 8 */
    char hdr[256]; /* x265's options for what else a screen needs to know */
    /* not of the document: */
    const vd_painter_t *painter; /* NULL: none */
    int is_strict;               /* damage to a picture is a failure */
} vd_range_plan_t;

/* 0: to be freed; -1 with a cause. */
int vd_range_plan_read(const json_t *range, vd_range_plan_t *out, tc_fail_t *f);
void vd_range_plan_free(vd_range_plan_t *p);

/* Alters the samples of a block in place, as many as there are. 0 or -1. */
typedef struct {
    void *ctx;
    int (*alter)(void *ctx, AVFrame *block); /* NULL: none */
} vd_alter_t;

/* A job of `sound` or `text`. */
typedef struct {
    int stream; /* of the file */
    char name[VD_TRACK_NAME_MAX];
    char language[36];
    int is_default, is_forced;
    int64_t origin_us; /* when the video's first picture is shown */
    int64_t length_us; /* of the video */
    int segment_ms;
    int kbps;
    vd_alter_t alter; /* of sound; not of the document */
} vd_track_plan_t;

int vd_track_plan_read(const json_t *range, vd_track_plan_t *out, tc_fail_t *f);

#endif
