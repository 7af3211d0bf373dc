/* Encoder and segments of a rung. */
#include "vd_rung.h"

#include <stdlib.h>

#include <libavutil/cpu.h>
#include <libavutil/opt.h>

#include "vd_picture.h"
#include "vd_segments.h"

#define NO_KEYFRAMES (1 << 30) /* but those that are forced */

struct vd_rung_s {
    const vd_range_plan_t *plan;
    const media_rendition_t *rendition;
    vd_picture_t picture;
    AVCodecContext *encoder;
    AVPacket *packet;
    uint32_t in; /* the span of the next picture */
    vd_segments_t segments;
};

/* ---- encoder ---- */

static enum AVPixelFormat format_of(const vd_range_plan_t *plan)
{
    return plan->is_hdr ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
}

static void describe(AVCodecContext *e, const vd_rung_t *r, const media_vindex_t *v)
{
    e->width = r->rendition->width;
    e->height = r->rendition->height;
    e->pix_fmt = format_of(r->plan);
    e->sample_aspect_ratio = (AVRational){1, 1};
    e->time_base = (AVRational){1, (int)v->tb_den};
    e->framerate = (AVRational){r->plan->fps_num, r->plan->fps_den};
    e->color_range = AVCOL_RANGE_MPEG;
    e->colorspace = vd_picture_space(v);
    e->color_primaries = (enum AVColorPrimaries)v->color_primaries;
    e->color_trc = (enum AVColorTransferCharacteristic)v->color_trc;
    e->thread_count = r->plan->threads;
    e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_CLOSED_GOP | AV_CODEC_FLAG_BITEXACT;
    e->gop_size = NO_KEYFRAMES;
    e->rc_max_rate = r->rendition->maxrate_bps;
    e->rc_buffer_size = (int)r->rendition->bufsize_bits;
}

/* x264's AVX-512 code reads memory nobody has written: its bytes differ from run to run. Up to AVX2
 * they are the same on every machine that has SSSE3. */
static int choose_code(AVCodecContext *e)
{
    return av_get_cpu_flags() & AV_CPU_FLAG_AVX512
               ? av_opt_set(e->priv_data, "x264-params", "asm=avx2", 0)
               : 0;
}

/* A change of scene makes no key frame: they stand where the plan puts them. */
static int set_h264(const vd_range_plan_t *plan, AVCodecContext *e)
{
    int rc = av_opt_set_int(e->priv_data, "sc_threshold", 0, 0);

    rc = rc < 0 ? rc : av_opt_set(e->priv_data, "profile", plan->profile, 0);
    return rc < 0 ? rc : choose_code(e);
}

/* Its threads are as many as the plan says: one; no note about itself. */
static int set_hevc(const vd_range_plan_t *plan, AVCodecContext *e)
{
    char params[512];

    (void)snprintf(params, sizeof(params),
                   "log-level=none:info=0:pools=none:frame-threads=1:wpp=0:scenecut=0:open-gop=0:"
                   "keyint=-1%s%s",
                   plan->hdr[0] != '\0' ? ":" : "", plan->hdr);
    return av_opt_set(e->priv_data, "x265-params", params, 0);
}

static int open_encoder(vd_rung_t *r, const media_vindex_t *v, tc_fail_t *f)
{
    const char *name = r->plan->is_hdr ? "libx265" : "libx264";
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    AVCodecContext *e = avcodec_alloc_context3(codec);
    int rc;

    if (codec == NULL || e == NULL) {
        avcodec_free_context(&e);
        return tc_fail(f, "internal", "The encoder %s is not installed.", name);
    }
    r->encoder = e;
    describe(e, r, v);
    rc = av_opt_set(e->priv_data, "forced-idr", "1", 0);
    rc = rc < 0 ? rc : av_opt_set(e->priv_data, "preset", r->plan->preset, 0);
    rc = rc < 0 ? rc : av_opt_set_double(e->priv_data, "crf", r->rendition->crf, 0);
    rc = rc < 0 ? rc : (r->plan->is_hdr ? set_hevc : set_h264)(r->plan, e);
    rc = rc < 0 ? rc : avcodec_open2(e, codec, NULL);
    return rc < 0 ? tc_fail_av(f, rc, "The encoder cannot be opened") : 0;
}

/* What the edit list takes off: no picture is decoded further behind the time it is shown at than
 * from one picture of the film to that which follows so many places later as the encoder reorders.
 * It must be the same in all ranges, so it is that of the whole film. */
static int64_t latest(const vd_rung_t *r, const media_vindex_t *v)
{
    uint32_t step = r->plan->step;
    uint32_t last = (v->nframes - 1) / step * step;
    uint32_t far = (uint32_t)r->encoder->has_b_frames * step;
    int64_t ticks = 0;

    for (uint32_t i = 0; i < last; i += step) {
        uint32_t j = last - i < far ? last : i + far;
        int64_t span = v->frames[j].pts - v->frames[i].pts;

        ticks = span > ticks ? span : ticks;
    }
    return ticks > INT32_MAX / v->tb_num ? 0 : ticks * v->tb_num;
}

static int open_segments(vd_rung_t *r, int i, const media_vindex_t *v, const vd_sink_t *sink,
                         tc_fail_t *f)
{
    AVCodecParameters *par = avcodec_parameters_alloc();
    int rc = par == NULL || avcodec_parameters_from_context(par, r->encoder) < 0
                 ? tc_fail_av(f, AVERROR(ENOMEM), "")
                 : vd_segments_open(&r->segments, r->plan, i, v, par, latest(r, v), sink, f);

    avcodec_parameters_free(&par);
    return rc;
}

vd_rung_t *vd_rung_open(const vd_range_plan_t *plan, int i, const media_vindex_t *v,
                        const vd_sink_t *sink, tc_fail_t *f)
{
    vd_rung_t *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        return NULL;
    }
    r->plan = plan;
    r->rendition = &plan->rungs[i];
    r->packet = av_packet_alloc();
    if (r->packet == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        goto fail;
    }
    if (vd_picture_open(&r->picture, v, r->rendition->width, r->rendition->height, format_of(plan),
                        f) != 0 ||
        open_encoder(r, v, f) != 0 || open_segments(r, i, v, sink, f) != 0) {
        goto fail;
    }
    return r;

fail:
    vd_rung_close(r);
    return NULL;
}

/* ---- pictures ---- */

/* What the encoder has ready; after the last picture, what is still wanted of it. */
static int drain(vd_rung_t *r, tc_fail_t *f)
{
    int rc = 0;

    while (!vd_segments_done(&r->segments) &&
           (rc = avcodec_receive_packet(r->encoder, r->packet)) >= 0) {
        int bad = vd_segments_add(&r->segments, r->packet, f);
        av_packet_unref(r->packet);
        if (bad != 0) {
            return -1;
        }
    }
    return rc >= 0 || rc == AVERROR(EAGAIN) || rc == AVERROR_EOF
               ? 0
               : tc_fail_av(f, rc, "Encoding failed");
}

/* Whether a segment begins with the picture, be it the next range's. */
static int is_border(vd_rung_t *r, uint32_t number)
{
    const vd_range_plan_t *plan = r->plan;

    if (r->in < plan->nspans && number == plan->spans[r->in].first) {
        r->in++;
        return 1;
    }
    return number == plan->spans[plan->nspans - 1].end;
}

int vd_rung_frame(vd_rung_t *r, const AVFrame *frame, uint32_t number, tc_fail_t *f)
{
    AVFrame *picture;
    int rc;

    if (vd_segments_done(&r->segments)) {
        return 0;
    }
    picture = vd_picture_make(&r->picture, frame, f);
    if (picture == NULL ||
        (r->plan->painter != NULL &&
         r->plan->painter->paint(r->plan->painter->ctx, picture, frame, number, f) != 0)) {
        return -1;
    }
    picture->pts = (frame->pts - r->plan->origin) * r->segments.tb_num;
    picture->pict_type = is_border(r, number) ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    rc = avcodec_send_frame(r->encoder, picture);
    return rc < 0 ? tc_fail_av(f, rc, "Encoding failed") : drain(r, f);
}

int vd_rung_finish(vd_rung_t *r, tc_fail_t *f)
{
    int rc = vd_segments_done(&r->segments) ? 0 : avcodec_send_frame(r->encoder, NULL);

    if (rc < 0) {
        return tc_fail_av(f, rc, "Encoding failed");
    }
    if (drain(r, f) != 0) {
        return -1;
    }
    return vd_segments_done(&r->segments)
               ? 0
               : tc_fail(f, "internal", "The encoder made %u of %u segments.", r->segments.out,
                         r->plan->nspans);
}

json_t *vd_rung_track(const vd_rung_t *r)
{
    return vd_segments_track(&r->segments);
}

void vd_rung_close(vd_rung_t *r)
{
    if (r == NULL) {
        return;
    }
    vd_segments_close(&r->segments);
    avcodec_free_context(&r->encoder);
    av_packet_free(&r->packet);
    vd_picture_close(&r->picture);
    free(r);
}
