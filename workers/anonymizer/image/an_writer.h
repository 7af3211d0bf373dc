/* A picture or an animation, written anew: pixels, timing, what may be kept, and nothing else. */
#ifndef AN_WRITER_H
#define AN_WRITER_H

#include "an_reader.h"
#include "media/buf.h"

#define AN_OUTPUT_MAX ((size_t)1 << 30)
#define AN_QUALITY 95

typedef struct an_writer_s an_writer_t;

typedef struct {
    const char *name; /* of the output */
    const char *type;
    /* The frames come one after the other: 0 or -1 with a cause. */
    int (*add)(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f);
    int (*end)(an_writer_t *w, tc_fail_t *f); /* NULL: nothing is left to do */
    void (*close)(an_writer_t *w);            /* NULL: there is no state */
} an_format_t;

struct an_writer_s {
    const an_format_t *format;
    int width, height, nframes, loops;
    int is_lossless, is_deep, is_full_chroma;
    const uint8_t *icc; /* to be kept; NULL: none */
    size_t icc_len;
    an_exif_t kept; /* copyright and date that stay, else "" */
    uint8_t exif[AN_EXIF_MAX];
    size_t exif_len;
    media_buf_t out;
    int written; /* frames */
    void *state;
};

/* As r was coded (HEIF becomes JPEG); keep: AN_KEEP_*. width, height: of the upright picture. */
void an_writer_open(an_writer_t *w, const an_reader_t *r, int width, int height, unsigned keep);
int an_writer_add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f);
int an_writer_end(an_writer_t *w, tc_fail_t *f);
void an_writer_close(an_writer_t *w);

/* ---- for the formats ---- */

extern const an_format_t an_format_jpeg, an_format_png, an_format_webp, an_format_gif,
    an_format_bmp, an_format_tiff;

int an_writer_failed(const an_writer_t *w, tc_fail_t *f); /* -1: our side's fault */
/* What a frame does without. */
int an_frame_is_gray(const AVFrame *frame);
int an_frame_is_opaque(const AVFrame *frame);

#endif
