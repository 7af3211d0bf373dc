/* Does every loop of this process turn? A loop's thread says so wherever it has waited for
 * something, /healthz asks. What others do never counts: a wait that ends at its deadline is a
 * turn, too. */
#ifndef WK_ALIVE_H
#define WK_ALIVE_H

#include <stddef.h>

/* This thread is a loop from now on; name is borrowed until it leaves. [thread] */
void wk_alive_enter(const char *name);
void wk_alive_leave(void);
/* It turns. Nothing in a thread that is no loop. [thread] */
void wk_alive(void);
/* Names a loop that has not turned for longer than limit_s: 1, and a line in dst. [any thread] */
int wk_alive_stalled(int limit_s, char *dst, size_t cap);

#endif
