/* One picture or animation, anonymized: inside the decoder child, bytes in, bytes out.
 *
 *   source -> an_reader (whole or not at all) -> an_color, an_upright (sRGB, upright, nothing
 * hidden)
 *     -> an_find -> an_seen (tracks) -> an_mask_paint -> an_writer (pixels alone, coded anew)
 *
 * An animation is decoded twice, first for what is in it, then to be painted: one frame is in
 * memory at a time. */
#ifndef AN_IMAGE_H
#define AN_IMAGE_H

#include "an_ask.h"
#include "an_mask.h"
#include "an_params.h"
#include "tc_limits.h"
#include "vd_source.h"

#define AN_IMAGE_FILE_MAX (256 << 20)

typedef struct {
    const vd_source_t *source;
    const an_params_t *params;
    const an_ask_t *ask;
    const tc_limits_t *limits;
    const AVFrame *image; /* RGBA, for AN_IMAGE; else NULL */
    json_t *detectors;    /* what `ask` asks, an array; borrowed, NULL: it says nothing of itself */
    media_str_t kept;     /* of an edit: what the run before has kept; empty: it is looked anew */
} an_image_job_t;

typedef struct {
    void *ctx;
    /* The masked picture: "masked.jpg", "image/jpeg". 0; negative: it cannot be handed over. */
    int (*put)(void *ctx, const char *name, const char *type, int width, int height,
               const void *bytes, size_t len);
    /* What an edit needs. The same. */
    int (*keep)(void *ctx, const void *bytes, size_t len);
    /* `done` of 0..1; negative: nobody is listening any more. */
    int (*progress)(void *ctx, double done);
} an_image_sink_t;

/* Before lock-down: whatever the libraries open or allocate once. */
void an_image_warm(void);
/* 1 when these first bytes (64 are enough) are of a picture, even of a kind that is refused. */
int an_image_is(const uint8_t *p, size_t n);
/* Fills report with {"kind":"image"|"animation","width","height","duration","frames","tracks",
 * "detectors","warnings"} and hands the picture over, and what was found in it. 0, or -1 with a
 * cause: unsupported_media, unreadable_media, limits; or "internal" (the detector cannot be asked,
 * ...). */
int an_image(const an_image_job_t *job, const an_image_sink_t *sink, json_t *report, tc_fail_t *f);

/* A PNG (or what else is read here, its first frame) as RGBA, upright sRGB: the operator's image.
 * Owned, NULL with a cause. */
AVFrame *an_image_load(const uint8_t *p, size_t n, const tc_limits_t *limits, tc_fail_t *f);

#endif
