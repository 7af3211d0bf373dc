/* What is masked in every picture of a film: of each track, of regions, of damaged pictures. Pure
 * logic; what the tracks and the parameters say, once, for every job that renders a part. */
#ifndef AN_VEILS_H
#define AN_VEILS_H

#include "an_mask.h"
#include "an_tracks.h"

#define AN_VEILS_MAX (1u << 17)
#define AN_VEILS_BYTES_MAX (256u << 20)
#define AN_VEILS_AT_MAX 4096 /* masks of one picture */

/* Edges in 1/AN_VEIL_UNIT of the picture, rounded outwards. */
#define AN_VEIL_UNIT 8192
typedef struct {
    int16_t x0, y0, x1, y1; /* all 0: not masked in this picture */
} an_veil_box_t;

typedef struct {
    uint32_t track; /* its id; 0: no track's */
    enum an_shape shape;
    uint64_t seed;
    uint32_t first, end; /* pictures */
    uint32_t nboxes;     /* end - first, or 1: the same in all of them */
    an_veil_box_t *boxes;
} an_veil_t;

typedef struct {
    an_veil_t *veils;
    uint32_t n, cap;
    uint64_t nboxes; /* of all */
} an_veils_t;

/* 0: to be freed; -1: too many, or no memory. */
int an_veils_make(const an_film_t *film, const an_found_t *found, const an_tracks_t *tracks,
                  const an_params_t *params, an_veils_t *out);
void an_veils_free(an_veils_t *v);

/* Room for one more, its boxes zeroed; NULL: too many, or no memory. */
an_veil_t *an_veils_add(an_veils_t *v, uint32_t first, uint32_t end, uint32_t nboxes);

/* The masks of a picture into out: how many; -1: more than AN_VEILS_AT_MAX. */
int an_veils_at(const an_veils_t *v, uint32_t picture, int width, int height, an_mask_t *out);

/* 1 if pictures first <= i < end look the same by both, whatever the seeds; 0 also where there is
 * no memory to tell. */
int an_veils_same(const an_veils_t *a, const an_veils_t *b, uint32_t first, uint32_t end);

#endif
