/* A track -> boxes over every picture. */
#include "an_tracks.h"

#include <math.h>
#include <stdlib.h>

#define SPEED_S 0.4    /* speed is measured over so much */
#define CURVE_S 0.2    /* a longer way without a hit may be a bow */
#define RESTLESS_S 0.6 /* how much its speed changes is measured over so much on both sides, */
#define BOW 0.2f       /* and tells how far it may go off such a way */
#define UNSURE 0.15    /* of its size that a box gains on every side, a second from any hit */
#define WAY_MAX 3.0f   /* sizes that it is believed to move unseen */
#define WINDOW 2       /* pictures before and behind: a box holds what it was and what it will be */
#define STEP_MAX 0.11f /* of a box's size that an edge moves from one picture to the next */
#define SLOW_S 0.1     /* between two pictures: a longer time allows for a longer step */
#define PASSES 64

typedef struct {
    float x0, y0, x1, y1; /* edges per second */
} speed_t;

static an_edges_t edges_of(const an_point_t *p)
{
    return (an_edges_t){p->x, p->y, p->x + p->w, p->y + p->h};
}

static void include(an_edges_t *to, an_edges_t e)
{
    to->x0 = e.x0 < to->x0 ? e.x0 : to->x0;
    to->y0 = e.y0 < to->y0 ? e.y0 : to->y0;
    to->x1 = e.x1 > to->x1 ? e.x1 : to->x1;
    to->y1 = e.y1 > to->y1 ? e.y1 : to->y1;
}

static an_edges_t widen(an_edges_t e, float share)
{
    float dx = (e.x1 - e.x0) * share, dy = (e.y1 - e.y0) * share;

    return (an_edges_t){e.x0 - dx, e.y0 - dy, e.x1 + dx, e.y1 + dy};
}

/* From one hit to another. */
static speed_t speed_between(const an_film_t *film, const an_point_t *a, const an_point_t *b)
{
    an_edges_t from = edges_of(a), to = edges_of(b);
    float s = (float)(film->at[b->picture] - film->at[a->picture]);

    return s > 0 ? (speed_t){(to.x0 - from.x0) / s, (to.y0 - from.y0) / s, (to.x1 - from.x1) / s,
                             (to.y1 - from.y1) / s}
                 : (speed_t){0, 0, 0, 0};
}

/* At hit i by those before it (way -1) or behind it (1), up to the next long way without one. */
static speed_t speed_at(const an_film_t *film, const an_track_t *t, uint32_t i, int way)
{
    const an_point_t *p = &t->points[i], *last = way < 0 ? t->points : &t->points[t->npoints - 1];
    const an_point_t *q = p;

    while (q != last && fabs(film->at[p->picture] - film->at[q->picture]) < SPEED_S &&
           fabs(film->at[q[way].picture] - film->at[q->picture]) <= SPEED_S) {
        q += way;
    }
    return way < 0 ? speed_between(film, q, p) : speed_between(film, p, q);
}

static float mix(float a, float b, float u)
{
    return a + (b - a) * u;
}

static an_edges_t line(an_edges_t a, an_edges_t b, float u)
{
    return (an_edges_t){mix(a.x0, b.x0, u), mix(a.y0, b.y0, u), mix(a.x1, b.x1, u),
                        mix(a.y1, b.y1, u)};
}

/* Hermite's cubic: leaves a with speed v, arrives at b with speed w, s seconds later. */
static float bow(float a, float v, float b, float w, float s, float u)
{
    float u2 = u * u, u3 = u2 * u;

    return (2 * u3 - 3 * u2 + 1) * a + (u3 - 2 * u2 + u) * s * v + (3 * u2 - 2 * u3) * b +
           (u3 - u2) * s * w;
}

static an_edges_t curve(an_edges_t a, speed_t v, an_edges_t b, speed_t w, float s, float u)
{
    an_edges_t e = {bow(a.x0, v.x0, b.x0, w.x0, s, u), bow(a.y0, v.y0, b.y0, w.y0, s, u),
                    bow(a.x1, v.x1, b.x1, w.x1, s, u), bow(a.y1, v.y1, b.y1, w.y1, s, u)};

    /* a cubic of measured speeds may turn a box inside out */
    return e.x1 > e.x0 && e.y1 > e.y0 ? e : a;
}

/* How much its speed changes around hits i to k: what nods or turns goes on with it unseen. */
static void restlessness(const an_film_t *film, const an_track_t *t, uint32_t i, uint32_t k,
                         float *dx, float *dy)
{
    double from = film->at[t->points[i].picture], to = film->at[t->points[k].picture];
    float x0 = 0, x1 = 0, y0 = 0, y1 = 0;
    uint32_t n = 0;

    while (i > 0 && from - film->at[t->points[i - 1].picture] < RESTLESS_S) {
        i--;
    }
    for (; i + 1 < t->npoints && film->at[t->points[i].picture] - to < RESTLESS_S; i++) {
        speed_t v = speed_between(film, &t->points[i], &t->points[i + 1]);
        float x = (v.x0 + v.x1) / 2, y = (v.y0 + v.y1) / 2;

        x0 = n == 0 || x < x0 ? x : x0;
        x1 = n == 0 || x > x1 ? x : x1;
        y0 = n == 0 || y < y0 ? y : y0;
        y1 = n++ == 0 || y > y1 ? y : y1;
    }
    *dx = BOW * (x1 - x0);
    *dy = BOW * (y1 - y0);
}

static an_edges_t move_out(an_edges_t e, float dx, float dy)
{
    return (an_edges_t){e.x0 - dx, e.y0 - dy, e.x1 + dx, e.y1 + dy};
}

static void fill_between(const an_film_t *film, const an_track_t *t, uint32_t i, an_edges_t *out)
{
    const an_point_t *p = &t->points[i], *q = p + 1;
    an_edges_t a = edges_of(p), b = edges_of(q);
    float s = (float)(film->at[q->picture] - film->at[p->picture]);
    speed_t v = speed_at(film, t, i, -1), w = speed_at(film, t, i + 1, 1);
    float dx = 0, dy = 0;

    if (s > (float)CURVE_S) {
        restlessness(film, t, i, i + 1, &dx, &dy);
    }
    for (uint32_t n = p->picture + 1; n < q->picture; n++) {
        float u = (float)(film->at[n] - film->at[p->picture]) / s;
        an_edges_t *e = &out[n - t->from];

        *e = line(a, b, u);
        if (s > (float)CURVE_S) {
            float off = 4 * u * (1 - u) * s;

            include(e, curve(a, v, b, w, s, u));
            *e = move_out(widen(*e, (float)UNSURE * off), dx * off, dy * off);
        }
    }
}

static float within(float v, float most)
{
    return v < -most ? -most : v > most ? most : v;
}

/* Before the first hit or behind the last: it stays where it was, or goes on as it went. */
static an_edges_t beyond(const an_film_t *film, const an_track_t *t, uint32_t i, speed_t v,
                         uint32_t picture)
{
    an_edges_t e = edges_of(&t->points[i]);
    float s = (float)(film->at[picture] - film->at[t->points[i].picture]);
    float w = e.x1 - e.x0, h = e.y1 - e.y0, off = fminf(fabsf(s), (float)SPEED_S);
    float dx = within((v.x0 + v.x1) / 2 * s, w * WAY_MAX);
    float dy = within((v.y0 + v.y1) / 2 * s, h * WAY_MAX);
    an_edges_t moved = {e.x0 + dx, e.y0 + dy, e.x1 + dx, e.y1 + dy};

    include(&e, moved);
    restlessness(film, t, i, i, &dx, &dy);
    return move_out(widen(e, (float)UNSURE * fabsf(s)), dx * off, dy * off);
}

static void fill(const an_film_t *film, const an_track_t *t, an_edges_t *out)
{
    uint32_t last = t->npoints - 1;
    speed_t v = speed_at(film, t, 0, 1), w = speed_at(film, t, last, -1);

    for (uint32_t n = t->from; n < t->points[0].picture; n++) {
        out[n - t->from] = beyond(film, t, 0, v, n);
    }
    for (uint32_t i = 0; i < t->npoints; i++) {
        out[t->points[i].picture - t->from] = edges_of(&t->points[i]);
        if (i < last) {
            fill_between(film, t, i, out);
        }
    }
    for (uint32_t n = t->points[last].picture + 1; n < t->end; n++) {
        out[n - t->from] = beyond(film, t, last, w, n);
    }
}

static void dilate(const an_edges_t *from, an_edges_t *to, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = i > WINDOW ? i - WINDOW : 0;

        to[i] = from[i];
        for (; k < n && k <= i + WINDOW; k++) {
            include(&to[i], from[k]);
        }
    }
}

/* Moves edges outwards until none is further inside than a step from the neighbour's. 1: some were.
 */
static int hold(an_edges_t *e, const an_edges_t *neighbour, float step)
{
    float w = e->x1 - e->x0, nw = neighbour->x1 - neighbour->x0;
    float h = e->y1 - e->y0, nh = neighbour->y1 - neighbour->y0;
    float dx = step * (w < nw ? w : nw), dy = step * (h < nh ? h : nh);
    an_edges_t before = *e;

    include(e, (an_edges_t){neighbour->x0 + dx, neighbour->y0 + dy, neighbour->x1 - dx,
                            neighbour->y1 - dy});
    return before.x0 - e->x0 > w * 1e-3f || before.y0 - e->y0 > h * 1e-3f ||
           e->x1 - before.x1 > w * 1e-3f || e->y1 - before.y1 > h * 1e-3f;
}

/* From the picture before to this one; where pictures are slow everything jumps. */
static float step_to(const an_film_t *film, uint32_t picture)
{
    float s = (float)(film->at[picture] - film->at[picture - 1]);

    return s > (float)SLOW_S ? STEP_MAX * s / (float)SLOW_S : STEP_MAX;
}

static void calm(const an_film_t *film, uint32_t from, an_edges_t *e, uint32_t n)
{
    int moved = 1;

    for (int pass = 0; moved && pass < PASSES; pass++) {
        moved = 0;
        for (uint32_t i = 1; i < n; i++) {
            moved |= hold(&e[i], &e[i - 1], step_to(film, from + i));
        }
        for (uint32_t i = n - 1; i > 0; i--) {
            moved |= hold(&e[i - 1], &e[i], step_to(film, from + i));
        }
    }
}

an_edges_t *an_boxes(const an_film_t *film, const an_track_t *track, float grow)
{
    uint32_t n = track->end - track->from;
    an_edges_t *raw = calloc(n, sizeof(*raw)), *out = calloc(n, sizeof(*out));

    if (raw != NULL && out != NULL) {
        fill(film, track, raw);
        dilate(raw, out, n);
        calm(film, track->from, out, n);
        for (uint32_t i = 0; i < n; i++) {
            out[i] = widen(out[i], grow);
        }
    } else {
        free(out);
        out = NULL;
    }
    free(raw);
    return out;
}
