/* The steps of the pipeline `video` inside the decoder child. */
#ifndef VD_WORK_H
#define VD_WORK_H

#include "wk_child.h"

/* Any step but those of tc_work.h; what work() of wk_child_main returns. */
int vd_work(wk_peer_t *peer, const wk_child_input_t *in);

#endif
