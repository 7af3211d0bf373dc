#include "an_region.h"

int an_region_is_at(const an_region_t *r, double at_s, double end_s)
{
    int is_endless = r->to_s < 0;

    if (r->is_never) {
        return at_s >= r->from_s && (is_endless || end_s <= r->to_s);
    }
    /* from the moment it begins even where the picture, or the region, takes no time */
    return (end_s > r->from_s || at_s >= r->from_s) &&
           (is_endless || at_s < r->to_s || at_s <= r->from_s);
}

/* Those of an edit by their ids, those of the upload by their places in the parameters. */
int an_region_warn(json_t *warnings, const an_params_t *p, double end_s)
{
    int rc = 0;

    for (int i = 0; i < p->nregions; i++) {
        const an_region_t *r = &p->regions[i];

        if (r->from_s >= end_s && r->from_s > 0) {
            json_t *detail =
                r->id > 0 ? json_sprintf("Region %d lies behind the end.", r->id)
                          : json_sprintf("The parameter regions[%d] lies behind the end.", i);

            rc |= json_array_append_new(
                warnings, json_pack("{s:s,s:o}", "code", "region_unused", "detail", detail));
        }
    }
    return rc;
}
