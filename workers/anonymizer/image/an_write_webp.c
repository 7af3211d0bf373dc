/* WebP: lossless where the source was, else by quality. */
#include <stdlib.h>
#include <string.h>

#include <webp/encode.h>
#include <webp/mux.h>

#include "an_writer.h"

#define METHOD 4

typedef struct {
    WebPAnimEncoder *encoder;
    int64_t shown_us; /* up to the frame to come */
} state_t;

static int configure(const an_writer_t *w, WebPConfig *c)
{
    if (!WebPConfigInit(c)) {
        return -1;
    }
    c->lossless = w->is_lossless;
    c->quality = w->is_lossless ? 75 : AN_QUALITY; /* of lossless: the effort */
    c->method = METHOD;
    c->exact = 1; /* what is hidden stays cleared */
    return WebPValidateConfig(c) ? 0 : -1;
}

static int import(const AVFrame *frame, WebPPicture *p)
{
    if (!WebPPictureInit(p)) {
        return -1;
    }
    p->use_argb = 1;
    p->width = frame->width;
    p->height = frame->height;
    return WebPPictureImportRGBA(p, frame->data[0], frame->linesize[0]) ? 0 : -1;
}

/* The file with what is kept around it. */
static int put_file(an_writer_t *w, const uint8_t *p, size_t n)
{
    WebPData file = {p, n}, icc = {w->icc, w->icc_len}, exif = {w->exif, w->exif_len}, out = {0};
    WebPMux *mux;
    int ok;

    if (w->icc == NULL && w->exif_len == 0) {
        return media_buf_add(&w->out, p, n);
    }
    mux = WebPMuxCreate(&file, 0);
    ok = mux != NULL && (w->icc == NULL || WebPMuxSetChunk(mux, "ICCP", &icc, 0) == WEBP_MUX_OK) &&
         (w->exif_len == 0 || WebPMuxSetChunk(mux, "EXIF", &exif, 0) == WEBP_MUX_OK) &&
         WebPMuxAssemble(mux, &out) == WEBP_MUX_OK;
    if (ok) {
        (void)media_buf_add(&w->out, out.bytes, out.size);
    }
    WebPDataClear(&out);
    WebPMuxDelete(mux);
    return ok ? 0 : -1;
}

static int write_still(an_writer_t *w, const AVFrame *frame)
{
    WebPConfig config;
    WebPPicture picture;
    WebPMemoryWriter memory;
    int rc = -1;

    WebPMemoryWriterInit(&memory);
    if (configure(w, &config) == 0 && import(frame, &picture) == 0) {
        picture.writer = WebPMemoryWrite;
        picture.custom_ptr = &memory;
        rc = WebPEncode(&config, &picture) ? put_file(w, memory.mem, memory.size) : -1;
        WebPPictureFree(&picture);
    }
    WebPMemoryWriterClear(&memory);
    return rc;
}

static int start(an_writer_t *w)
{
    WebPAnimEncoderOptions options;
    state_t *s = calloc(1, sizeof(*s));

    w->state = s;
    if (s == NULL || !WebPAnimEncoderOptionsInit(&options)) {
        return -1;
    }
    options.anim_params.loop_count = w->loops;
    options.anim_params.bgcolor = 0;
    s->encoder = WebPAnimEncoderNew(w->width, w->height, &options);
    return s->encoder != NULL ? 0 : -1;
}

static int add_frame(an_writer_t *w, const AVFrame *frame, AVRational delay)
{
    WebPConfig config;
    WebPPicture picture;
    state_t *s;
    int ok;

    if ((w->state == NULL && start(w) != 0) || configure(w, &config) != 0 ||
        import(frame, &picture) != 0) {
        return -1;
    }
    s = w->state;
    ok = WebPAnimEncoderAdd(s->encoder, &picture, (int)(s->shown_us / 1000), &config);
    s->shown_us += av_rescale(1000000, delay.num, delay.den);
    WebPPictureFree(&picture);
    return ok ? 0 : -1;
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    int rc = w->nframes > 1 ? add_frame(w, frame, delay) : write_still(w, frame);

    return rc == 0 ? 0 : an_writer_failed(w, f);
}

static int end(an_writer_t *w, tc_fail_t *f)
{
    state_t *s = w->state;
    WebPData out = {0};
    int rc;

    if (w->nframes == 1) {
        return 0;
    }
    rc = WebPAnimEncoderAdd(s->encoder, NULL, (int)(s->shown_us / 1000), NULL) &&
                 WebPAnimEncoderAssemble(s->encoder, &out)
             ? put_file(w, out.bytes, out.size)
             : -1;
    WebPDataClear(&out);
    return rc == 0 ? 0 : an_writer_failed(w, f);
}

static void close_webp(an_writer_t *w)
{
    state_t *s = w->state;

    if (s != NULL) {
        WebPAnimEncoderDelete(s->encoder);
        free(s);
        w->state = NULL;
    }
}

const an_format_t an_format_webp = {"masked.webp", "image/webp", add, end, close_webp};
