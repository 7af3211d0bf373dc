/* Where the pieces that a job makes go: the parent of the decoder child, or memory in a test. */
#ifndef VD_SINK_H
#define VD_SINK_H

#include <jansson.h>
#include <stdint.h>

#include "media/str.h"
#include "tc.h"

typedef struct {
    const char *track;
    int64_t number;                      /* 0: the init segment */
    int64_t duration;                    /* ticks of the track */
    int64_t iframe_offset, iframe_bytes; /* iframe_bytes 0: none */
    int is_text;
    media_str_t head, body; /* one after the other */
} vd_piece_t;

typedef struct {
    void *ctx;
    /* 0; negative: the piece cannot be handed over, our side failed. One call at a time. */
    int (*put)(void *ctx, const vd_piece_t *piece);
    /* `done` of 0..1; negative: nobody is listening any more. */
    int (*progress)(void *ctx, double done);
} vd_sink_t;

/* The parent of a decoder child as a sink: pieces as outputs, progress five times a second. Set
 * `peer`; must outlive the sink. */
typedef struct {
    wk_peer_t *peer;
    int64_t told_ms;
} vd_parent_t;
vd_sink_t vd_sink_to_parent(vd_parent_t *parent);

/* The same with a cause: 0 or -1. */
static inline int vd_sink_put(const vd_sink_t *sink, const vd_piece_t *piece, tc_fail_t *f)
{
    return sink->put(sink->ctx, piece) == 0
               ? 0
               : tc_fail(f, "internal", "The output could not be handed over.");
}

static inline int vd_sink_progress(const vd_sink_t *sink, double done, tc_fail_t *f)
{
    return sink->progress(sink->ctx, done) == 0 ? 0 : tc_fail(f, "internal", "The worker is gone.");
}

#endif
