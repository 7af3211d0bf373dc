/* Whether it is a film or a picture, and who does the step. */
#include "an_work.h"

#include <string.h>

#include "an_image.h"
#include "an_picture.h"
#include "an_question.h"
#include "an_video.h"
#include "an_video_work.h"
#include "tc_input.h"

#define MAGIC 64 /* bytes that tell a picture */

void an_warm(void)
{
    tc_warm();
    an_image_warm();
}

static int is_picture(const vd_source_t *source)
{
    uint8_t head[MAGIC];
    ssize_t n = source->read(source->ctx, 0, head, sizeof(head));

    return n > 0 && an_image_is(head, (size_t)n);
}

int an_work(wk_peer_t *peer, const wk_child_input_t *in)
{
    const an_ask_t ask = {.ctx = peer, .ask = an_question_ask};
    const vd_source_t source = tc_input_source(peer, in->size);

    return in->step != NULL && strcmp(in->step, "anonymize") == 0 && is_picture(&source)
               ? an_picture_work(peer, in)
               : an_video_work(peer, in, &ask);
}
