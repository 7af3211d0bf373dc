/* PNG and APNG. Frames of an animation are whole pictures: each is made a PNG by libpng, whose data
 * goes on as the frame's. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "an_png.h"
#include "an_writer.h"

typedef struct {
    int is_gray, is_opaque, is_deep;
} kind_t;

static void on_error(png_structp png, png_const_charp text)
{
    (void)text;
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_write(png_structp png, png_bytep p, size_t n)
{
    (void)media_buf_add(png_get_io_ptr(png), p, n);
}

static void on_flush(png_structp png)
{
    (void)png;
}

/* The parts of a pixel that are written, in the file's byte order. */
static size_t fill_row(const AVFrame *frame, int y, const kind_t *k, uint8_t *row)
{
    const uint8_t *p = frame->data[0] + y * frame->linesize[0];
    size_t at = 0;

    for (int x = 0; x < frame->width; x++) {
        for (int i = 0; i < 4; i++) {
            if ((k->is_gray && (i == 1 || i == 2)) || (k->is_opaque && i == 3)) {
                continue;
            }
            if (k->is_deep) {
                row[at++] = p[8 * x + 2 * i + 1];
                row[at++] = p[8 * x + 2 * i];
            } else {
                row[at++] = p[4 * x + i];
            }
        }
    }
    return at;
}

static int encode(png_structp png, png_infop info, const an_writer_t *w, const AVFrame *frame,
                  const kind_t *k, uint8_t *row)
{
    int type = k->is_gray ? (k->is_opaque ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_GRAY_ALPHA)
                          : (k->is_opaque ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA);

    if (setjmp(png_jmpbuf(png)) != 0) {
        return -1;
    }
    png_set_IHDR(png, info, (png_uint_32)frame->width, (png_uint_32)frame->height,
                 k->is_deep ? 16 : 8, type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    /* a colour profile of a grey picture must be one of grey */
    if (w->icc != NULL && (!k->is_gray || memcmp(w->icc + 16, "GRAY", 4) == 0)) {
        png_set_iCCP(png, info, "icc", PNG_COMPRESSION_TYPE_BASE, w->icc, (png_uint_32)w->icc_len);
    }
    if (w->exif_len > 0) {
        png_set_eXIf_1(png, info, (png_uint_32)w->exif_len, (png_bytep)w->exif);
    }
    png_write_info(png, info);
    for (int y = 0; y < frame->height; y++) {
        (void)fill_row(frame, y, k, row);
        png_write_row(png, row);
    }
    png_write_end(png, NULL);
    return 0;
}

static int write_png(const an_writer_t *w, const AVFrame *frame, const kind_t *k, media_buf_t *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    uint8_t *row = malloc((size_t)frame->width * 8);
    int rc = -1;

    if (info != NULL && row != NULL) {
        png_set_write_fn(png, out, on_write, on_flush);
        rc = encode(png, info, w, frame, k, row);
    }
    png_destroy_write_struct(&png, &info);
    free(row);
    return rc;
}

/* ---- animations ---- */

static void put_chunk(media_buf_t *b, const char *type, const uint8_t *p, size_t len)
{
    uint8_t word[4];
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)type, 4);

    an_png_put32(word, (uint32_t)len);
    (void)media_buf_add(b, word, 4);
    (void)media_buf_add(b, type, 4);
    (void)media_buf_add(b, p, len);
    crc = len > 0 ? crc32(crc, p, (uInt)len) : crc;
    an_png_put32(word, (uint32_t)crc);
    (void)media_buf_add(b, word, 4);
}

static uint8_t *put_sequence(uint8_t *p, uint32_t *sequence)
{
    an_png_put32(p, (*sequence)++);
    return p;
}

static void put_control(an_writer_t *w, AVRational delay, uint32_t *sequence)
{
    uint8_t p[26] = {0};

    if (delay.num > 0xFFFF || delay.den > 0xFFFF) {
        (void)av_reduce(&delay.num, &delay.den, delay.num, delay.den, 0xFFFF);
    }
    (void)put_sequence(p, sequence);
    an_png_put32(p + 4, (uint32_t)w->width);
    an_png_put32(p + 8, (uint32_t)w->height);
    p[20] = (uint8_t)(delay.num >> 8);
    p[21] = (uint8_t)delay.num;
    p[22] = (uint8_t)(delay.den >> 8);
    p[23] = (uint8_t)delay.den;
    put_chunk(&w->out, "fcTL", p, sizeof(p));
}

static void put_start(an_writer_t *w)
{
    uint8_t p[8];

    an_png_put32(p, (uint32_t)w->nframes);
    an_png_put32(p + 4, (uint32_t)w->loops);
    put_chunk(&w->out, "acTL", p, sizeof(p));
}

/* The chunks of one frame's PNG, into the animation. */
static int put_frame(an_writer_t *w, const media_buf_t *png, AVRational delay, uint32_t *sequence)
{
    const uint8_t *file = (const uint8_t *)png->p;
    size_t at = AN_PNG_SIGNATURE_LEN;
    int is_first = w->written == 0, has_control = 0;

    if (is_first) {
        (void)media_buf_add(&w->out, AN_PNG_SIGNATURE, AN_PNG_SIGNATURE_LEN);
    }
    while (png->len - at >= AN_PNG_CHUNK_MIN) {
        size_t len = an_png_u32(file + at);
        const uint8_t *type = file + at + 4, *p = file + at + 8;
        uint8_t *data;

        if (memcmp(type, "IDAT", 4) != 0) {
            if (is_first && memcmp(type, "IEND", 4) != 0) {
                put_chunk(&w->out, (const char *)type, p, len);
            }
        } else {
            if (is_first && !has_control) {
                put_start(w);
            }
            if (!has_control) {
                put_control(w, delay, sequence);
                has_control = 1;
            }
            if (is_first) {
                put_chunk(&w->out, "IDAT", p, len);
            } else {
                data = malloc(len + 4);
                if (data == NULL) {
                    return -1;
                }
                memcpy(put_sequence(data, sequence) + 4, p, len);
                put_chunk(&w->out, "fdAT", data, len + 4);
                free(data);
            }
        }
        at += len + AN_PNG_CHUNK_MIN;
    }
    return 0;
}

static int add_frame(an_writer_t *w, const AVFrame *frame, AVRational delay)
{
    static const kind_t all = {0, 0, 0};
    media_buf_t png;
    int rc;

    if (w->state == NULL) {
        w->state = calloc(1, sizeof(uint32_t));
    }
    media_buf_init(&png, AN_OUTPUT_MAX);
    rc = w->state == NULL || write_png(w, frame, &all, &png) != 0 || png.failed ||
                 put_frame(w, &png, delay, w->state) != 0
             ? -1
             : 0;
    media_buf_free(&png);
    return rc;
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    kind_t k = {0, 0, frame->format != AV_PIX_FMT_RGBA};

    if (w->nframes > 1) {
        return add_frame(w, frame, delay) == 0 ? 0 : an_writer_failed(w, f);
    }
    k.is_gray = an_frame_is_gray(frame);
    k.is_opaque = an_frame_is_opaque(frame);
    return write_png(w, frame, &k, &w->out) == 0 ? 0 : an_writer_failed(w, f);
}

static int end(an_writer_t *w, tc_fail_t *f)
{
    (void)f;
    if (w->nframes > 1) {
        put_chunk(&w->out, "IEND", NULL, 0);
    }
    return 0;
}

static void close_png(an_writer_t *w)
{
    free(w->state);
    w->state = NULL;
}

const an_format_t an_format_png = {"masked.png", "image/png", add, end, close_png};
