/* A video decoder opened from an index alone, and which codings are decoded at all. */
#ifndef VD_DECODER_H
#define VD_DECODER_H

#include "media/vindex.h"
#include "tc.h"

/* The decoder for a coding of the white list, NULL: none. */
const AVCodec *vd_decoder_find(const AVCodecParameters *par);

/* The track's; owned, NULL when out of memory. */
AVCodecParameters *vd_decoder_parameters(const media_vindex_t *v);

/* An open decoder. Packets are sent with their number in the index as pts, so that each picture
 * tells by its pts which packet it began in. NULL with a cause. */
AVCodecContext *vd_decoder_open(const media_vindex_t *v, int threads, tc_fail_t *f);

#endif
