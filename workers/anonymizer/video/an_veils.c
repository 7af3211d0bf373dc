#include "an_veils.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "an_region.h"

an_veil_t *an_veils_add(an_veils_t *v, uint32_t first, uint32_t end, uint32_t nboxes)
{
    an_veil_t *one;

    if (first >= end || nboxes == 0 ||
        (v->nboxes + nboxes) * sizeof(an_veil_box_t) > AN_VEILS_BYTES_MAX) {
        return NULL;
    }
    if (v->n == v->cap) {
        uint32_t cap = v->cap == 0 ? 64 : 2 * v->cap;
        an_veil_t *p = cap <= AN_VEILS_MAX ? realloc(v->veils, cap * sizeof(*p)) : NULL;

        if (p == NULL) {
            return NULL;
        }
        v->veils = p;
        v->cap = cap;
    }
    one = &v->veils[v->n];
    *one = (an_veil_t){.first = first, .end = end, .nboxes = nboxes};
    one->boxes = calloc(nboxes, sizeof(*one->boxes));
    if (one->boxes == NULL) {
        return NULL;
    }
    v->n++;
    v->nboxes += nboxes;
    return one;
}

void an_veils_free(an_veils_t *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        free(v->veils[i].boxes);
    }
    free(v->veils);
    memset(v, 0, sizeof(*v));
}

/* ---- making ---- */

static int16_t unit(float edge, int outwards)
{
    double v = (double)edge * AN_VEIL_UNIT;

    v = outwards < 0 ? floor(v) : ceil(v);
    return (int16_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v);
}

static an_veil_box_t box_of(an_edges_t e)
{
    return (an_veil_box_t){unit(e.x0, -1), unit(e.y0, -1), unit(e.x1, 1), unit(e.y1, 1)};
}

static int is_at(const an_film_t *film, const an_region_t *r, uint32_t picture)
{
    return an_region_is_at(r, film->at[picture], film->at[picture + 1]);
}

/* Its middle lies where nothing is to be masked. */
static int is_spared(const an_film_t *film, const an_params_t *params, an_edges_t e,
                     uint32_t picture)
{
    float x = (e.x0 + e.x1) / 2, y = (e.y0 + e.y1) / 2;

    for (int i = 0; i < params->nregions; i++) {
        const an_region_t *r = &params->regions[i];

        if (r->is_never && x >= r->x && x <= r->x + r->w && y >= r->y && y <= r->y + r->h &&
            is_at(film, r, picture)) {
            return 1;
        }
    }
    return 0;
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

static int new_seed(uint64_t *seed)
{
    return getrandom(seed, sizeof(*seed), 0) == (ssize_t)sizeof(*seed) ? 0 : -1;
}

static int add_track(const an_film_t *film, const an_track_t *t, const an_params_t *params,
                     an_veils_t *out)
{
    an_veil_t *v = an_veils_add(out, t->from, t->end, t->end - t->from);
    float grow = an_hit_growth(params->grow, params->shape == AN_ELLIPSE);
    an_edges_t *edges = v != NULL ? an_boxes(film, t, grow) : NULL;

    if (edges == NULL || new_seed(&v->seed) != 0) {
        free(edges);
        return -1;
    }
    v->track = (uint32_t)t->id;
    v->shape = params->shape;
    for (uint32_t i = 0; i < v->nboxes; i++) {
        if (!is_spared(film, params, edges[i], t->from + i)) {
            v->boxes[i] = box_of(edges[i]);
        }
    }
    free(edges);
    return 0;
}

/* A box that stands still; regions are rectangles whatever the shape of masks is. */
static int add_still(const an_film_t *film, an_edges_t e, uint32_t first, uint32_t end,
                     an_veils_t *out)
{
    an_veil_t *v;

    if (first >= end || first >= film->npictures) {
        return 0;
    }
    v = an_veils_add(out, first, end, 1);
    if (v == NULL || new_seed(&v->seed) != 0) {
        return -1;
    }
    v->shape = AN_BOX;
    v->boxes[0] = box_of(e);
    return 0;
}

static int add_region(const an_film_t *film, const an_region_t *r, an_veils_t *out)
{
    uint32_t first = 0, end;

    while (first < film->npictures && !is_at(film, r, first)) {
        first++;
    }
    for (end = first; end < film->npictures && is_at(film, r, end); end++) {
    }
    return add_still(film, (an_edges_t){r->x, r->y, r->x + r->w, r->y + r->h}, first, end, out);
}

/* Nobody knows what a damaged picture shows. */
static int add_damaged(const an_film_t *film, const an_found_t *found, an_veils_t *out)
{
    const an_edges_t all = {0, 0, 1, 1};

    for (uint32_t i = 0; i < found->nlooks; i++) {
        const an_look_t *l = &found->looks[i];
        uint32_t end = l->picture + 1;

        if (!(l->flags & AN_LOOK_DAMAGED)) {
            continue;
        }
        while (i + 1 < found->nlooks && (found->looks[i + 1].flags & AN_LOOK_DAMAGED) &&
               found->looks[i + 1].picture == end) {
            i++;
            end++;
        }
        if (add_still(film, all, l->picture, end, out) != 0) {
            return -1;
        }
    }
    return 0;
}

int an_veils_make(const an_film_t *film, const an_found_t *found, const an_tracks_t *tracks,
                  const an_params_t *params, an_veils_t *out)
{
    int rc = 0;

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; rc == 0 && i < tracks->n; i++) {
        if (!is_kept(params, tracks->tracks[i].id)) {
            rc = add_track(film, &tracks->tracks[i], params, out);
        }
    }
    for (int i = 0; rc == 0 && i < params->nregions; i++) {
        if (!params->regions[i].is_never) {
            rc = add_region(film, &params->regions[i], out);
        }
    }
    if (rc == 0) {
        rc = add_damaged(film, found, out);
    }
    if (rc != 0) {
        an_veils_free(out);
    }
    return rc;
}

/* ---- asking ---- */

static const an_veil_box_t *box_at(const an_veil_t *v, uint32_t picture)
{
    const an_veil_box_t *b;

    if (picture < v->first || picture >= v->end) {
        return NULL;
    }
    b = &v->boxes[v->nboxes == 1 ? 0 : picture - v->first];
    return b->x1 > b->x0 && b->y1 > b->y0 ? b : NULL;
}

int an_veils_at(const an_veils_t *v, uint32_t picture, int width, int height, an_mask_t *out)
{
    int n = 0;

    for (uint32_t i = 0; i < v->n; i++) {
        const an_veil_t *one = &v->veils[i];
        const an_veil_box_t *b = box_at(one, picture);

        if (b == NULL) {
            continue;
        }
        if (n == AN_VEILS_AT_MAX) {
            return -1;
        }
        out[n++] = (an_mask_t){.x = (float)b->x0 / AN_VEIL_UNIT * (float)width,
                               .y = (float)b->y0 / AN_VEIL_UNIT * (float)height,
                               .w = (float)(b->x1 - b->x0) / AN_VEIL_UNIT * (float)width,
                               .h = (float)(b->y1 - b->y0) / AN_VEIL_UNIT * (float)height,
                               .shape = one->shape,
                               .seed = one->seed};
    }
    return n;
}

/* Those of a few pictures alone: of a long film it is a small part of all. */
typedef struct {
    const an_veil_t **veils;
    uint32_t n;
} part_t;

static int part_of(const an_veils_t *v, uint32_t first, uint32_t end, part_t *out)
{
    out->n = 0;
    out->veils = malloc(((size_t)v->n + 1) * sizeof(const an_veil_t *));
    for (uint32_t i = 0; out->veils != NULL && i < v->n; i++) {
        if (v->veils[i].first < end && v->veils[i].end > first) {
            out->veils[out->n++] = &v->veils[i];
        }
    }
    return out->veils != NULL ? 0 : -1;
}

/* The next veil that masks the picture; p->n: none. */
static uint32_t next_at(const part_t *p, uint32_t i, uint32_t picture)
{
    while (i < p->n && box_at(p->veils[i], picture) == NULL) {
        i++;
    }
    return i;
}

static int is_same_at(const part_t *a, const part_t *b, uint32_t picture)
{
    uint32_t i = next_at(a, 0, picture), k = next_at(b, 0, picture);

    while (i < a->n && k < b->n) {
        const an_veil_t *x = a->veils[i], *y = b->veils[k];

        if (x->shape != y->shape ||
            memcmp(box_at(x, picture), box_at(y, picture), sizeof(an_veil_box_t)) != 0) {
            return 0;
        }
        i = next_at(a, i + 1, picture);
        k = next_at(b, k + 1, picture);
    }
    return i == a->n && k == b->n;
}

int an_veils_same(const an_veils_t *a, const an_veils_t *b, uint32_t first, uint32_t end)
{
    part_t x = {NULL, 0}, y = {NULL, 0};
    int is_same = part_of(a, first, end, &x) == 0 && part_of(b, first, end, &y) == 0;

    for (uint32_t picture = first; is_same && picture < end; picture++) {
        is_same = is_same_at(&x, &y, picture);
    }
    free(x.veils);
    free(y.veils);
    return is_same;
}
