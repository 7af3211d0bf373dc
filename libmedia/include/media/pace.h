/* How fast a peer is while we wait for it: bytes per second over a sliding window of time. Only
 * time spent waiting counts, so whoever is held back by us is not blamed; and nobody is judged
 * before a whole window was waited. */
#ifndef MEDIA_PACE_H
#define MEDIA_PACE_H

#include <stdint.h>

#define MEDIA_PACE_WINDOW_MS 10000
#define MEDIA_PACE_SLOTS 6 /* five make a window, one is being filled */

/* All zero: nothing is known yet. */
typedef struct {
    int waiting;
    int64_t since_ms; /* what was waited before that is in the slots */
    unsigned slot;    /* the one being filled, the next one is the oldest */
    int64_t waited_ms[MEDIA_PACE_SLOTS];
    int64_t bytes[MEDIA_PACE_SLOTS];
} media_pace_t;

/* [any] all of them; now_ms is of a clock that never goes back. */
/* From now on we wait for the peer, or do not any more. Both may be said twice. */
void media_pace_wait(media_pace_t *p, int64_t now_ms);
void media_pace_rest(media_pace_t *p, int64_t now_ms);
void media_pace_add(media_pace_t *p, int64_t bytes);
/* 1 if the last window of waiting brought less than `least` bytes per second. */
int media_pace_below(media_pace_t *p, int64_t now_ms, int64_t least);

#endif
