/* One faststart MP4 out of CMAF segments, for download: nothing is decoded, the payloads are copied
 * as they stand. Two passes: the first reads the heads of all segments and makes the index, the
 * second copies. Memory holds the index (some bytes for each frame) and one buffer. */
#ifndef VD_MP4_H
#define VD_MP4_H

#include "tc.h"

#define VD_MP4_TRACKS_MAX 32
#define VD_MP4_SEGMENTS_MAX 200000 /* of all tracks */
#define VD_MP4_SAMPLES_MAX 4000000 /* of all tracks: 18 h at 60 fps */

typedef struct {
    void *ctx;
    /* Bytes of a track's segment n, or of its init segment, which is 0; fewer than `len` only at
     * its end. Negative: cannot be read. */
    ssize_t (*read)(void *ctx, int track, int64_t segment, int64_t off, void *dst, size_t len);
    /* The file, from its beginning to its end. 0, or negative. */
    int (*write)(void *ctx, const void *src, size_t len);
} vd_mp4_io_t;

/* Writes the file; track i has nsegments[i] segments as vd_cmaf makes them, the first track's time
 * scale becomes the movie's. 0, or -1 with a cause. */
int vd_mp4_write(const vd_mp4_io_t *io, const int64_t *nsegments, int ntracks, tc_fail_t *f);

#endif
