/* From a file to its probe document and index. */
#include "vd_index.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "tc_input.h"
#include "vd_decoder.h"
#include "vd_range.h"

#define PROOF_FRAMES 25u

/* ---- choosing the tracks ---- */

static int is_film(const AVStream *st)
{
    return st->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
           !(st->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS));
}

/* libav's choice (the default, the one with more pictures, the better one) unless it is a cover. */
static AVStream *choose_video(AVFormatContext *s)
{
    int i = av_find_best_stream(s, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);

    if (i >= 0 && is_film(s->streams[i])) {
        return s->streams[i];
    }
    for (unsigned k = 0; k < s->nb_streams; k++) {
        if (is_film(s->streams[k])) {
            return s->streams[k];
        }
    }
    return NULL;
}

static int choose_others(const AVFormatContext *s, const tc_limits_t *limits, vd_indexed_t *out,
                         tc_fail_t *f)
{
    for (unsigned i = 0; i < s->nb_streams; i++) {
        const AVStream *st = s->streams[i];
        const AVCodecDescriptor *d = avcodec_descriptor_get(st->codecpar->codec_id);

        if (st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && out->naudio < VD_TRACKS_MAX &&
            st->codecpar->sample_rate > 0 && !tc_stream_encrypted(st) &&
            avcodec_find_decoder(st->codecpar->codec_id) != NULL) {
            if (tc_limits_codec(limits, st->codecpar, "sound", f) != 0) {
                return -1;
            }
            out->audio[out->naudio++] = st->index;
        } else if (st->codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE &&
                   out->ntext < VD_TRACKS_MAX && d != NULL && (d->props & AV_CODEC_PROP_TEXT_SUB)) {
            out->text[out->ntext++] = st->index;
        }
    }
    return 0;
}

static int check_video(const AVStream *st, const tc_limits_t *limits, tc_fail_t *f)
{
    const AVCodecParameters *par;
    char tag[AV_FOURCC_MAX_STRING_SIZE];

    if (st == NULL) {
        return tc_fail(f, "no_video", "The file has no video track.");
    }
    par = st->codecpar;
    if (tc_stream_encrypted(st)) {
        return tc_fail(f, "encrypted_media", "The video is encrypted (copy protection).");
    }
    if (vd_decoder_find(par) == NULL) {
        return tc_fail(f, "unsupported_codec",
                       "The video is in a coding that cannot be decoded here (%s).",
                       tc_coding_name(par, tag));
    }
    if ((int64_t)par->width * par->height > limits->pixels) {
        return tc_fail(f, "limits", "The video has %dx%d = %lld pixels; the limit is %lld.",
                       par->width, par->height, (long long)par->width * par->height,
                       (long long)limits->pixels);
    }
    if (tc_limits_codec(limits, par, "video", f) != 0) {
        return -1;
    }
    if (par->width <= 0 || par->height <= 0 || par->extradata_size < 0 ||
        par->extradata_size > (int)MEDIA_VINDEX_EXTRADATA_MAX) {
        return tc_fail(f, "unreadable_media", "The size of the video's pictures is unknown.");
    }
    return 0;
}

/* ---- the index ---- */

/* For numbers that a file may make up; those libav knows pass unchanged. */
static int64_t within(int64_t n, int64_t lo, int64_t hi)
{
    return n < lo ? lo : n > hi ? hi : n;
}

static int describe(const AVFormatContext *s, const AVStream *st, media_vindex_t *v, tc_fail_t *f)
{
    const AVCodecParameters *par = st->codecpar;
    const char *pix_fmt = av_get_pix_fmt_name(par->format);
    AVRational sar =
        st->sample_aspect_ratio.num > 0 ? st->sample_aspect_ratio : par->sample_aspect_ratio;
    int rotation = 0, flip = 0;

    tc_stream_rotation(st, &rotation, &flip);
    v->track = st->index;
    v->track_id = st->id;
    v->tb_num = st->time_base.num;
    v->tb_den = st->time_base.den;
    v->width = par->width;
    v->height = par->height;
    v->sar_num = sar.num > 0 && sar.den > 0 ? sar.num : 0;
    v->sar_den = sar.num > 0 && sar.den > 0 ? sar.den : 1;
    v->rotation = rotation;
    v->flip = flip;
    v->codec_tag = par->codec_tag;
    v->profile = par->profile;
    v->level = par->level;
    v->bits_per_coded_sample = within(par->bits_per_coded_sample, 0, 1024);
    v->reorder = within(par->video_delay, 0, 64);
    v->field_order = within(par->field_order, 0, 255);
    v->color_range = within(par->color_range, 0, 255);
    v->color_primaries = within(par->color_primaries, 0, 255);
    v->color_trc = within(par->color_trc, 0, 255);
    v->color_space = within(par->color_space, 0, 255);
    v->chroma_location = within(par->chroma_location, 0, 255);
    (void)snprintf(v->container, sizeof(v->container), "%s", s->iformat->name);
    (void)snprintf(v->codec, sizeof(v->codec), "%s", avcodec_get_name(par->codec_id));
    (void)snprintf(v->pix_fmt, sizeof(v->pix_fmt), "%s", pix_fmt != NULL ? pix_fmt : "");
    v->extradata_len = (uint32_t)par->extradata_size;
    v->extradata = malloc((size_t)par->extradata_size + 1);
    if (v->extradata == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (par->extradata_size > 0) {
        memcpy(v->extradata, par->extradata, (size_t)par->extradata_size);
    }
    return 0;
}

static int is_mp4(const AVFormatContext *s)
{
    return strstr(s->iformat->name, "mp4") != NULL;
}

/* By the table where there is a whole one, else by reading the file. */
static int scan(vd_io_t *io, AVFormatContext **s, const tc_limits_t *limits, media_vindex_t *v,
                tc_fail_t *f)
{
    int rc = 0;

    if (is_mp4(*s) && !tc_check_moof(io)) {
        rc = vd_scan_table(io, *s, (*s)->streams[v->track], limits, v, f);
        if (rc != 0) {
            return rc < 0 ? -1 : 0;
        }
        avformat_close_input(s);
        if (vd_io_restart(io, 0, f) != 0 || tc_container_open(io, 0, s, f) != 0) {
            return -1;
        }
        if ((*s)->nb_streams <= (unsigned)v->track) {
            return tc_container_broken(io, AVERROR_INVALIDDATA, f);
        }
    }
    return vd_scan(io, *s, (*s)->streams[v->track], limits, v, f);
}

static int order(vd_io_t *io, AVRational fps, vd_indexed_t *out, tc_fail_t *f)
{
    media_vindex_t *v = &out->index;
    int64_t frame_ts = 0;
    int rc;

    if (v->npackets == 0) {
        return tc_container_broken(io, AVERROR_INVALIDDATA, f);
    }
    rc = vd_order_by_time(v, f);
    if (rc != 0) {
        return rc < 0 ? -1 : 0;
    }
    if (fps.num > 0 && fps.den > 0) {
        frame_ts = av_rescale_q(1, av_inv_q(fps), (AVRational){(int)v->tb_num, (int)v->tb_den});
    }
    out->ordered_by_decoding = 1;
    return vd_io_restart(io, 0, f) != 0 ? -1 : vd_order_by_decoding(io, v, frame_ts, f);
}

static int check_length(const media_vindex_t *v, const tc_limits_t *limits, tc_fail_t *f)
{
    AVRational tb = {(int)v->tb_num, (int)v->tb_den};
    int64_t s = av_rescale_q(v->end - v->frames[0].pts, tb, (AVRational){1, 1});

    if (s > limits->duration_s) {
        return tc_fail(f, "limits", "The video is %lld seconds long; the limit is %lld seconds.",
                       (long long)s, (long long)limits->duration_s);
    }
    return 0;
}

/* One picture of these few, somewhere in the file, must come out of the decoder: a file whose every
 * packet is noise is refused here, not in each of its jobs. It completes the probe. */
static int prove(const vd_source_t *source, vd_indexed_t *out, tc_fail_t *f)
{
    const media_vindex_t *v = &out->index;
    const uint32_t some = v->nframes < PROOF_FRAMES ? v->nframes : PROOF_FRAMES;
    const uint32_t places[] = {0, (v->nframes - some) / 2, v->nframes - some};
    AVFrame *frame = av_frame_alloc();
    tc_fail_t why = {{0}, {0}, 0};
    vd_range_t *r = NULL;
    uint32_t number;
    int rc = frame != NULL ? 0 : tc_fail_av(&why, AVERROR(ENOMEM), "");

    for (size_t i = 0; frame != NULL && i < sizeof(places) / sizeof(places[0]) && rc <= 0; i++) {
        memset(&why, 0, sizeof(why));
        rc = vd_range_open(&r, source, v, places[i], places[i] + some, 1, &why);
        if (rc == 0) {
            rc = vd_range_frame(r, frame, &number, &why);
        }
        vd_range_close(r);
    }
    if (rc > 0) {
        tc_probe_frame(out->probe, (int)v->track, frame);
    }
    av_frame_free(&frame);
    if (rc > 0) {
        return 0;
    }
    return strcmp(why.code, "unreadable_media") == 0
               ? tc_fail(f, why.code, "The video is damaged: none of it can be decoded.")
               : tc_fail(f, why.code, "%s", why.detail);
}

static int index_file(vd_io_t *io, AVFormatContext **s, const tc_limits_t *limits,
                      vd_indexed_t *out, tc_fail_t *f)
{
    int64_t size = io->source.size;
    AVStream *st;
    AVRational fps;

    if (tc_container_open(io, 0, s, f) != 0 || tc_container_streams(*s, io, f) != 0 ||
        tc_container_limits(*s, size, limits->streams, limits->duration_s, f) != 0) {
        return -1;
    }
    st = choose_video(*s);
    if (check_video(st, limits, f) != 0 || tc_container_whole(*s, io, f) != 0 ||
        choose_others(*s, limits, out, f) != 0) {
        return -1;
    }
    out->probe = tc_probe(*s);
    out->index.file_size = size;
    fps = st->r_frame_rate.num > 0 ? st->r_frame_rate : st->avg_frame_rate;
    if (out->probe == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (describe(*s, st, &out->index, f) != 0 || scan(io, s, limits, &out->index, f) != 0) {
        return -1;
    }
    avformat_close_input(s);
    return order(io, fps, out, f) != 0 ? -1 : check_length(&out->index, limits, f);
}

int vd_index(const vd_source_t *source, const tc_limits_t *limits, vd_indexed_t *out, tc_fail_t *f)
{
    AVFormatContext *s = NULL;
    vd_io_t io;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = vd_io_open(&io, source, f);
    if (rc == 0) {
        rc = index_file(&io, &s, limits, out, f);
    }
    avformat_close_input(&s);
    out->fetched = io.fetched;
    vd_io_close(&io);
    return rc == 0 ? prove(source, out, f) : rc;
}

void vd_indexed_free(vd_indexed_t *x)
{
    json_decref(x->probe);
    media_vindex_free(&x->index);
    memset(x, 0, sizeof(*x));
}
