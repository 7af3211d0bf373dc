/* A film as the anonymizer cuts it up: times and size of its pictures, the segments of its masked
 * copy, one range of them for each job that detects or renders. Every job makes the same of the
 * same index. */
#ifndef AN_FILM_H
#define AN_FILM_H

#include "an_params.h"
#include "an_tracks.h"
#include "vd_plan.h"

#define AN_FILM_VIDEO "masked" /* tracks of the masked copy, beside a ladder's of it */
#define AN_FILM_SOUND "masked_sound"

/* 0: at is owned; -1 with a cause. */
int an_film_open(const media_vindex_t *v, an_film_t *out, tc_fail_t *f);
void an_film_free(an_film_t *film);

/* 0: to be freed; -1 with a cause. */
int an_film_cuts(const media_vindex_t *v, vd_cuts_t *out, tc_fail_t *f);
/* Pictures of a range: [*first, *end). */
void an_film_range(const vd_cuts_t *cuts, uint32_t i, uint32_t *first, uint32_t *end);

/* How the masked copy is encoded. */
media_ladder_params_t an_film_how(const an_params_t *params);

/* Takes range; 0 or -1. */
int an_film_job(json_t *jobs, const char *step, json_t *range);

#endif
