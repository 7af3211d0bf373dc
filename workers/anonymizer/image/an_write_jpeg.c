/* JPEG: baseline, optimised, chroma as fine as the source's. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "an_writer.h"

typedef struct {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    jmp_buf out;
    unsigned char *p;
    unsigned long n;
    uint8_t *row;
} jpeg_t;

static void on_error(j_common_ptr c)
{
    longjmp(((jpeg_t *)c->client_data)->out, 1);
}

static void on_message(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static void set_up(jpeg_t *j, const an_writer_t *w, int is_gray)
{
    j->c.image_width = (JDIMENSION)w->width;
    j->c.image_height = (JDIMENSION)w->height;
    j->c.input_components = is_gray ? 1 : 3;
    j->c.in_color_space = is_gray ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&j->c);
    jpeg_set_quality(&j->c, AN_QUALITY, TRUE);
    j->c.optimize_coding = TRUE;
    j->c.dct_method = JDCT_ISLOW;
    if (!is_gray) {
        j->c.comp_info[0].h_samp_factor = w->is_full_chroma ? 1 : 2;
        j->c.comp_info[0].v_samp_factor = w->is_full_chroma ? 1 : 2;
    }
}

static void write_metadata(jpeg_t *j, const an_writer_t *w)
{
    uint8_t block[6 + AN_EXIF_MAX] = "Exif\0";

    if (w->exif_len > 0) {
        memcpy(block + 6, w->exif, w->exif_len);
        jpeg_write_marker(&j->c, JPEG_APP0 + 1, block, (unsigned)(6 + w->exif_len));
    }
    if (w->icc != NULL) {
        jpeg_write_icc_profile(&j->c, w->icc, (unsigned)w->icc_len);
    }
}

/* What is not opaque lies on white: a JPEG has no alpha. */
static void fill_row(const AVFrame *frame, int y, int is_gray, uint8_t *row)
{
    const uint8_t *p = frame->data[0] + y * frame->linesize[0];
    int n = is_gray ? 1 : 3;

    for (int x = 0; x < frame->width; x++, p += 4) {
        for (int i = 0; i < n; i++) {
            row[n * x + i] = (uint8_t)((p[i] * p[3] + 255 * (255 - p[3]) + 127) / 255);
        }
    }
}

static int encode(jpeg_t *j, const an_writer_t *w, const AVFrame *frame)
{
    int is_gray = an_frame_is_gray(frame);
    JSAMPROW row = j->row;

    if (setjmp(j->out) != 0) {
        return -1;
    }
    jpeg_create_compress(&j->c);
    jpeg_mem_dest(&j->c, &j->p, &j->n);
    set_up(j, w, is_gray);
    jpeg_start_compress(&j->c, TRUE);
    write_metadata(j, w);
    for (int y = 0; y < frame->height; y++) {
        fill_row(frame, y, is_gray, j->row);
        (void)jpeg_write_scanlines(&j->c, &row, 1);
    }
    jpeg_finish_compress(&j->c);
    return 0;
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    jpeg_t *j = calloc(1, sizeof(*j));
    int rc = -1;

    (void)delay;
    if (j != NULL) {
        j->c.err = jpeg_std_error(&j->errors);
        j->errors.error_exit = on_error;
        j->errors.emit_message = on_message;
        j->c.client_data = j;
        j->row = malloc(3 * (size_t)frame->width);
        rc = j->row != NULL ? encode(j, w, frame) : -1;
        if (rc == 0) {
            (void)media_buf_add(&w->out, j->p, j->n);
        }
        jpeg_destroy_compress(&j->c);
        free(j->p);
        free(j->row);
        free(j);
    }
    return rc == 0 ? 0 : an_writer_failed(w, f);
}

const an_format_t an_format_jpeg = {"masked.jpg", "image/jpeg", add, NULL, NULL};
