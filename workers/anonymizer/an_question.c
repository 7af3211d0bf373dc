/* The child's side of its questions. */
#include "an_question.h"

#include <stdlib.h>
#include <string.h>

int an_question_ask(void *ctx, enum an_kind kind, const an_picture_t *picture, an_hit_t *hits,
                    int max)
{
    const size_t bytes = 3 * (size_t)picture->width * (size_t)picture->height;
    const an_question_t head = {(uint32_t)kind, (uint32_t)picture->width, (uint32_t)picture->height,
                                0};
    const int most = max < AN_HITS_MAX ? max : AN_HITS_MAX;
    char *text = bytes <= AN_PICTURE_MAX ? malloc(sizeof(head) + bytes) : NULL;
    ssize_t n = MEDIA_E_NOMEM;

    _Static_assert(sizeof(head) + AN_PICTURE_MAX <= WK_FRAME_MAX, "a question is one frame");
    if (text != NULL) {
        memcpy(text, &head, sizeof(head));
        memcpy(text + sizeof(head), picture->bgr, bytes);
        n = wk_peer_ask(ctx, (media_str_t){text, sizeof(head) + bytes}, hits,
                        (size_t)most * sizeof(*hits));
    }
    free(text);
    return n < 0 ? (int)n : (int)((size_t)n / sizeof(*hits));
}
