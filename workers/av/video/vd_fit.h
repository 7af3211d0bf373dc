/* Can the source's own pictures be a rung of the ladder as they are? Whether a rung has their size
 * and rate is the plan's business. */
#ifndef VD_FIT_H
#define VD_FIT_H

#include "media/vindex.h"
#include "vd_source.h"

/* 1 if the index says so: progressive H.264 of 8 bits 4:2:0 in limited range, upright with square
 * pixels, lying in the file packet by packet behind one set of parameters, each key picture half a
 * segment to one and a half after the one before, with nothing around it that belongs elsewhere. */
int vd_fit_by_index(const media_vindex_t *v, int segment_ms);

/* 1 if the file says so, too, which is read for it: each key picture is an IDR, each packet is NAL
 * units without other parameters. */
int vd_fit_by_bytes(const vd_source_t *source, const media_vindex_t *v);

#endif
