/* Looking at a whole picture with detectors that see small ones: which scales and parts are asked
 * about, and one answer out of theirs. Runs in the decoder child, which has the picture; asking is
 * a callback.
 *
 *   pass     picture                           of its hits count
 *   whole    long side 640 (plates 1280, or    all
 *            what fits into a question)
 *   small    long side 320, faces              large ones: the network places those higher than
 *                                              400 of 640 too low and too small
 *   tiles    long side 1280 to 2048, over-     faces up to 128, everything else that is whole;
 *            lapping parts, when the picture   a little more score is asked for
 *            is longer than 1280
 */
#ifndef AN_SCALES_H
#define AN_SCALES_H

#include "an_ask.h"

/* What is looked for, and with what. */
typedef struct {
    int kind[AN_CLASS_COUNT];        /* enum an_kind; -1: not looked for */
    float threshold[AN_CLASS_COUNT]; /* least score */
} an_scales_t;

void an_scales_init(an_scales_t *s); /* nothing [any] */
/* Looks for c with detectors of `kind`; threshold < 0: the kind's own. MEDIA_E_REJECT: detectors of
 * this kind do not know the class. [any] */
int an_scales_add(an_scales_t *s, enum an_class c, enum an_kind kind, float threshold);
/* Least score of the kind that is right unless somebody knows better. [any] */
float an_scales_threshold(enum an_kind kind);

/* What is in the upright picture, in its pixels, best first, one hit for each thing: their number,
 * at most max; MEDIA_E_TOOBIG (there are more, or more than AN_HITS_MAX), MEDIA_E_NOMEM,
 * MEDIA_E_REJECT (no picture), or what `ask` returned. [thread] */
int an_scales_find(const an_scales_t *s, const an_picture_t *picture, const an_ask_t *ask,
                   an_hit_t *hits, int max);

/* `from` made w x h by averaging (w and h at most its own), packed: w * h * 3 bytes to dst. The
 * same bytes on every machine. 0 or MEDIA_E_NOMEM. [any] */
int an_shrink(const an_picture_t *from, int w, int h, uint8_t *dst);

#endif
