/* sniff: a verdict on a beginning is the verdict on the whole, and later beginnings agree. */
#include "media/sniff.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_sniff_t whole, part;
    int settled = 0;

    MUST(media_sniff((media_str_t){(const char *)data, size}, 1, &whole) == 0);
    (void)media_sniff_lies((media_str_t){(const char *)data, size}, &whole);
    for (size_t n = 0; n <= size && n <= MEDIA_SNIFF_LEN; n += 1 + n / 8) {
        char *own = malloc(n != 0 ? n : 1);
        int rc;

        memcpy(own, data, n);
        rc = media_sniff((media_str_t){own, n}, 0, &part);
        free(own);
        if (rc == MEDIA_E_AGAIN) {
            MUST(!settled && n < MEDIA_SNIFF_LEN);
            continue;
        }
        MUST(rc == 0 && part.content_type == whole.content_type && part.family == whole.family);
        settled = 1;
    }
    return 0;
}
