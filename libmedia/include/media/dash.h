/* The DASH manifest of a CMAF set (ISO/IEC 23009-1): static, one period, SegmentTimeline, the same
 * segments as HLS. Video rungs of one codec are one AdaptationSet, every audio and text track has
 * its own. Static text with relative URLs, as in hls.h. */
#ifndef MEDIA_DASH_H
#define MEDIA_DASH_H

#include "media/cmafset.h"

#define MEDIA_DASH_TYPE "application/dash+xml"
#define MEDIA_DASH_MANIFEST "manifest.mpd"

/* Appends the MPD and returns 0 or the failure of `out`; MEDIA_E_REJECT: the set has neither video
 * nor audio. [any] */
int media_dash_manifest(const media_cmafset_t *set, media_buf_t *out);

#endif
