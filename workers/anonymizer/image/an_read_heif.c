/* HEIC and AVIF of one picture, by libheif, which applies rotation and cropping itself. */
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "an_color.h"
#include "an_png.h" /* big-endian words */
#include "an_reader.h"

#define BOXES_MAX 4096
#define PQ 16
#define HLG 18

typedef struct {
    struct heif_context *context;
    struct heif_image_handle *handle;
} heif_t;

static void heif_close(heif_t *h)
{
    if (h->handle != NULL) {
        heif_image_handle_release(h->handle);
    }
    if (h->context != NULL) {
        heif_context_free(h->context);
    }
}

static int failed(const an_reader_t *r, struct heif_error e, tc_fail_t *f)
{
    switch (e.code) {
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature:
        return tc_fail(f, "unsupported_media",
                       "The file is a HEIF file of a kind that is not read here.");
    case heif_error_Memory_allocation_error:
        return an_reader_no_memory(r, f);
    default:
        return an_reader_damaged(r, f);
    }
}

/* 1 when a box of this type stands at the top. */
static int has_box(const an_reader_t *r, const char *type)
{
    size_t at = 0;

    for (int i = 0; i < BOXES_MAX && r->size - at >= 8; i++) {
        size_t len = an_png_u32(r->p + at);

        if (memcmp(r->p + at + 4, type, 4) == 0) {
            return 1;
        }
        if (len < 8 || len > r->size - at) {
            break; /* to the end, of 64 bits, or broken: libheif judges */
        }
        at += len;
    }
    return 0;
}

static int check_one_picture(const an_reader_t *r, heif_t *h, tc_fail_t *f)
{
    int n = heif_context_get_number_of_top_level_images(h->context);

    if (has_box(r, "moov")) {
        return tc_fail(f, "unsupported_media",
                       "The file is a HEIF or AVIF image sequence, which is not read here.");
    }
    if (n > 1) {
        return tc_fail(f, "unsupported_media",
                       "The HEIF file holds %d pictures; only files of one are read.", n);
    }
    return n == 1 ? 0 : an_reader_damaged(r, f);
}

static int heif_open(const an_reader_t *r, heif_t *h, tc_fail_t *f)
{
    struct heif_error e;

    memset(h, 0, sizeof(*h));
    h->context = heif_context_alloc();
    if (h->context == NULL) {
        return an_reader_no_memory(r, f);
    }
    heif_context_set_max_decoding_threads(h->context, 0);
    e = heif_context_read_from_memory_without_copy(h->context, r->p, r->size, NULL);
    if (e.code != heif_error_Ok) {
        return has_box(r, "moov") ? check_one_picture(r, h, f) : failed(r, e, f);
    }
    if (check_one_picture(r, h, f) != 0) {
        return -1;
    }
    e = heif_context_get_primary_image_handle(h->context, &h->handle);
    return e.code == heif_error_Ok ? 0 : failed(r, e, f);
}

/* Colours that are named by numbers instead of a profile (ISO/IEC 23091-2). */
static int take_nclx(an_reader_t *r, const heif_t *h, tc_fail_t *f)
{
    struct heif_color_profile_nclx *n = NULL;
    uint8_t *icc;
    size_t len;

    if (heif_image_handle_get_nclx_color_profile(h->handle, &n).code != heif_error_Ok) {
        return 0;
    }
    if ((int)n->transfer_characteristics == PQ || (int)n->transfer_characteristics == HLG) {
        heif_nclx_color_profile_free(n);
        return tc_fail(f, "unsupported_media",
                       "The picture is of high dynamic range (PQ or HLG), which is not read here.");
    }
    if (n->color_primaries != heif_color_primaries_ITU_R_BT_709_5 &&
        n->color_primaries != heif_color_primaries_unspecified) {
        double xy[8] = {n->color_primary_white_x, n->color_primary_white_y,
                        n->color_primary_red_x,   n->color_primary_red_y,
                        n->color_primary_green_x, n->color_primary_green_y,
                        n->color_primary_blue_x,  n->color_primary_blue_y};
        icc = an_color_profile(xy, 0, &len);
        an_reader_icc(r, icc, len);
        free(icc);
    }
    heif_nclx_color_profile_free(n);
    return 0;
}

static void take_metadata(an_reader_t *r, const heif_t *h)
{
    heif_item_id id;
    uint8_t *p;
    size_t n;

    if (heif_image_handle_get_list_of_metadata_block_IDs(h->handle, "Exif", &id, 1) != 1) {
        return;
    }
    n = heif_image_handle_get_metadata_size(h->handle, id);
    p = n > 4 && n < r->size ? malloc(n) : NULL;
    if (p != NULL && heif_image_handle_get_metadata(h->handle, id, p).code == heif_error_Ok) {
        an_exif_read(p + 4, n - 4, &r->exif); /* behind the offset of the TIFF header */
        r->exif.orientation = 1;              /* libheif has turned it */
    }
    free(p);
}

static int open_heif(an_reader_t *r, tc_fail_t *f)
{
    heif_t h;
    int rc = heif_open(r, &h, f);
    size_t n;
    uint8_t *p;

    if (rc == 0) {
        r->width = heif_image_handle_get_width(h.handle);
        r->height = heif_image_handle_get_height(h.handle);
        n = heif_image_handle_get_raw_color_profile_size(h.handle);
        p = n > 0 && n <= AN_ICC_MAX ? malloc(n) : NULL;
        if (p != NULL &&
            heif_image_handle_get_raw_color_profile(h.handle, p).code == heif_error_Ok) {
            an_reader_icc(r, p, n);
        }
        free(p);
        rc = r->icc == NULL ? take_nclx(r, &h, f) : 0;
        take_metadata(r, &h);
    }
    heif_close(&h);
    return rc;
}

static int copy_out(const an_reader_t *r, const struct heif_image *image, AVFrame *out,
                    int is_premultiplied)
{
    int stride = 0;
    const uint8_t *p = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);

    if (p == NULL || heif_image_get_width(image, heif_channel_interleaved) != r->width ||
        heif_image_get_height(image, heif_channel_interleaved) != r->height) {
        return -1;
    }
    for (int y = 0; y < r->height; y++) {
        uint8_t *row = out->data[0] + y * out->linesize[0];

        memcpy(row, p + (ptrdiff_t)y * stride, (size_t)r->width * 4);
        for (int x = 0; is_premultiplied && x < r->width; x++, row += 4) {
            for (int i = 0; row[3] != 0 && i < 3; i++) {
                int v = row[i] * 255 / row[3];
                row[i] = (uint8_t)(v < 255 ? v : 255);
            }
        }
    }
    return 0;
}

static int next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    struct heif_decoding_options *options = heif_decoding_options_alloc();
    struct heif_image *image = NULL;
    struct heif_error e;
    heif_t h;
    int rc = heif_open(r, &h, f);

    (void)delay;
    *out = an_frame_new(r->width, r->height, 0);
    if (rc != 0) {
        goto done;
    }
    if (options == NULL || *out == NULL) {
        rc = an_reader_no_memory(r, f);
        goto done;
    }
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    e = heif_decode_image(h.handle, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGBA,
                          options);
    rc = e.code != heif_error_Ok ? failed(r, e, f)
         : copy_out(r, image, *out, heif_image_handle_is_premultiplied_alpha(h.handle)) != 0
             ? an_reader_damaged(r, f)
             : 0;

done:
    if (image != NULL) {
        heif_image_release(image);
    }
    if (options != NULL) {
        heif_decoding_options_free(options);
    }
    heif_close(&h);
    return rc;
}

static void nothing_to_close(an_reader_t *r)
{
    (void)r;
}

const an_coder_t an_coder_heif = {AN_HEIF, "HEIF", open_heif, next, nothing_to_close};
