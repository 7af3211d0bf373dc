#include "vd_hevc.h"

#include "vd_nal.h"

#define SETS_MAX 8      /* of a kind */
#define PTL_BYTES 12    /* general_profile_space to general_level_idc */
#define SPS_HEAD_MAX 64 /* bytes of an SPS that are looked at */
#define CHROMA_420 1

enum nal { NAL_VPS = 32, NAL_SPS = 33, NAL_PPS = 34, NAL_AUD = 35, NAL_FILLER = 38, NAL_SEI = 39 };

static int nal_type(vd_bytes_t nal)
{
    return nal.p[0] >> 1 & 0x3f;
}

static int collect(vd_bytes_t in, int type, vd_bytes_t *sets)
{
    vd_bytes_t nal;
    int n = 0;

    while (vd_nal_next(&in, &nal)) {
        if (nal.len > 2 && nal_type(nal) == type) {
            if (n == SETS_MAX || nal.len > UINT16_MAX) {
                return -1;
            }
            sets[n++] = nal;
        }
    }
    return n;
}

/* The front of an SPS without emulation prevention. */
static size_t unescape(vd_bytes_t nal, uint8_t *out)
{
    size_t n = 0;
    int zeros = 0;

    for (size_t i = 0; i < nal.len && n < SPS_HEAD_MAX; i++) {
        if (zeros >= 2 && nal.p[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = nal.p[i] == 0 ? zeros + 1 : 0;
        out[n++] = nal.p[i];
    }
    return n;
}

static void put_array(vd_bytes_t extradata, int type, media_buf_t *out)
{
    vd_bytes_t sets[SETS_MAX];
    int n = collect(extradata, type, sets);

    if (n < 1) {
        return;
    }
    vd_put8(out, (type == NAL_SEI ? 0 : 0x80) | (unsigned)type); /* all of the kind are here */
    vd_put16(out, (unsigned)n);
    for (int i = 0; i < n; i++) {
        vd_put16(out, (unsigned)sets[i].len);
        (void)media_buf_add(out, sets[i].p, sets[i].len);
    }
}

/* Profile and level stand at the same place in every SPS (7.3.2.2); the depth lies behind numbers
 * of variable length, but is told by the profile: Main is of 8 bits, else 10. */
static void put_head(const uint8_t *sps, unsigned kinds, media_buf_t *out)
{
    unsigned layers = (sps[2] >> 1 & 7) + 1;
    unsigned depth = (sps[3] & 0x1f) == 1 ? 0 : 2;

    vd_put8(out, 1);
    (void)media_buf_add(out, sps + 3, PTL_BYTES);
    vd_put16(out, 0xf000); /* min_spatial_segmentation_idc: unknown */
    vd_put8(out, 0xfc);    /* parallelismType: unknown */
    vd_put8(out, 0xfc | CHROMA_420);
    vd_put8(out, 0xf8 | depth);
    vd_put8(out, 0xf8 | depth);
    vd_put16(out, 0); /* avgFrameRate: unknown */
    vd_put8(out, layers << 3 | (sps[2] & 1) << 2 | 3);
    vd_put8(out, kinds);
}

int vd_hevc_config(vd_bytes_t extradata, media_buf_t *out, tc_fail_t *f)
{
    static const int types[] = {NAL_VPS, NAL_SPS, NAL_PPS, NAL_SEI};
    vd_bytes_t sets[SETS_MAX];
    uint8_t sps[SPS_HEAD_MAX];
    unsigned kinds = 0;

    if (extradata.len > 0 && extradata.p[0] != 0) {
        (void)media_buf_add(out, extradata.p, extradata.len);
        return 0;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int n = collect(extradata, types[i], sets);

        if (n < 0 || (n == 0 && types[i] != NAL_SEI)) {
            return tc_fail(f, "internal", "The encoder gave no parameter sets.");
        }
        kinds += n > 0;
    }
    if (collect(extradata, NAL_SPS, sets) < 1 || unescape(sets[0], sps) < 3 + PTL_BYTES) {
        return tc_fail(f, "internal", "The encoder gave no parameter sets.");
    }
    put_head(sps, kinds, out);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        put_array(extradata, types[i], out);
    }
    return 0;
}

int vd_hevc_sample(vd_bytes_t annexb, media_buf_t *out, tc_fail_t *f)
{
    vd_bytes_t nal;
    size_t before = out->len;

    while (vd_nal_next(&annexb, &nal)) {
        int type = nal_type(nal);

        if ((type >= NAL_VPS && type <= NAL_AUD) || type == NAL_FILLER) {
            continue;
        }
        vd_put32(out, (uint32_t)nal.len);
        (void)media_buf_add(out, nal.p, nal.len);
    }
    return out->len > before || out->failed
               ? 0
               : tc_fail(f, "internal", "The encoder gave a picture without data.");
}
