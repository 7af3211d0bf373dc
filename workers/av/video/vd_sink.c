#include "vd_sink.h"

#include <stdio.h>

json_t *vd_sink_meta(const vd_piece_t *piece)
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
