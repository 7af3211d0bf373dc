/* A photo of ../shared as detectors are asked about it, decoded and scaled by libav alone. */
#ifndef AN_PHOTO_H
#define AN_PHOTO_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>

#include "an_ask.h"
#include "test.h"

static inline const char *photo_shared(void)
{
    const char *dir = getenv("MEDIA_SHARED");

    return dir != NULL ? dir : MEDIA_SHARED_DEFAULT;
}

static inline AVFrame *photo_decode(const char *path)
{
    AVFormatContext *in = NULL;
    AVCodecContext *dec = NULL;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();

    if (avformat_open_input(&in, path, NULL, NULL) == 0 &&
        avformat_find_stream_info(in, NULL) >= 0 && av_read_frame(in, packet) == 0) {
        const AVCodecParameters *par = in->streams[packet->stream_index]->codecpar;

        dec = avcodec_alloc_context3(avcodec_find_decoder(par->codec_id));
        CHECK(avcodec_parameters_to_context(dec, par) >= 0 && avcodec_open2(dec, NULL, NULL) == 0);
        CHECK_INT(avcodec_send_packet(dec, packet), 0);
        CHECK_INT(avcodec_send_packet(dec, NULL), 0);
        CHECK_INT(avcodec_receive_frame(dec, frame), 0);
    }
    avcodec_free_context(&dec);
    av_packet_free(&packet);
    avformat_close_input(&in);
    return frame;
}

/* With a long side of at most `side`, packed; bgr NULL where there is no such photo. To be freed
 * with photo_free. */
static inline an_picture_t photo_open(const char *name, int side)
{
    char path[1024];
    AVFrame *frame;
    an_picture_t p = {.bgr = NULL};

    (void)snprintf(path, sizeof(path), "%s/image/%s", photo_shared(), name);
    av_log_set_level(AV_LOG_QUIET);
    frame = photo_decode(path);
    if (frame->width > 0) {
        int longer = frame->width > frame->height ? frame->width : frame->height;
        int w = longer > side ? frame->width * side / longer : frame->width;
        int h = longer > side ? frame->height * side / longer : frame->height;
        struct SwsContext *sws =
            sws_getContext(frame->width, frame->height, (enum AVPixelFormat)frame->format, w, h,
                           AV_PIX_FMT_BGR24, SWS_AREA | SWS_BITEXACT, NULL, NULL, NULL);
        /* swscale writes whole vectors */
        uint8_t *bgr = av_malloc((size_t)w * (size_t)h * 3 + 64);
        uint8_t *dst[4] = {bgr};
        int stride[4] = {3 * w};

        CHECK(sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height,
                        dst, stride) == h);
        sws_freeContext(sws);
        p = (an_picture_t){bgr, w, h, (size_t)w * 3};
    }
    av_frame_free(&frame);
    return p;
}

static inline void photo_free(an_picture_t *p)
{
    av_free((void *)(uintptr_t)p->bgr);
    p->bgr = NULL;
}

#endif
