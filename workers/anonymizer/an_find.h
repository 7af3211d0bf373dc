/* What is to be masked in a picture: the detectors of the parameters, at all their scales. */
#ifndef AN_FIND_H
#define AN_FIND_H

#include "an_ask.h"
#include "an_params.h"

/* All hits (AN_HITS_MAX at most) in pixels of the upright picture, best first: their number. -1
 * with a cause: "limits", there are more; "internal", the detector cannot be asked, or there is no
 * memory. */
int an_find(const an_params_t *params, const an_ask_t *ask, const an_picture_t *picture,
            an_hit_t *hits, tc_fail_t *f);

#endif
