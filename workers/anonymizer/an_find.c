/* Parameters -> scales. */
#include "an_find.h"

#include "an_scales.h"

int an_find(const an_params_t *params, const an_ask_t *ask, const an_picture_t *picture,
            an_hit_t *hits, int max)
{
    an_scales_t scales;

    an_scales_init(&scales);
    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        enum an_class what = (enum an_class)c;

        if ((params->classes & (1u << c)) != 0 &&
            an_scales_add(&scales, what, an_params_kind(params, what), params->threshold[c]) != 0) {
            return -1;
        }
    }
    return an_scales_find(&scales, picture, ask, hits, max);
}
