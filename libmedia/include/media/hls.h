/* HLS playlists of a CMAF set (RFC 8216bis, version 7: fMP4). Static text: the same set gives the
 * same bytes. All URIs are relative, so that a playback token in the path is inherited:
 *   master.m3u8              the master playlist
 *   {track}.m3u8             the media playlist of a track
 *   {track}.iframes.m3u8     the I-frame playlist of a video track */
#ifndef MEDIA_HLS_H
#define MEDIA_HLS_H

#include "media/cmafset.h"

#define MEDIA_HLS_TYPE "application/vnd.apple.mpegurl"
#define MEDIA_HLS_MASTER "master.m3u8"
#define MEDIA_HLS_EXT ".m3u8"
#define MEDIA_HLS_IFRAMES_EXT ".iframes.m3u8"

/* Each appends one playlist and returns 0 or the failure of `out`; MEDIA_E_REJECT: the set has
 * neither video nor audio, the track no I-frame ranges. [any] */
int media_hls_master(const media_cmafset_t *set, media_buf_t *out);
int media_hls_media(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out);
int media_hls_iframes(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out);

#endif
