/* TIFF of one page by libtiff, whatever its coding, as 8-bit RGBA. Several pages, or pictures below
 * the page (a camera's raw file, whose page is a preview), are refused: never a part for all. */
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "an_reader.h"

#define ALLOCATION_MAX (512 << 20)

typedef struct {
    const uint8_t *p;
    toff_t size, at;
} memory_t;

static tmsize_t on_read(thandle_t h, void *dst, tmsize_t n)
{
    memory_t *m = h;
    toff_t left = m->at < m->size ? m->size - m->at : 0;

    n = (toff_t)n < left ? n : (tmsize_t)left;
    memcpy(dst, m->p + m->at, (size_t)n);
    m->at += (toff_t)n;
    return n;
}

static tmsize_t on_write(thandle_t h, void *src, tmsize_t n)
{
    (void)h;
    (void)src;
    (void)n;
    return -1;
}

static toff_t on_seek(thandle_t h, toff_t off, int whence)
{
    memory_t *m = h;

    m->at = whence == SEEK_SET ? off : whence == SEEK_CUR ? m->at + off : m->size + off;
    m->at = m->at < m->size ? m->at : m->size;
    return m->at;
}

static int on_close(thandle_t h)
{
    (void)h;
    return 0;
}

static toff_t on_size(thandle_t h)
{
    return ((memory_t *)h)->size;
}

static int on_word(TIFF *t, void *data, const char *module, const char *fmt, va_list ap)
{
    (void)t;
    (void)data;
    (void)module;
    (void)fmt;
    (void)ap;
    return 1;
}

static TIFF *tiff_open(memory_t *m)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    TIFF *t = NULL;

    if (o != NULL) {
        TIFFOpenOptionsSetMaxSingleMemAlloc(o, ALLOCATION_MAX);
        TIFFOpenOptionsSetErrorHandlerExtR(o, on_word, NULL);
        TIFFOpenOptionsSetWarningHandlerExtR(o, on_word, NULL);
        t = TIFFClientOpenExt("", "rm", m, on_read, on_write, on_seek, on_close, on_size, NULL,
                              NULL, o);
        TIFFOpenOptionsFree(o);
    }
    return t;
}

static void take_metadata(an_reader_t *r, TIFF *t)
{
    uint16_t orientation = 1, photometric = 0;
    uint32_t len = 0;
    void *icc = NULL;
    char *text = NULL;

    (void)TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &orientation);
    r->exif.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    if (TIFFGetField(t, TIFFTAG_COPYRIGHT, &text) == 1 && text != NULL) {
        (void)snprintf(r->exif.copyright, sizeof(r->exif.copyright), "%s", text);
    }
    if (TIFFGetField(t, TIFFTAG_DATETIME, &text) == 1 && text != NULL &&
        an_exif_is_date(text, strlen(text))) {
        (void)snprintf(r->exif.date, sizeof(r->exif.date), "%.19s", text);
    }
    (void)TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &photometric);
    if (photometric != PHOTOMETRIC_SEPARATED && photometric != PHOTOMETRIC_CIELAB &&
        TIFFGetField(t, TIFFTAG_ICCPROFILE, &len, &icc) == 1) {
        an_reader_icc(r, icc, len);
    }
}

static int check(an_reader_t *r, TIFF *t, tc_fail_t *f)
{
    uint32_t w = 0, h = 0;
    uint16_t n = 0;
    void *list = NULL;
    int pages = (int)TIFFNumberOfDirectories(t);

    if (pages != 1) {
        return pages < 1
                   ? an_reader_damaged(r, f)
                   : tc_fail(f, "unsupported_media",
                             "The TIFF file has %d pages; only files of one page are read.", pages);
    }
    if (TIFFGetField(t, TIFFTAG_SUBIFD, &n, &list) == 1 ||
        TIFFGetField(t, TIFFTAG_DNGVERSION, &list) == 1) {
        return tc_fail(f, "unsupported_media",
                       "The TIFF file holds pictures below its page (a camera's raw file?).");
    }
    if (TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &w) != 1 ||
        TIFFGetField(t, TIFFTAG_IMAGELENGTH, &h) != 1 || w > INT32_MAX || h > INT32_MAX) {
        return an_reader_damaged(r, f);
    }
    r->width = (int)w;
    r->height = (int)h;
    r->is_lossless = 1;
    take_metadata(r, t);
    return 0;
}

static int open_tiff(an_reader_t *r, tc_fail_t *f)
{
    memory_t m = {r->p, r->size, 0};
    TIFF *t = tiff_open(&m);
    int rc;

    if (t == NULL) {
        return an_reader_damaged(r, f);
    }
    rc = check(r, t, f);
    TIFFClose(t);
    return rc;
}

/* libtiff's colours are multiplied by alpha. */
static void copy_rows(const uint8_t *from, AVFrame *to)
{
    for (int y = 0; y < to->height; y++) {
        uint8_t *row = to->data[0] + y * to->linesize[0];

        memcpy(row, from + (size_t)y * (size_t)to->width * 4, (size_t)to->width * 4);
        for (int x = 0; x < to->width; x++, row += 4) {
            for (int i = 0; row[3] != 0 && row[3] != 255 && i < 3; i++) {
                int v = (row[i] * 255 + row[3] / 2) / row[3];
                row[i] = (uint8_t)(v < 255 ? v : 255);
            }
        }
    }
}

/* 0, 1: not readable as colours, -1: damaged. */
static int decode(TIFF *t, uint32_t *raster, uint32_t w, uint32_t h)
{
    TIFFRGBAImage image;
    char text[1024] = "";
    int rc;

    if (!TIFFRGBAImageOK(t, text)) {
        return 1;
    }
    if (!TIFFRGBAImageBegin(&image, t, 1, text)) {
        return -1;
    }
    image.orientation = image.req_orientation = ORIENTATION_TOPLEFT; /* applied by us, all eight */
    rc = TIFFRGBAImageGet(&image, raster, w, h) ? 0 : -1;
    TIFFRGBAImageEnd(&image);
    return rc;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    memory_t m = {r->p, r->size, 0};
    TIFF *t = tiff_open(&m);
    uint32_t *raster = calloc((size_t)r->width * (size_t)r->height, 4);
    int rc;

    (void)delay;
    *out = an_frame_new(r->width, r->height, 0);
    if (t == NULL || raster == NULL || *out == NULL) {
        rc = an_reader_no_memory(r, f);
        goto done;
    }
    rc = decode(t, raster, (uint32_t)r->width, (uint32_t)r->height);
    if (rc > 0) {
        rc = tc_fail(f, "unsupported_media", "The TIFF file's colours are not read here.");
    } else if (rc < 0) {
        rc = an_reader_damaged(r, f);
    } else {
        copy_rows((const uint8_t *)raster, *out);
    }

done:
    free(raster);
    if (t != NULL) {
        TIFFClose(t);
    }
    return rc;
}

static void nothing_to_close(an_reader_t *r)
{
    (void)r;
}

const an_coder_t an_coder_tiff = {AN_TIFF, "TIFF", open_tiff, next, nothing_to_close};
