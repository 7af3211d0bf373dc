/* What is to be masked in a picture: the detectors of the parameters, at all their scales. */
#ifndef AN_FIND_H
#define AN_FIND_H

#include "an_ask.h"
#include "an_params.h"

/* At most `max` hits in pixels of the upright picture, best first; negative: the detector cannot be
 * asked, or there is no memory. */
int an_find(const an_params_t *params, const an_ask_t *ask, const an_picture_t *picture,
            an_hit_t *hits, int max);

#endif
