/* Rec. ITU-T H.264 7.3.1, 7.3.2.3: NAL units and SEI messages at the front of a picture, in the
 * length-prefixed form of ISO/IEC 14496-15. */
#include "vd_entry.h"

#include <string.h>

#define NAL_SLICE 1
#define NAL_IDR 5
#define NAL_SEI 6
#define NAL_SPS 7
#define NAL_PPS 8
#define SEI_RECOVERY_POINT 6
#define NALS_MAX 256
#define SEI_MAX 4096

/* A value coded as a row of 0xff and a last byte. */
static size_t sei_number(const uint8_t *p, size_t len, size_t *at)
{
    size_t n = 0;

    while (*at < len && p[*at] == 0xff) {
        n += 0xff;
        (*at)++;
    }
    return *at < len ? n + p[(*at)++] : n;
}

/* Emulation prevention bytes inside long messages may hide what follows them; a recovery point
 * stands in a unit of its own or first. */
static int has_recovery_point(const uint8_t *p, size_t len)
{
    for (size_t at = 1; at + 2 < len;) {
        size_t type = sei_number(p, len, &at), size = sei_number(p, len, &at);
        if (type == SEI_RECOVERY_POINT) {
            return 1;
        }
        at += size;
    }
    return 0;
}

/* Bytes of a NAL unit's length; 0: none. */
static int prefix_of(const media_vindex_t *v)
{
    return v->extradata_len > 4 && v->extradata[0] == 1 ? (v->extradata[4] & 3) + 1 : 0;
}

static int is_slice(uint8_t head)
{
    return (head & 0x1f) >= NAL_SLICE && (head & 0x1f) <= NAL_IDR;
}

/* What a unit of `len` bytes at hand says about its picture. */
static unsigned kind(const uint8_t *nal, size_t len)
{
    switch (nal[0] & 0x1f) {
    case NAL_IDR:
        return VD_ENTRY_IDR;
    case NAL_SEI:
        return has_recovery_point(nal, len) ? VD_ENTRY_RECOVERY : 0;
    case NAL_SPS:
    case NAL_PPS:
        return VD_ENTRY_SETS;
    default:
        return 0;
    }
}

unsigned vd_entry_look(vd_io_t *io, const media_vindex_t *v, uint32_t packet)
{
    const media_vindex_packet_t *q = &v->packets[packet];
    int prefix = prefix_of(v);
    uint8_t nal[4 + SEI_MAX];
    unsigned found = 0;
    int64_t at = 0;

    for (int i = 0; i < NALS_MAX && at + prefix < q->size; i++) {
        int64_t left = q->size - at, size = 0;
        size_t want = left < (int64_t)sizeof(nal) ? (size_t)left : sizeof(nal), len;

        if (vd_io_read(io, q->pos + at, nal, want) != (ssize_t)want) {
            return VD_ENTRY_LOST;
        }
        for (int k = 0; k < prefix; k++) {
            size = size << 8 | nal[k];
        }
        len = (int64_t)(want - (size_t)prefix) < size ? want - (size_t)prefix : (size_t)size;
        found |= len > 0 ? kind(nal + prefix, len) : 0;
        if (len > 0 && is_slice(nal[prefix])) {
            break;
        }
        at += prefix + size;
    }
    return found;
}

int vd_entry_safe(vd_io_t *io, const media_vindex_t *v, uint32_t packet)
{
    if (strcmp(v->codec, "h264") != 0 || !v->plain || prefix_of(v) == 0) {
        return 1;
    }
    /* what is wrong with one that is lost is told by whoever reads the packet */
    return (vd_entry_look(io, v, packet) & (VD_ENTRY_IDR | VD_ENTRY_RECOVERY | VD_ENTRY_LOST)) != 0;
}
