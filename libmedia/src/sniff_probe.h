/* The probes behind media_sniff (private to libmedia). */
#ifndef MEDIA_SNIFF_PROBE_H
#define MEDIA_SNIFF_PROBE_H

#include <string.h>

#include "media/sniff.h"

/* A probe's answer. NO and YES are final: no byte that may follow changes them, so the verdict is
 * the same however the file is cut. `last`: nothing follows, or nothing more will be looked at;
 * AGAIN then counts as NO. */
enum probe { PROBE_NO, PROBE_AGAIN, PROBE_YES };

typedef enum probe (*probe_pt)(media_str_t head, int last, media_sniff_t *out);

enum probe probe_ftyp(media_str_t head, int last, media_sniff_t *out);
enum probe probe_ebml(media_str_t head, int last, media_sniff_t *out);
enum probe probe_ogg(media_str_t head, int last, media_sniff_t *out);
enum probe probe_mpeg_ts(media_str_t head, int last, media_sniff_t *out);
enum probe probe_mpeg_audio(media_str_t head, int last, media_sniff_t *out);
enum probe probe_adts(media_str_t head, int last, media_sniff_t *out);
enum probe probe_ac3(media_str_t head, int last, media_sniff_t *out);
enum probe probe_id3(media_str_t head, int last, media_sniff_t *out);
enum probe probe_late_sync(media_str_t head, int last, media_sniff_t *out);

static inline enum probe probe_yes(media_sniff_t *out, enum media_family family, const char *type)
{
    out->content_type = type;
    out->family = family;
    return PROBE_YES;
}

/* Whether `n` bytes of `want` stand at `at`; AGAIN when those that are there agree. */
static inline enum probe probe_bytes(media_str_t head, size_t at, const void *want, size_t n)
{
    size_t there = head.len > at ? head.len - at : 0;

    if (there > n) {
        there = n;
    }
    if (there != 0 && memcmp(head.p + at, want, there) != 0) {
        return PROBE_NO;
    }
    return there == n ? PROBE_YES : PROBE_AGAIN;
}

static inline uint32_t probe_be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

#endif
