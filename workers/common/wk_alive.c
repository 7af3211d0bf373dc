#include "wk_alive.h"

#include <stdatomic.h>
#include <stdint.h>

#include "wk_log.h"

#define LOOPS_MAX 65 /* MEDIA_JOBS at its most, and one more */

typedef struct {
    _Atomic(const char *) name; /* NULL: free */
    _Atomic int64_t turned_ms;
} turns_t;

static turns_t loops[LOOPS_MAX];
static _Thread_local turns_t *own;

void wk_alive_enter(const char *name)
{
    for (size_t i = 0; own == NULL && i < LOOPS_MAX; i++) {
        const char *none = NULL;

        /* a slot that is taken has just been left, so its last turn is old: say this one first */
        if (atomic_load(&loops[i].name) == NULL) {
            atomic_store(&loops[i].turned_ms, wk_mono_ms());
            if (atomic_compare_exchange_strong(&loops[i].name, &none, name)) {
                own = &loops[i];
            }
        }
    }
}

void wk_alive_leave(void)
{
    if (own != NULL) {
        atomic_store(&own->name, NULL);
        own = NULL;
    }
}

void wk_alive(void)
{
    if (own != NULL) {
        atomic_store(&own->turned_ms, wk_mono_ms());
    }
}

int wk_alive_stalled(int limit_s, char *dst, size_t cap)
{
    int64_t now_ms = wk_mono_ms();

    for (size_t i = 0; i < LOOPS_MAX; i++) {
        const char *name = atomic_load(&loops[i].name);
        int64_t still_s = (now_ms - atomic_load(&loops[i].turned_ms)) / 1000;

        if (name != NULL && still_s > limit_s) {
            (void)wk_fmt(dst, cap, "loop %s has not turned for %lld s", name, (long long)still_s);
            return 1;
        }
    }
    return 0;
}
