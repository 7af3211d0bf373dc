/* A decoded picture as a rendition shows it: upright, square pixels, 4:2:0 of 8 or 10 bits in video
 * range, or for a detector. The same bytes on every machine: swscale in its bit-exact mode. */
#ifndef VD_PICTURE_H
#define VD_PICTURE_H

#include <libswscale/swscale.h>

#include "media/vindex.h"
#include "tc.h"

typedef struct {
    int turns; /* quarters, clockwise */
    int flip;  /* left to right, before */
    AVFrame *scaled;
    AVFrame *upright; /* NULL: scaled is it already */
    struct SwsContext *sws;
    /* of the pictures that sws takes */
    int in_width, in_height, in_format, in_range, in_space;
} vd_picture_t;

/* For pictures of the index's track, to be made width x height, both even; format: YUV420P,
 * YUV420P10 or BGR24. 0, or -1 with a cause; to be closed in any case. */
int vd_picture_open(vd_picture_t *p, const media_vindex_t *v, int width, int height,
                    enum AVPixelFormat format, tc_fail_t *f);
/* The picture, borrowed until the next call. NULL with a cause. */
AVFrame *vd_picture_make(vd_picture_t *p, const AVFrame *from, tc_fail_t *f);
void vd_picture_close(vd_picture_t *p);

/* The matrix that renditions of the track are tagged with. */
enum AVColorSpace vd_picture_space(const media_vindex_t *v);

#endif
