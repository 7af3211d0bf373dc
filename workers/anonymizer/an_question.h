/* What a decoder child asks its parent: what a detector of a kind sees in a picture. The head, then
 * the packed BGR pixels; the answer is an array of an_hit_t. */
#ifndef AN_QUESTION_H
#define AN_QUESTION_H

#include <stdint.h>

#include "an_ask.h"
#include "wk_child.h"

typedef struct {
    uint32_t kind; /* enum an_kind */
    uint32_t width, height;
    uint32_t zero;
} an_question_t;

/* Asks through the parent. `ctx` is the wk_peer_t; as an_ask_t.ask. In the child. */
int an_question_ask(void *ctx, enum an_kind kind, const an_picture_t *picture, an_hit_t *hits,
                    int max);

#endif
