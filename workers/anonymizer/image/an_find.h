/* What is in a picture, whatever its size. */
#ifndef AN_FIND_H
#define AN_FIND_H

#include "an_params.h"

/* Asks for all classes of the params: hits in pixels of the picture, above their thresholds, at
 * most max; how many, negative: the detector cannot be asked, or no memory. */
int an_find(const an_params_t *p, const an_ask_t *ask, const an_picture_t *picture, an_hit_t *hits,
            int max);

#endif
