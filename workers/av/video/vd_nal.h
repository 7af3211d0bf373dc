/* H.264 as ISO/IEC 14496-15 stores it: parameter sets in the sample entry, pictures as NAL units
 * behind four bytes of length. Encoders hand out Annex B. */
#ifndef VD_NAL_H
#define VD_NAL_H

#include "media/buf.h"
#include "tc.h"
#include "vd_box.h"

/* Appends the AVCDecoderConfigurationRecord of an extradata, which is one already or is Annex B.
 * 0, or -1 with a cause. */
int vd_avc_config(vd_bytes_t extradata, media_buf_t *out, tc_fail_t *f);

/* Appends one access unit. Parameter sets, which must be those of `config`, delimiters, filler and
 * the encoder's note about itself are left out. 0, or -1 with a cause. */
int vd_avc_sample(vd_bytes_t config, vd_bytes_t annexb, media_buf_t *out, tc_fail_t *f);

/* The next NAL unit of an Annex B stream, without its start code; 0 at the end. */
int vd_nal_next(vd_bytes_t *in, vd_bytes_t *nal);

/* 1 if `sample` is NAL units behind four bytes of length. */
int vd_nal_is_framed(vd_bytes_t sample);

/* 1 if one of a framed sample's units is a parameter set. */
int vd_nal_has_sets(vd_bytes_t sample);

#endif
