/* More colours than fit: median cut. The box that is cut next has the longest side, weighted by the
 * root of how many pixels it stands for. */
#include "an_palette.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (1u << 17)
#define COLORS_MAX (1u << 16) /* beyond it colours are told apart by fewer bits */

int an_palette_open(an_palette_t *p)
{
    memset(p, 0, sizeof(*p));
    p->slots = calloc(SLOTS, sizeof(*p->slots));
    return p->slots != NULL ? 0 : -1;
}

void an_palette_close(an_palette_t *p)
{
    free(p->slots);
    p->slots = NULL;
}

static uint32_t key_of(const an_palette_t *p, const uint8_t rgb[3])
{
    uint32_t mask = 0xFFu & ~((1u << p->dropped) - 1);

    return (rgb[0] & mask) << 16 | (rgb[1] & mask) << 8 | (rgb[2] & mask);
}

static an_color_t *find(an_color_t *slots, uint32_t rgb)
{
    size_t i = rgb * 2654435761U >> 15;

    while (slots[i].count != 0 && slots[i].rgb != rgb) {
        i = (i + 1) % SLOTS;
    }
    return &slots[i];
}

/* One bit less per part: fewer colours. */
static void coarsen(an_palette_t *p)
{
    an_color_t *kept = malloc(p->n * sizeof(*kept));
    size_t n = 0;

    if (kept == NULL) {
        return; /* the table has room for twice as many */
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (p->slots[i].count != 0) {
            kept[n++] = p->slots[i];
        }
    }
    p->dropped++;
    p->n = 0;
    memset(p->slots, 0, SLOTS * sizeof(*p->slots));
    for (size_t i = 0; i < n; i++) {
        uint8_t rgb[3] = {(uint8_t)(kept[i].rgb >> 16), (uint8_t)(kept[i].rgb >> 8),
                          (uint8_t)kept[i].rgb};
        an_color_t *c = find(p->slots, key_of(p, rgb));

        p->n += c->count == 0;
        c->rgb = key_of(p, rgb);
        c->count += kept[i].count;
    }
    free(kept);
}

void an_palette_count(an_palette_t *p, const uint8_t rgb[3])
{
    an_color_t *c;

    while (p->n >= COLORS_MAX && p->dropped < 4) {
        coarsen(p);
    }
    c = find(p->slots, key_of(p, rgb));
    p->n += c->count == 0;
    c->rgb = key_of(p, rgb);
    c->count++;
}

typedef struct {
    an_color_t **from;
    size_t n;
    int axis; /* bits of the longest side's part: 16, 8, 0 */
    double weight;
} box_t;

static void measure(box_t *b)
{
    double count = 0;
    int longest = 0;

    for (size_t i = 0; i < b->n; i++) {
        count += b->from[i]->count;
    }
    b->axis = 8;
    for (int shift = 16; shift >= 0; shift -= 8) {
        int least = 255, most = 0;

        for (size_t i = 0; i < b->n; i++) {
            int v = (int)(b->from[i]->rgb >> shift & 0xFF);
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
        if (most - least > longest) {
            longest = most - least;
            b->axis = shift;
        }
    }
    b->weight = (double)longest * longest * sqrt(count);
}

#define BY(shift)                                                                                  \
    static int by_##shift(const void *a, const void *b)                                            \
    {                                                                                              \
        uint32_t x = (*(an_color_t *const *)a)->rgb >> shift & 0xFF;                               \
        uint32_t y = (*(an_color_t *const *)b)->rgb >> shift & 0xFF;                               \
        return (x > y) - (x < y);                                                                  \
    }
BY(16)
BY(8)
BY(0)

/* Into b and `other`; both hold something. */
static void cut(box_t *b, box_t *other)
{
    double all = 0, sum = 0;
    size_t at = 0;

    qsort(b->from, b->n, sizeof(*b->from), b->axis == 16 ? by_16 : b->axis == 8 ? by_8 : by_0);
    for (size_t i = 0; i < b->n; i++) {
        all += b->from[i]->count;
    }
    while (at < b->n - 1 && sum < all / 2) {
        sum += b->from[at++]->count;
    }
    other->from = b->from + at;
    other->n = b->n - at;
    b->n = at;
    measure(b);
    measure(other);
}

/* The box's colour: its mean. */
static void name_box(an_palette_t *p, const box_t *b)
{
    double sum[3] = {0}, count = 0;

    for (size_t i = 0; i < b->n; i++) {
        for (int k = 0; k < 3; k++) {
            sum[k] += (double)(b->from[i]->rgb >> (16 - 8 * k) & 0xFF) * b->from[i]->count;
        }
        count += b->from[i]->count;
        b->from[i]->index = p->size;
    }
    for (int k = 0; k < 3; k++) {
        /* in the middle of what the dropped bits may be */
        double v = sum[k] / count + ((1 << p->dropped) - 1) / 2.0;
        p->rgb[p->size][k] = (uint8_t)lrint(v < 255 ? v : 255);
    }
    p->size++;
}

int an_palette_make(an_palette_t *p, int most)
{
    an_color_t **list = malloc((p->n + 1) * sizeof(*list));
    box_t boxes[256];
    int n = 1, next;
    size_t at = 0;

    if (list == NULL) {
        return -1;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (p->slots[i].count != 0) {
            list[at++] = &p->slots[i];
        }
    }
    boxes[0] = (box_t){.from = list, .n = at};
    measure(&boxes[0]);
    while (at > 0 && n < most) {
        next = 0;
        for (int i = 1; i < n; i++) {
            next = boxes[i].weight > boxes[next].weight ? i : next;
        }
        if (boxes[next].n < 2) {
            break;
        }
        cut(&boxes[next], &boxes[n]);
        n++;
    }
    for (int i = 0; at > 0 && i < n; i++) {
        name_box(p, &boxes[i]);
    }
    free(list);
    return 0;
}

int an_palette_index(const an_palette_t *p, const uint8_t rgb[3])
{
    return find(p->slots, key_of(p, rgb))->index;
}
