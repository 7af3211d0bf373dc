/* Parameters -> scales. */
#include "an_find.h"

#include "an_scales.h"
#include "media/err.h"

int an_find(const an_params_t *params, const an_ask_t *ask, const an_picture_t *picture,
            an_hit_t *hits, tc_fail_t *f)
{
    an_scales_t scales;
    int n;

    an_scales_init(&scales);
    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        enum an_class what = (enum an_class)c;

        if ((params->classes & (1u << c)) != 0 &&
            an_scales_add(&scales, what, an_params_kind(params, what), params->threshold[c]) != 0) {
            return tc_fail(f, "internal", "No detector of the job knows a class of it.");
        }
    }
    n = an_scales_find(&scales, picture, ask, hits, AN_HITS_MAX);
    if (n == MEDIA_E_TOOBIG) {
        return tc_fail(f, "limits", "There are more than %d things to mask in one picture.",
                       AN_HITS_MAX);
    }
    return n < 0 ? tc_fail(f, "internal", "The detector could not be asked.") : n;
}
