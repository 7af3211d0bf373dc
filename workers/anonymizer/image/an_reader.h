/* A picture or an animation, read from its bytes: the format by its magic, whole or not at all.
 *
 * Frames come as stored (before orientation and colour conversion) in RGBA, those of 16-bit PNGs in
 * RGBA64LE; frames of an animation are composed: each is the whole canvas. */
#ifndef AN_READER_H
#define AN_READER_H

#include <libavutil/frame.h>

#include "an_exif.h"
#include "tc_limits.h"

/* A loop is at most this many times the pixels that one picture may have: an animation. */
#define AN_ANIMATION_PICTURES 16
#define AN_ICC_MAX (4u << 20)

enum an_format { AN_JPEG, AN_PNG, AN_WEBP, AN_GIF, AN_BMP, AN_TIFF, AN_HEIF };

typedef struct an_reader_s an_reader_t;

typedef struct {
    enum an_format format;
    const char *name;
    /* Structure and properties, no pixel: 0, or -1 with a cause. */
    int (*open)(an_reader_t *r, tc_fail_t *f);
    /* The next frame into *out (owned by the caller) and how long it is shown, in seconds. */
    int (*next)(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f);
    /* Frees the state; next begins anew. */
    void (*close)(an_reader_t *r);
} an_coder_t;

struct an_reader_s {
    const an_coder_t *coder;
    const uint8_t *p; /* the file, borrowed */
    size_t size;
    tc_limits_t limits;
    int width, height; /* as stored */
    int nframes;
    int loops; /* of an animation, 0: for ever */
    int is_lossless, is_deep, is_full_chroma;
    an_exif_t exif; /* orientation with it */
    uint8_t *icc;   /* owned; the colours' meaning, NULL: sRGB */
    size_t icc_len;
    int read;    /* frames so far */
    void *table; /* the coder's, of the file; freed with the reader */
    void *state; /* the coder's, of decoding */
};

/* 0, or -1 with a cause: unsupported_media (another kind of file, or one that would not be read
 * whole), unreadable_media, limits. To be closed in any case. */
int an_reader_open(an_reader_t *r, const uint8_t *p, size_t size, const tc_limits_t *limits,
                   tc_fail_t *f);
/* 1 when these first bytes are of a picture, even of a kind that is refused. */
int an_reader_knows(const uint8_t *p, size_t size);
/* 1 and a frame, 0 at the end, -1 with a cause. */
int an_reader_next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f);
/* The first frame comes next. */
void an_reader_rewind(an_reader_t *r);
void an_reader_close(an_reader_t *r);

/* ---- for the coders ---- */

extern const an_coder_t an_coder_jpeg, an_coder_png, an_coder_webp, an_coder_gif, an_coder_bmp,
    an_coder_tiff, an_coder_heif;

int an_reader_damaged(const an_reader_t *r, tc_fail_t *f);   /* -1: not all there, or broken */
int an_reader_no_memory(const an_reader_t *r, tc_fail_t *f); /* -1 */
/* Owned, RGBA or RGBA64LE with undefined pixels; NULL: no memory. */
AVFrame *an_frame_new(int width, int height, int is_deep);
/* A copy of the profile, if it is one of a sane size. */
void an_reader_icc(an_reader_t *r, const uint8_t *p, size_t len);

#endif
