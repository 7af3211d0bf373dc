/* What stands at the front of a key packet. */
#ifndef VD_ENTRY_H
#define VD_ENTRY_H

#include "media/vindex.h"
#include "vd_io.h"

enum vd_entry {
    VD_ENTRY_IDR = 1,
    VD_ENTRY_RECOVERY = 2, /* a recovery point */
    VD_ENTRY_SETS = 4,     /* parameter sets */
    VD_ENTRY_LOST = 8      /* it cannot be read */
};

/* For H.264 with an avcC record, in a container that has packets in one piece (v->plain): a sum of
 * vd_entry. */
unsigned vd_entry_look(vd_io_t *io, const media_vindex_t *v, uint32_t packet);

/* May decoding begin there? 0 for an H.264 picture that its container calls a sync sample although
 * it is neither an IDR picture nor has a recovery point: later pictures may refer to earlier ones.
 * Where the packet is not in one piece, the demuxer's parser has decided by the same rule, and 1 is
 * returned. */
int vd_entry_safe(vd_io_t *io, const media_vindex_t *v, uint32_t packet);

#endif
