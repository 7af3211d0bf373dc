/* The three things that are read of an EXIF block, and a block of what may be kept. */
#ifndef AN_EXIF_H
#define AN_EXIF_H

#include <stddef.h>
#include <stdint.h>

#define AN_EXIF_MAX 512 /* bytes of a block made here */

typedef struct {
    int orientation; /* 1..8; 1: upright */
    char copyright[256];
    char date[20]; /* "2024:05:31 17:45:00"; "": none */
} an_exif_t;

/* A TIFF structure, with "Exif\0\0" before it or not. What is broken in it counts as absent. */
void an_exif_read(const uint8_t *p, size_t n, an_exif_t *out);
/* What `keep` (AN_KEEP_*) names, as a TIFF structure; its length, 0: nothing. */
size_t an_exif_write(const an_exif_t *e, unsigned keep, uint8_t dst[AN_EXIF_MAX]);
/* 1 for the form above. */
int an_exif_is_date(const char *s, size_t n);

#endif
