/* Whether it is a film or a picture, and who does the step. */
#include "an_work.h"

#include <string.h>

#include "an_question.h"
#include "an_video.h"
#include "an_video_work.h"
#include "tc_input.h"

void an_warm(void)
{
    tc_warm();
}

int an_work(wk_peer_t *peer, const wk_child_input_t *in)
{
    const an_ask_t ask = {.ctx = peer, .ask = an_question_ask};
    const vd_source_t source = tc_input_source(peer, in->size);

    if (in->step != NULL && strcmp(in->step, "anonymize") == 0 && !an_is_video(&source)) {
        return wk_peer_error(peer, "unsupported_media", 0, "Pictures are not masked yet.");
    }
    return an_video_work(peer, in, &ask);
}
