/* The `text` step: one track of text subtitles as one WebVTT file on the video's time line. */
#ifndef VD_TEXT_H
#define VD_TEXT_H

#include "vd_plan.h"
#include "vd_sink.h"

#define VD_TEXT_BYTES_MAX (8u << 20)

/* Adds the track's description to `tracks`. 0, or -1 with a cause. */
int vd_text(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
            json_t *tracks, tc_fail_t *f);

/* The text of an ASS event ("ReadOrder,Layer,...,Text" as libavcodec hands it out) for WebVTT:
 * without its codes, escaped, no empty line. [any] */
void vd_text_cue(const char *ass, media_buf_t *out);

#endif
