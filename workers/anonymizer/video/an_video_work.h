/* The steps of a video inside the decoder child, with what its parent gives and takes. */
#ifndef AN_VIDEO_WORK_H
#define AN_VIDEO_WORK_H

#include "an_ask.h"
#include "wk_child.h"

/* `anonymize` of a video, `detect`, `associate`, `render`, `voice`, `assemble`; what work() of
 * wk_child_main returns. `ask` is needed by `detect` alone.
 */
int an_video_work(wk_peer_t *peer, const wk_child_input_t *in, const an_ask_t *ask);

#endif
