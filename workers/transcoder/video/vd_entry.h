/* May decoding begin at this key packet? */
#ifndef VD_ENTRY_H
#define VD_ENTRY_H

#include "media/vindex.h"
#include "vd_io.h"

/* 0 for an H.264 picture that its container calls a sync sample although it is neither an IDR
 * picture nor has a recovery point: later pictures may refer to earlier ones. Where the packet is
 * not in one piece, the demuxer's parser has decided by the same rule, and 1 is returned. */
int vd_entry_safe(vd_io_t *io, const media_vindex_t *v, uint32_t packet);

#endif
