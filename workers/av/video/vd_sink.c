#include "vd_sink.h"

#include <stdio.h>

#include "wk_log.h"

#define PROGRESS_MS 200

/* What the parent is told of a piece. Owned. */
static json_t *meta_of(const vd_piece_t *piece)
{
    char name[96], init[96];
    json_t *meta;

    (void)snprintf(init, sizeof(init), "%s-init.mp4", piece->track);
    (void)snprintf(name, sizeof(name), "%s-%lld.%s", piece->track, (long long)piece->number,
                   piece->is_text ? "vtt" : "m4s");
    meta = json_pack("{s:s,s:s,s:s,s:I}", "name", piece->number > 0 ? name : init, "content_type",
                     piece->is_text ? "text/vtt" : "video/mp4", "track", piece->track, "number",
                     (json_int_t)piece->number);
    if (piece->number > 0) {
        (void)json_object_set_new(meta, "duration", json_integer(piece->duration));
    }
    if (piece->iframe_bytes > 0) {
        (void)json_object_set_new(meta, "iframe_offset", json_integer(piece->iframe_offset));
        (void)json_object_set_new(meta, "iframe_bytes", json_integer(piece->iframe_bytes));
    }
    return meta;
}

static int put(void *ctx, const vd_piece_t *piece)
{
    wk_peer_t *peer = ((vd_parent_t *)ctx)->peer;

    return wk_peer_write(peer, 0, piece->head.p, piece->head.len) != 0 ||
                   (piece->body.len > 0 && wk_peer_write(peer, (int64_t)piece->head.len,
                                                         piece->body.p, piece->body.len) != 0)
               ? -1
               : wk_peer_output(peer, meta_of(piece));
}

static int progress(void *ctx, double done)
{
    vd_parent_t *p = ctx;
    int64_t now_ms = wk_mono_ms();

    if (now_ms - p->told_ms < PROGRESS_MS) {
        return 0;
    }
    p->told_ms = now_ms;
    return wk_peer_progress(p->peer, done < 1 ? done : 1);
}

vd_sink_t vd_sink_to_parent(vd_parent_t *parent)
{
    return (vd_sink_t){.ctx = parent, .put = put, .progress = progress};
}
