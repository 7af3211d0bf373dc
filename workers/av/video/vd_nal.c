#include "vd_nal.h"

#include <string.h>

#define SETS_MAX 8 /* parameter sets of a kind */

enum nal { NAL_SEI = 6, NAL_SPS = 7, NAL_PPS = 8, NAL_AUD = 9, NAL_FILLER = 12 };

int vd_nal_next(vd_bytes_t *in, vd_bytes_t *nal)
{
    const uint8_t *end = in->p + in->len;
    const uint8_t *p = in->p;

    while (end - p >= 3 && (p[0] != 0 || p[1] != 0 || p[2] != 1)) {
        p++;
    }
    if (end - p < 4) {
        return 0;
    }
    nal->p = p += 3;
    while (end - p >= 3 && (p[0] != 0 || p[1] != 0 || p[2] > 1)) {
        p++;
    }
    if (end - p < 3) {
        p = end;
    }
    in->p = p;
    in->len = (size_t)(end - p);
    while (p > nal->p + 1 && p[-1] == 0) {
        p--; /* trailing_zero_8bits */
    }
    nal->len = (size_t)(p - nal->p);
    return 1;
}

static int nal_type(vd_bytes_t nal)
{
    return nal.p[0] & 0x1f;
}

/* ---- the configuration record ---- */

/* Bits of an SPS, emulation prevention taken out. */
typedef struct {
    const uint8_t *p;
    const uint8_t *end;
    int zeros; /* bytes before p */
    int bit;
} bits_t;

static unsigned bits_one(bits_t *r)
{
    if (r->bit == 0 && r->zeros >= 2 && r->p < r->end && *r->p == 3) {
        r->p++;
        r->zeros = 0;
    }
    if (r->p >= r->end) {
        return 0;
    }
    unsigned v = *r->p >> (7 - r->bit) & 1;

    if (++r->bit == 8) {
        r->bit = 0;
        r->zeros = *r->p == 0 ? r->zeros + 1 : 0;
        r->p++;
    }
    return v;
}

static unsigned bits_ue(bits_t *r)
{
    int zeros = 0;
    unsigned v = 0;

    while (zeros < 31 && r->p < r->end && bits_one(r) == 0) {
        zeros++;
    }
    for (int i = 0; i < zeros; i++) {
        v = v << 1 | bits_one(r);
    }
    return (1u << zeros) - 1 + v;
}

/* Profiles whose record tells chroma format and depth (14496-15 5.3.3.1.2). */
static int has_extension(unsigned profile)
{
    return profile == 100 || profile == 110 || profile == 122 || profile == 144;
}

static void put_extension(vd_bytes_t sps, media_buf_t *out)
{
    bits_t r = {sps.p + 4, sps.p + sps.len, 0, 0};

    (void)bits_ue(&r); /* seq_parameter_set_id */
    unsigned chroma = bits_ue(&r);

    if (chroma == 3) {
        (void)bits_one(&r); /* separate_colour_plane_flag */
    }
    unsigned luma_depth = bits_ue(&r);
    unsigned chroma_depth = bits_ue(&r);

    vd_put8(out, 0xfc | (chroma & 3));
    vd_put8(out, 0xf8 | (luma_depth & 7));
    vd_put8(out, 0xf8 | (chroma_depth & 7));
    vd_put8(out, 0); /* numOfSequenceParameterSetExt */
}

/* All NAL units of a type; their number, or -1. */
static int collect(vd_bytes_t in, int type, vd_bytes_t *sets)
{
    vd_bytes_t nal;
    int n = 0;

    while (vd_nal_next(&in, &nal)) {
        if (nal_type(nal) == type) {
            if (n == SETS_MAX || nal.len < 4 || nal.len > UINT16_MAX) {
                return -1;
            }
            sets[n++] = nal;
        }
    }
    return n;
}

static void put_sets(const vd_bytes_t *sets, int n, unsigned mark, media_buf_t *out)
{
    vd_put8(out, mark | (unsigned)n);
    for (int i = 0; i < n; i++) {
        vd_put16(out, (unsigned)sets[i].len);
        (void)media_buf_add(out, sets[i].p, sets[i].len);
    }
}

int vd_avc_config(vd_bytes_t extradata, media_buf_t *out, tc_fail_t *f)
{
    vd_bytes_t sps[SETS_MAX];
    vd_bytes_t pps[SETS_MAX];

    if (extradata.len >= 7 && extradata.p[0] == 1) {
        if ((extradata.p[4] & 3) != 3) {
            return tc_fail(f, "unsupported_media", "The video's lengths are not of four bytes.");
        }
        (void)media_buf_add(out, extradata.p, extradata.len);
        return 0;
    }
    int nsps = collect(extradata, NAL_SPS, sps);
    int npps = collect(extradata, NAL_PPS, pps);

    if (nsps < 1 || npps < 1) {
        return tc_fail(f, "internal", "The encoder gave no parameter sets.");
    }
    vd_put8(out, 1);
    (void)media_buf_add(out, sps[0].p + 1, 3); /* profile, compatibility, level */
    vd_put8(out, 0xff);                        /* lengths of four bytes */
    put_sets(sps, nsps, 0xe0, out);
    put_sets(pps, npps, 0, out);
    if (has_extension(sps[0].p[1])) {
        put_extension(sps[0], out);
    }
    return 0;
}

/* ---- samples ---- */

/* 1 if the record holds exactly this parameter set. */
static int config_has(vd_bytes_t config, vd_bytes_t nal)
{
    size_t at = 5;

    for (int kind = 0; kind < 2 && at < config.len; kind++) {
        int n = config.p[at++] & (kind == 0 ? 0x1f : 0xff);

        for (; n > 0 && config.len - at >= 2; n--) {
            size_t len = vd_get16(config.p + at);

            at += 2;
            if (len > config.len - at) {
                return 0;
            }
            if (len == nal.len && memcmp(config.p + at, nal.p, len) == 0) {
                return 1;
            }
            at += len;
        }
    }
    return 0;
}

/* x264's note: an SEI of its own, user_data_unregistered under x264's UUID. */
static int is_note(vd_bytes_t nal)
{
    static const uint8_t uuid[] = {0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7,
                                   0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef};
    size_t at = 2;

    if (nal.len < 3 || nal.p[1] != 5) {
        return 0;
    }
    while (at < nal.len && nal.p[at] == 0xff) {
        at++; /* the size is a sum of bytes */
    }
    at++;
    return at < nal.len && nal.len - at >= sizeof(uuid) &&
           memcmp(nal.p + at, uuid, sizeof(uuid)) == 0;
}

int vd_avc_sample(vd_bytes_t config, vd_bytes_t annexb, media_buf_t *out, tc_fail_t *f)
{
    vd_bytes_t nal;
    size_t before = out->len;

    while (vd_nal_next(&annexb, &nal)) {
        switch (nal_type(nal)) {
        case NAL_SPS:
        case NAL_PPS:
            if (!config_has(config, nal)) {
                return tc_fail(f, "internal", "The encoder changed its parameter sets.");
            }
            continue;
        case NAL_SEI:
            if (is_note(nal)) {
                continue;
            }
            break;
        case NAL_AUD:
        case NAL_FILLER:
            continue;
        default:
            break;
        }
        vd_put32(out, (uint32_t)nal.len);
        (void)media_buf_add(out, nal.p, nal.len);
    }
    return out->len > before || out->failed
               ? 0
               : tc_fail(f, "internal", "The encoder gave a picture without data.");
}

int vd_nal_is_framed(vd_bytes_t sample)
{
    while (sample.len >= 4) {
        uint32_t len = vd_get32(sample.p);

        if (len == 0 || len > sample.len - 4) {
            return 0;
        }
        sample.p += 4 + len;
        sample.len -= 4 + len;
    }
    return sample.len == 0;
}

int vd_nal_has_sets(vd_bytes_t sample)
{
    while (sample.len > 4) {
        uint32_t len = vd_get32(sample.p);
        int type = nal_type((vd_bytes_t){sample.p + 4, len});

        if (type == NAL_SPS || type == NAL_PPS) {
            return 1;
        }
        sample.p += 4 + len;
        sample.len -= 4 + len;
    }
    return 0;
}
