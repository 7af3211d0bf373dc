#include "an_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>
#include <tiffio.h>

#include "an_color.h"
#include "an_find.h"
#include "an_region.h"
#include "an_seen_kept.h"
#include "an_upright.h"
#include "an_writer.h"

#define READ_BYTES (1 << 20) /* of the source at once */
#define SAME 0.5F            /* of two boxes found with and without transparency: one */

typedef struct {
    const an_image_job_t *job;
    const an_image_sink_t *sink;
    tc_fail_t *f;
    uint8_t *file;
    an_reader_t reader;
    an_writer_t writer;
    an_seen_t seen;
    AVFrame *still; /* of a file with one frame: not decoded twice */
    double duration_s;
    int done; /* frames, of both passes */
} state_t;

/* ---- frames ---- */

static int no_memory(state_t *s)
{
    return tc_fail_av(s->f, AVERROR(ENOMEM), "");
}

/* What is seen becomes what is stored. */
static int settle(an_reader_t *r, AVFrame **frame, unsigned keep, enum an_alpha *alpha)
{
    int keeps_icc = (keep & AN_KEEP_ICC) != 0;

    if ((!keeps_icc && an_color_to_srgb(*frame, r->icc, r->icc_len) < 0) ||
        an_upright(frame, r->exif.orientation) != 0) {
        return -1;
    }
    *alpha = an_alpha_clear(*frame);
    return 0;
}

/* The next frame, ready: 1; 0 at the end; -1 with a cause. */
static int next_frame(state_t *s, AVFrame **frame, AVRational *delay, enum an_alpha *alpha)
{
    int rc = an_reader_next(&s->reader, frame, delay, s->f);

    if (rc > 0 && settle(&s->reader, frame, s->job->params->keep, alpha) != 0) {
        av_frame_free(frame);
        return no_memory(s);
    }
    return rc;
}

static int progress(state_t *s)
{
    s->done++;
    return s->sink->progress(s->sink->ctx, s->done / (2.0 * s->reader.nframes)) == 0
               ? 0
               : tc_fail(s->f, "internal", "The worker is gone.");
}

/* ---- finding ---- */

/* BGR, on white, or as if all were opaque. */
static void to_bgr(const AVFrame *frame, int on_white, uint8_t *bgr)
{
    int part = frame->format == AV_PIX_FMT_RGBA ? 1 : 2;

    for (int y = 0; y < frame->height; y++) {
        const uint8_t *p = frame->data[0] + y * frame->linesize[0] + part - 1;

        for (int x = 0; x < frame->width; x++, p += 4 * part, bgr += 3) {
            int a = on_white ? p[3 * part] : 255;

            for (int i = 0; i < 3; i++) {
                bgr[2 - i] = (uint8_t)((p[i * part] * a + 255 * (255 - a) + 127) / 255);
            }
        }
    }
}

/* Asks about the frame on white and, where it is half transparent, also about its colours alone:
 * hits of both. */
static int find_in(state_t *s, const AVFrame *frame, enum an_alpha alpha, an_hit_t *hits)
{
    const an_image_job_t *j = s->job;
    uint8_t *bgr = malloc((size_t)frame->width * (size_t)frame->height * 3);
    an_picture_t picture = {bgr, frame->width, frame->height, (size_t)frame->width * 3};
    int n, more;

    if (bgr == NULL) {
        return no_memory(s);
    }
    to_bgr(frame, 1, bgr);
    n = an_find(j->params, j->ask, &picture, hits, s->f);
    if (n >= 0 && alpha == AN_SHEER) {
        to_bgr(frame, 0, bgr);
        more = an_find(j->params, j->ask, &picture, hits + n, s->f);
        n = more < 0 ? more : an_nms(hits, n + more, SAME);
    }
    free(bgr);
    return n;
}

static int find_frame(state_t *s, const AVFrame *frame, enum an_alpha alpha, double at_s)
{
    an_hit_t *hits;
    int n, rc;

    if (s->job->params->from_masked || s->job->kept.len > 0) {
        return 0;
    }
    hits = malloc(2 * AN_HITS_MAX * sizeof(*hits));
    if (hits == NULL) {
        return no_memory(s);
    }
    n = find_in(s, frame, alpha, hits);
    rc = n < 0 ? -1 : an_seen_add(&s->seen, at_s, hits, n, s->f);
    free(hits);
    return rc;
}

/* Before the first frame: what was found already, or nothing yet. */
static int see(state_t *s, const AVFrame *frame)
{
    const an_image_job_t *j = s->job;
    media_err_t ei = {""};

    if (j->kept.len == 0) {
        an_seen_init(&s->seen, frame->width, frame->height);
        s->seen.detectors = j->detectors != NULL ? json_incref(j->detectors) : json_array();
        return s->seen.detectors != NULL ? 0 : no_memory(s);
    }
    if (an_seen_read(j->kept.p, j->kept.len, &s->seen, &ei) != 0) {
        return tc_fail(s->f, "internal", "What was kept of the picture is not usable: %s.",
                       ei.text);
    }
    return s->seen.width == frame->width && s->seen.height == frame->height
               ? 0
               : tc_fail(s->f, "internal", "What was kept is of a picture of another size.");
}

/* The first pass. */
static int find_all(state_t *s)
{
    enum an_alpha alpha;
    AVRational delay;
    AVFrame *frame;
    int rc;

    while ((rc = next_frame(s, &frame, &delay, &alpha)) > 0) {
        rc = s->done > 0 ? 0 : see(s, frame);
        if (rc == 0) {
            rc = find_frame(s, frame, alpha, s->duration_s);
        }
        s->duration_s += av_q2d(delay);
        if (s->reader.nframes == 1) {
            s->still = frame;
        } else {
            av_frame_free(&frame);
        }
        if (rc != 0 || progress(s) != 0) {
            return -1;
        }
    }
    return rc;
}

/* ---- painting ---- */

/* Nothing follows a still, and times say nothing of frames that take none. */
static int is_timeless(const state_t *s)
{
    return s->reader.nframes == 1 || s->duration_s <= 0;
}

static int paint_frame(state_t *s, AVFrame *frame, double at_s, double end_s)
{
    const an_params_t *p = s->job->params;
    an_paint_t paint = {.style = p->style,
                        .color = {p->color[0], p->color[1], p->color[2]},
                        .feather = p->feather,
                        .image = s->job->image};
    int n, rc;
    an_mask_t *masks = an_seen_masks(&s->seen, p, at_s, end_s, &n);

    if (masks == NULL) {
        return no_memory(s);
    }
    rc = an_mask_paint(frame, masks, n, &paint);
    free(masks);
    return rc == 0 ? 0 : tc_fail(s->f, "internal", "A mask could not be painted.");
}

static int paint_and_write(state_t *s, AVFrame *frame, AVRational delay, double at_s)
{
    double end_s = is_timeless(s) ? INFINITY : at_s + av_q2d(delay);

    return paint_frame(s, frame, at_s, end_s) != 0 ||
                   an_writer_add(&s->writer, frame, delay, s->f) != 0 || progress(s) != 0
               ? -1
               : 0;
}

/* The second pass. */
static int paint_all(state_t *s)
{
    enum an_alpha alpha;
    AVRational delay;
    AVFrame *frame;
    double at_s = 0;
    int rc = 0;

    an_writer_open(&s->writer, &s->reader, s->seen.width, s->seen.height, s->job->params->keep);
    if (s->still != NULL) {
        rc = paint_and_write(s, s->still, (AVRational){0, 1}, 0);
        return rc == 0 ? an_writer_end(&s->writer, s->f) : -1;
    }
    an_reader_rewind(&s->reader);
    while (rc == 0 && (rc = next_frame(s, &frame, &delay, &alpha)) > 0) {
        rc = paint_and_write(s, frame, delay, at_s);
        at_s += av_q2d(delay);
        av_frame_free(&frame);
    }
    return rc == 0 ? an_writer_end(&s->writer, s->f) : -1;
}

/* ---- all of it ---- */

static int load(state_t *s)
{
    const vd_source_t *from = s->job->source;
    int64_t at = 0;

    if (from->size > AN_IMAGE_FILE_MAX) {
        return tc_fail(s->f, "limits", "The file has %lld bytes; the limit of pictures is %d.",
                       (long long)from->size, AN_IMAGE_FILE_MAX);
    }
    s->file = malloc((size_t)from->size + 1);
    if (s->file == NULL) {
        return no_memory(s);
    }
    while (at < from->size) {
        int64_t n = from->size - at < READ_BYTES ? from->size - at : READ_BYTES;
        ssize_t got = from->read(from->ctx, at, s->file + at, (size_t)n);

        if (got <= 0) {
            return tc_fail(s->f, "internal", "The file could not be read.");
        }
        at += got;
    }
    return 0;
}

static int write_report(state_t *s, json_t *report)
{
    json_t *tracks = an_seen_tracks(&s->seen), *warnings = json_array();
    enum an_style style = s->job->params->style;

    if (style == AN_BLUR || style == AN_PIXELATE) {
        (void)json_array_append_new(
            warnings, json_string(style == AN_BLUR ? "blur_is_weak" : "pixelate_is_weak"));
    }
    if (s->reader.coder->format == AN_HEIF) {
        (void)json_array_append_new(warnings, json_string("converted_to_jpeg"));
    }
    if (tracks == NULL ||
        json_object_set_new(report, "kind",
                            json_string(s->reader.nframes > 1 ? "animation" : "image")) != 0 ||
        json_object_set_new(report, "width", json_integer(s->seen.width)) != 0 ||
        json_object_set_new(report, "height", json_integer(s->seen.height)) != 0 ||
        json_object_set_new(report, "frames", json_integer(s->reader.nframes)) != 0 ||
        json_object_set_new(report, "duration", json_real(s->duration_s)) != 0 ||
        json_object_set(report, "tracks", tracks) != 0 ||
        json_object_set(report, "detectors", s->seen.detectors) != 0 ||
        an_region_warn(warnings, s->job->params, is_timeless(s) ? INFINITY : s->duration_s) != 0 ||
        json_object_set(report, "warnings", warnings) != 0) {
        (void)no_memory(s);
    }
    json_decref(tracks);
    json_decref(warnings);
    return s->f->code[0] == '\0' ? 0 : -1;
}

static int hand_over(state_t *s)
{
    const an_writer_t *w = &s->writer;

    return s->sink->put(s->sink->ctx, w->format->name, w->format->type, w->width, w->height,
                        w->out.p, w->out.len) == 0
               ? 0
               : tc_fail(s->f, "internal", "The masked picture could not be handed over.");
}

static int keep(state_t *s)
{
    media_buf_t b;
    int rc;

    media_buf_init(&b, AN_SEEN_BYTES_MAX);
    rc = an_seen_write(&s->seen, &b);
    if (rc == 0) {
        rc = s->sink->keep(s->sink->ctx, b.p, b.len);
    }
    media_buf_free(&b);
    return rc == 0 ? 0 : tc_fail(s->f, "internal", "What was found could not be handed over.");
}

/* An edit that keeps tracks visible knows which. */
static int check_kept(state_t *s)
{
    const an_params_t *p = s->job->params;

    return p->nkept == 0 || p->from_masked || s->job->kept.len > 0
               ? 0
               : tc_fail(s->f, "internal", "What was found in the picture before is missing.");
}

int an_image(const an_image_job_t *job, const an_image_sink_t *sink, json_t *report, tc_fail_t *f)
{
    state_t s = {.job = job, .sink = sink, .f = f};
    int rc = -1;

    if (check_kept(&s) == 0 && load(&s) == 0 &&
        an_reader_open(&s.reader, s.file, (size_t)job->source->size, job->limits, f) == 0 &&
        find_all(&s) == 0 && paint_all(&s) == 0 && write_report(&s, report) == 0) {
        rc = hand_over(&s) == 0 ? keep(&s) : -1;
    }
    an_writer_close(&s.writer);
    an_seen_free(&s.seen);
    av_frame_free(&s.still);
    an_reader_close(&s.reader);
    free(s.file);
    return rc;
}

int an_image_is(const uint8_t *p, size_t n)
{
    return an_reader_knows(p, n);
}

AVFrame *an_image_load(const uint8_t *p, size_t n, const tc_limits_t *limits, tc_fail_t *f)
{
    an_reader_t r = {0};
    enum an_alpha alpha;
    AVRational delay;
    AVFrame *frame = NULL;

    if (an_reader_open(&r, p, n, limits, f) == 0) {
        r.is_deep = 0;
        if (an_reader_next(&r, &frame, &delay, f) > 0 && settle(&r, &frame, 0, &alpha) != 0) {
            (void)tc_fail_av(f, AVERROR(ENOMEM), "");
            av_frame_free(&frame);
        }
    }
    an_reader_close(&r);
    return frame;
}

void an_image_warm(void)
{
    static const double srgb[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
    size_t n = 0;
    uint8_t *icc = an_color_profile(srgb, 0, &n);
    AVFrame *frame = an_frame_new(1, 1, 0);

    if (icc != NULL && frame != NULL) {
        memset(frame->data[0], 0, 4);
        (void)an_color_to_srgb(frame, icc, n);
    }
    free(icc);
    av_frame_free(&frame);
    (void)heif_init(NULL); /* looks for plug-ins */
    (void)TIFFSetErrorHandler(NULL);
    (void)TIFFSetWarningHandler(NULL);
}
