/* One decoder, a thread per rung, a short queue of pictures to each.
 *
 * The decoding thread waits where a queue is full, a rung's thread where its queue is empty. A rung
 * that fails goes on emptying its queue, so nobody waits for it; the cause is taken at the end. */
#include "vd_encode.h"

#include <pthread.h>
#include <string.h>

#include "vd_range.h"

#define QUEUE 6 /* pictures; all queues hold the same ones */

typedef struct {
    vd_rung_t *rung;
    pthread_t thread;
    int is_running;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    AVFrame *frames[QUEUE];
    uint32_t numbers[QUEUE];
    unsigned head, count;
    int is_closed; /* no more will come */
    int has_failed;
    tc_fail_t fail; /* of the thread, read after it ended, or once has_failed */
} lane_t;

typedef struct {
    pthread_mutex_t door; /* to source and sink, which share one socket */
    const vd_source_t *source;
    const vd_sink_t *sink;
    int nlanes;
    lane_t lanes[MEDIA_LADDER_MAX];
} encode_t;

/* ---- one at a time through the door ---- */

static ssize_t guarded_read(void *ctx, int64_t off, void *dst, size_t len)
{
    encode_t *e = ctx;
    ssize_t n;

    (void)pthread_mutex_lock(&e->door);
    n = e->source->read(e->source->ctx, off, dst, len);
    (void)pthread_mutex_unlock(&e->door);
    return n;
}

static int guarded_put(void *ctx, const vd_piece_t *piece)
{
    encode_t *e = ctx;
    int rc;

    (void)pthread_mutex_lock(&e->door);
    rc = e->sink->put(e->sink->ctx, piece);
    (void)pthread_mutex_unlock(&e->door);
    return rc;
}

static int guarded_progress(void *ctx, double done)
{
    encode_t *e = ctx;
    int rc;

    (void)pthread_mutex_lock(&e->door);
    rc = e->sink->progress(e->sink->ctx, done);
    (void)pthread_mutex_unlock(&e->door);
    return rc;
}

/* ---- lanes ---- */

/* The next picture, owned; NULL after the last. */
static AVFrame *lane_take(lane_t *l, uint32_t *number)
{
    AVFrame *frame = NULL;

    (void)pthread_mutex_lock(&l->lock);
    while (l->count == 0 && !l->is_closed) {
        (void)pthread_cond_wait(&l->moved, &l->lock);
    }
    if (l->count > 0) {
        frame = l->frames[l->head];
        *number = l->numbers[l->head];
        l->head = (l->head + 1) % QUEUE;
        l->count--;
        (void)pthread_cond_signal(&l->moved);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return frame;
}

static void lane_failed(lane_t *l, const tc_fail_t *why)
{
    (void)pthread_mutex_lock(&l->lock);
    if (!l->has_failed) {
        l->fail = *why;
        l->has_failed = 1;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

static void *lane_run(void *data)
{
    lane_t *l = data;
    tc_fail_t why = {{0}, {0}, 0};
    uint32_t number = 0;
    AVFrame *frame;
    int rc = 0;

    while ((frame = lane_take(l, &number)) != NULL) {
        if (rc == 0 && (rc = vd_rung_frame(l->rung, frame, number, &why)) != 0) {
            lane_failed(l, &why);
        }
        av_frame_free(&frame);
    }
    if (rc == 0 && vd_rung_finish(l->rung, &why) != 0) {
        lane_failed(l, &why);
    }
    return NULL;
}

/* Waits for room. 0, or -1: the lane has failed, or there is no memory. */
static int lane_give(lane_t *l, const AVFrame *frame, uint32_t number)
{
    AVFrame *ref = av_frame_clone(frame);
    int rc;

    (void)pthread_mutex_lock(&l->lock);
    while (l->count == QUEUE) {
        (void)pthread_cond_wait(&l->moved, &l->lock);
    }
    rc = ref == NULL || l->has_failed ? -1 : 0;
    if (rc == 0) {
        unsigned at = (l->head + l->count++) % QUEUE;
        l->frames[at] = ref;
        l->numbers[at] = number;
        (void)pthread_cond_signal(&l->moved);
    }
    (void)pthread_mutex_unlock(&l->lock);
    if (rc != 0) {
        av_frame_free(&ref);
    }
    return rc;
}

static int lane_start(lane_t *l, tc_fail_t *f)
{
    if (pthread_mutex_init(&l->lock, NULL) != 0) {
        return tc_fail(f, "internal", "No lock can be made.");
    }
    if (pthread_cond_init(&l->moved, NULL) != 0 ||
        pthread_create(&l->thread, NULL, lane_run, l) != 0) {
        return tc_fail(f, "internal", "No thread can be started.");
    }
    l->is_running = 1;
    return 0;
}

/* Waits until everything given is encoded. */
static void lane_join(lane_t *l)
{
    if (!l->is_running) {
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->is_closed = 1;
    (void)pthread_cond_signal(&l->moved);
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_join(l->thread, NULL);
    l->is_running = 0;
    (void)pthread_cond_destroy(&l->moved);
    (void)pthread_mutex_destroy(&l->lock);
}

/* ---- the range ---- */

static int feed(encode_t *e, vd_range_t *range, const vd_range_plan_t *plan, tc_fail_t *f)
{
    uint32_t number;
    AVFrame *frame = av_frame_alloc();
    int rc = frame != NULL ? 1 : tc_fail_av(f, AVERROR(ENOMEM), "");

    while (rc > 0 && (rc = vd_range_frame(range, frame, &number, f)) > 0) {
        for (int i = 0; rc > 0 && number % plan->step == 0 && i < e->nlanes; i++) {
            if (lane_give(&e->lanes[i], frame, number) != 0) {
                rc = -1; /* the lane tells why */
            }
        }
        if (rc > 0 && guarded_progress(e, (double)(number - plan->seen) /
                                              (plan->seen_end - plan->seen)) != 0) {
            rc = tc_fail(f, "internal", "The worker is gone.");
        }
    }
    av_frame_free(&frame);
    return rc;
}

static int open_lanes(encode_t *e, const vd_range_plan_t *plan, const media_vindex_t *index,
                      const vd_sink_t *sink, tc_fail_t *f)
{
    for (; e->nlanes < plan->nrungs; e->nlanes++) {
        lane_t *l = &e->lanes[e->nlanes];
        l->rung = vd_rung_open(plan, e->nlanes, index, sink, f);
        if (l->rung == NULL || lane_start(l, f) != 0) {
            vd_rung_close(l->rung);
            return -1;
        }
    }
    return 0;
}

static int close_lanes(encode_t *e, json_t *tracks, int rc, tc_fail_t *f)
{
    for (int i = 0; i < e->nlanes; i++) {
        lane_t *l = &e->lanes[i];
        lane_join(l);
        if (l->has_failed) {
            rc = tc_fail(f, l->fail.code, "%s", l->fail.detail);
            f->retry |= l->fail.retry;
        }
        if (rc == 0 && tracks != NULL &&
            json_array_append_new(tracks, vd_rung_track(l->rung)) != 0) {
            rc = tc_fail_av(f, AVERROR(ENOMEM), "");
        }
        vd_rung_close(l->rung);
    }
    /* a failure nobody has told of */
    return rc != 0 ? tc_fail_av(f, AVERROR(ENOMEM), "") : 0;
}

int vd_encode(const vd_source_t *source, const media_vindex_t *index, const vd_range_plan_t *plan,
              const vd_sink_t *sink, json_t *tracks, tc_fail_t *f)
{
    encode_t e = {.door = PTHREAD_MUTEX_INITIALIZER, .source = source, .sink = sink};
    const vd_source_t from = {.ctx = &e, .size = source->size, .read = guarded_read};
    const vd_sink_t to = {.ctx = &e, .put = guarded_put, .progress = guarded_progress};
    vd_range_t *range = NULL;
    int rc;

    rc = vd_range_open(&range, &from, index, plan->seen, plan->seen_end, 1, f);
    if (rc == 0) {
        rc = open_lanes(&e, plan, index, &to, f);
    }
    if (rc == 0) {
        rc = feed(&e, range, plan, f);
    }
    if (rc == 0 && plan->is_strict) {
        const vd_range_stats_t *stats = vd_range_stats(range);

        if (stats->errors > 0 || stats->repaired > 0) {
            rc = tc_fail(f, "damaged", "The video is damaged: not all of it can be decoded.");
        }
    }
    rc = close_lanes(&e, plan->number == 1 ? tracks : NULL, rc, f);
    vd_range_close(range);
    return rc;
}
