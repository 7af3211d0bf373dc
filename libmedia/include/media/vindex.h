/* The index of a video track: every packet in decoding order, every picture in presentation order.
 * Made once per upload, kept as one object in the bucket, read by every job that works on a range
 * of pictures. A picture's number is its place in `frames`; it never changes. */
#ifndef MEDIA_VINDEX_H
#define MEDIA_VINDEX_H

#include "media/buf.h"
#include "media/err.h"

#define MEDIA_VINDEX_FRAMES_MAX (1u << 22) /* packets too */
#define MEDIA_VINDEX_EXTRADATA_MAX (256u << 10)
#define MEDIA_VINDEX_BYTES_MAX (160u << 20) /* of the serialized form */
#define MEDIA_VINDEX_TS_MAX (INT64_C(1) << 60)
#define MEDIA_VINDEX_NO_TS INT64_MIN /* libav's AV_NOPTS_VALUE */
#define MEDIA_VINDEX_NO_FRAME UINT32_MAX

enum media_vindex_flag {
    MEDIA_VINDEX_KEY = 1,
    MEDIA_VINDEX_DISCARD = 2 /* decoded, but never shown (before an edit list's start) */
};

typedef struct {
    int64_t pts, dts; /* NO_TS where the container has none */
    int64_t pos;      /* in the file, -1: unknown */
    uint32_t size;
    uint32_t flags;
    uint32_t frame; /* the picture that begins in it, or NO_FRAME; follows from `frames` */
} media_vindex_packet_t;

typedef struct {
    int64_t pts; /* strictly increasing */
    uint32_t packet;
} media_vindex_frame_t;

/* Numbers of the track, with the smallest and the largest value of each. Colour numbers are those
 * of ISO/IEC 23091-2, field_order and the like those of libavcodec. */
#define MEDIA_VINDEX_NUMBERS(X)                                                                    \
    X(file_size, 1, INT64_C(1) << 50)                                                              \
    X(plain, 0, 1) /* each packet is the size bytes at pos, so no demuxer is needed */             \
    X(track, 0, 1000)                                                                              \
    X(track_id, INT32_MIN, INT32_MAX)                                                              \
    X(tb_num, 1, INT32_MAX)                                                                        \
    X(tb_den, 1, INT32_MAX)                                                                        \
    X(end, -MEDIA_VINDEX_TS_MAX, MEDIA_VINDEX_TS_MAX) /* where the last picture ends */            \
    X(width, 1, 65535)                                                                             \
    X(height, 1, 65535)                                                                            \
    X(sar_num, 0, INT32_MAX) /* 0: unknown */                                                      \
    X(sar_den, 1, INT32_MAX)                                                                       \
    X(rotation, 0, 359) /* clockwise, degrees, to be shown upright */                              \
    X(flip, 0, 1)       /* mirrored left to right before the rotation */                           \
    X(codec_tag, 0, UINT32_MAX)                                                                    \
    X(profile, INT32_MIN, INT32_MAX)                                                               \
    X(level, INT32_MIN, INT32_MAX)                                                                 \
    X(bits_per_coded_sample, 0, 1024)                                                              \
    X(reorder, 0, 64) /* how many packets may come before one that is shown earlier */             \
    X(field_order, 0, 255)                                                                         \
    X(color_range, 0, 255)                                                                         \
    X(color_primaries, 0, 255)                                                                     \
    X(color_trc, 0, 255)                                                                           \
    X(color_space, 0, 255)                                                                         \
    X(chroma_location, 0, 255)

typedef struct {
#define X(name, min, max) int64_t name;
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    char container[64]; /* libavformat's name of the demuxer */
    char codec[32];     /* libavcodec's names */
    char pix_fmt[32];   /* may be empty */
    uint8_t *extradata; /* owned, all of them */
    uint32_t extradata_len;
    media_vindex_packet_t *packets;
    uint32_t npackets;
    media_vindex_frame_t *frames;
    uint32_t nframes;
} media_vindex_t;

/* Appends the serialized form. 0, MEDIA_E_BUG (the index breaks a rule, cause in ei) or the
 * buffer's failure. [any] */
int media_vindex_write(const media_vindex_t *v, media_buf_t *out, media_err_t *ei);
/* The inverse, trusting nothing: memory grows with len only. 0: to be freed; MEDIA_E_REJECT or
 * MEDIA_E_NOMEM with a cause. [any] */
int media_vindex_read(const void *p, size_t len, media_vindex_t *out, media_err_t *ei);
void media_vindex_free(media_vindex_t *v);

/* Where picture i ends: the next one's pts, or `end`. [any] */
int64_t media_vindex_frame_end(const media_vindex_t *v, uint32_t i);

#endif
