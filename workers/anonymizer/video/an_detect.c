/* The step `detect`: decodes a range, looks at every n-th picture, at its first and last, and
 * around each change of scene. */
#include "an_video.h"

#include <stdlib.h>
#include <string.h>

#include "an_damage.h"
#include "an_film.h"
#include "an_find.h"
#include "an_scene.h"
#include "media/json.h"
#include "vd_picture.h"
#include "vd_range.h"

#define AROUND_CUT 3 /* pictures that are looked at from one on that begins a scene */
#define LOOK_S 0.2   /* no longer without a look where pictures are slow */

typedef struct {
    const media_vindex_t *v;
    const an_params_t *params;
    const an_ask_t *ask;
    uint32_t first, end;
    int width, height;
    vd_picture_t picture;
    an_found_t found;
    an_damage_t damage;
    an_scene_t scene; /* of the picture before */
    int has_scene;
    uint32_t soon;     /* pictures still to be looked at behind a cut */
    int64_t looked_at; /* pts of the last one that was */
    AVFrame *last;     /* the picture before, if it has not been looked at */
    uint32_t last_number;
    an_hit_t hits[AN_HITS_MAX];
} detect_t;

static int look(detect_t *d, const AVFrame *frame, uint32_t number, uint32_t flags, tc_fail_t *f)
{
    AVFrame *upright = vd_picture_make(&d->picture, frame, f);
    an_picture_t picture;
    media_err_t ei = {""};
    int n, rc;

    if (upright == NULL) {
        return -1;
    }
    picture = (an_picture_t){upright->data[0], d->width, d->height, (size_t)upright->linesize[0]};
    n = an_find(d->params, d->ask, &picture, d->hits, f);
    if (n < 0) {
        return -1;
    }
    for (int i = 0; i < n; i++) {
        d->hits[i].x /= (float)d->width;
        d->hits[i].y /= (float)d->height;
        d->hits[i].w /= (float)d->width;
        d->hits[i].h /= (float)d->height;
    }
    d->looked_at = d->v->frames[number].pts;
    av_frame_unref(d->last);
    rc = an_found_look(&d->found, number, flags | AN_LOOK_SEEN, d->hits, n, &ei);
    if (rc != 0) {
        return tc_fail(f, rc == MEDIA_E_TOOBIG ? "limits" : "detector_failed",
                       "What was found in the video is not usable: %s.", ei.text);
    }
    return 0;
}

/* Not looked at, but perhaps worth a note. */
static int pass(detect_t *d, const AVFrame *frame, uint32_t number, uint32_t flags, tc_fail_t *f)
{
    int rc = flags != 0 ? an_found_look(&d->found, number, flags, NULL, 0, NULL) : 0;

    av_frame_unref(d->last);
    if (rc == 0 && flags == 0) {
        rc = av_frame_ref(d->last, frame) < 0 ? -1 : 0;
        d->last_number = number;
    }
    return rc == 0 ? 0 : tc_fail_av(f, AVERROR(ENOMEM), "");
}

static int is_cut(detect_t *d, const AVFrame *frame)
{
    an_scene_t scene;
    int had = d->has_scene, cut;

    d->has_scene = an_scene_see(&scene, frame) == 0;
    cut = had && d->has_scene && an_scene_is_cut(&d->scene, &scene);
    d->scene = scene;
    return cut;
}

static int is_due(const detect_t *d, uint32_t number)
{
    double since = (double)(d->v->frames[number].pts - d->looked_at) * (double)d->v->tb_num /
                   (double)d->v->tb_den;

    return since >= LOOK_S || number % (uint32_t)d->params->every == 0 || number == d->first ||
           number + 1 == d->end || d->soon > 0;
}

static int take(detect_t *d, const AVFrame *frame, uint32_t number, int64_t errors, tc_fail_t *f)
{
    uint32_t flags = 0;
    int cut = is_cut(d, frame);

    if (number < d->first) {
        return 0; /* the picture before the range: for the cut between them */
    }
    if (an_damage_see(&d->damage, d->v, frame, number, errors)) {
        if (!d->params->is_lenient) {
            return tc_fail(f, "damaged", "The video is damaged: not all of it can be decoded.");
        }
        flags |= AN_LOOK_DAMAGED;
    }
    if (cut) {
        /* where the scene before ends, too */
        if (d->last->buf[0] != NULL && look(d, d->last, d->last_number, 0, f) != 0) {
            return -1;
        }
        flags |= AN_LOOK_CUT;
        d->soon = AROUND_CUT;
    }
    if (!is_due(d, number)) {
        return pass(d, frame, number, flags, f);
    }
    d->soon -= d->soon > 0;
    return look(d, frame, number, flags, f);
}

static int run(detect_t *d, const vd_source_t *source, const vd_sink_t *sink, tc_fail_t *f)
{
    uint32_t from = d->first > 0 ? d->first - 1 : 0, number;
    AVFrame *frame = av_frame_alloc();
    vd_range_t *range = NULL;
    int rc = frame != NULL ? 1 : tc_fail_av(f, AVERROR(ENOMEM), "");

    if (rc > 0 && vd_range_open(&range, source, d->v, from, d->end, 1, f) != 0) {
        rc = -1;
    }
    while (rc > 0 && (rc = vd_range_frame(range, frame, &number, f)) > 0) {
        if (take(d, frame, number, vd_range_stats(range)->errors, f) != 0 ||
            vd_sink_progress(sink, (double)(number - from) / (d->end - from), f) != 0) {
            rc = -1;
        }
    }
    av_frame_free(&frame);
    vd_range_close(range);
    return rc;
}

static int read_range(detect_t *d, const json_t *range, tc_fail_t *f)
{
    int64_t first = 0, end = 0;
    media_err_t ei = {"it is empty"};

    if (media_json_int(range, "first", 0, d->v->nframes, &first, &ei) != 0 ||
        media_json_int(range, "end", 1, d->v->nframes, &end, &ei) != 0 || first >= end) {
        return tc_fail(f, "internal", "The job's range is not usable: %s.", ei.text);
    }
    d->first = (uint32_t)first;
    d->end = (uint32_t)end;
    return 0;
}

int an_video_detect(const vd_source_t *source, const media_vindex_t *v, const json_t *range,
                    const an_params_t *params, const an_ask_t *ask, const vd_sink_t *sink,
                    media_buf_t *found, tc_fail_t *f)
{
    detect_t *d = calloc(1, sizeof(*d));
    an_film_t film = {0};
    int rc = -1;

    if (d == NULL || (d->last = av_frame_alloc()) == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        goto done;
    }
    d->v = v;
    d->params = params;
    d->ask = ask;
    if (read_range(d, range, f) != 0 || an_film_open(v, &film, f) != 0) {
        goto done;
    }
    d->width = film.width;
    d->height = film.height;
    if (vd_picture_open(&d->picture, v, film.width, film.height, AV_PIX_FMT_BGR24, f) != 0 ||
        run(d, source, sink, f) < 0) {
        goto done;
    }
    rc = an_found_write(&d->found, found) == 0
             ? 0
             : tc_fail(f, "limits", "There is too much to be masked in the video.");
done:
    if (d != NULL) {
        vd_picture_close(&d->picture);
        an_found_free(&d->found);
        av_frame_free(&d->last);
    }
    an_film_free(&film);
    free(d);
    return rc;
}
