/* HEVC as ISO/IEC 14496-15 stores it ('hvc1'): parameter sets in the sample entry, pictures as NAL
 * units behind four bytes of length. Encoders hand out Annex B. */
#ifndef VD_HEVC_H
#define VD_HEVC_H

#include "media/buf.h"
#include "tc.h"
#include "vd_box.h"

/* Appends the HEVCDecoderConfigurationRecord of an extradata, which is one already, or is the
 * Annex B of an encoder of 4:2:0. 0, or -1 with a cause. */
int vd_hevc_config(vd_bytes_t extradata, media_buf_t *out, tc_fail_t *f);

/* Appends one access unit without parameter sets, delimiters and filler. 0, or -1 with a cause. */
int vd_hevc_sample(vd_bytes_t annexb, media_buf_t *out, tc_fail_t *f);

#endif
