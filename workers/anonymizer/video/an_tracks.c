/* Hits -> tracks. */
#include "an_tracks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Without a hit, then a track ends; before and behind it as much is covered: a second, and the time
 * to the next picture that is looked at. */
#define GAP_S 1.25
#define GAP_LOOKS 2   /* that nothing was found in, whatever the time */
#define HOLE_S 0.5    /* between two tracks of one place: closed */
#define REACH 1.6     /* of its own size: how far from where it is expected a hit may lie, */
#define TURN 0.5      /* and of the way that it would have gone, */
#define REACH_MAX 3.5 /* both together */
#define RATIO 0.4     /* of two sizes, at least */
#define MEMORY_S 0.4  /* speed is measured over so much */
#define FORESIGHT_S 0.5
#define CANDIDATES 8 /* tracks considered for one hit */

typedef struct {
    uint32_t track, hit;
    double fit;
} pair_t;

typedef struct {
    const an_film_t *film;
    const an_found_t *found;
    an_tracks_t *out;
    uint32_t *active; /* tracks that may go on */
    uint32_t nactive;
    pair_t *pairs; /* of one picture */
    uint32_t npairs;
    uint8_t *taken; /* hits of one picture */
    uint32_t *cuts; /* pictures that begin a scene */
    uint32_t ncuts;
} make_t;

/* ---- how well they fit ---- */

/* Where the track's middle is expected, pixels; *way: how far it would go in that time. */
static void expect(const an_film_t *film, const an_track_t *t, double at, double *x, double *y,
                   double *way)
{
    const an_point_t *last = &t->points[t->npoints - 1], *p = last;
    double end = film->at[last->picture], dt = at - end, past, dx, dy;

    *x = (double)(last->x + last->w / 2) * film->width;
    *y = (double)(last->y + last->h / 2) * film->height;
    *way = 0;
    while (p > t->points && end - film->at[p->picture] < MEMORY_S) {
        p--;
    }
    past = end - film->at[p->picture];
    if (past <= 0) {
        return;
    }
    dx = (*x - (double)(p->x + p->w / 2) * film->width) / past;
    dy = (*y - (double)(p->y + p->h / 2) * film->height) / past;
    *way = hypot(dx, dy) * dt;
    dt = dt < FORESIGHT_S ? dt : FORESIGHT_S;
    *x += dx * dt;
    *y += dy * dt;
}

/* 0: it cannot be the same thing. */
static double fit_of(const an_film_t *film, const an_track_t *t, const an_hit_t *h, double at)
{
    const an_point_t *last = &t->points[t->npoints - 1];
    double a = sqrt((double)(last->w * last->h) * film->width * film->height);
    double b = sqrt((double)(h->w * h->h) * film->width * film->height);
    double ratio = a < b ? a / b : b / a;
    double cx = (double)(h->x + h->w / 2) * film->width;
    double cy = (double)(h->y + h->h / 2) * film->height;
    double size = (a + b) / 2, x, y, there, here, way, reach;

    if ((int)t->what != h->label || ratio < RATIO) {
        return 0;
    }
    expect(film, t, at, &x, &y, &way);
    /* what goes fast may turn */
    reach = REACH * size + TURN * way;
    reach = reach < REACH_MAX * size ? reach : REACH_MAX * size;
    there = 1 - hypot(cx - x, cy - y) / reach;
    /* a little less than what moves as it did */
    here = 0.8 * (1 - hypot(cx - (double)(last->x + last->w / 2) * film->width,
                            cy - (double)(last->y + last->h / 2) * film->height) /
                          reach);
    there = there > here ? there : here;
    return there > 0 ? there * (0.5 + 0.5 * ratio) : 0;
}

/* ---- one picture ---- */

static int by_fit(const void *a, const void *b)
{
    const pair_t *p = a, *q = b;

    if (p->fit != q->fit) {
        return p->fit < q->fit ? 1 : -1;
    }
    return p->track != q->track ? (p->track > q->track) - (p->track < q->track)
                                : (p->hit > q->hit) - (p->hit < q->hit);
}

/* The best few tracks for a hit. */
static void add_pairs(make_t *m, uint32_t hit, double at)
{
    pair_t *best = &m->pairs[m->npairs];
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->nactive; i++) {
        double fit = fit_of(m->film, &m->out->tracks[m->active[i]], &m->found->hits[hit], at);
        uint32_t k = n;

        if (fit <= 0 || (n == CANDIDATES && fit <= best[n - 1].fit)) {
            continue;
        }
        k = n < CANDIDATES ? n++ : n - 1;
        for (; k > 0 && best[k - 1].fit < fit; k--) {
            best[k] = best[k - 1];
        }
        best[k] = (pair_t){m->active[i], hit, fit};
    }
    m->npairs += n;
}

static int add_point(an_track_t *t, uint32_t look, uint32_t picture, const an_hit_t *h)
{
    if (t->npoints == t->cap) {
        uint32_t cap = t->cap == 0 ? 16 : 2 * t->cap;
        an_point_t *p = realloc(t->points, cap * sizeof(*p));

        if (p == NULL) {
            return -1;
        }
        t->points = p;
        t->cap = cap;
    }
    t->points[t->npoints++] = (an_point_t){look, picture, h->x, h->y, h->w, h->h, h->score};
    return 0;
}

static int start_track(make_t *m, uint32_t look, uint32_t picture, const an_hit_t *h)
{
    an_tracks_t *all = m->out;

    if (all->n == all->cap) {
        uint32_t cap = all->cap == 0 ? 64 : 2 * all->cap;
        an_track_t *t = cap <= AN_TRACKS_MAX ? realloc(all->tracks, cap * sizeof(*t)) : NULL;

        if (t == NULL) {
            return -1;
        }
        all->tracks = t;
        all->cap = cap;
    }
    all->tracks[all->n] = (an_track_t){.what = (enum an_class)h->label};
    m->active[m->nactive++] = all->n;
    return add_point(&all->tracks[all->n++], look, picture, h);
}

/* Those whose last hit is too long ago go. */
static void retire(make_t *m, uint32_t number, double at)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < m->nactive; i++) {
        const an_track_t *t = &m->out->tracks[m->active[i]];

        if (at - m->film->at[t->points[t->npoints - 1].picture] <= GAP_S ||
            number - t->points[t->npoints - 1].look <= GAP_LOOKS) {
            m->active[kept++] = m->active[i];
        }
    }
    m->nactive = kept;
}

static int associate(make_t *m, uint32_t number)
{
    const an_look_t *look = &m->found->looks[number];
    double at = m->film->at[look->picture];
    int rc = 0;

    if (look->flags & AN_LOOK_CUT) {
        m->nactive = 0;
    }
    retire(m, number, at);
    m->npairs = 0;
    memset(m->taken, 0, look->n);
    for (uint32_t i = 0; i < look->n; i++) {
        add_pairs(m, look->first + i, at);
    }
    qsort(m->pairs, m->npairs, sizeof(*m->pairs), by_fit);
    for (uint32_t i = 0; rc == 0 && i < m->npairs; i++) {
        const pair_t *p = &m->pairs[i];
        an_track_t *t = &m->out->tracks[p->track];

        if (!m->taken[p->hit - look->first] && t->points[t->npoints - 1].look != number) {
            m->taken[p->hit - look->first] = 1;
            rc = add_point(t, number, look->picture, &m->found->hits[p->hit]);
        }
    }
    for (uint32_t i = 0; rc == 0 && i < look->n; i++) {
        if (!m->taken[i]) {
            rc = start_track(m, number, look->picture, &m->found->hits[look->first + i]);
        }
    }
    return rc;
}

/* ---- what is covered ---- */

/* The first picture shown no earlier than `at`. */
static uint32_t picture_at(const an_film_t *film, double at)
{
    uint32_t lo = 0, hi = film->npictures;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (film->at[mid] < at) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The scene that a picture lies in: [*from, *end). Cuts are ascending, the last one is the end. */
static void scene_of(const make_t *m, uint32_t picture, uint32_t *from, uint32_t *end)
{
    uint32_t lo = 0, hi = m->ncuts;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (m->cuts[mid] <= picture) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *from = lo > 0 ? m->cuts[lo - 1] : 0;
    *end = lo < m->ncuts ? m->cuts[lo] : m->film->npictures;
}

static int find_cuts(make_t *m)
{
    m->cuts = malloc(((size_t)m->found->nlooks + 1) * sizeof(*m->cuts));
    for (uint32_t i = 0; m->cuts != NULL && i < m->found->nlooks; i++) {
        if (m->found->looks[i].flags & AN_LOOK_CUT) {
            m->cuts[m->ncuts++] = m->found->looks[i].picture;
        }
    }
    return m->cuts != NULL ? 0 : -1;
}

static void extend(const make_t *m, an_track_t *t)
{
    const an_film_t *film = m->film;
    const an_point_t *first = &t->points[0], *last = &t->points[t->npoints - 1];
    uint32_t from, end;

    scene_of(m, first->picture, &from, &end);
    t->from = picture_at(film, film->at[first->picture] - GAP_S);
    t->from = t->from == first->picture && t->from > 0 ? t->from - 1 : t->from;
    t->from = t->from > from ? t->from : from;
    t->end = picture_at(film, film->at[last->picture] + GAP_S) + 1; /* the next one at least */
    t->end = t->end < end ? t->end : end;
}

static int overlaps(const an_point_t *a, const an_point_t *b)
{
    return a->x < b->x + b->w && b->x < a->x + a->w && a->y < b->y + b->h && b->y < a->y + a->h;
}

/* A track that ends just before another begins at its place: the hole would be a flicker. Tracks
 * are in the order of their beginning. */
static void close_holes(const make_t *m)
{
    const an_film_t *film = m->film;
    an_tracks_t *all = m->out;

    for (uint32_t i = 0; i < all->n; i++) {
        an_track_t *a = &all->tracks[i];
        const an_point_t *last = &a->points[a->npoints - 1];
        uint32_t from, end;

        scene_of(m, last->picture, &from, &end);
        for (uint32_t k = i + 1; k < all->n; k++) {
            const an_track_t *b = &all->tracks[k];

            if (b->points[0].picture >= end ||
                film->at[b->points[0].picture] > film->at[a->end] + HOLE_S + GAP_S) {
                break;
            }
            if (b->from > a->end && film->at[b->from] - film->at[a->end] < HOLE_S &&
                a->what == b->what && overlaps(last, &b->points[0])) {
                a->end = b->from;
            }
        }
    }
}

static int by_place(const void *a, const void *b)
{
    const an_point_t *p = ((const an_track_t *)a)->points, *q = ((const an_track_t *)b)->points;

    if (p->picture != q->picture) {
        return p->picture < q->picture ? -1 : 1;
    }
    if (p->x != q->x) {
        return p->x < q->x ? -1 : 1;
    }
    if (p->y != q->y) {
        return p->y < q->y ? -1 : 1;
    }
    return (p->w > q->w) - (p->w < q->w);
}

int an_tracks_make(const an_film_t *film, const an_found_t *found, an_tracks_t *out)
{
    make_t m = {.film = film, .found = found, .out = out};
    int rc = -1;

    memset(out, 0, sizeof(*out));
    m.active = malloc(AN_TRACKS_MAX * sizeof(*m.active));
    m.pairs = malloc((size_t)AN_HITS_MAX * CANDIDATES * sizeof(*m.pairs));
    m.taken = malloc(AN_HITS_MAX);
    if (m.active == NULL || m.pairs == NULL || m.taken == NULL || find_cuts(&m) != 0) {
        goto done;
    }
    rc = 0;
    for (uint32_t i = 0; rc == 0 && i < found->nlooks; i++) {
        rc = found->looks[i].picture < film->npictures ? associate(&m, i) : -1;
    }
    if (rc == 0 && out->n > 0) {
        qsort(out->tracks, out->n, sizeof(*out->tracks), by_place);
        for (uint32_t i = 0; i < out->n; i++) {
            out->tracks[i].id = (int)i + 1;
            extend(&m, &out->tracks[i]);
        }
        close_holes(&m);
    }
done:
    free(m.active);
    free(m.pairs);
    free(m.taken);
    free(m.cuts);
    if (rc != 0) {
        an_tracks_free(out);
    }
    return rc;
}

void an_tracks_free(an_tracks_t *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        free(t->tracks[i].points);
    }
    free(t->tracks);
    memset(t, 0, sizeof(*t));
}
