/* Opening the video decoder. */
#include "vd_decoder.h"

#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/pixdesc.h>

/* By libavcodec's names of codings. */
#define CODINGS                                                                                    \
    "h264,hevc,av1,vp8,vp9,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4v3,h263,h263p,"  \
    "flv1,wmv1,wmv2,wmv3,vc1,mjpeg,prores,dnxhd,theora,vp6,vp6f,dvvideo,cinepak,svq3,ffv1,huffyuv"
#define PIXELS_MAX (8192 * 4352 + (1 << 20)) /* a stream may grow on the way */

const AVCodec *vd_decoder_find(const AVCodecParameters *par)
{
    return av_match_list(avcodec_get_name(par->codec_id), CODINGS, ',') > 0
               ? avcodec_find_decoder(par->codec_id)
               : NULL;
}

static int fill(const media_vindex_t *v, AVCodecParameters *par)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(v->codec);

    if (d == NULL || d->type != AVMEDIA_TYPE_VIDEO) {
        return AVERROR_INVALIDDATA;
    }
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = d->id;
    par->codec_tag = (uint32_t)v->codec_tag;
    par->format = av_get_pix_fmt(v->pix_fmt);
    par->width = (int)v->width;
    par->height = (int)v->height;
    par->profile = (int)v->profile;
    par->level = (int)v->level;
    par->bits_per_coded_sample = (int)v->bits_per_coded_sample;
    par->video_delay = (int)v->reorder;
    par->sample_aspect_ratio = (AVRational){(int)v->sar_num, (int)v->sar_den};
    par->field_order = (enum AVFieldOrder)v->field_order;
    par->color_range = (enum AVColorRange)v->color_range;
    par->color_primaries = (enum AVColorPrimaries)v->color_primaries;
    par->color_trc = (enum AVColorTransferCharacteristic)v->color_trc;
    par->color_space = (enum AVColorSpace)v->color_space;
    par->chroma_location = (enum AVChromaLocation)v->chroma_location;
    if (v->extradata_len > 0) {
        par->extradata = av_mallocz(v->extradata_len + AV_INPUT_BUFFER_PADDING_SIZE);
        if (par->extradata == NULL) {
            return AVERROR(ENOMEM);
        }
        memcpy(par->extradata, v->extradata, v->extradata_len);
        par->extradata_size = (int)v->extradata_len;
    }
    return 0;
}

AVCodecParameters *vd_decoder_parameters(const media_vindex_t *v)
{
    AVCodecParameters *par = avcodec_parameters_alloc();

    if (par != NULL && fill(v, par) < 0) {
        avcodec_parameters_free(&par);
    }
    return par;
}

AVCodecContext *vd_decoder_open(const media_vindex_t *v, int threads, tc_fail_t *f)
{
    AVCodecParameters *par = vd_decoder_parameters(v);
    const AVCodec *codec = NULL;
    AVCodecContext *dec = NULL;
    int rc = par != NULL ? 0 : AVERROR(ENOMEM);

    if (rc == 0) {
        codec = vd_decoder_find(par);
        dec = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
        rc = codec == NULL ? AVERROR_DECODER_NOT_FOUND : dec == NULL ? AVERROR(ENOMEM) : 0;
    }
    if (rc == 0) {
        rc = avcodec_parameters_to_context(dec, par);
    }
    if (rc >= 0) {
        dec->thread_count = threads;
        dec->max_pixels = PIXELS_MAX;
        rc = avcodec_open2(dec, codec, NULL);
    }
    avcodec_parameters_free(&par);
    if (rc < 0) {
        avcodec_free_context(&dec);
        (void)tc_fail_av(f, rc, "The video track cannot be decoded");
    }
    return dec;
}
