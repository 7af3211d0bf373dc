/* What was found in the frames of a picture or an animation, as tracks, and the masks that follow.
 *
 * Every hit masks the frames within a second of it, so a face that is missed in between stays
 * hidden and nothing flickers. A picture is an animation of one frame. */
#ifndef AN_SEEN_H
#define AN_SEEN_H

#include <jansson.h>

#include "an_mask.h"

#define AN_SEEN_MAX (1 << 18) /* hits in all frames */
#define AN_SPAN_S 1.0

typedef struct {
    an_hit_t hit;
    int id; /* of the track, 1.. */
    double at_s;
} an_seen_hit_t;

typedef struct {
    int width, height;
    an_seen_hit_t *hits; /* in order of time; owned */
    int n, cap;
    int ntracks;
    uint64_t secret;   /* seeds of patterns come from it; dies with the job */
    json_t *detectors; /* what was asked, an array for the report; owned */
} an_seen_t;

void an_seen_init(an_seen_t *s, int width, int height);
void an_seen_free(an_seen_t *s);
/* The hits of the frame shown from at_s on; frames come in order. Sorts hits. 0 or -1 with a cause.
 */
int an_seen_add(an_seen_t *s, double at_s, an_hit_t *hits, int n, tc_fail_t *f);
/* The masks of the frame shown from at_s until end_s: of hits that no region spares and no edit
 * keeps, and of regions. Owned (free), *n of them; NULL: no memory. */
an_mask_t *an_seen_masks(const an_seen_t *s, const an_params_t *p, double at_s, double end_s,
                         int *n);
/* "tracks" of the report: [{"id","class","from","to","boxes":[[t,x,y,w,h,score],...]}], boxes as
 * found, in fractions of the picture. Owned, NULL: no memory. */
json_t *an_seen_tracks(const an_seen_t *s);

#endif
