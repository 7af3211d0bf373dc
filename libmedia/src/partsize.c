/* Part sizes. Small parts as long as that is possible: the parts of a file of unknown length are
 * held in memory. */
#include "media/partsize.h"

#define STEP 900 /* parts of one size: after eleven doublings even 5 MiB have grown enough */

int64_t media_part_size(int64_t first, int64_t most, unsigned n)
{
    int64_t size = first;

    for (unsigned step = (n - 1) / STEP; step > 0 && size < most; step--) {
        size *= 2;
    }
    return size < most ? size : most;
}

int64_t media_part_size_total(int64_t first, int64_t most)
{
    int64_t total = 0;

    for (unsigned n = 1; n <= MEDIA_PARTS_MAX; n++) {
        total += media_part_size(first, most, n);
    }
    return total < MEDIA_OBJECT_MAX ? total : MEDIA_OBJECT_MAX;
}

int64_t media_part_size_equal(int64_t first, int64_t length)
{
    int64_t size = first;

    while (size * MEDIA_PARTS_MAX < length) {
        size *= 2;
    }
    return size;
}
