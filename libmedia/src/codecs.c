#include "media/codecs.h"

#include <stdio.h>
#include <string.h>

static ssize_t put(const char *text, char *dst, size_t cap)
{
    size_t len = strlen(text);
    if (len >= cap) {
        return MEDIA_E_TOOBIG;
    }
    memcpy(dst, text, len + 1);
    return (ssize_t)len;
}

ssize_t media_codecs_avc(const uint8_t *avcc, size_t len, char *dst, size_t cap)
{
    char text[MEDIA_CODECS_MAX];
    if (len < 7 || avcc[0] != 1) {
        return MEDIA_E_REJECT;
    }
    (void)snprintf(text, sizeof(text), "avc1.%02x%02x%02x", avcc[1], avcc[2], avcc[3]);
    return put(text, dst, cap);
}

static uint32_t reverse_bits(uint32_t v)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++) {
        r |= (v >> i & 1) << (31 - i);
    }
    return r;
}

ssize_t media_codecs_hevc(const uint8_t *hvcc, size_t len, char *dst, size_t cap)
{
    static const char *const space[] = {"", "A", "B", "C"};
    char text[MEDIA_CODECS_MAX];
    if (len < 23 || hvcc[0] != 1) {
        return MEDIA_E_REJECT;
    }
    uint32_t compatible = (uint32_t)hvcc[2] << 24 | (uint32_t)hvcc[3] << 16 |
                          (uint32_t)hvcc[4] << 8 | (uint32_t)hvcc[5];
    int n = snprintf(text, sizeof(text), "hvc1.%s%d.%X.%c%d", space[hvcc[1] >> 6], hvcc[1] & 0x1f,
                     (unsigned)reverse_bits(compatible), hvcc[1] & 0x20 ? 'H' : 'L', hvcc[12]);
    /* the six constraint bytes, those that are zero at the end left out */
    int last = 11;
    while (last >= 6 && hvcc[last] == 0) {
        last--;
    }
    for (int i = 6; i <= last; i++) {
        n += snprintf(text + n, sizeof(text) - (size_t)n, ".%X", hvcc[i]);
    }
    return put(text, dst, cap);
}

ssize_t media_codecs_aac(const uint8_t *asc, size_t len, char *dst, size_t cap)
{
    char text[MEDIA_CODECS_MAX];
    if (len < 2) {
        return MEDIA_E_REJECT;
    }
    int type = asc[0] >> 3;
    if (type == 31) { /* an escape: six more bits */
        type = 32 + ((asc[0] & 7) << 3 | asc[1] >> 5);
    }
    if (type == 0) {
        return MEDIA_E_REJECT;
    }
    (void)snprintf(text, sizeof(text), "mp4a.40.%d", type);
    return put(text, dst, cap);
}
