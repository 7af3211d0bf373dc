/* Pace of a peer: a ring of slots, each of at least a fifth of the window, spent waiting. */
#include "media/pace.h"

#define SLOT_MS (MEDIA_PACE_WINDOW_MS / (MEDIA_PACE_SLOTS - 1))

/* What was waited so far goes into the slot; a full one is followed by the oldest, emptied. */
static void settle(media_pace_t *p, int64_t now_ms)
{
    if (p->waiting) {
        p->waited_ms[p->slot] += now_ms - p->since_ms;
        p->since_ms = now_ms;
    }
    if (p->waited_ms[p->slot] >= SLOT_MS) {
        p->slot = (p->slot + 1) % MEDIA_PACE_SLOTS;
        p->waited_ms[p->slot] = 0;
        p->bytes[p->slot] = 0;
    }
}

void media_pace_wait(media_pace_t *p, int64_t now_ms)
{
    if (!p->waiting) {
        p->waiting = 1;
        p->since_ms = now_ms;
    }
}

void media_pace_rest(media_pace_t *p, int64_t now_ms)
{
    settle(p, now_ms);
    p->waiting = 0;
}

void media_pace_add(media_pace_t *p, int64_t bytes)
{
    p->bytes[p->slot] += bytes;
}

int media_pace_below(media_pace_t *p, int64_t now_ms, int64_t least)
{
    int64_t waited_ms = 0, bytes = 0;

    settle(p, now_ms);
    for (unsigned i = 0; i < MEDIA_PACE_SLOTS; i++) {
        waited_ms += p->waited_ms[i];
        bytes += p->bytes[i];
    }
    /* double: neither factor may overflow the product */
    return waited_ms >= MEDIA_PACE_WINDOW_MS &&
           (double)bytes * 1000 < (double)least * (double)waited_ms;
}
