/* Sizes of the parts of a multipart upload. S3's rules: at most 10 000 parts, each of 5 MiB (save
 * the last) to 5 GiB, 5 TiB in sum. */
#ifndef MEDIA_PARTSIZE_H
#define MEDIA_PARTSIZE_H

#include <stdint.h>

#define MEDIA_PARTS_MAX 10000
#define MEDIA_PART_MIN (5LL << 20)
#define MEDIA_PART_MAX (5LL << 30)
#define MEDIA_OBJECT_MAX (5LL << 40)

/* The size of part n (1..MEDIA_PARTS_MAX) of a file whose length nobody knows: `first` bytes, twice
 * as many for each 900 parts more, never above `most`. With first >= MEDIA_PART_MIN and most ==
 * MEDIA_PART_MAX all of them together hold MEDIA_OBJECT_MAX. [any] */
int64_t media_part_size(int64_t first, int64_t most, unsigned n);
/* What all of them can hold in sum, at most MEDIA_OBJECT_MAX. [any] */
int64_t media_part_size_total(int64_t first, int64_t most);
/* The size of equal parts (the last may be smaller) for a file of known length, 0 ..
 * MEDIA_OBJECT_MAX: `first`, doubled until MEDIA_PARTS_MAX of them hold it. [any] */
int64_t media_part_size_equal(int64_t first, int64_t length);

#endif
