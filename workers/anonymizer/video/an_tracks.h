/* From detections in some pictures to boxes over every picture: pure logic, no libav.
 *
 *   an_tracks  hits -> tracks: each hit continues the track that it fits best; none goes on over a
 *              change of scene or a second without a hit
 *   an_cover   a track -> its box in every picture: between hits, a second before the first and
 *              behind the last, never smaller than what was found, never with a jump */
#ifndef AN_TRACKS_H
#define AN_TRACKS_H

#include "an_found.h"

#define AN_TRACKS_MAX (1u << 16)

typedef struct {
    uint32_t npictures;
    const double *at; /* npictures + 1: when each is shown, seconds from the first; the end */
    int width, height;
} an_film_t;

/* A hit of a track. */
typedef struct {
    uint32_t look; /* number in an_found_t */
    uint32_t picture;
    float x, y, w, h, score; /* fractions of the picture */
} an_point_t;

typedef struct {
    int id; /* 1.. by time, then place */
    enum an_class what;
    an_point_t *points;
    uint32_t npoints, cap;
    uint32_t from, end; /* pictures from <= i < end are covered */
} an_track_t;

typedef struct {
    an_track_t *tracks;
    uint32_t n, cap;
} an_tracks_t;

/* 0: to be freed; -1: too many, or no memory. */
int an_tracks_make(const an_film_t *film, const an_found_t *found, an_tracks_t *out);
void an_tracks_free(an_tracks_t *t);

/* Edges, in fractions; may lie outside of the picture. */
typedef struct {
    float x0, y0, x1, y1;
} an_edges_t;

/* The boxes of pictures track->from to track->end, each side moved outwards by `grow` of the box's
 * size. Owned, NULL: no memory. */
an_edges_t *an_boxes(const an_film_t *film, const an_track_t *track, float grow);

#endif
