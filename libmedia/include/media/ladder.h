/* The ladder: which rungs a source gets, and how each is encoded. The table is the default; every
 * number can be overridden by the pipeline's or the upload's `params`. Pure arithmetic, so that
 * gateway (a 422 in time), database and worker agree. */
#ifndef MEDIA_LADDER_H
#define MEDIA_LADDER_H

#include <jansson.h>
#include "media/err.h"
#include "media/str.h"

/* Short side of the picture, kb/s up to 30 fps, kb/s above, whether it is in the default ladder. */
#define MEDIA_LADDER_RUNGS(X)                                                                      \
    X(144, 150, 150, 1)                                                                            \
    X(240, 300, 300, 1)                                                                            \
    X(360, 500, 500, 1)                                                                            \
    X(480, 1000, 1000, 1)                                                                          \
    X(720, 2500, 3500, 1)                                                                          \
    X(1080, 4500, 7500, 1)                                                                         \
    X(1440, 9000, 18000, 0)                                                                        \
    X(2160, 18000, 40000, 0)

#define MEDIA_LADDER_MAX 12 /* rungs */

/* Integer parameters: name, smallest, largest, default. */
#define MEDIA_LADDER_INTS(X)                                                                       \
    X(crf, 0, 51, 23)                                                                              \
    X(rate_percent, 100, 1000, 150) /* maxrate = bufsize = this much of a rung's rate */           \
    X(high_fps, 1, 240, 30)         /* above it the second rate counts */                          \
    X(max_fps, 1, 240, 60)          /* above it every second frame is dropped, or more */          \
    X(segment_s, 1, 10, 4)                                                                         \
    X(range_segments, 1, 1000, 10)                                                                 \
    X(threads, 1, 16, 1)          /* of one encoder: the bytes depend on it */                     \
    X(first_height, 2, 8192, 360) /* encoded before the others, so that something plays early */   \
    X(audio_kbps, 16, 512, 128)

/* A rung's own: name, smallest, largest. maxrate and bufsize have to fit 31 bits. */
#define MEDIA_LADDER_RUNG_INTS(X)                                                                  \
    X(height, 2, 8192)                                                                             \
    X(kbps, 1, 200000)                                                                             \
    X(high_kbps, 1, 200000)                                                                        \
    X(crf, 0, 51)

#define MEDIA_LADDER_PRESETS(X)                                                                    \
    X(ultrafast) X(superfast) X(veryfast) X(faster) X(fast) X(medium) X(slow) X(slower) X(veryslow)
#define MEDIA_LADDER_PROFILES(X) X(baseline) X(main) X(high)
/* Whether a source that already is what a rung shall be becomes that rung as it is. */
#define MEDIA_LADDER_REMUXES(X) X(auto) X(never)

typedef struct {
    int height; /* of the short side */
    int kbps;
    int high_kbps; /* above high_fps */
    int crf;
} media_ladder_rung_t;

typedef struct {
#define X(name, lo, hi, value) int name;
    MEDIA_LADDER_INTS(X)
#undef X
    const char *preset; /* static */
    const char *profile;
    const char *remux;
    int nrungs;
    media_ladder_rung_t rungs[MEDIA_LADDER_MAX]; /* ascending */
} media_ladder_params_t;

/* The defaults, overridden by `obj` (NULL: none): the integers above by their names, "preset",
 * "profile", "remux", and "rungs": a list of heights of the table or of
 * {"height","kbps","high_kbps","crf"}, where a height outside the table needs "kbps". 0, or
 * MEDIA_E_REJECT naming the member. [any] */
int media_ladder_params(const json_t *obj, media_ladder_params_t *out, media_err_t *ei);

typedef struct {
    int width, height;    /* coded */
    int sar_num, sar_den; /* of a pixel; 0: square */
    int rotation;         /* degrees, a multiple of 90 */
    int fps_num, fps_den; /* average; 0: unknown */
} media_ladder_source_t;

typedef struct {
    char name[16];     /* "720p" */
    int width, height; /* even, square pixels, upright */
    int crf;
    int64_t maxrate_bps;
    int64_t bufsize_bits;
} media_rendition_t;

typedef struct {
    int frame_step; /* every n-th frame is kept */
    int first;      /* index of the rung that is encoded before the others */
    int n;
    media_rendition_t rungs[MEDIA_LADDER_MAX]; /* ascending */
} media_ladder_t;

/* Rungs above the source are left out; a source below all of them gets one of its own size. Odd
 * heights are rounded down; of two that become one the lower stays.
 * MEDIA_E_REJECT: no picture size, or one beyond 32768 a side. [any] */
int media_ladder_make(const media_ladder_params_t *params, const media_ladder_source_t *source,
                      media_ladder_t *out, media_err_t *ei);

#endif
