/* The step `audio` inside the decoder child. */
#ifndef TC_WORK_H
#define TC_WORK_H

#include "wk_child.h"

int tc_work(wk_peer_t *peer, const wk_child_input_t *in);

#endif
