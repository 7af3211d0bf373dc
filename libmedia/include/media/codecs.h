/* The RFC 6381 `codecs` strings of playlists and manifests, made from the decoder configuration
 * records that stand in an init segment. */
#ifndef MEDIA_CODECS_H
#define MEDIA_CODECS_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_CODECS_MAX 64 /* bytes of one string with its NUL */

/* Each writes one string, NUL-terminated, and returns its length; MEDIA_E_REJECT when the record is
 * cut or is none, MEDIA_E_TOOBIG when dst is too small. [any] */

/* "avc1.PPCCLL" from an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3). */
ssize_t media_codecs_avc(const uint8_t *avcc, size_t len, char *dst, size_t cap);
/* "hvc1.1.6.L93.B0" from an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3, Annex E). */
ssize_t media_codecs_hevc(const uint8_t *hvcc, size_t len, char *dst, size_t cap);
/* "mp4a.40.2" from an AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1). */
ssize_t media_codecs_aac(const uint8_t *asc, size_t len, char *dst, size_t cap);

#endif
