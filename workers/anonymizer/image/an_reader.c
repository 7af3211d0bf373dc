#include "an_reader.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *magic;
    size_t len, at;
    const an_coder_t *coder; /* NULL: not read here, by its name */
    const char *name;
} magic_t;

#define MAGIC(text, offset, the_coder, the_name)                                                   \
    {                                                                                              \
        text, sizeof(text) - 1, offset, the_coder, the_name                                        \
    }

/* The first that matches. */
static const magic_t magics[] = {
    MAGIC("\xFF\xD8\xFF", 0, &an_coder_jpeg, NULL),
    MAGIC("\x89PNG\r\n\x1A\n", 0, &an_coder_png, NULL),
    MAGIC("GIF87a", 0, &an_coder_gif, NULL),
    MAGIC("GIF89a", 0, &an_coder_gif, NULL),
    MAGIC("WEBP", 8, &an_coder_webp, NULL),
    MAGIC("II*\0\x10\0\0\0CR", 0, NULL, "a camera's raw picture (CR2)"),
    MAGIC("II*\0", 0, &an_coder_tiff, NULL),
    MAGIC("MM\0*", 0, &an_coder_tiff, NULL),
    MAGIC("II+\0", 0, &an_coder_tiff, NULL),
    MAGIC("MM\0+", 0, &an_coder_tiff, NULL),
    MAGIC("\x8BMNG\r\n", 0, NULL, "an MNG animation"),
    MAGIC("\xFF\x0A", 0, NULL, "a JPEG XL picture"),
    MAGIC("\0\0\0\x0CJXL ", 0, NULL, "a JPEG XL picture"),
    MAGIC("\0\0\0\x0CjP  ", 0, NULL, "a JPEG 2000 picture"),
    MAGIC("\xFF\x4F\xFF\x51", 0, NULL, "a JPEG 2000 picture"),
    MAGIC("8BPS", 0, NULL, "a Photoshop document"),
    MAGIC("\0\0\x01\0", 0, NULL, "an icon"),
    MAGIC("%PDF", 0, NULL, "a PDF document"),
    MAGIC("%!PS", 0, NULL, "a PostScript document"),
    MAGIC("ftyp", 4, &an_coder_heif, NULL),
    MAGIC("BM", 0, &an_coder_bmp, NULL),
};

int an_reader_damaged(const an_reader_t *r, tc_fail_t *f)
{
    return tc_fail(f, "unreadable_media", "The %s file is damaged, or not all of it is there.",
                   r->coder->name);
}

int an_reader_no_memory(const an_reader_t *r, tc_fail_t *f)
{
    (void)r;
    return tc_fail_av(f, AVERROR(ENOMEM), "");
}

AVFrame *an_frame_new(int width, int height, int is_deep)
{
    AVFrame *frame = av_frame_alloc();

    if (frame == NULL) {
        return NULL;
    }
    frame->format = is_deep ? AV_PIX_FMT_RGBA64LE : AV_PIX_FMT_RGBA;
    frame->width = width;
    frame->height = height;
    if (av_frame_get_buffer(frame, 0) < 0) {
        av_frame_free(&frame);
    }
    return frame;
}

void an_reader_icc(an_reader_t *r, const uint8_t *p, size_t len)
{
    free(r->icc);
    r->icc = NULL;
    r->icc_len = 0;
    if (p != NULL && len > 128 && len <= AN_ICC_MAX) {
        r->icc = malloc(len);
        if (r->icc != NULL) {
            memcpy(r->icc, p, len);
            r->icc_len = len;
        }
    }
}

/* Text that is a drawing, for a word on it. */
static int is_svg(const uint8_t *p, size_t size)
{
    size_t n = size < 1024 ? size : 1024;

    for (size_t i = 0; i + 4 <= n; i++) {
        if (memcmp(p + i, "<svg", 4) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A brand of pictures (ISO/IEC 23008-12, AVIF) among the first ones of an ftyp box. */
static int is_heif(const uint8_t *p, size_t size)
{
    static const char *const brands[] = {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1",
                                         "mif2", "msf1", "miaf", "avif", "avis", NULL};

    for (size_t at = 8; at + 4 <= size && at < 32; at += at == 8 ? 8 : 4) {
        for (int i = 0; brands[i] != NULL; i++) {
            if (memcmp(p + at, brands[i], 4) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static const magic_t *find_magic(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const magic_t *m = &magics[i];

        if (size >= m->at + m->len && memcmp(p + m->at, m->magic, m->len) == 0 &&
            (m->coder != &an_coder_heif || is_heif(p, size))) {
            return m;
        }
    }
    return NULL;
}

int an_reader_knows(const uint8_t *p, size_t size)
{
    return find_magic(p, size) != NULL || is_svg(p, size);
}

static const an_coder_t *find_coder(const uint8_t *p, size_t size, tc_fail_t *f)
{
    const magic_t *m = find_magic(p, size);

    if (m != NULL) {
        if (m->coder == NULL) {
            (void)tc_fail(f, "unsupported_media", "The file is %s, which is not read here.",
                          m->name);
        }
        return m->coder;
    }
    (void)tc_fail(f, "unsupported_media", "The file is %s.",
                  is_svg(p, size) ? "an SVG drawing, which is not read here"
                                  : "no picture that can be read here");
    return NULL;
}

static int check_limits(const an_reader_t *r, tc_fail_t *f)
{
    int64_t pixels = (int64_t)r->width * r->height;

    if (r->width <= 0 || r->height <= 0 || r->nframes <= 0) {
        return an_reader_damaged(r, f);
    }
    if (pixels > r->limits.pixels) {
        return tc_fail(f, "limits", "The picture has %d x %d pixels; the limit is %lld pixels.",
                       r->width, r->height, (long long)r->limits.pixels);
    }
    if (r->nframes > r->limits.frames) {
        return tc_fail(f, "limits", "The animation has %d frames; the limit is %lld.", r->nframes,
                       (long long)r->limits.frames);
    }
    if (r->nframes > 1 && pixels > AN_ANIMATION_PICTURES * r->limits.pixels / r->nframes) {
        return tc_fail(f, "limits",
                       "The animation has %d frames of %d x %d pixels; the limit is %lld pixels in "
                       "all of them.",
                       r->nframes, r->width, r->height,
                       (long long)(AN_ANIMATION_PICTURES * r->limits.pixels));
    }
    return 0;
}

int an_reader_open(an_reader_t *r, const uint8_t *p, size_t size, const tc_limits_t *limits,
                   tc_fail_t *f)
{
    *r = (an_reader_t){.p = p, .size = size, .limits = *limits, .nframes = 1, .exif = {1, "", ""}};
    r->coder = find_coder(p, size, f);
    if (r->coder == NULL || r->coder->open(r, f) != 0) {
        return -1;
    }
    return check_limits(r, f);
}

int an_reader_next(an_reader_t *r, AVFrame **out, AVRational *delay, tc_fail_t *f)
{
    *out = NULL;
    *delay = (AVRational){0, 1};
    if (r->read >= r->nframes) {
        return 0;
    }
    if (r->coder->next(r, out, delay, f) != 0) {
        av_frame_free(out);
        return -1;
    }
    r->read++;
    return 1;
}

void an_reader_rewind(an_reader_t *r)
{
    if (r->coder != NULL) {
        r->coder->close(r);
    }
    r->read = 0;
}

void an_reader_close(an_reader_t *r)
{
    an_reader_rewind(r);
    free(r->table);
    free(r->icc);
    r->table = NULL;
    r->icc = NULL;
}
