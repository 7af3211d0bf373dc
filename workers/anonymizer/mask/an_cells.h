/* A mask of few cells of one colour each. */
#ifndef AN_CELLS_H
#define AN_CELLS_H

#include "an_channel.h"
#include "an_mask.h"

#define AN_CELLS 8 /* per side of a mask */

typedef struct {
    uint16_t v[AN_CELLS * AN_CELLS][3];
} an_cells_t;

/* Which cell of the mask lies at a point; beyond the mask the nearest one. */
static inline int an_cells_at(const an_mask_t *m, float x, float y)
{
    int column = (int)((x - m->x) / m->w * AN_CELLS), row = (int)((y - m->y) / m->h * AN_CELLS);

    column = column < 0 ? 0 : column >= AN_CELLS ? AN_CELLS - 1 : column;
    row = row < 0 ? 0 : row >= AN_CELLS ? AN_CELLS - 1 : row;
    return row * AN_CELLS + column;
}

/* The colour around the mask, of pixels under no mask at all (covered: a byte per pixel of the
 * picture, not 0 where one is), and the pattern of the mask's seed. */
void an_cells_mosaic(const an_channels_t *ch, const an_mask_t *m, const uint8_t *covered, int width,
                     int height, an_cells_t *out);
/* The means of what really is there. */
void an_cells_means(const an_channels_t *ch, const an_mask_t *m, an_cells_t *out);

#endif
