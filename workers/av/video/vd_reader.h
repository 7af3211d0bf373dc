/* The packets of the indexed track by their number: read where the index says they lie, or, where
 * the container wraps them (MPEG-TS, MPEG-PS, ASF ...), by its demuxer, which is put down some way
 * before and reads on until its packets are recognized. */
#ifndef VD_READER_H
#define VD_READER_H

#include "media/vindex.h"
#include "tc_container.h"

#define VD_PACKET_MAX (64 << 20) /* bytes of one */

typedef struct {
    vd_io_t *io; /* borrowed, as the index */
    const media_vindex_t *v;
    uint32_t next;           /* number of the packet to come */
    int from_start;          /* the demuxer has read everything up to here */
    AVFormatContext *format; /* NULL: not needed (yet) */
} vd_reader_t;

void vd_reader_init(vd_reader_t *r, vd_io_t *io, const media_vindex_t *v);
/* The next packet read will be number `next`. 0, or -1 with a cause. */
int vd_reader_seek(vd_reader_t *r, uint32_t next, tc_fail_t *f);
/* 1: the packet, with its number as pts; 0: there are no more; -1 with a cause. */
int vd_reader_packet(vd_reader_t *r, AVPacket *p, tc_fail_t *f);
void vd_reader_close(vd_reader_t *r);

#endif
