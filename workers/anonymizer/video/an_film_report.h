/* What the report says of a film: every track with its times, boxes and scores. */
#ifndef AN_FILM_REPORT_H
#define AN_FILM_REPORT_H

#include <jansson.h>

#include "an_params.h"
#include "an_tracks.h"

/* {"kind":"video","width","height","duration","tracks":[{"id","class","from","to",
 * "boxes":[[t,x,y,w,h,score],...],"gaps":[[from,to],...],"kept":true},...],"warnings":[]}: seconds,
 * fractions of the upright picture; boxes are what was found, gaps the times between two of them in
 * which pictures were looked at and nothing was found. Owned, NULL: no memory. */
json_t *an_film_report(const an_film_t *film, const an_found_t *found, const an_tracks_t *tracks,
                       const an_params_t *params);

#endif
