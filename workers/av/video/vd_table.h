/* The sample tables of one track of an MP4, made from the heads of its CMAF segments (private to
 * vd_mp4). */
#ifndef VD_TABLE_H
#define VD_TABLE_H

#include "vd_box.h"
#include "vd_mp4.h"

typedef struct {
    int64_t dts;     /* where it decodes */
    int64_t payload; /* offset of its data in the segment */
    int64_t bytes;
    int samples;
} vd_chunk_t;

/* A table of pairs (count, value) under construction. */
typedef struct {
    media_buf_t entries;
    uint32_t n;
    uint32_t run;
    uint32_t value;
} vd_runs_t;

typedef struct {
    media_buf_t init;
    vd_bytes_t trak; /* borrowed from init, as the next ones */
    vd_bytes_t stsd;
    int video;
    int64_t timescale;
    int64_t edit;           /* media time of presentation time 0 */
    uint32_t default_flags; /* of a sample */
    int64_t first_dts;
    int64_t end_dts;
    int32_t first_offset; /* composition offset of the first sample */
    int32_t least_offset;
    uint32_t nsamples;
    uint32_t nsync;
    media_buf_t sizes;
    media_buf_t sync;
    vd_runs_t durations;
    vd_runs_t offsets; /* as they are; least_offset is taken off when they are written */
    vd_chunk_t *chunks;
    int64_t nchunks;
} vd_table_t;

/* Reads the init segment and the heads of all segments. 0, or -1 with a cause. */
int vd_table_read(vd_table_t *t, const vd_mp4_io_t *io, int track, int64_t nsegments, tc_fail_t *f);
void vd_table_free(vd_table_t *t);

#endif
