#include "an_seen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "an_region.h"

#define SAME 0.2F /* overlap (IoU) from which a box is the one of the frame before */

void an_seen_init(an_seen_t *s, int width, int height)
{
    memset(s, 0, sizeof(*s));
    s->width = width;
    s->height = height;
    if (getrandom(&s->secret, sizeof(s->secret), 0) != (ssize_t)sizeof(s->secret)) {
        abort(); /* there is no mask without chance */
    }
}

void an_seen_free(an_seen_t *s)
{
    free(s->hits);
    json_decref(s->detectors);
    memset(s, 0, sizeof(*s));
}

static int by_place(const void *a, const void *b)
{
    const an_hit_t *x = a, *y = b;

    if (x->y != y->y) {
        return x->y < y->y ? -1 : 1;
    }
    if (x->x != y->x) {
        return x->x < y->x ? -1 : 1;
    }
    return x->label - y->label;
}

/* The track whose last box is most of this one, among those before `end`; 0: none. */
static int find_track(const an_seen_t *s, const an_hit_t *hit, double at_s, int end)
{
    float best = SAME;
    int id = 0;

    for (int i = end - 1; i >= 0 && s->hits[i].at_s >= at_s - AN_SPAN_S; i--) {
        float o = an_iou(&s->hits[i].hit, hit);
        int is_free = s->hits[i].hit.label == hit->label && o > best;

        for (int k = end; is_free && k < s->n; k++) {
            is_free = s->hits[k].id != s->hits[i].id;
        }
        if (is_free) {
            best = o;
            id = s->hits[i].id;
        }
    }
    return id;
}

int an_seen_add(an_seen_t *s, double at_s, an_hit_t *hits, int n, tc_fail_t *f)
{
    int before = s->n;

    if (n > AN_SEEN_MAX - s->n) {
        return tc_fail(f, "limits", "More than %d places to mask were found.", AN_SEEN_MAX);
    }
    if (s->n + n > s->cap) {
        int cap = 2 * (s->n + n);
        an_seen_hit_t *p = realloc(s->hits, (size_t)cap * sizeof(*p));

        if (p == NULL) {
            return tc_fail_av(f, AVERROR(ENOMEM), "");
        }
        s->hits = p;
        s->cap = cap;
    }
    qsort(hits, (size_t)n, sizeof(*hits), by_place);
    for (int i = 0; i < n; i++) {
        int id = find_track(s, &hits[i], at_s, before);

        s->hits[s->n++] = (an_seen_hit_t){hits[i], id > 0 ? id : ++s->ntracks, at_s};
    }
    return 0;
}

/* ---- masks ---- */

/* Kept by an edit, or its middle lies where nothing is to be masked. */
static int is_spared(const an_seen_t *s, const an_params_t *p, const an_seen_hit_t *h, double at_s,
                     double end_s)
{
    float x = (h->hit.x + h->hit.w / 2) / (float)s->width;
    float y = (h->hit.y + h->hit.h / 2) / (float)s->height;

    for (int i = 0; i < p->nkept; i++) {
        if (p->kept[i] == h->id) {
            return 1;
        }
    }
    for (int i = 0; i < p->nregions; i++) {
        const an_region_t *r = &p->regions[i];

        if (r->is_never && an_region_is_at(r, at_s, end_s) && x >= r->x && x <= r->x + r->w &&
            y >= r->y && y <= r->y + r->h) {
            return 1;
        }
    }
    return 0;
}

static an_mask_t mask_of(const an_seen_t *s, const an_params_t *p, const an_seen_hit_t *h)
{
    an_box_t b = an_hit_cover(&h->hit, p->grow, p->shape == AN_ELLIPSE);

    return (an_mask_t){.x = b.x,
                       .y = b.y,
                       .w = b.w,
                       .h = b.h,
                       .shape = p->shape,
                       .seed = s->secret + 0x9E3779B97F4A7C15U * (uint64_t)h->id};
}

an_mask_t *an_seen_masks(const an_seen_t *s, const an_params_t *p, double at_s, double end_s,
                         int *n)
{
    an_mask_t *masks = malloc((size_t)(s->n + p->nregions + 1) * sizeof(*masks));

    *n = 0;
    if (masks == NULL) {
        return NULL;
    }
    for (int i = 0; i < s->n; i++) {
        const an_seen_hit_t *h = &s->hits[i];

        if (fabs(h->at_s - at_s) <= AN_SPAN_S && !is_spared(s, p, h, at_s, end_s)) {
            masks[(*n)++] = mask_of(s, p, h);
        }
    }
    for (int i = 0; i < p->nregions; i++) {
        const an_region_t *r = &p->regions[i];

        if (!r->is_never && an_region_is_at(r, at_s, end_s)) {
            masks[(*n)++] = (an_mask_t){.x = r->x * (float)s->width,
                                        .y = r->y * (float)s->height,
                                        .w = r->w * (float)s->width,
                                        .h = r->h * (float)s->height,
                                        .shape = AN_BOX,
                                        .seed = s->secret ^ ((uint64_t)i + 1) << 32};
        }
    }
    return masks;
}

/* ---- report ---- */

static json_t *track_new(const an_seen_hit_t *h)
{
    return json_pack("{s:i,s:s,s:f,s:f,s:[]}", "id", h->id, "class",
                     an_class_name((enum an_class)h->hit.label), "from", h->at_s, "to", h->at_s,
                     "boxes");
}

static int add_box(json_t *track, const an_seen_t *s, const an_seen_hit_t *h)
{
    double w = s->width, h_all = s->height;

    return json_array_append_new(json_object_get(track, "boxes"),
                                 json_pack("[f,f,f,f,f,f]", h->at_s, h->hit.x / w, h->hit.y / h_all,
                                           h->hit.w / w, h->hit.h / h_all, (double)h->hit.score)) |
           json_object_set_new(track, "to", json_real(h->at_s));
}

json_t *an_seen_tracks(const an_seen_t *s)
{
    json_t *tracks = json_array(), *track;

    for (int i = 0; tracks != NULL && i < s->n; i++) {
        const an_seen_hit_t *h = &s->hits[i];

        if ((size_t)h->id > json_array_size(tracks)) { /* ids are given in this order */
            (void)json_array_append_new(tracks, track_new(h));
        }
        track = json_array_get(tracks, (size_t)h->id - 1);
        if (track == NULL || add_box(track, s, h) != 0) {
            json_decref(tracks);
            return NULL;
        }
    }
    return tracks;
}
