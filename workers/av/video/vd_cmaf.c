#include "vd_cmaf.h"

#include <stdlib.h>
#include <string.h>

#include "vd_hevc.h"
#include "vd_init.h"
#include "vd_nal.h"

#define INIT_MAX (256 << 10)
#define CONFIG_MAX (64 << 10)
#define ASC_MAX 64
#define HEAD_MAX (VD_CMAF_SAMPLES_MAX * 16 + 1024)

enum {
    TFHD_DURATION = 0x8,
    TFHD_BASE_IS_MOOF = 0x20000,
    TRUN_OFFSET = 0x1,
    TRUN_FIRST_FLAGS = 0x4,
    TRUN_DURATION = 0x100,
    TRUN_SIZE = 0x200,
    TRUN_FLAGS = 0x400,
    TRUN_CTS = 0x800
};

typedef struct {
    int64_t pts; /* media time */
    uint32_t size;
    int key;
} sample_t;

struct vd_cmaf_s {
    int video;
    enum AVCodecID codec;
    int annexb;    /* packets come as start codes */
    int64_t edit;  /* media time of presentation time 0 ... */
    int64_t first; /* ... and of what decodes at 0: of video, what presents there */
    char codecs[MEDIA_CODECS_MAX];
    media_buf_t config;
    media_buf_t init;
    media_buf_t head;
    media_buf_t body;
    int nsamples;
    int cut; /* head and body are a finished segment's, the next packet starts anew */
    sample_t samples[VD_CMAF_SAMPLES_MAX];
    int64_t dts[VD_CMAF_SAMPLES_MAX + 1]; /* presentation times, ascending, and the end */
};

/* ---- opening ---- */

static vd_bytes_t view(const media_buf_t *b)
{
    return (vd_bytes_t){(const uint8_t *)b->p, b->len};
}

static int read_config(vd_cmaf_t *c, const AVCodecParameters *par, tc_fail_t *f)
{
    vd_bytes_t extra = {par->extradata, (size_t)par->extradata_size};
    ssize_t n = MEDIA_E_REJECT;

    c->annexb = extra.len > 0 && extra.p[0] == 0;
    switch (par->codec_id) {
    case AV_CODEC_ID_H264:
        if (vd_avc_config(extra, &c->config, f) != 0) {
            return -1;
        }
        n = media_codecs_avc(view(&c->config).p, c->config.len, c->codecs, sizeof(c->codecs));
        break;
    case AV_CODEC_ID_HEVC:
        if (vd_hevc_config(extra, &c->config, f) != 0) {
            return -1;
        }
        n = media_codecs_hevc(view(&c->config).p, c->config.len, c->codecs, sizeof(c->codecs));
        break;
    case AV_CODEC_ID_AAC:
        c->annexb = 0;
        if (extra.len <= ASC_MAX) {
            (void)media_buf_add(&c->config, extra.p, extra.len);
            n = media_codecs_aac(extra.p, extra.len, c->codecs, sizeof(c->codecs));
        }
        break;
    default:
        return tc_fail(f, "unsupported_media", "%s cannot be stored as CMAF.",
                       avcodec_get_name(par->codec_id));
    }
    return n > 0 ? 0
                 : tc_fail(f, "unsupported_media", "The %s stream does not describe itself.",
                           avcodec_get_name(par->codec_id));
}

static int check_track(const vd_cmaf_track_t *t, tc_fail_t *f)
{
    const char *lang = t->language;

    if (t->timescale < 1 || t->timescale > UINT32_MAX || t->edit < 0 || t->edit > INT32_MAX ||
        t->par->extradata_size < 0) {
        return tc_fail(f, "internal", "The track's times are out of range.");
    }
    if (t->par->codec_type == AVMEDIA_TYPE_VIDEO &&
        (t->par->width < 1 || t->par->height < 1 || t->par->width > UINT16_MAX ||
         t->par->height > UINT16_MAX)) {
        return tc_fail(f, "internal", "A picture of %dx%d cannot be stored.", t->par->width,
                       t->par->height);
    }
    for (int i = 0; lang != NULL && i < 4; i++) {
        if (i < 3 ? lang[i] < 'a' || lang[i] > 'z' : lang[i] != '\0') {
            return tc_fail(f, "internal", "The track's language is no code of three letters.");
        }
    }
    return 0;
}

vd_cmaf_t *vd_cmaf_open(const vd_cmaf_track_t *track, tc_fail_t *f)
{
    vd_cmaf_t *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        return NULL;
    }
    c->video = track->par->codec_type == AVMEDIA_TYPE_VIDEO;
    c->codec = track->par->codec_id;
    c->edit = track->edit;
    c->first = c->video ? 0 : track->edit;
    media_buf_init(&c->config, CONFIG_MAX);
    media_buf_init(&c->init, INIT_MAX);
    media_buf_init(&c->head, HEAD_MAX);
    media_buf_init(&c->body, VD_CMAF_BYTES_MAX);
    if (check_track(track, f) != 0 || read_config(c, track->par, f) != 0) {
        vd_cmaf_close(c);
        return NULL;
    }
    vd_init_put(track, view(&c->config), &c->init);
    if (c->config.failed || c->init.failed) {
        (void)tc_fail(f, "limits", "The stream's description is too long.");
        vd_cmaf_close(c);
        return NULL;
    }
    return c;
}

void vd_cmaf_close(vd_cmaf_t *c)
{
    if (c != NULL) {
        media_buf_free(&c->config);
        media_buf_free(&c->init);
        media_buf_free(&c->head);
        media_buf_free(&c->body);
        free(c);
    }
}

media_str_t vd_cmaf_init(const vd_cmaf_t *c)
{
    return media_buf_view(&c->init);
}

const char *vd_cmaf_codecs(const vd_cmaf_t *c)
{
    return c->codecs;
}

/* ---- a segment ---- */

static int add_bytes(vd_cmaf_t *c, vd_bytes_t data, tc_fail_t *f)
{
    if (c->annexb) {
        return c->codec == AV_CODEC_ID_HEVC ? vd_hevc_sample(data, &c->body, f)
                                            : vd_avc_sample(view(&c->config), data, &c->body, f);
    }
    if (c->video && !vd_nal_is_framed(data)) {
        return tc_fail(f, "unreadable_media", "A picture is not stored as its stream says.");
    }
    (void)media_buf_add(&c->body, data.p, data.len);
    return 0;
}

int vd_cmaf_add(vd_cmaf_t *c, const AVPacket *packet, tc_fail_t *f)
{
    if (c->cut) {
        media_buf_reset(&c->body);
        c->nsamples = 0;
        c->cut = 0;
    }
    if (packet->pts == AV_NOPTS_VALUE || packet->pts < -c->first || packet->pts > INT64_MAX / 4 ||
        packet->size <= 0) {
        return tc_fail(f, "internal", "A packet has no time or no data.");
    }
    if (c->nsamples == VD_CMAF_SAMPLES_MAX) {
        return tc_fail(f, "limits", "A segment has more than %d frames.", VD_CMAF_SAMPLES_MAX);
    }
    size_t before = c->body.len;

    if (add_bytes(c, (vd_bytes_t){packet->data, (size_t)packet->size}, f) != 0) {
        return -1;
    }
    if (c->body.failed) {
        return tc_fail(f, "limits", "A segment is larger than %zu bytes.", VD_CMAF_BYTES_MAX);
    }
    c->samples[c->nsamples++] = (sample_t){packet->pts + c->edit, (uint32_t)(c->body.len - before),
                                           !c->video || (packet->flags & AV_PKT_FLAG_KEY) != 0};
    return 0;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Decoding times: the presentation times in order, then the end; on the scale of tfdt, on which
 * presentation time 0 is `first`. */
static int order_times(vd_cmaf_t *c, int64_t end, tc_fail_t *f)
{
    int n = c->nsamples;

    for (int i = 0; i < n; i++) {
        c->dts[i] = c->samples[i].pts - c->edit + c->first;
    }
    qsort(c->dts, (size_t)n, sizeof(c->dts[0]), compare_times);
    c->dts[n] = end;
    for (int i = 0; i < n; i++) {
        if (c->dts[i + 1] <= c->dts[i] || c->dts[i + 1] - c->dts[i] > UINT32_MAX) {
            return tc_fail(f, "internal", "The times within a segment do not ascend.");
        }
        if (!c->video && c->samples[i].pts != c->dts[i]) {
            return tc_fail(f, "internal", "Audio packets are out of order.");
        }
        int64_t late = c->samples[i].pts - c->dts[i];

        if (late > INT32_MAX || late < (c->edit > 0 ? 0 : INT32_MIN)) {
            return tc_fail(f, "internal", "A picture is shown too far from where it is decoded.");
        }
    }
    if (!c->samples[0].key || c->samples[0].pts - c->edit + c->first != c->dts[0]) {
        return tc_fail(f, "internal", "A segment does not begin with its first picture.");
    }
    return 0;
}

/* What the samples have in common need not be said of each. */
static uint32_t trun_flags(const vd_cmaf_t *c)
{
    uint32_t flags = TRUN_OFFSET | TRUN_SIZE | (c->video ? TRUN_FIRST_FLAGS : 0);

    for (int i = 0; i < c->nsamples; i++) {
        if (c->dts[i + 1] - c->dts[i] != c->dts[1] - c->dts[0]) {
            flags |= TRUN_DURATION;
        }
        if (c->samples[i].pts != c->dts[i]) {
            flags |= TRUN_CTS;
        }
        if (c->video && i > 0 && c->samples[i].key) {
            flags |= TRUN_FLAGS;
        }
    }
    /* the two exclude each other */
    return flags & TRUN_FLAGS ? flags & ~(uint32_t)TRUN_FIRST_FLAGS : flags;
}

/* Returns where the data offset stands. */
static size_t put_trun(vd_cmaf_t *c, uint32_t flags)
{
    media_buf_t *b = &c->head;
    size_t box = vd_box_open_full(b, "trun", 1, flags);

    vd_put32(b, (uint32_t)c->nsamples);
    size_t offset = b->len;

    vd_put32(b, 0);
    if (flags & TRUN_FIRST_FLAGS) {
        vd_put32(b, VD_FLAGS_KEY);
    }
    for (int i = 0; i < c->nsamples; i++) {
        const sample_t *s = &c->samples[i];

        if (flags & TRUN_DURATION) {
            vd_put32(b, (uint32_t)(c->dts[i + 1] - c->dts[i]));
        }
        vd_put32(b, s->size);
        if (flags & TRUN_FLAGS) {
            vd_put32(b, s->key ? VD_FLAGS_KEY : VD_FLAGS_DELTA);
        }
        if (flags & TRUN_CTS) {
            vd_put32(b, (uint32_t)(int32_t)(s->pts - c->dts[i]));
        }
    }
    vd_box_close(b, box);
    return offset;
}

static void put_styp(media_buf_t *b)
{
    size_t box = vd_box_open(b, "styp");

    vd_put_tag(b, "msdh");
    vd_put32(b, 0);
    vd_put_tag(b, "msdh");
    vd_put_tag(b, "cmfs");
    vd_put_tag(b, "cmff");
    vd_box_close(b, box);
}

static void put_moof(vd_cmaf_t *c, int64_t number)
{
    media_buf_t *b = &c->head;
    uint32_t flags = trun_flags(c);
    int same = (flags & TRUN_DURATION) == 0;
    size_t moof = vd_box_open(b, "moof");
    size_t box = vd_box_open_full(b, "mfhd", 0, 0);

    vd_put32(b, (uint32_t)number);
    vd_box_close(b, box);
    size_t traf = vd_box_open(b, "traf");

    box = vd_box_open_full(b, "tfhd", 0, TFHD_BASE_IS_MOOF | (same ? TFHD_DURATION : 0));
    vd_put32(b, 1);
    if (same) {
        vd_put32(b, (uint32_t)(c->dts[1] - c->dts[0]));
    }
    vd_box_close(b, box);
    box = vd_box_open_full(b, "tfdt", 1, 0);
    vd_put64(b, (uint64_t)c->dts[0]);
    vd_box_close(b, box);
    size_t offset = put_trun(c, flags);

    vd_box_close(b, traf);
    vd_box_close(b, moof);
    vd_patch32(b, offset, (uint32_t)(b->len - moof + 8)); /* behind the mdat's header */
    vd_put32(b, (uint32_t)(c->body.len + 8));
    vd_put_tag(b, "mdat");
}

int vd_cmaf_cut(vd_cmaf_t *c, int64_t number, int64_t end, vd_cmaf_segment_t *out, tc_fail_t *f)
{
    if (c->cut || c->nsamples == 0 || number < 1 || number > UINT32_MAX || end < 1 ||
        end > INT64_MAX / 4) {
        return tc_fail(f, "internal", "A segment has no frames, no number or no end.");
    }
    if (order_times(c, end + c->first, f) != 0) {
        return -1;
    }
    media_buf_reset(&c->head);
    put_styp(&c->head);
    size_t moof = c->head.len;

    put_moof(c, number);
    if (c->head.failed) {
        return tc_fail(f, "limits", "A segment's description is too long.");
    }
    int64_t start = c->dts[0] > c->first ? c->dts[0] - c->first : 0;

    *out = (vd_cmaf_segment_t){
        .start = start,
        .duration = end - start,
        .bytes = (int64_t)(c->head.len + c->body.len),
        .iframe_offset = c->video ? (int64_t)moof : 0,
        .iframe_bytes = c->video ? (int64_t)(c->head.len - moof) + c->samples[0].size : 0,
        .samples = c->nsamples,
        .head = media_buf_view(&c->head),
        .body = media_buf_view(&c->body)};
    c->cut = 1;
    return 0;
}
