/* The step `anonymize` of a picture, inside the decoder child. */
#ifndef AN_PICTURE_H
#define AN_PICTURE_H

#include "wk_child.h"

/* As work() of wk_child_main. */
int an_picture_work(wk_peer_t *peer, const wk_child_input_t *in);

#endif
