/* Can the source's own pictures be a rung of the ladder as they are? Whether they are small enough
 * for one is the plan's business. */
#ifndef VD_FIT_H
#define VD_FIT_H

#include "media/vindex.h"
#include "vd_source.h"

/* 1: progressive H.264 of 8 bits 4:2:0 in limited range, upright with square pixels, lying in the
 * file packet by packet behind one set of parameters, and each key picture an IDR with nothing
 * around it that belongs elsewhere, 2 to 6 s after the one before. The last is read from the file:
 * the head of each key picture, if all else is true. */
int vd_fit(const vd_source_t *source, const media_vindex_t *v);

#endif
