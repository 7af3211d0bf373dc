#include "vd_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vd_mp4.h"

typedef struct {
    const json_t *doc;
    const char *name;
    int is_video;
    int64_t n;   /* segments, with the init segment */
    int64_t *at; /* n + 1: where each begins in the input */
} track_t;

typedef struct {
    wk_peer_t *peer;
    const char *name; /* of the file; NULL: the track's */
    track_t tracks[VD_MP4_TRACKS_MAX];
    int ntracks;
    int chosen[VD_MP4_TRACKS_MAX]; /* of the file being written */
    int64_t written;               /* bytes of it */
} file_t;

static ssize_t read_segment(void *ctx, int track, int64_t segment, int64_t off, void *dst,
                            size_t len)
{
    file_t *w = ctx;
    const track_t *t = &w->tracks[w->chosen[track]];
    int64_t left;

    if (segment >= t->n) {
        return -1;
    }
    left = t->at[segment + 1] - t->at[segment] - off;
    if (left <= 0) {
        return 0;
    }
    return wk_peer_read(w->peer, t->at[segment] + off, dst,
                        left < (int64_t)len ? (size_t)left : len);
}

static int write_file(void *ctx, const void *src, size_t len)
{
    file_t *w = ctx;
    const char *p = src;

    while (len > 0) {
        size_t n = len < WK_FRAME_MAX ? len : WK_FRAME_MAX;

        if (wk_peer_write(w->peer, w->written, p, n) != 0) {
            return -1;
        }
        p += n;
        len -= n;
        w->written += (int64_t)n;
    }
    return 0;
}

static int read_track(track_t *t, const json_t *doc, int64_t *at)
{
    const json_t *sizes = json_object_get(doc, "sizes");
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    size_t n = json_array_size(sizes);

    t->doc = doc;
    t->name = json_string_value(json_object_get(doc, "name"));
    t->is_video = kind != NULL && strcmp(kind, "video") == 0;
    t->n = (int64_t)n;
    t->at = n > 1 ? calloc(n + 1, sizeof(t->at[0])) : NULL;
    if (t->at == NULL || t->name == NULL) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        t->at[i] = *at;
        *at += json_integer_value(json_array_get(sizes, i));
    }
    t->at[n] = *at;
    return 0;
}

static int read_tracks(file_t *w, const json_t *range)
{
    int64_t at = 0;
    size_t i;
    json_t *doc;

    json_array_foreach(json_object_get(range, "tracks"), i, doc)
    {
        if (w->ntracks == VD_MP4_TRACKS_MAX ||
            read_track(&w->tracks[w->ntracks++], doc, &at) != 0) {
            return -1;
        }
    }
    return w->ntracks > 0 ? 0 : -1;
}

static int hand_over(const file_t *w, const track_t *t)
{
    char name[96];
    double ticks = json_number_value(json_object_get(t->doc, "ticks"));
    double scale = json_number_value(json_object_get(t->doc, "timescale"));
    double seconds = scale > 0 ? ticks / scale : 0;

    (void)snprintf(name, sizeof(name), "%s.mp4", w->name != NULL ? w->name : t->name);
    return wk_peer_output(
        w->peer,
        json_pack("{s:s,s:s,s:s,s:O,s:O,s:f,s:I}", "name", name, "kind", "video", "content_type",
                  "video/mp4", "width", json_object_get(t->doc, "width"), "height",
                  json_object_get(t->doc, "height"), "duration", seconds, "bitrate",
                  (json_int_t)(seconds > 0 ? (double)w->written * 8 / seconds : 0)));
}

static int write_rung(file_t *w, int rung, tc_fail_t *f)
{
    vd_mp4_io_t io = {.ctx = w, .read = read_segment, .write = write_file};
    int64_t nsegments[VD_MP4_TRACKS_MAX];
    int n = 0;

    for (int i = 0; i < w->ntracks; i++) {
        if (i == rung || !w->tracks[i].is_video) {
            nsegments[n] = w->tracks[i].n - 1;
            w->chosen[n++] = i;
        }
    }
    w->written = 0;
    if (vd_mp4_write(&io, nsegments, n, f) != 0) {
        return -1;
    }
    return hand_over(w, &w->tracks[rung]) == 0
               ? 0
               : tc_fail(f, "internal", "The file could not be handed over.");
}

int vd_file(wk_peer_t *peer, const json_t *range, const char *name, tc_fail_t *f)
{
    file_t *w = calloc(1, sizeof(*w));
    int rc = -1;
    int rungs = 0;

    if (w == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    w->peer = peer;
    w->name = name;
    if (read_tracks(w, range) != 0) {
        (void)tc_fail(f, "limits", "A file of more than %d tracks cannot be made.",
                      VD_MP4_TRACKS_MAX);
        goto done;
    }
    for (rc = 0; rc == 0 && rungs < w->ntracks; rungs++) {
        if (w->tracks[rungs].is_video) {
            rc = write_rung(w, rungs, f);
            (void)wk_peer_progress(peer, (double)(rungs + 1) / w->ntracks);
        }
    }
    if (rc == 0 && w->written == 0) {
        rc = tc_fail(f, "internal", "There are no pictures to make a file of.");
    }
done:
    for (int i = 0; i < w->ntracks; i++) {
        free(w->tracks[i].at);
    }
    free(w);
    return rc;
}
