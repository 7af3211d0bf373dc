/* Entry points of the decoder child. */
#ifndef AN_WORK_H
#define AN_WORK_H

#include "wk_child.h"

/* Before lock-down: whatever a library opens or allocates once. */
void an_warm(void);
/* A step of the pipeline `anonymize`. */
int an_work(wk_peer_t *peer, const wk_child_input_t *in);

#endif
