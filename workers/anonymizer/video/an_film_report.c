#include "an_film_report.h"

#include <math.h>

#include "an_region.h"

/* Digits that say something: a millisecond, a fiftieth of a pixel. */
static json_t *rounded(double v, double digits)
{
    return json_real(round(v * digits) / digits);
}

static json_t *seconds(double v)
{
    return rounded(v, 1e3);
}

static json_t *box_of(const an_film_t *film, const an_point_t *p)
{
    return json_pack("[o,o,o,o,o,o]", seconds(film->at[p->picture]), rounded((double)p->x, 1e5),
                     rounded((double)p->y, 1e5), rounded((double)p->w, 1e5),
                     rounded((double)p->h, 1e5), rounded((double)p->score, 1e3));
}

static json_t *gaps_of(const an_film_t *film, const an_found_t *found, const an_track_t *t)
{
    json_t *gaps = json_array();

    for (uint32_t i = 1; i < t->npoints; i++) {
        const an_point_t *a = &t->points[i - 1], *b = &t->points[i];
        int missed = 0;

        for (uint32_t k = a->look + 1; k < b->look; k++) {
            missed |= (found->looks[k].flags & AN_LOOK_SEEN) != 0;
        }
        if (missed) {
            (void)json_array_append_new(gaps, json_pack("[o,o]", seconds(film->at[a->picture]),
                                                        seconds(film->at[b->picture])));
        }
    }
    return gaps;
}

static int is_kept(const an_params_t *params, int id)
{
    for (int i = 0; i < params->nkept; i++) {
        if (params->kept[i] == id) {
            return 1;
        }
    }
    return 0;
}

static json_t *track_of(const an_film_t *film, const an_found_t *found, const an_track_t *t,
                        const an_params_t *params)
{
    static const char *const classes[] = {"face", "person", "vehicle", "plate"};
    json_t *boxes = json_array(), *o;

    for (uint32_t i = 0; i < t->npoints; i++) {
        (void)json_array_append_new(boxes, box_of(film, &t->points[i]));
    }
    o = json_pack("{s:i,s:s,s:o,s:o,s:o,s:o}", "id", t->id, "class", classes[t->what], "from",
                  seconds(film->at[t->from]), "to", seconds(film->at[t->end]), "boxes", boxes,
                  "gaps", gaps_of(film, found, t));
    if (o != NULL && is_kept(params, t->id)) {
        (void)json_object_set_new(o, "kept", json_true());
    }
    return o;
}

static json_t *warnings_of(const an_film_t *film, const an_found_t *found,
                           const an_params_t *params)
{
    json_t *warnings = json_array();
    uint32_t damaged = 0;

    for (uint32_t i = 0; i < found->nlooks; i++) {
        damaged += (found->looks[i].flags & AN_LOOK_DAMAGED) != 0;
    }
    if (damaged > 0) {
        (void)json_array_append_new(
            warnings,
            json_pack("{s:s,s:o}", "code", "damaged", "detail",
                      json_sprintf("%u pictures could not be decoded and are masked as a whole.",
                                   damaged)));
    }
    (void)an_region_warn(warnings, params, film->at[film->npictures]);
    return warnings;
}

json_t *an_film_report(const an_film_t *film, const an_found_t *found, const an_tracks_t *tracks,
                       const an_params_t *params)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < tracks->n; i++) {
        (void)json_array_append_new(list, track_of(film, found, &tracks->tracks[i], params));
    }
    return json_pack("{s:s,s:i,s:i,s:o,s:o,s:o}", "kind", "video", "width", film->width, "height",
                     film->height, "duration", seconds(film->at[film->npictures]), "tracks", list,
                     "warnings", warnings_of(film, found, params));
}
