/* WebP, still or animated, by libwebp and its demuxer, which composes frames. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "an_reader.h"

typedef struct {
    WebPAnimDecoder *decoder;
    int shown_ms; /* up to the frame before */
} state_t;

static void take_metadata(an_reader_t *r, WebPDemuxer *d)
{
    WebPChunkIterator it;

    if (WebPDemuxGetChunk(d, "ICCP", 1, &it)) {
        an_reader_icc(r, it.chunk.bytes, it.chunk.size);
        WebPDemuxReleaseChunkIterator(&it);
    }
    if (WebPDemuxGetChunk(d, "EXIF", 1, &it)) {
        an_exif_read(it.chunk.bytes, it.chunk.size, &r->exif);
        WebPDemuxReleaseChunkIterator(&it);
    }
}

/* Whether no frame is lossy; -1: one cannot be read. */
static int all_lossless(WebPDemuxer *d)
{
    WebPBitstreamFeatures features;
    WebPIterator it;
    int lossless = 1;

    if (!WebPDemuxGetFrame(d, 1, &it)) {
        return -1;
    }
    do {
        if (!it.complete ||
            WebPGetFeatures(it.fragment.bytes, it.fragment.size, &features) != VP8_STATUS_OK) {
            lossless = -1;
            break;
        }
        lossless &= features.format == 2;
    } while (WebPDemuxNextFrame(&it));
    WebPDemuxReleaseIterator(&it);
    return lossless;
}

static int open_webp(an_reader_t *r, tc_fail_t *f)
{
    WebPData data = {r->p, r->size};
    WebPDemuxer *d = WebPDemux(&data);

    if (d == NULL) {
        return an_reader_damaged(r, f);
    }
    r->width = (int)WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH);
    r->height = (int)WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT);
    r->nframes = (int)WebPDemuxGetI(d, WEBP_FF_FRAME_COUNT);
    r->loops = (int)WebPDemuxGetI(d, WEBP_FF_LOOP_COUNT);
    r->is_lossless = all_lossless(d);
    take_metadata(r, d);
    WebPDemuxDelete(d);
    return r->is_lossless < 0 ? an_reader_damaged(r, f) : 0;
}

static int start(an_reader_t *r)
{
    WebPData data = {r->p, r->size};
    WebPAnimDecoderOptions options;
    state_t *s = calloc(1, sizeof(*s));

    r->state = s;
    if (s == NULL || !WebPAnimDecoderOptionsInit(&options)) {
        return -1;
    }
    options.color_mode = MODE_RGBA;
    s->decoder = WebPAnimDecoderNew(&data, &options);
    return s->decoder != NULL ? 0 : -1;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    state_t *s;
    uint8_t *p;
    int shown_ms;

    if (r->state == NULL && start(r) != 0) {
        return an_reader_no_memory(r, f);
    }
    s = r->state;
    *out = an_frame_new(r->width, r->height, 0);
    if (*out == NULL) {
        return an_reader_no_memory(r, f);
    }
    if (!WebPAnimDecoderGetNext(s->decoder, &p, &shown_ms)) {
        return an_reader_damaged(r, f);
    }
    for (int y = 0; y < r->height; y++) {
        memcpy((*out)->data[0] + y * (*out)->linesize[0], p + (size_t)y * (size_t)r->width * 4,
               (size_t)r->width * 4);
    }
    *delay = (AVRational){shown_ms - s->shown_ms, 1000};
    s->shown_ms = shown_ms;
    return 0;
}

static void close_webp(an_reader_t *r)
{
    state_t *s = r->state;

    if (s != NULL) {
        WebPAnimDecoderDelete(s->decoder);
        free(s);
        r->state = NULL;
    }
}

const an_coder_t an_coder_webp = {AN_WEBP, "WebP", open_webp, next, close_webp};
