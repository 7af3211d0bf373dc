#include "an_writer.h"

#include <string.h>

#include "an_params.h"

static const an_format_t *const formats[] = {
    [AN_JPEG] = &an_format_jpeg, [AN_PNG] = &an_format_png, [AN_WEBP] = &an_format_webp,
    [AN_GIF] = &an_format_gif,   [AN_BMP] = &an_format_bmp, [AN_TIFF] = &an_format_tiff,
    [AN_HEIF] = &an_format_jpeg};

int an_writer_failed(const an_writer_t *w, tc_fail_t *f)
{
    if (w->out.failed) {
        return tc_fail(f, "limits", "The masked picture would be larger than %zu bytes.",
                       AN_OUTPUT_MAX);
    }
    return tc_fail(f, "internal", "The masked picture could not be written.");
}

static uint32_t part(const AVFrame *frame, int x, int y, int i)
{
    const uint8_t *row = frame->data[0] + y * frame->linesize[0];

    return frame->format == AV_PIX_FMT_RGBA
               ? row[4 * x + i]
               : (uint32_t)row[8 * x + 2 * i] | (uint32_t)row[8 * x + 2 * i + 1] << 8;
}

int an_frame_is_gray(const AVFrame *frame)
{
    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++) {
            uint32_t v = part(frame, x, y, 0);
            if (part(frame, x, y, 1) != v || part(frame, x, y, 2) != v) {
                return 0;
            }
        }
    }
    return 1;
}

int an_frame_is_opaque(const AVFrame *frame)
{
    uint32_t all = frame->format == AV_PIX_FMT_RGBA ? 0xFF : 0xFFFF;

    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++) {
            if (part(frame, x, y, 3) != all) {
                return 0;
            }
        }
    }
    return 1;
}

void an_writer_open(an_writer_t *w, const an_reader_t *r, int width, int height, unsigned keep)
{
    memset(w, 0, sizeof(*w));
    w->format = formats[r->coder->format];
    w->width = width;
    w->height = height;
    w->nframes = r->nframes;
    w->loops = r->loops;
    w->is_lossless = r->is_lossless;
    w->is_deep = r->is_deep;
    w->is_full_chroma = r->is_full_chroma;
    if ((keep & AN_KEEP_ICC) != 0) {
        w->icc = r->icc;
        w->icc_len = r->icc_len;
    }
    w->kept = r->exif;
    if ((keep & AN_KEEP_COPYRIGHT) == 0) {
        w->kept.copyright[0] = '\0';
    }
    if ((keep & AN_KEEP_DATE) == 0) {
        w->kept.date[0] = '\0';
    }
    w->exif_len = an_exif_write(&w->kept, keep, w->exif);
    media_buf_init(&w->out, AN_OUTPUT_MAX);
}

int an_writer_add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    if (frame->width != w->width || frame->height != w->height ||
        w->format->add(w, frame, delay, f) != 0 || w->out.failed) {
        return an_writer_failed(w, f);
    }
    w->written++;
    return 0;
}

int an_writer_end(an_writer_t *w, tc_fail_t *f)
{
    if (w->written != w->nframes || (w->format->end != NULL && w->format->end(w, f) != 0) ||
        w->out.failed) {
        return an_writer_failed(w, f);
    }
    return 0;
}

void an_writer_close(an_writer_t *w)
{
    if (w->format != NULL && w->format->close != NULL) {
        w->format->close(w);
    }
    media_buf_free(&w->out);
    w->format = NULL;
}
