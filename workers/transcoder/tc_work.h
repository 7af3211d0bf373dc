/* Entry points of the decoder child. */
#ifndef TC_WORK_H
#define TC_WORK_H

#include "wk_child.h"

/* Before lock-down: whatever a library opens or allocates once. */
void tc_warm(void);
/* The job. */
int tc_work(wk_peer_t *peer, const wk_child_input_t *in);

#endif
