/* TIFF of one page, LZW, in memory. */
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "an_writer.h"

typedef struct {
    uint8_t *p;
    size_t len, size, at;
} memory_t;

static tmsize_t on_read(thandle_t h, void *dst, tmsize_t n)
{
    memory_t *m = h;
    size_t left = m->at < m->len ? m->len - m->at : 0;

    n = (size_t)n < left ? n : (tmsize_t)left;
    memcpy(dst, m->p + m->at, (size_t)n);
    m->at += (size_t)n;
    return n;
}

static tmsize_t on_write(thandle_t h, void *src, tmsize_t n)
{
    memory_t *m = h;
    size_t end = m->at + (size_t)n, size = m->size > 0 ? m->size : 65536;
    uint8_t *p;

    if (end > AN_OUTPUT_MAX) {
        return -1;
    }
    while (size < end) {
        size *= 2;
    }
    if (size != m->size) {
        p = realloc(m->p, size);
        if (p == NULL) {
            return -1;
        }
        memset(p + m->size, 0, size - m->size);
        m->p = p;
        m->size = size;
    }
    memcpy(m->p + m->at, src, (size_t)n);
    m->at = end;
    m->len = end > m->len ? end : m->len;
    return n;
}

static toff_t on_seek(thandle_t h, toff_t off, int whence)
{
    memory_t *m = h;

    m->at = (size_t)(whence == SEEK_SET ? off : whence == SEEK_CUR ? m->at + off : m->len + off);
    return m->at;
}

static int on_close(thandle_t h)
{
    (void)h;
    return 0;
}

static toff_t on_size(thandle_t h)
{
    return ((memory_t *)h)->len;
}

static int set_tags(TIFF *t, const an_writer_t *w, int is_opaque)
{
    uint16_t extra = EXTRASAMPLE_UNASSALPHA;
    int ok = TIFFSetField(t, TIFFTAG_IMAGEWIDTH, (uint32_t)w->width) &&
             TIFFSetField(t, TIFFTAG_IMAGELENGTH, (uint32_t)w->height) &&
             TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8) &&
             TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, is_opaque ? 3 : 4) &&
             TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB) &&
             TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
             TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_LZW) &&
             TIFFSetField(t, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL) &&
             TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(t, 0));

    if (!is_opaque) {
        ok = ok && TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1, &extra);
    }
    if (w->icc != NULL) {
        ok = ok && TIFFSetField(t, TIFFTAG_ICCPROFILE, (uint32_t)w->icc_len, w->icc);
    }
    if (w->kept.copyright[0] != '\0') {
        ok = ok && TIFFSetField(t, TIFFTAG_COPYRIGHT, w->kept.copyright);
    }
    if (w->kept.date[0] != '\0') {
        ok = ok && TIFFSetField(t, TIFFTAG_DATETIME, w->kept.date);
    }
    return ok ? 0 : -1;
}

static int write_rows(TIFF *t, const AVFrame *frame, int is_opaque)
{
    size_t n = is_opaque ? 3 : 4;
    uint8_t *row = malloc((size_t)frame->width * n);
    int ok = row != NULL;

    for (int y = 0; ok && y < frame->height; y++) {
        const uint8_t *p = frame->data[0] + y * frame->linesize[0];

        for (int x = 0; x < frame->width; x++) {
            memcpy(row + (size_t)x * n, p + (ptrdiff_t)4 * x, n);
        }
        ok = TIFFWriteScanline(t, row, (uint32_t)y, 0) == 1;
    }
    free(row);
    return ok ? 0 : -1;
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    memory_t m = {0};
    int is_opaque = an_frame_is_opaque(frame), rc = -1;
    TIFF *t =
        TIFFClientOpen("", "wlm", &m, on_read, on_write, on_seek, on_close, on_size, NULL, NULL);

    (void)delay;
    if (t != NULL) {
        rc = set_tags(t, w, is_opaque) != 0 || write_rows(t, frame, is_opaque) != 0 || !TIFFFlush(t)
                 ? -1
                 : 0;
        TIFFClose(t);
    }
    if (rc == 0) {
        (void)media_buf_add(&w->out, m.p, m.len);
    }
    free(m.p);
    return rc == 0 ? 0 : an_writer_failed(w, f);
}

const an_format_t an_format_tiff = {"masked.tiff", "image/tiff", add, NULL, NULL};
