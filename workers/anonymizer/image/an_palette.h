/* Few colours for many: exact where they fit. */
#ifndef AN_PALETTE_H
#define AN_PALETTE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t rgb; /* 0xRRGGBB */
    uint32_t count;
    int index; /* in the palette, -1: not there yet */
} an_color_t;

typedef struct {
    an_color_t *slots; /* a hash table; owned */
    size_t n;          /* colours in it */
    int dropped;       /* low bits that colours are told apart without */
    uint8_t rgb[256][3];
    int size; /* of the palette */
} an_palette_t;

/* 0 or -1: no memory; to be closed in any case. */
int an_palette_open(an_palette_t *p);
void an_palette_close(an_palette_t *p);
/* Counts a colour that is there. */
void an_palette_count(an_palette_t *p, const uint8_t rgb[3]);
/* Makes a palette of `most` colours. 0 or -1: no memory. */
int an_palette_make(an_palette_t *p, int most);
/* Of a colour that was counted. */
int an_palette_index(const an_palette_t *p, const uint8_t rgb[3]);

#endif
