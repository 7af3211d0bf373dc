/* Locking a decoder child down (private to the child side). Each call returns 0 or -1 with errno;
 * whoever fails must exit: a child that is not locked down never sees a byte of input. */
#ifndef WK_SANDBOX_H
#define WK_SANDBOX_H

#include <stdint.h>

/* Becomes uid and the group of the same number, for good, with no supplementary group. */
int wk_sandbox_drop(int64_t uid);
/* Dies with the parent, gains no privilege any more, cannot be traced, and may call the kernel only
 * for memory, threads of its own, time and its open descriptors. */
int wk_sandbox_lock(void);

#endif
