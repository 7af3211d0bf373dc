/* JPEG by libjpeg. What it only warns of (data that ends early, marks where data should be) is
 * damage here: a half-decoded picture is none. What lies behind the end is never looked at. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "an_color.h"
#include "an_reader.h"

#define SCANS_MAX 200 /* of a progressive picture; encoders make 10 */

typedef struct {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    an_cmyk_t *cmyk;
    uint8_t *row;
    const char *unsupported;
    int too_many_scans;
} jpeg_t;

static void on_error(j_common_ptr c)
{
    jpeg_t *j = c->client_data;

    switch (c->err->msg_code) {
    case JERR_BAD_PRECISION:
        j->unsupported = "12 bits per colour";
        break;
    case JERR_SOF_UNSUPPORTED:
        j->unsupported = "lossless or hierarchical coding";
        break;
    default:
        break;
    }
    longjmp(j->out, 1);
}

static void on_message(j_common_ptr c, int level)
{
    int code = c->err->msg_code;

    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
        code != JWRN_JFIF_MAJOR && code != JWRN_BOGUS_ICC) {
        on_error(c);
    }
}

static void on_progress(j_common_ptr c)
{
    jpeg_t *j = c->client_data;

    if (j->d.input_scan_number > SCANS_MAX) {
        j->too_many_scans = 1;
        longjmp(j->out, 1);
    }
}

static void jpeg_close(jpeg_t *j)
{
    if (j != NULL) {
        jpeg_destroy_decompress(&j->d);
        an_cmyk_free(j->cmyk);
        free(j->row);
        free(j);
    }
}

static jpeg_t *jpeg_new(void)
{
    jpeg_t *j = calloc(1, sizeof(*j));

    if (j != NULL) {
        j->d.err = jpeg_std_error(&j->errors);
        j->errors.error_exit = on_error;
        j->errors.emit_message = on_message;
        j->d.client_data = j;
        j->progress.progress_monitor = on_progress;
    }
    return j;
}

static int failed(const an_reader_t *r, const jpeg_t *j, tc_fail_t *f)
{
    if (j->unsupported != NULL) {
        return tc_fail(f, "unsupported_media", "The JPEG file has %s, which is not read here.",
                       j->unsupported);
    }
    if (j->errors.msg_code == JERR_OUT_OF_MEMORY) {
        return an_reader_no_memory(r, f);
    }
    if (j->too_many_scans) {
        return tc_fail(f, "limits", "The JPEG file has more than %d scans.", SCANS_MAX);
    }
    return an_reader_damaged(r, f);
}

static void start(jpeg_t *j, const an_reader_t *r)
{
    jpeg_create_decompress(&j->d);
    j->d.progress = &j->progress;
    jpeg_mem_src(&j->d, r->p, r->size);
    jpeg_save_markers(&j->d, JPEG_APP0 + 1, 0xFFFF);
    jpeg_save_markers(&j->d, JPEG_APP0 + 2, 0xFFFF);
    (void)jpeg_read_header(&j->d, TRUE);
}

static void take_properties(an_reader_t *r, jpeg_t *j)
{
    const jpeg_component_info *c = j->d.comp_info;
    JOCTET *icc = NULL;
    unsigned len = 0;

    r->width = (int)j->d.image_width;
    r->height = (int)j->d.image_height;
    r->is_full_chroma = j->d.num_components != 3 || (c[0].h_samp_factor == c[1].h_samp_factor &&
                                                     c[0].v_samp_factor == c[1].v_samp_factor);
    for (jpeg_saved_marker_ptr m = j->d.marker_list; m != NULL; m = m->next) {
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 &&
            memcmp(m->data, "Exif\0\0", 6) == 0) {
            an_exif_read(m->data, m->data_length, &r->exif);
        }
    }
    if (jpeg_read_icc_profile(&j->d, &icc, &len)) {
        an_reader_icc(r, icc, len);
        free(icc);
    }
}

static int read_header(an_reader_t *r, tc_fail_t *f)
{
    jpeg_t *j = jpeg_new();
    int rc = 0;

    if (j == NULL) {
        return an_reader_no_memory(r, f);
    }
    if (setjmp(j->out) == 0) {
        start(j, r);
        take_properties(r, j);
    } else {
        rc = failed(r, j, f);
    }
    jpeg_close(j);
    return rc;
}

static void read_rows(jpeg_t *j, AVFrame *frame)
{
    while (j->d.output_scanline < j->d.output_height) {
        uint8_t *to = frame->data[0] + (ptrdiff_t)j->d.output_scanline * frame->linesize[0];
        JSAMPROW row = j->cmyk != NULL ? j->row : to;

        (void)jpeg_read_scanlines(&j->d, &row, 1);
        if (j->cmyk != NULL) {
            an_cmyk_row(j->cmyk, j->row, to, frame->width);
        }
    }
    (void)jpeg_finish_decompress(&j->d);
}

static int decode(an_reader_t *r, jpeg_t *j, AVFrame *frame, tc_fail_t *f)
{
    if (setjmp(j->out) != 0) {
        return failed(r, j, f);
    }
    start(j, r);
    j->d.dct_method = JDCT_ISLOW;
    if (j->d.jpeg_color_space == JCS_CMYK || j->d.jpeg_color_space == JCS_YCCK) {
        j->d.out_color_space = JCS_CMYK;
        j->cmyk = an_cmyk_new(r->icc, r->icc_len, j->d.saw_Adobe_marker);
        j->row = malloc(4 * (size_t)frame->width);
        if (j->cmyk == NULL || j->row == NULL) {
            return an_reader_no_memory(r, f);
        }
        an_reader_icc(r, NULL, 0); /* it was of CMYK */
    } else {
        j->d.out_color_space = JCS_EXT_RGBA;
    }
    (void)jpeg_start_decompress(&j->d);
    read_rows(j, frame);
    return 0;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    jpeg_t *j = jpeg_new();
    int rc;

    (void)delay;
    *out = an_frame_new(r->width, r->height, 0);
    rc = j == NULL || *out == NULL ? an_reader_no_memory(r, f) : decode(r, j, *out, f);
    jpeg_close(j);
    return rc;
}

static void nothing_to_close(an_reader_t *r)
{
    (void)r;
}

const an_coder_t an_coder_jpeg = {AN_JPEG, "JPEG", read_header, next, nothing_to_close};
