/* The parts of a moov that init segments and whole files have in common (private to vd_*). */
#ifndef VD_INIT_H
#define VD_INIT_H

#include "vd_box.h"
#include "vd_cmaf.h"

/* Sample flags (14496-12 8.8.3.1): depends on no other; depends on others and is no sync sample. */
#define VD_FLAGS_KEY 0x02000000u
#define VD_FLAGS_DELTA 0x01010000u

/* A whole init segment; `config` is the decoder configuration record. */
void vd_init_put(const vd_cmaf_track_t *track, vd_bytes_t config, media_buf_t *out);
void vd_mvhd_put(media_buf_t *out, int64_t timescale, uint64_t duration, uint32_t next_track);

#endif
